"""Bugs that train on what is not to be trained on, or show pictures as they are not."""

from __future__ import annotations

from . import Bug

LAW = "only the right pictures are used for training"
SPLIT = "tests/test_folders.py::test_only_what_is_named_train_trains"
TWO = "tests/test_folders.py::test_names_that_could_mean_several_splits_are_one_line"
LEFT = "tests/test_folders.py::test_what_programs_leave_beside_pictures_is_passed_over_and_counted"
TWICE = "tests/test_folders.py::test_links_to_folders_are_followed_and_each_folder_counts_once"
WHITE = "tests/test_folders.py::test_what_is_transparent_is_white_in_training_as_in_use"
ALPHA = "tests/test_folders.py::test_a_model_with_transparency_is_given_it"
SIXTEEN = "tests/test_folders.py::test_greys_of_16_bits_are_rounded_in_training_as_in_use"
KAGGLE = "tests/test_readers.py::test_celeba_as_kaggle_packs_it"

BUGS = [
    Bug(
        LAW,
        "test pictures are held out although val exists",
        "data/split.py",
        "parts = held_out or test",
        "parts = test or held_out",
        (SPLIT,),
    ),
    Bug(
        LAW,
        "only lower case names",
        "data/split.py",
        "name.lower().startswith(starts)",
        "name.startswith(starts)",
        (SPLIT,),
    ),
    Bug(
        LAW,
        "a single folder is not searched",
        "data/split.py",
        "len(folders) == 1 and not beside and",
        "False and",
        (SPLIT,),
    ),
    Bug(
        LAW,
        "of two folders of training the first",
        "data/split.py",
        "if len(train) > 1 or len(parts) > 1:",
        "if len(parts) > 1:",
        (TWO,),
    ),
    Bug(
        LAW,
        "a split in a nested folder is merged",
        "data/split.py",
        "        if train and others:",
        "        if train and others and False:",
        (TWO,),
    ),
    Bug(LAW, "hidden files are pictures", "data/walk.py", 'name.startswith(".") or', "", (LEFT,)),
    Bug(
        LAW,
        "system files count as pictures",
        "data/walk.py",
        "or name.lower() in OF_SYSTEMS",
        "",
        (LEFT,),
    ),
    Bug(
        LAW,
        "links to folders are passed over",
        "data/walk.py",
        "return entry.stat().st_mode",
        "return entry.stat(follow_symlinks=False).st_mode",
        (TWICE,),
    ),
    Bug(
        LAW,
        "links are visited before folders",
        "data/walk.py",
        "(entry.is_symlink(), entry.name)",
        "(not entry.is_symlink(), entry.name)",
        ("tests/test_folders.py::test_a_folder_comes_before_the_links_to_it",),
    ),
    Bug(
        LAW,
        "CelebA's test images are trained on",
        "data/readers/celeba.py",
        "if part == TEST:",
        "if part == TEST and False:",
        (KAGGLE,),
    ),
    Bug(
        LAW,
        "hidden colours are trained on",
        "data/readers/pictures.py",
        "        picture = on_white(picture)\n",
        "",
        (WHITE,),
    ),
    Bug(
        LAW,
        "transparency is laid on black",
        "data/readers/pictures.py",
        'picture.size, "white"',
        'picture.size, "black"',
        (WHITE,),
    ),
    Bug(
        LAW,
        "a model with transparency sees none",
        "data/own_images.py",
        "read_own(path, shape[2] not in (1, 3))",
        "read_own(path)",
        (ALPHA,),
    ),
    Bug(
        LAW,
        "16 bits are cut, not rounded",
        "data/readers/pictures.py",
        "np.rint(values / 257)",
        "(values // 257)",
        (SIXTEEN,),
    ),
]
