"""Bugs that give a picture the labels of another, or turn labels around."""

from __future__ import annotations

from . import Bug

LAW = "labels follow their pictures"
ARRAYS = "tests/test_labels.py::test_labels_of_arrays_follow"
SPLIT = "tests/test_labels.py::test_labels_of_a_split_of_its_own_follow"
PICTURES = "tests/test_labels.py::test_labels_of_pictures_follow_where_damaged_ones_are_passed_over"
CLASSES = "tests/test_labels.py::test_labels_of_classes_follow"

BUGS = [
    Bug(
        LAW, "training labels in the order of all images", "data/dataset.py",
        "attributes[train_rows], attributes[held_out_rows]", "attributes[: len(train_rows)], attributes[held_out_rows]",
        (ARRAYS,),
    ),
    Bug(
        LAW, "the first labels for those held out", "data/dataset.py",
        "attributes[train_rows], attributes[held_out_rows]", "attributes[train_rows], attributes[: len(held_out_rows)]",
        (ARRAYS,),
    ),
    Bug(
        LAW, "held-out rows of the labels counted without the damaged ones", "data/dataset.py",
        "attributes[train_rows], attributes[held_out_rows]", "attributes[train_rows], attributes[held_out]", (PICTURES,),
    ),
    Bug(
        LAW, "damaged training pictures keep their labels", "data/dataset.py",
        "(attributes[sound], reading", "(attributes[: len(sound)], reading", (PICTURES,),
    ),
    Bug(
        LAW, "damaged held-out pictures keep their labels", "data/dataset.py",
        "reading.held_out_attributes[sound_others])", "reading.held_out_attributes[: len(sound_others)])", (PICTURES,),
    ),
    Bug(
        LAW, "training labels for those held out", "data/dataset.py",
        "reading.held_out_attributes[sound_others])", "attributes[sound][: len(sound_others)])", (SPLIT,),
    ),
    Bug(
        LAW, "a picture that stands in has the labels of the damaged one", "data/dataset.py",
        "prepared.preload(to_the_end=labelled)", "prepared.preload()", (PICTURES,),
    ),
    Bug(LAW, "-1 of an npz holds", "data/readers/arrays.py", "attributes > 0", "attributes != 0", (ARRAYS,)),
    Bug(LAW, "0 of an npz holds", "data/readers/arrays.py", "attributes > 0", "attributes >= 0", (ARRAYS,)),
    Bug(LAW, "-1 of CelebA holds", "data/readers/celeba.py", '[word == "1" for', '[word != "0" for', (PICTURES,)),
    Bug(LAW, "0 of CelebA holds", "data/readers/celeba.py", '[word == "1" for', '[word != "-1" for', (PICTURES,)),
    Bug(LAW, "-1 of an .h5 holds", "data/readers/hdf5.py", "np.asarray(values) > 0", "np.asarray(values) != 0", (ARRAYS,)),
    Bug(
        LAW, "the two classes of CIFAR-100 exchanged", "data/readers/cifar.py",
        "values = records[:, column]", "values = records[:, columns - 1 - column]", (CLASSES,),
    ),
    Bug(
        LAW, "MNIST's labels exchanged between the parts", "data/readers/idx.py",
        "one_hot[0], one_hot[1], notes", "one_hot[1], one_hot[0], notes", (CLASSES,),
    ),
]  # fmt: skip
