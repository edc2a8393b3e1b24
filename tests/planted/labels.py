"""Bugs that give a picture the labels of another, or turn labels around."""

from __future__ import annotations

from . import Bug

LAW = "labels stay with their pictures"
ARRAYS = "tests/test_labels.py::test_labels_of_arrays_follow"
SPLIT = "tests/test_labels.py::test_labels_of_a_split_of_its_own_follow"
PICTURES = "tests/test_labels.py::test_labels_of_pictures_follow_where_damaged_ones_are_passed_over"
CLASSES = "tests/test_labels.py::test_labels_of_classes_follow"

BUGS = [
    Bug(
        LAW, "training labels in the order of all images", "data/dataset.py",
        "_followed(attributes, rows[0])", "_followed(attributes, np.arange(len(rows[0])))", (ARRAYS,),
    ),
    Bug(
        LAW, "the first labels for those held out", "data/dataset.py",
        "_followed(of_others[0], rows[1])", "_followed(of_others[0], np.arange(len(rows[1])))", (ARRAYS, SPLIT),
    ),
    Bug(
        LAW, "held-out rows of the labels counted without the damaged ones", "data/dataset.py",
        "rows = sound[keep], sound[held_out]\n", "rows = sound[keep], held_out\n", (PICTURES,),
    ),
    Bug(
        LAW, "damaged training pictures keep their labels", "data/dataset.py",
        "rows = sound, sound_others", "rows = np.arange(len(sound)), sound_others", (PICTURES,),
    ),
    Bug(
        LAW, "damaged held-out pictures keep their labels", "data/dataset.py",
        "rows = sound, sound_others", "rows = sound, np.arange(len(sound_others))", (PICTURES,),
    ),
    Bug(
        LAW, "training labels for those held out", "data/dataset.py",
        "of_others = reading.held_out_attributes, reading", "of_others = attributes, reading", (SPLIT,),
    ),
    Bug(
        LAW, "training classes for those held out", "data/dataset.py",
        "reading.held_out_attributes, reading.held_out_labels", "reading.held_out_attributes, classes", (SPLIT, CLASSES),
    ),
    Bug(
        LAW, "training classes in the order of all images", "data/dataset.py",
        "_followed(classes, rows[0])", "_followed(classes, np.arange(len(rows[0])))", (ARRAYS,),
    ),
    Bug(
        LAW, "held-out pictures get the first labels", "data/dataset.py",
        "_followed(of_others[1], rows[1])", "_followed(of_others[1], np.arange(len(rows[1])))", (ARRAYS,),
    ),
    Bug(
        LAW, "the coarse classes of CIFAR-100", "data/readers/cifar.py",
        "columns[:, -last:].argmax", "columns[:, :last].argmax", (CLASSES,),
    ),
    Bug(
        LAW, "the bits of several attributes exchanged", "data/labels.py",
        "bits = 2 ** np.arange(len(names))", "bits = 2 ** np.arange(len(names))[::-1]", (PICTURES,),
    ),
    Bug(
        LAW, "the names of combinations exchanged", "data/labels.py",
        "reversed(held)", "held", (PICTURES,),
    ),
    Bug(
        LAW, "the fingerprint ignores the labels", "data/fingerprint.py",
        'digest.update(labels.astype("<i8").tobytes())', "pass",
        ("tests/test_labels.py::test_the_fingerprint_is_of_the_labels_that_a_model_is_conditioned_by",),
    ),
    Bug(
        LAW, "a picture that stands in has the labels of the damaged one", "data/dataset.py",
        "prepared.preload(to_the_end=labelled)", "prepared.preload()", (PICTURES,),
    ),
    Bug(LAW, "-1 of an npz holds", "data/readers/arrays.py", "attributes > 0", "attributes != 0", (ARRAYS,)),
    Bug(LAW, "0 of an npz holds", "data/readers/arrays.py", "attributes > 0", "attributes >= 0", (ARRAYS,)),
    Bug(LAW, "-1 in CelebA counts as having the attribute", "data/readers/celeba.py", '[word == "1" for', '[word != "0" for', (PICTURES,)),
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
