"""The readers of CIFAR-10, MNIST, CelebA, LSUN and HDF5 on files of their real formats,
written by other libraries.
"""

import gzip
import io
import struct
import subprocess
import sys
import tarfile
import zlib

import h5py
import lmdb
import numpy as np
import pytest
from PIL import Image
from small_runs import command

import glowlite.data.readers.cifar
import glowlite.data.readers.idx
import glowlite.data.readers.lsun
from glowlite.data import READERS, Preparation, load
from glowlite.errors import DataError

RNG = np.random.default_rng(1)
COLOUR = RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (12, 7, 5), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 12).astype(np.uint8)
ONE_HOT = LABELS[:, None] == np.arange(10)


def records(images, labels):
    """CIFAR-10's: a label, then the planes of red, green and blue, row by row."""
    return b"".join(
        bytes([y]) + b"".join(bytes(x[..., c].ravel()) for c in range(3))
        for x, y in zip(images, labels)
    )


CIFAR10 = {
    "data_batch_1.bin": records(COLOUR[:4], LABELS[:4]),
    "data_batch_2.bin": records(COLOUR[4:8], LABELS[4:8]),
    "test_batch.bin": records(COLOUR[8:], LABELS[8:]),
}
META = b"ant\nbee\ncat\ndog\neel\nfox\ngnu\nhen\nibis\njay\n\n"


def write_files(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tar(files, sizes=()):
    """A tar with these files in this order; `sizes`:
    what the headers of some claim in place of the truth.
    """
    content = b""
    for name, body in files.items():
        member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
        member.size = dict(sizes).get(name, len(body))
        content += member.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)
    return content + bytes(1024)


def tgz(files):
    return gzip.compress(tar(files), 1)


def idx(array):
    """An idx file: 0, 0, 8 for bytes, the number of axes; the sizes; the bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


MNIST = {
    "train-images-idx3-ubyte": idx(GREY[:8]),
    "train-labels-idx1-ubyte": idx(LABELS[:8]),
    "t10k-images-idx3-ubyte": idx(GREY[8:]),
    "t10k-labels-idx1-ubyte": idx(LABELS[8:]),
}


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="png")
    return buffer.getvalue()


ATTRIBUTES = RNG.integers(0, 2, (6, 3)).astype(bool)
LIST = "6\nSmiling Hat Young\n" + "".join(
    f"{i + 1:06}.jpg " + "  ".join("1" if a else "-1" for a in row) + "\n"
    for i, row in enumerate(ATTRIBUTES)
)
PARTITION = "".join(f"{i + 1:06}.jpg {part}\n" for i, part in enumerate("001201"))
PICTURES = {f"img_align_celeba/{i + 1:06}.png": png(COLOUR[i]) for i in range(6)}
CELEBA = {
    "list_attr_celeba.txt": LIST.encode(),
    "list_eval_partition.txt": PARTITION.encode(),
    **PICTURES,
}


def write_lmdb(path, values):
    path.mkdir(parents=True)
    with (
        lmdb.open(str(path), map_size=1 << 26) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in values.items():
            transaction.put(key, value)
    return path


def webp(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="webp", lossless=True)
    return buffer.getvalue()


def keyed(images):
    """Keys that end in zeros, which fixed-length strings of NumPy would lose."""
    return {(i << 8).to_bytes(4, "big"): webp(image) for i, image in enumerate(images)}


def write_hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return path


def same(images, expected):
    return images.shape == expected.shape[1:] and np.array_equal(images[:], expected)


# -------------------------------------------------------------------------------------- as they are


@pytest.mark.parametrize("kind", ["folder", "subfolder", "tar.gz", "tgz in any order"])
def test_cifar10(tmp_path, kind):
    files = {**CIFAR10, "batches.meta.txt": META, "readme.html": b"<html>"}
    if kind == "folder":
        path = write_files(tmp_path / "c", files)
    elif kind == "subfolder":
        path = write_files(tmp_path / "c" / "cifar-10-batches-bin", files).parent
    else:
        path = tmp_path / f"mine.{kind.split()[0]}"
        path.write_bytes(tgz(files if kind == "tar.gz" else dict(reversed(files.items()))))
    before = sorted(tmp_path.rglob("*"))
    data = load(str(path))
    assert same(data.train, COLOUR[:8]) and same(data.held_out, COLOUR[8:])
    assert data.attribute_names == tuple(META.decode().split())
    assert np.array_equal(data.attributes, ONE_HOT[:8]) and np.array_equal(
        data.held_out_attributes, ONE_HOT[8:]
    )
    assert sorted(tmp_path.rglob("*")) == before
    assert same(load(f"cifar10:{path}").train, COLOUR[:8])


def test_cifar10_has_its_own_names_of_the_classes(tmp_path):
    data = load(str(write_files(tmp_path, CIFAR10)))
    assert (
        data.attribute_names[0] == "airplane"
        and data.attribute_names[9] == "truck"
        and len(data.attribute_names) == 10
    )


COARSE = RNG.integers(0, 20, 12).astype(np.uint8)
FINE = RNG.integers(0, 100, 12).astype(np.uint8)
CIFAR100 = {
    f"{part}.bin": b"".join(bytes([COARSE[i], FINE[i]]) + COLOUR[i].transpose(2, 0,
        1).tobytes() for i in rows)
    for part, rows in (("train", range(8)), ("test", range(8, 12)))
} | {
    "coarse_label_names.txt": b"".join(b"c%d\n" % i for i in range(20)),
    "fine_label_names.txt": b"".join(b"f%d\n" % i for i in range(100)),
}  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    ["cifar-100-binary", "above it", "cifar-100-binary.tar.gz", "renamed.tgz", "cifar10:x.tgz"],
)
def test_cifar100(tmp_path, kind):
    name = kind.partition(":")[2] or kind
    if name.endswith("gz"):
        (tmp_path / name).write_bytes(tgz(CIFAR100))
        path = tmp_path / name
    else:
        path = write_files(tmp_path / "x" / "cifar-100-binary", CIFAR100)
        path = path if kind == "cifar-100-binary" else path.parent
    data = load(f"cifar10:{path}" if ":" in kind else str(path))
    assert same(data.train, COLOUR[:8]) and same(data.held_out, COLOUR[8:])
    assert data.attribute_names == (*(f"c{i}" for i in range(20)), *(f"f{i}" for i in range(100)))
    labels = np.concatenate(
        (COARSE[:, None] == np.arange(20), FINE[:, None] == np.arange(100)), axis=1
    )
    assert np.array_equal(data.attributes, labels[:8]) and np.array_equal(
        data.held_out_attributes, labels[8:]
    )
    assert data.notes == ["CIFAR-100's images, of 20 and 100 classes"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["a.png", "c.png", "d.txt", "e"],
            r"neither CIFAR-10 .* nor CIFAR-100 .*; it has a.png, c.png, d.txt, \.\.\.; .*unpack",
        ),
        (
            ["train", "test", "meta", "file.txt~"],
            "CIFAR-100, but the Python edition, which is pickled; get .*cifar-100-binary",
        ),
        (
            ["data_batch_1", "test_batch", "batches.meta"],
            "CIFAR-10, but the Python edition, .*cifar-10-binary",
        ),
        (["train.bin"], "no test.bin, as CIFAR-100's binary edition has"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar.gz"])
def test_an_archive_of_something_else_is_said_to_be_that(tmp_path, names, said, packed):
    files = {name: bytes(2 + 3072) for name in names}
    path = write_files(tmp_path / "photos", files)
    if packed:
        path = tmp_path / "photos.tar.gz"
        path.write_bytes(tgz(files))
    with pytest.raises(DataError, match=rf"photos.*: .*{said}") as caught:
        load(f"cifar10:{path}")
    assert "\n" not in str(caught.value) and not (
        packed and "train.bin" not in names and "Get it again" in str(caught.value)
    )


def test_a_file_of_cifar100_among_pictures_is_no_data_set(tmp_path):
    path = write_files(
        tmp_path / "p",
        {f"{i}.png": png(COLOUR[i]) for i in range(4)} | {"train.bin": b"x", "test": b"x"},
    )
    assert load(str(path)).notes == ["skipped: .bin (1), files without suffix (1)"]


EMNIST = {name.replace("t10k", "test"): content for name, content in MNIST.items()}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("where", [".", "raw", "EMNIST/raw"])
def test_emnist_is_turned_upright_and_has_as_many_classes_as_its_labels_say(
    tmp_path, where, packed
):
    labels = np.arange(15, 27, dtype=np.uint8)  # letters are 1 to 26
    files = EMNIST | {
        "train-labels-idx1-ubyte": idx(labels[:8]),
        "test-labels-idx1-ubyte": idx(labels[8:]),
    }
    pack, suffix = (gzip.compress, ".gz") if packed else (bytes, "")
    write_files(
        tmp_path / where,
        {f"emnist-letters-{name}{suffix}": pack(content) for name, content in files.items()},
    )
    data = load(str(tmp_path))
    upright = GREY.transpose(0, 2, 1)[..., None]
    assert same(data.train, upright[:8]) and same(data.held_out, upright[8:])
    assert (
        data.attribute_names == tuple(map(str, range(27)))
        and "transposed; they were turned" in data.notes[0]
    )
    assert np.array_equal(data.attributes, labels[:8, None] == np.arange(27))
    assert np.array_equal(data.held_out_attributes, labels[8:, None] == np.arange(27))
    file = tmp_path / where / f"emnist-letters-train-images-idx3-ubyte{suffix}"
    assert load(str(file)).image_shape == (5, 7, 1)
    (tmp_path / where / f"emnist-digits-train-images-idx3-ubyte{suffix}").write_bytes(
        pack(MNIST["train-images-idx3-ubyte"])
    )
    with pytest.raises(
        DataError,
        match=r"has several sets, .*emnist-digits-\*.*; move one into its own folder",
    ):
        load(str(tmp_path))


@pytest.mark.parametrize("where", ["raw", "FashionMNIST/raw"])
def test_torchvisions_folders_of_mnist(tmp_path, where):
    write_files(
        tmp_path / where,
        MNIST | {"._train-images-idx3-ubyte": b"x", "train-images-idx3-ubyte.gz": b"x"},
    )
    data = load(str(tmp_path))
    assert (
        same(data.train, GREY[:8, ..., None])
        and same(data.held_out, GREY[8:, ..., None])
        and data.notes == []
    )


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("mark", ["-", "."])
def test_mnist(tmp_path, packed, mark):
    pack = gzip.compress if packed else bytes
    for name, content in MNIST.items():
        (tmp_path / (name.replace("-idx", f"{mark}idx") + (".gz" if packed else ""))).write_bytes(
            pack(content)
        )
    data = load(str(tmp_path))
    assert same(data.train, GREY[:8, ..., None]) and same(data.held_out, GREY[8:, ..., None])
    assert data.attribute_names == tuple("0123456789")
    assert np.array_equal(data.attributes, ONE_HOT[:8]) and np.array_equal(
        data.held_out_attributes, ONE_HOT[8:]
    )


def test_mnist_without_labels_and_as_one_file(tmp_path):
    for name in MNIST:
        if "images" in name:
            (tmp_path / name).write_bytes(MNIST[name])
    assert load(str(tmp_path)).attribute_names == ()
    alone = load(str(tmp_path / "train-images-idx3-ubyte"))
    assert len(alone.train) == 7 and len(alone.held_out) == 1 and alone.image_shape == (7, 5, 1)
    (tmp_path / "any name").write_bytes(MNIST["train-images-idx3-ubyte"])
    assert same(load(f"mnist:{tmp_path / 'any name'}").train, alone.train[:])


@pytest.mark.parametrize("deep", [False, True], ids=["flat", "Anno and Eval"])
def test_celeba(tmp_path, deep):
    names = {
        "list_attr_celeba.txt": "Anno/list_attr_celeba.txt",
        "list_eval_partition.txt": "Eval/list_eval_partition.txt",
    }
    data = load(
        str(write_files(tmp_path, {names.get(n, n) if deep else n: x for n, x in CELEBA.items()}))
    )
    train, held_out = [0, 1, 4], [2, 5]  # and picture 3 is of the test set
    assert same(data.train, COLOUR[train]) and same(data.held_out, COLOUR[held_out])
    assert data.attribute_names == ("Smiling", "Hat", "Young")
    assert np.array_equal(data.attributes, ATTRIBUTES[train])
    assert np.array_equal(data.held_out_attributes, ATTRIBUTES[held_out])


KAGGLE = {
    "list_attr_celeba.csv": "image_id,Smiling,Hat,Young\r\n" + "".join(
        f"{i + 1:06}.jpg,{','.join('1' if a else '-1' for a in row)}\r\n" for i,
        row in enumerate(ATTRIBUTES)
    ),
    "list_eval_partition.csv": "image_id,partition\n" + PARTITION.replace(" ", ","),
}  # fmt: skip


@pytest.mark.parametrize("deep", [False, True], ids=["img_align_celeba", "twice"])
@pytest.mark.parametrize("lists", ["both", "zeros", "split alone", "marked"])
def test_celeba_as_kaggle_packs_it(tmp_path, lists, deep):
    files = {
        name: content.encode("utf-8-sig" if lists == "marked" else "ascii")
        for name, content in KAGGLE.items()
    }
    if lists == "zeros":
        files["list_attr_celeba.csv"] = files["list_attr_celeba.csv"].replace(b"-1", b"0")
    if lists == "split alone":
        del files["list_attr_celeba.csv"]
    pictures = {
        (f"img_align_celeba/{name}" if deep else name): content
        for name, content in PICTURES.items()
    }
    data = load(
        str(write_files(tmp_path, files | pictures | {"img_align_celeba/._000001.jpg": b"x"}))
    )
    train, held_out = [0, 1, 4], [2, 5]
    assert same(data.train, COLOUR[train]) and same(data.held_out, COLOUR[held_out])
    assert data.notes == ["split: CelebA's own; its test images are not used (1)"]
    if lists == "split alone":
        assert data.attribute_names == ()
    else:
        assert data.attribute_names == ("Smiling", "Hat", "Young")
        assert np.array_equal(data.attributes, ATTRIBUTES[train])
        assert np.array_equal(data.held_out_attributes, ATTRIBUTES[held_out])


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "list_attr_celeba.csv",
            "000003.jpg,",
            "000003.jpg,1,",
            "csv, line 4: expected the name of a picture",
        ),
        (
            "list_attr_celeba.csv",
            "image_id,Smiling,Hat,Young",
            "",
            "csv, line 1: expected a column of pictures",
        ),
        (
            "list_eval_partition.csv",
            "000004.jpg,2",
            "000004.jpg,3",
            "csv, line 5: expected the name of a picture and its part",
        ),
        (
            "list_eval_partition.csv",
            "000004.jpg,2\n",
            "",
            "list_attr_celeba.csv, line 5: 000004.jpg is not listed",
        ),
    ],
)
def test_a_damaged_list_of_kaggles_is_one_line(tmp_path, name, old, new, said):
    files = {other: content.encode() for other, content in KAGGLE.items()}
    files[name] = KAGGLE[name].replace(old, new).encode()
    with pytest.raises(DataError, match=said) as caught:
        load(str(write_files(tmp_path, files | PICTURES)))
    assert "\n" not in str(caught.value)


def test_a_count_of_thousands_of_digits_is_one_line(tmp_path):
    files = CELEBA | {"list_attr_celeba.txt": LIST.replace("6\n", "9" * 5000 + "\n", 1).encode()}
    with pytest.raises(
        DataError, match=r"line 1: says 99999999999999999999 pictures, but 6 follow"
    ):
        load(str(write_files(tmp_path, files)))


def test_hidden_folders_are_no_lsun(tmp_path):
    write_lmdb(tmp_path / "church_train_lmdb", keyed(COLOUR[:9]))
    (tmp_path / "._church_train_lmdb").write_bytes(b"x")
    write_lmdb(tmp_path / ".tower_train_lmdb", keyed(COLOUR[:9]))
    assert len(load(str(tmp_path)).train) == 8


def test_celeba_without_a_partition_is_parted_and_keeps_attributes_with_pictures(tmp_path):
    jpeg = {}
    for i in range(6):  # plain areas, which JPEG keeps
        buffer = io.BytesIO()
        Image.new("L", (16, 16), 40 * i).save(buffer, format="jpeg", quality=100)
        jpeg[f"{i + 1:06}.jpg"] = buffer.getvalue()
    data = load(str(write_files(tmp_path, {"list_attr_celeba.txt": LIST.encode(), **jpeg})))
    assert len(data.train) == 5 and len(data.held_out) == 1 and data.image_shape == (16, 16, 3)
    for images, attributes in (
        (data.train, data.attributes),
        (data.held_out, data.held_out_attributes),
    ):
        assert np.array_equal(attributes, ATTRIBUTES[images[:][:, 0, 0, 0] // 40])


@pytest.mark.parametrize("named", ["parent", "training set", "validation set"])
def test_lsun(tmp_path, named):
    train = write_lmdb(tmp_path / "church_train_lmdb", keyed(COLOUR[:9]))
    held_out = write_lmdb(tmp_path / "church_val_lmdb", keyed(COLOUR[9:]))
    data = load(str({"parent": tmp_path, "training set": train, "validation set": held_out}[named]))
    if named == "validation set":
        assert len(data.train) == 2 and len(data.held_out) == 1
    else:
        assert same(data.train, COLOUR[:9]) and same(data.held_out, COLOUR[9:])
        assert same(load(f"lsun:{train}").train, COLOUR[:9])  # while the first is still open


def test_lsun_is_read_from_many_threads(tmp_path, monkeypatch):
    """Preloading decodes over threads; by rows, from a database of several pages' depth."""
    monkeypatch.setattr("glowlite.data.preparation.available_cores", lambda: 8)
    images = RNG.integers(0, 256, (400, 4, 4, 3), dtype=np.uint8)
    data = load(str(write_lmdb(tmp_path / "many", keyed(images))))
    assert sorted(map(bytes, np.concatenate([data.train[:], data.held_out[:]]))) == sorted(
        map(bytes, images)
    )


def test_lsun_names_the_key_of_a_damaged_picture(tmp_path):
    path = write_lmdb(tmp_path / "x", {**keyed(COLOUR), b"\x00\x00\x05\x00": b"no picture"})
    with pytest.raises(
        DataError, match=r"key b'\\x00\\x00\\x05\\x00': cannot be read: it is not an image"
    ):
        load(str(path))
    from glowlite.data import Preparation

    data = load(str(path), Preparation(skip_corrupt=True))
    assert len(data.train) + len(data.held_out) == 11 and len(data.skipped) == 1


@pytest.mark.parametrize("name", ["images", "pixels"])
def test_hdf5(tmp_path, name):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=COLOUR, chunks=(2, 32, 32, 3), compression="gzip")
        file.create_dataset("numbers", data=np.zeros((12, 3)))
        file.create_dataset("attributes", data=np.where(ONE_HOT, 1, -1))
        file.create_dataset("attribute_names", data=[f"is {i}" for i in range(10)])
    reading = READERS["hdf5"].read(path)
    assert same(reading.train, COLOUR) and np.array_equal(reading.attributes, ONE_HOT)
    assert reading.attribute_names[3] == "is 3"
    rows = np.array([5, 0, 11, 5, 6, 7])
    assert np.array_equal(reading.train.read(rows), COLOUR[rows])
    assert reading.train.read(rows[:0]).shape == (0, 32, 32, 3)
    data = load(str(path))
    for images, attributes in (
        (data.train, data.attributes),
        (data.held_out, data.held_out_attributes),
    ):
        where = [
            next(i for i, other in enumerate(COLOUR) if np.array_equal(image, other))
            for image in images[:]
        ]
        assert np.array_equal(attributes, ONE_HOT[where])


def test_hdf5_of_grey_images_larger_than_memory_is_read_by_rows(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        # 93 GiB, of zeros
        images = file.create_dataset(
            "images", (100_000, 1000, 1000), np.uint8, chunks=(1, 1000, 1000)
        )
        images[99_999, 1, 2] = 7
    train = READERS["hdf5"].read(tmp_path / "x.hdf5").train
    last = train.read(np.array([99_999, 3]))
    assert last.shape == (2, 1000, 1000, 1) and last[0, 1, 2, 0] == 7 and last.sum() == 7
    assert load(str(tmp_path / "x.hdf5")).held_out.read(np.array([0])).shape == (1, 1000, 1000, 1)


def test_no_heavy_library_before_it_is_needed():
    code = "import sys, glowlite.data; sys.exit(bool({'h5py', 'lmdb', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_library_is_one_line_that_says_how_to_get_it(tmp_path, monkeypatch):
    path = write_hdf5(tmp_path / "x.h5", images=COLOUR)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        DataError, match=rf"{path}: .*needs the library h5py: pip install '\.\[data\]'$"
    ):
        load(str(path))


# ------------------------------------------------------------------- as nobody wants them: one line


def bomb(what):
    """A .tar.gz of a few KB that unpacks to a lot."""
    if what == "member":
        # 67 MB, says a header
        return gzip.compress(tar(CIFAR10, {"data_batch_2.bin": 3073 * 22_000}))
    if what == "terabyte":
        return gzip.compress(tar({"data_batch_1.bin": b""}, {"data_batch_1.bin": 1 << 40}))
    if what == "another member":
        return gzip.compress(tar({"notes.txt": bytes(3 << 20)}), 1)
    # an extended header, which tarfile reads whole before it says anything of it
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 3 << 20
    return gzip.compress(header.tobuf() + bytes(3 << 20), 1)


def bad_cifar10(path, kind):
    files, whole = dict(CIFAR10), tgz(CIFAR10)
    python = {
        "data_batch_1": b"\x80\x02}q",
        "test_batch": b"\x80\x02}q",
        "batches.meta": b"\x80\x02}q",
    }
    damage = {
        "no held-out": lambda: files.pop("test_batch.bin"),
        "gap": lambda: files.update({"data_batch_3.bin": files.pop("data_batch_2.bin")}),
        "truncated": lambda: files.update({"data_batch_2.bin": files["data_batch_2.bin"][:-1]}),
        "empty": lambda: files.update({"data_batch_1.bin": b""}),
        "label": lambda: files.update(
            {"data_batch_1.bin": b"\x0a" + files["data_batch_1.bin"][1:]}
        ),
        "meta": lambda: files.update({"batches.meta.txt": b"cat dog"}),
        "long meta": lambda: files.update({"batches.meta.txt": b"cat " * 5000}),
        "python": lambda: (files.clear(), files.update(python)),
    }
    if kind in damage:
        damage[kind]()
        return write_files(path, files)
    if kind == "sparse":
        write_files(path, files)
        with open(path / "data_batch_1.bin", "r+b") as file:
            file.truncate(3073 << 22)  # 12 GiB of nothing
        return path
    packed = {
        "tar truncated": whole[: len(whole) // 2],
        "tar without its checksum": whole[:-8],
        "tar flipped": whole[:9000] + bytes([whole[9000] ^ 255]) + whole[9001:],
        "tar garbage": b"garbage" * 99,
        "tar empty": b"",
        "no tar inside": gzip.compress(b"hello " * 999),
        "nothing in it": gzip.compress(tar({})),
        "tar not packed": tar(CIFAR10),
        "tar python": tgz(python),
        "tar half": gzip.compress(tar(CIFAR10)[: 3 * 3073]),
        "tar bomb": bomb("member"), "tar terabyte": bomb("terabyte"),
        "tar other bomb": bomb("another member"), "tar header bomb": bomb("header"),
    }  # fmt: skip
    (path / "cifar-10-binary.tar.gz").write_bytes(packed[kind])
    return path / "cifar-10-binary.tar.gz"


def bad_mnist(path, kind):
    files = dict(MNIST)
    name, labels = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
    whole = files[name]
    damage = {
        "truncated": {name: whole[:-1]},
        "surplus": {name: whole + b"\x00"},
        "header": {name: whole[:9]},
        "empty": {name: b""},
        "magic": {name: b"\x00\x00\x0d\x03" + whole[4:]},
        "labels for images": {name: files[labels]},
        "no image": {name: idx(GREY[:0])},
        "huge": {name: struct.pack(">IIII", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1)},
        "fewer labels": {labels: idx(LABELS[8:11])},
        "sizes": {name: idx(GREY[:8, :6])},
        "gz truncated": {name: None, f"{name}.gz": gzip.compress(whole)[:-30]},
        "gz flipped": {name: None, f"{name}.gz": gzip.compress(whole)[:-5] + b"12345"},
        "gz not packed": {name: None, f"{name}.gz": whole},
        "gz bomb": {name: None, f"{name}.gz": gzip.compress(whole + bytes(1 << 24), 1)},
        "gz promise": {name: None, f"{name}.gz": gzip.compress(struct.pack(">4I", 0x803, 60_000, 28,
            28) + bytes(1 << 22))},
        "no held-out": {"t10k-images-idx3-ubyte": None},
    }  # fmt: skip
    files.update(damage[kind])
    return write_files(
        path, {name: content for name, content in files.items() if content is not None}
    )


def bad_celeba(path, kind):
    files = dict(CELEBA)
    lists = {
        "count": LIST.replace("6\n", "7\n", 1),
        "no count": LIST.removeprefix("6\n"),
        "value": LIST.replace("  1", "  2", 1),
        "short line": LIST.replace("000004.jpg", "", 1),
        "truncated": LIST[:-2],
        "twice": LIST.replace("000004.jpg", "000003.jpg", 1),
        "empty": "",
        "escape": LIST.replace("000002.jpg", "../../x.jpg", 1),
        "unlisted": LIST.replace("000002.jpg", "000009.jpg", 1),
    }
    if kind in lists:
        files["list_attr_celeba.txt"] = lists[kind].encode()
        if kind == "escape":
            files["list_eval_partition.txt"] = PARTITION.replace(
                "000002.jpg", "../../x.jpg"
            ).encode()
    elif kind == "no text":
        files["list_attr_celeba.txt"] = bytes(range(256))
    elif kind == "missing picture":
        del files["img_align_celeba/000003.png"]
    elif kind == "part":
        files["list_eval_partition.txt"] = PARTITION.replace(" 2", " 3").encode()
    elif kind == "no training":
        files["list_eval_partition.txt"] = PARTITION.replace(" 0", " 2").encode()
    elif kind == "corrupt":
        files["img_align_celeba/000003.png"] = files["img_align_celeba/000003.png"][:200]
    elif kind == "mixed sizes":
        files["img_align_celeba/000003.png"] = png(COLOUR[0, :20])
    write_files(path, files)
    if kind == "sparse":
        with open(path / "list_attr_celeba.txt", "r+b") as file:
            file.truncate(1 << 35)
    return path


def bad_lsun(path, kind):
    if kind == "two sets":
        for name in ("church", "tower"):
            write_lmdb(path / f"{name}_train_lmdb", keyed(COLOUR))
        return path
    if kind == "no data":
        (path / "church_train_lmdb").mkdir()
        return path
    values = (
        {b"1": webp(COLOUR[0]), b"2": webp(COLOUR[1, :20])}
        if kind == "mixed sizes"
        else keyed(COLOUR)
    )
    path = write_lmdb(path / "x_lmdb", {} if kind == "nothing in it" else values)
    whole = (path / "data.mdb").read_bytes()
    damage = {
        "truncated": whole[: len(whole) // 2 // 4096 * 4096],
        "by a page": whole[:-4096],
        "one page": whole[:4096],
        "head": whole[:100],
        "empty": b"",
        "garbage": bytes(range(256)) * 64,
        "magic": whole[:16] + b"1234" + whole[20:],
        "second magic": whole[: 4096 + 16] + b"1234" + whole[4096 + 20 :],
        "version": whole[:20] + b"\x63" + whole[21 : 4096 + 20] + b"\x63" + whole[4096 + 21 :],
        "root": whole[: 4096 + 128] + b"\xff\x00" + whole[4096 + 130 :],
        "root of another kind": whole[: 4096 + 128] + b"\x03\x00" + whole[4096 + 130 :],
        "pointers": whole[:8192] + b"".join(
            whole[at : at + 16] + b"\xff" * 16 + whole[at + 32 : at + 4096] for at in range(8192,
                len(whole), 4096)
        ),
        "page size": whole[:40] + b"\xff\xff\xff\xff" + whole[44:],
        "last page": whole[: 4096 + 136] + b"\xff" * 8 + whole[4096 + 144 :],
    }  # fmt: skip
    if kind in damage:
        (path / "data.mdb").write_bytes(damage[kind])
    return path


def bad_hdf5(path, kind):
    path = path / "x.h5"
    arrays = {
        "float": {"images": COLOUR / 255}, "float of another name": {"photos": COLOUR / 255},
        "five axes": {"images": COLOUR[None]},
        "one image": {"images": COLOUR[:1]}, "no image": {"images": COLOUR[:0]},
        "nothing in it": {},
        "two sets": {"a": COLOUR, "b": COLOUR}, "empty data set": {"images": h5py.Empty("u1")},
        "scalar": {"images": 3},
        "attributes": {"images": COLOUR, "attributes": ONE_HOT[:5], "attribute_names": ["x"] * 10},
        "names": {"images": COLOUR, "attributes": ONE_HOT, "attribute_names": np.arange(10)},
        "words": {"images": COLOUR, "attributes": np.full((12, 1), b"yes"),
            "attribute_names": ["x"]},
    }  # fmt: skip
    write_hdf5(path, **arrays.get(kind, {"images": COLOUR}))
    if "bomb" in kind:
        shapes = {
            "image bomb": ((2, 1 << 16, 1 << 16), (1, 256, 256)),
            "chunk bomb": ((1 << 22, 32, 32), (1 << 21, 32, 32)),
            "row bomb": ((1 << 50, 2, 2), (1, 2, 2)),
        }
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "images", shapes[kind][0], np.uint8, chunks=shapes[kind][1], compression="gzip"
            )
    elif kind == "flipped":
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "images", data=COLOUR, chunks=(2, 32, 32, 3), compression="gzip", fletcher32=True
            )
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 255
        path.write_bytes(whole)
    elif kind == "group":
        with h5py.File(path, "w") as file:
            file.create_group("images")
    elif kind in ("truncated", "garbage", "empty", "magic"):
        whole = path.read_bytes()
        path.write_bytes(
            {
                "truncated": whole[:9000],
                "garbage": b"garbage" * 99,
                "empty": b"",
                "magic": b"1234" + whole[4:],
            }[kind]
        )
    elif kind == "missing":
        path.unlink()
    return path


BAD = {
    "cifar10": bad_cifar10,
    "mnist": bad_mnist,
    "celeba": bad_celeba,
    "lsun": bad_lsun,
    "hdf5": bad_hdf5,
}


@pytest.mark.parametrize(
    ("reader", "kind", "said"),
    [
        ("cifar10", "no held-out", ["no test_batch.bin", "Get it again"]),
        ("cifar10", "gap", ["no data_batch_2.bin"]),
        ("cifar10", "truncated", ["data_batch_2.bin has 12291 bytes", "multiple of 3073"]),
        ("cifar10", "empty", ["data_batch_1.bin has 0 bytes"]),
        ("cifar10", "label", ["data_batch_1.bin is damaged", "class 10"]),
        ("cifar10", "meta", ["batches.meta.txt", "2 classes"]),
        ("cifar10", "long meta", ["batches.meta.txt", "20000 bytes"]),
        ("cifar10", "python",
            ["Python edition, which is pickled; get the binary edition cifar-10-binary.tar.gz"]),
        ("cifar10", "sparse", ["data_batch_1.bin has 12889096192 bytes"]),
        ("cifar10", "tar truncated", ["complete"]),
        ("cifar10", "tar without its checksum", ["complete"]),
        ("cifar10", "tar flipped", ["complete"]),
        ("cifar10", "tar garbage", ["Not a gzipped file"]),
        ("cifar10", "tar empty", ["complete"]),
        ("cifar10", "no tar inside", ["complete"]),
        ("cifar10", "nothing in it", ["no data_batch_1.bin"]),
        ("cifar10", "tar not packed", ["Not a gzipped file"]),
        ("cifar10", "tar python", ["Python edition"]),
        ("cifar10", "tar half", ["complete"]),
        ("cifar10", "tar bomb", ["data_batch_2.bin has 67606000 bytes"]),
        ("cifar10", "tar terabyte", ["data_batch_1.bin has 1099511627776 bytes"]),
        ("cifar10", "tar other bomb", ["unpacks to more than 1 MiB"]),
        ("cifar10", "tar header bomb", ["it is not a tar archive, or it is damaged"]),
        ("mnist", "truncated", ["train-images-idx3-ubyte", "(8, 7, 5), 280 bytes",
            "truncated after 279"]),
        ("mnist", "surplus", ["train-images-idx3-ubyte", "is damaged: more bytes"]),
        ("mnist", "header", ["truncated within its header"]),
        ("mnist", "empty", ["truncated within its header"]),
        ("mnist", "magic", ["0x00000d03", "expected 0x00000803"]),
        ("mnist", "labels for images", ["0x00000801", "expected 0x00000803"]),
        ("mnist", "no image", ["at least 2 images"]),
        ("mnist", "huge", ["GiB of memory"]),
        ("mnist", "fewer labels", ["t10k-labels", "expected 4 labels", "got 3"]),
        ("mnist", "sizes", ["(6, 5, 1) in training but (7, 5, 1) held out"]),
        ("mnist", "gz truncated", ["train-images-idx3-ubyte.gz", "complete"]),
        ("mnist", "gz flipped", ["CRC", "complete"]),
        ("mnist", "gz not packed", ["Not a gzipped file"]),
        ("mnist", "gz bomb", ["is damaged: more bytes"]),
        ("mnist", "gz promise", ["truncated after 4194304"]),
        ("mnist", "no held-out", ["no t10k-images-idx3-ubyte"]),
        ("celeba", "count", ["list_attr_celeba.txt, line 1", "says 7", "6 follow"]),
        ("celeba", "no count", ["list_attr_celeba.txt, line 1", "number of pictures"]),
        ("celeba", "value", ["list_attr_celeba.txt, line", "1 or -1"]),
        ("celeba", "short line", ["list_attr_celeba.txt, line 6", "3 values"]),
        ("celeba", "truncated", ["list_attr_celeba.txt, line 8"]),
        ("celeba", "twice", ["list_attr_celeba.txt, line 6", "only once"]),
        ("celeba", "empty", ["list_attr_celeba.txt, line 1"]),
        ("celeba", "escape", ["line 4", "no ../../x.jpg"]),
        ("celeba", "unlisted", ["line 4", "000009.jpg is not listed in",
            "list_eval_partition.txt"]),
        ("celeba", "no text", ["list_attr_celeba.txt", "not text"]),
        ("celeba", "missing picture", ["list_attr_celeba.txt, line 5", "no 000003.jpg",
            "unpacked"]),
        ("celeba", "part", ["list_eval_partition.txt, line 4", "0, 1 or 2"]),
        ("celeba", "no training", ["got none"]),
        ("celeba", "corrupt", ["000003.png", "cannot be read"]),
        ("celeba", "mixed sizes", ["000003.png is 32x20", "crop"]),
        ("celeba", "sparse", ["list_attr_celeba.txt", "256 MiB"]),
        ("lsun", "two sets", ["church_train_lmdb and tower_train_lmdb", "name one"]),
        ("lsun", "no data", ["data.mdb", "No such file"]),
        ("lsun", "nothing in it", ["is empty"]),
        ("lsun", "mixed sizes", ["key b'2'", "32x20", "crop"]),
        ("lsun", "truncated", ["data.mdb: is truncated"]),
        ("lsun", "by a page", ["data.mdb: is truncated"]),
        ("lsun", "one page", ["data.mdb: is truncated"]),
        ("lsun", "head", ["data.mdb: is not an LMDB"]),
        ("lsun", "empty", ["data.mdb: is not an LMDB"]),
        ("lsun", "garbage", ["data.mdb: is not an LMDB"]),
        ("lsun", "magic", ["data.mdb: is not an LMDB"]),
        ("lsun", "second magic", ["data.mdb: is damaged"]),
        ("lsun", "version", ["data.mdb: is an LMDB of version 99"]),
        ("lsun", "page size", ["data.mdb: is not an LMDB"]),
        ("lsun", "root", ["data.mdb: is damaged"]),
        ("lsun", "root of another kind", ["data.mdb: is damaged", "page 3"]),
        ("lsun", "pointers", ["data.mdb: is damaged", "page"]),
        ("lsun", "last page", ["data.mdb: is truncated"]),
        ("hdf5", "float", ["float64", "uint8", "(255 * x)"]),
        ("hdf5", "float of another name", ["/photos", "float64", "(255 * x)"]),
        ("hdf5", "five axes", ["(1, 12, 32, 32, 3)", "(N, H, W, C)"]),
        ("hdf5", "one image", ["at least 2"]),
        ("hdf5", "no image", ["at least 2"]),
        ("hdf5", "nothing in it", ["`images`", "none"]),
        ("hdf5", "two sets", ["`images`", "/a uint8", "/b uint8"]),
        ("hdf5", "empty data set", ["(N, H, W, C)", "None"]),
        ("hdf5", "scalar", ["int64"]),
        ("hdf5", "group", ["`images`", "none"]),
        ("hdf5", "attributes", ["expected attributes (12, A)", "(5, 10)"]),
        ("hdf5", "names", ["attribute_names", "texts", "int64"]),
        ("hdf5", "words", ["numbers", "|S3"]),
        ("hdf5", "image bomb", ["4.0 GiB"]),
        ("hdf5", "chunk bomb", ["2.0 GiB"]),
        ("hdf5", "row bomb", ["1125899906842624 images"]),
        ("hdf5", "truncated", ["complete"]),
        ("hdf5", "garbage", ["complete"]),
        ("hdf5", "empty", ["complete"]),
        ("hdf5", "magic", ["complete"]),
        ("hdf5", "flipped", ["complete"]),
        ("hdf5", "missing", ["no such file"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_that_names_it(tmp_path, monkeypatch, reader, kind, said):
    if kind in ("tar other bomb", "tar header bomb"):
        monkeypatch.setattr(glowlite.data.readers.cifar, "UNPACKED", 1 << 20)
    path = BAD[reader](tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError) as caught:
        data = load(str(path))
        data.train[:]
        data.held_out[:]
    message = str(caught.value)
    assert "\n" not in message and str(tmp_path) in message, message
    assert all(part in message for part in said), message
    assert sorted(tmp_path.rglob("*")) == before


def test_idx_never_unpacks_more_than_was_promised(tmp_path, monkeypatch):
    """The bomb above is small enough for a test; here is how many bytes of it are taken."""
    taken = []

    class Counted(gzip.GzipFile):
        def read(self, size=-1):
            taken.append(size)
            return super().read(size)

    path = bad_mnist(tmp_path, "gz bomb") / "train-images-idx3-ubyte.gz"
    monkeypatch.setattr(glowlite.data.readers.idx.gzip, "GzipFile", Counted)
    with pytest.raises(DataError, match="more bytes follow"):
        load(str(path))
    assert taken == [16, 8 * 7 * 5 + 1]
    monkeypatch.setattr(glowlite.data.readers.idx, "available_bytes", lambda: 1000.0)
    with pytest.raises(DataError, match="GiB of memory"):
        load(str(path))
    assert taken[2:] == [16]


@pytest.mark.parametrize("reader", READERS)
def test_a_path_that_is_not_there_is_one_line(tmp_path, reader):
    with pytest.raises(DataError, match=r"gone: no such file or folder; expected [^\n]+$"):
        load(f"{reader}:{tmp_path / 'gone'}")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["empty folder", "text", "empty file"])
def test_the_wrong_kind_of_path_is_one_line(tmp_path, reader, kind):
    path = tmp_path / "what"
    path.mkdir() if kind == "empty folder" else path.write_text("hello" if kind == "text" else "")
    with pytest.raises(DataError, match=r"^[^\n]*what[^\n]*$"):
        load(f"{reader}:{path}")


@pytest.mark.parametrize("reader", ["cifar10 tar", "mnist", "lsun", "hdf5"])
def test_any_flipped_byte_leaves_one_line_or_images(tmp_path, reader):
    """In a process of its own: a library that crashes would take the tests with it."""
    if reader == "cifar10 tar":
        path = file = tmp_path / "c.tar.gz"
        file.write_bytes(tgz(CIFAR10))
    elif reader == "mnist":
        path = file = tmp_path / "train-images-idx3-ubyte.gz"
        file.write_bytes(gzip.compress(idx(GREY)))
    elif reader == "lsun":
        path = write_lmdb(tmp_path / "x_lmdb", keyed(COLOUR))
        file = path / "data.mdb"
    else:
        path = file = write_hdf5(tmp_path / "x.h5", images=COLOUR)
    code = f"""
import random
from glowlite.data import load
from glowlite.errors import DataError
whole, draw = open({str(file)!r}, "rb").read(), random.Random(0)
for i in range(60):
    at = draw.randrange(len(whole) if i % 2 else min(len(whole), 400))
    damaged = bytearray(whole)
    damaged[at] ^= draw.randrange(1, 256)
    open({str(file)!r}, "wb").write(damaged)
    try:
        data = load({str(path)!r})
        data.train[:], data.held_out[:]
        del data
    except DataError as error:
        assert chr(10) not in str(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_damage_table_is_of_true_formats():
    """What the tests above damage is sound before: zlib and struct agree with what was written."""
    assert zlib.decompress(tgz(CIFAR10)[10:-8], -15) == tar(CIFAR10)
    assert all(len(content) % 3073 == 0 for content in CIFAR10.values())
    assert struct.unpack(">4I", MNIST["train-images-idx3-ubyte"][:16]) == (0x803, 8, 7, 5)


def test_pictures_saved_as_an_npy_are_the_same_data_set(tmp_path):
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(
        np.random.default_rng(0).integers(0, 256, (25, 12, 9, 3), dtype=np.uint8)
    ):
        Image.fromarray(image).save(tmp_path / "photos" / f"{i:02d}.png")
    prepare = ["--resize", "8", "--crop", "8"]
    done = command(tmp_path, "photos", *prepare, "--save", "photos.npy", program="data")
    assert done.returncode == 0 and "25 images are saved in photos.npy" in done.stdout, done.stderr
    saved, read = (
        load(str(tmp_path / "photos.npy")),
        load(str(tmp_path / "photos"), Preparation(resize=8, crop=8)),
    )
    assert np.array_equal(saved.train[:], read.train[:]) and np.array_equal(
        saved.held_out[:], read.held_out[:]
    )
    for arguments, said in (
        (["photos", *prepare, "--save", "photos.npy"], "exists"),
        (["photos", *prepare, "--save", "photos.npz"], "must end in .npy"),
        (
            ["photos", *prepare, "--random-crop", "--save", "more.npy"],
            "random crops are drawn during training",
        ),
    ):
        refused = command(tmp_path, *arguments, program="data")
        assert (
            refused.returncode == 2
            and said in refused.stderr
            and len(refused.stderr.splitlines()) == 1
        )
    assert not (tmp_path / "more.npy").exists()
