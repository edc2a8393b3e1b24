"""Labels follow their pictures: from every reader that has them, in either split,
with damaged pictures passed over.
"""

import gzip
import io

import h5py
import numpy as np
import pytest
from PIL import Image

import glowlite.data.dataset
from glowlite.commands.data import describe
from glowlite.data import Preparation, load
from glowlite.data.dataset import Reading, make_dataset
from glowlite.data.fingerprint import fingerprint
from glowlite.data.images import ArrayImages
from glowlite.data.labels import MOST_CLASSES, conditioned, with_attributes
from glowlite.errors import DataError

COUNT = 30
BITS = 3  # labels of picture i: the bits of i, so that neighbours differ
LABELS = np.arange(COUNT)[:, None] >> np.arange(BITS) & 1
CLASSES = np.arange(COUNT) % 7
IMAGES = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
VALUES = {
    "0 and 1": LABELS,
    "-1 and 1": 2 * LABELS - 1,
    "floats": (2.0 * LABELS - 1) / 3,
    "bools": LABELS > 0,
}


def check(data, numbers):
    """Every image of `numbers` is there once, and beside each stand the labels of its number."""
    seen = []
    for images, attributes in (
        (data.train, data.attributes),
        (data.held_out, data.held_out_attributes),
    ):
        red = images[:][:, 0, 0, 0].astype(int)
        assert attributes.dtype == bool and np.array_equal(attributes, LABELS[red] > 0)
        if len(data.labels):
            classes = data.labels if images is data.train else data.held_out_labels
            assert np.array_equal(classes, red % 7)
        seen += red.tolist()
    assert sorted(seen) == sorted(numbers) and len(data.held_out) > 0


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("kind", ["npz", "h5"])
@pytest.mark.parametrize("cropped", [False, True])
def test_labels_of_arrays_follow(tmp_path, kind, values, cropped):
    path, names = tmp_path / f"x.{kind}", [f"bit {i}" for i in range(BITS)]
    if kind == "npz":
        np.savez(
            path, images=IMAGES, attributes=VALUES[values], attribute_names=names, labels=CLASSES
        )
    else:
        with h5py.File(path, "w") as file:
            for name, array in (
                ("images", IMAGES),
                ("attributes", VALUES[values]),
                ("attribute_names", names),
                ("labels", CLASSES),
            ):
                file.create_dataset(name, data=array)
    data = load(str(path), Preparation(crop=2) if cropped else None)
    check(data, range(COUNT))
    assert len(data.labels) + len(data.held_out_labels) == COUNT
    named = conditioned(data, "labels")
    assert named.class_names == tuple("0123456") and named.labels.dtype == np.int64
    check(named, range(COUNT))


def celeba(folder, damaged, partition, values):
    """CelebA with these lists; picture 1 is the first of training,
    and where there is a partition, every third is test.
    """
    (folder / "img_align_celeba").mkdir(parents=True)
    lines, parts = [str(COUNT), " ".join(f"bit{i}" for i in range(BITS))], []
    for i in range(COUNT):
        buffer = io.BytesIO()
        Image.fromarray(IMAGES[i]).save(buffer, format="png")
        whole = buffer.getvalue()
        (folder / "img_align_celeba" / f"{i:06}.png").write_bytes(
            whole[:40] if i in damaged else whole
        )
        lines.append(f"{i:06}.jpg " + " ".join(str(v) for v in VALUES[values][i]))
        parts.append(f"{i:06}.jpg {i % 3}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    if partition:
        (folder / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    return str(folder)


@pytest.mark.parametrize("values", ["0 and 1", "-1 and 1"])
@pytest.mark.parametrize("partition", [False, True], ids=["a tenth", "two parts"])
@pytest.mark.parametrize("damaged", [(), (0, 1), (3, 4, 9, 10, 27, 28), (29,)])
@pytest.mark.parametrize("room", [True, False], ids=["decoded", "as needed"])
def test_labels_of_pictures_follow_where_damaged_ones_are_passed_over(
    tmp_path, monkeypatch, damaged, partition, values, room
):
    if not room:
        monkeypatch.setattr(glowlite.data.dataset, "ROOM", 0)
    numbers = [i for i in range(COUNT) if i not in damaged and not (partition and i % 3 == 2)]
    data = load(celeba(tmp_path / "c", damaged, partition, values), Preparation(skip_corrupt=True))
    check(data, numbers)
    named = conditioned(data, "bit0,bit2")
    assert named.class_names == ("no bit0 or bit2", "bit0", "bit2", "bit0+bit2")
    for images, labels in ((data.train, named.labels), (data.held_out, named.held_out_labels)):
        red = images[:][:, 0, 0, 0].astype(int)
        assert np.array_equal(labels, LABELS[red] @ [1, 0, 2])
    if partition:
        assert sorted(data.train[:][:, 0, 0, 0]) == [i for i in numbers if i % 3 == 0]


def test_labels_of_a_split_of_its_own_follow():
    train, held_out = slice(0, 20), slice(20, None)
    reading = Reading(
        ArrayImages(IMAGES[train]),
        ArrayImages(IMAGES[held_out]),
        ("a", "b", "c"),
        LABELS[train] > 0,
        LABELS[held_out] > 0,
        labels=CLASSES[train],
        held_out_labels=CLASSES[held_out],
    )
    for preparation in (None, Preparation(crop=2)):
        check(make_dataset("x", reading, "here", preparation), range(COUNT))


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "mnist"])
def test_labels_of_classes_follow(tmp_path, kind):
    classes = np.arange(COUNT, dtype=np.uint8) % 10
    split = {"train": range(20), "test": range(20, COUNT)}
    if kind == "mnist":
        for part, rows in (("train", split["train"]), ("t10k", split["test"])):
            header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (len(rows), 4, 4))
            images = gzip.compress(header + IMAGES[list(rows), :, :, 0].tobytes())
            (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(images)
            labels = (
                bytes([0, 0, 8, 1]) + len(rows).to_bytes(4, "big") + classes[list(rows)].tobytes()
            )
            (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    else:
        names = {"train": "data_batch_1.bin", "test": "test_batch.bin"} if kind == "cifar10" else {}
        for part, rows in split.items():
            coarse = [b"\x07"] if kind == "cifar100" else []
            records = (b"".join([*coarse, bytes([classes[i]]), bytes([i]) * 3072]) for i in rows)
            (tmp_path / names.get(part, f"{part}.bin")).write_bytes(b"".join(records))
    data = load(str(tmp_path))
    named = conditioned(data, "labels")
    assert len(named.class_names) == (100 if kind == "cifar100" else 10)
    assert np.array_equal(named.labels, classes[list(split["train"])])
    assert np.array_equal(named.held_out_labels, classes[list(split["test"])])
    fine = slice(20, 30) if kind == "cifar100" else slice(0, 10)
    for images, attributes, rows in (
        (data.train, data.attributes, split["train"]),
        (data.held_out, data.held_out_attributes, split["test"]),
    ):  # fmt: skip
        assert images[:][:, 0, 0, 0].tolist() == list(rows)
        assert np.array_equal(attributes[:, fine], classes[list(rows), None] == np.arange(10))
        if kind == "cifar100":
            assert (attributes[:, :20] == (np.arange(20) == 7)).all() and not attributes[
                :, 30:
            ].any()


def test_the_data_command_says_which_classes_there_are():
    (line,) = [line for line in describe(load("fashion"), "npz") if line.startswith("labels")]
    assert line.startswith("labels: T-shirt/top, Trouser,") and "--condition labels" in line
    assert not [line for line in describe(load("faces"), "npz") if line.startswith("labels")]


def test_the_embedded_clothes_have_their_names_and_faces_are_classes_by_attribute():
    clothes = conditioned(load("fashion"), "labels")
    assert clothes.class_names[:2] == ("T-shirt/top", "Trouser") and len(clothes.class_names) == 10
    assert np.bincount(clothes.labels, minlength=10).min() > 1000
    faces = load("faces")
    hats = conditioned(faces, "hat")
    assert hats.class_names == ("no hat", "hat")
    assert np.array_equal(hats.labels, faces.attributes[:, faces.attribute_names.index("hat")])
    with pytest.raises(DataError, match="embedded faces: has no labels, but attributes; name one"):
        conditioned(faces, "labels")


BAD = {
    "of another length": (
        {"labels": CLASSES[:-1]},
        r"\(29,\) for 30 images; expected one per image",
    ),
    "pickled": ({"labels": np.array([{}] * COUNT)}, "pickled objects, which are never loaded"),
    "names that are numbers": (
        {"labels": CLASSES, "label_names": CLASSES},
        "label_names are int64",
    ),
    "a table": ({"labels": LABELS}, r"whole numbers \(N,\), one per image, got int64"),
    "texts": ({"labels": np.array(["a"] * COUNT)}, r"must be whole numbers"),
    "missing": ({"labels": np.where(CLASSES, CLASSES, np.nan)}, "got float64"),
    "too many": ({"labels": CLASSES * 1000}, "labels have 6001 classes, expected 2 to 4096"),
}


@pytest.mark.parametrize("kind", ["npz", "h5"])
@pytest.mark.parametrize("bad", BAD)
def test_bad_labels_are_one_line_for_who_asks_and_nothing_to_others(tmp_path, kind, bad):
    arrays, said = BAD[bad]
    path = tmp_path / f"x.{kind}"
    if kind == "npz":
        np.savez(path, images=IMAGES, **arrays)
    elif bad == "pickled":
        pytest.skip("HDF5 knows none")
    else:
        with h5py.File(path, "w") as file:
            file["images"] = IMAGES
            for name, array in arrays.items():
                file[name] = array.astype("S") if array.dtype.kind == "U" else array
    data = load(str(path))
    assert len(data.train) == 27
    with pytest.raises(DataError, match=said) as error:
        conditioned(data, "labels")
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_the_fingerprint_is_of_the_labels_that_a_model_is_conditioned_by(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=CLASSES)
    np.savez(tmp_path / "b.npz", images=IMAGES, labels=(CLASSES + 1) % 7)
    one, other = (load(str(tmp_path / f"{name}.npz")) for name in "ab")
    assert fingerprint(one) == fingerprint(other)
    found = {fingerprint(conditioned(data, "labels")) for data in (one, other)}
    assert len(found | {fingerprint(one)}) == 3


def test_classes_are_taken_for_attributes_where_there_are_none():
    fashion, faces = load("fashion"), load("faces")
    found = with_attributes(fashion)
    assert found.attribute_names == fashion.class_names and "Sneaker" in found.attribute_names
    for attributes, labels in (
        (found.attributes, fashion.labels),
        (found.held_out_attributes, fashion.held_out_labels),
    ):
        assert attributes.dtype == bool and attributes.shape == (len(labels), 10)
        assert np.array_equal(attributes.argmax(axis=1), labels)
        assert (attributes.sum(axis=1) == 1).all()
    assert with_attributes(faces) is faces
    by_class = conditioned(fashion, "labels")
    assert with_attributes(by_class) is by_class


@pytest.mark.parametrize("labels", [np.arange(60) - 5, np.arange(60) % (MOST_CLASSES + 1), None])
def test_labels_that_are_no_classes_or_too_many_are_no_attributes(tmp_path, labels):
    arrays = {} if labels is None else {"labels": labels}
    np.savez(tmp_path / "x.npz", images=np.zeros((60, 4, 4, 1), np.uint8), **arrays)
    data = load(str(tmp_path / "x.npz"))
    assert with_attributes(data) is data
