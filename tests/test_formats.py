"""Files of arrays that are forged, cut short while they are read, or no files at all:
one line each, and soon.
"""

import errno
import fcntl
import functools
import gzip
import io
import os
import random
import re
import signal
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager

import h5py
import lmdb
import numpy as np
import pytest
from PIL import Image

import glowlite.data.readers.arrays
from glowlite import Glow, GlowConfig
from glowlite.data import READERS, load
from glowlite.data.readers.lmdb_pages import Lmdb
from glowlite.errors import DataError, ShapeError
from glowlite.objective import dequantize

RNG = np.random.default_rng(2)
COLOUR = RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
RECORDS = b"".join(b"\x01" + image.transpose(2, 0, 1).tobytes() for image in COLOUR)


@contextmanager
def at_most(seconds):
    """A reader of a pipe waits without end: an alarm ends it."""

    def ring(*_):
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused(spec):
    """What is said of data that are refused, when they are loaded or
    when their images are read; one line.
    """
    with at_most(20), pytest.raises(DataError) as caught:
        data = load(str(spec))
        data.train[:], data.held_out[:]
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


# --------------------------------------------------------------------------------- no regular files

NAMES = ("x.npy", "x.npz", "x.h5", "x.tar.gz", "x-idx3-ubyte", "x-idx3-ubyte.gz")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
def test_a_pipe_or_a_device_is_refused_and_never_waited_for(tmp_path, name, kind):
    os.mkfifo(tmp_path / name) if kind == "a named pipe" else (tmp_path / name).symlink_to(
        "/dev/zero"
    )
    assert refused(tmp_path / name) == f"{tmp_path / name}: is {kind}; name a regular file"


@pytest.mark.parametrize("reader", ["npy", "npz", "hdf5", "mnist", "cifar10", "lsun"])
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_refused_by_the_name_of_a_reader_too(reader, path):
    assert path in refused(f"{reader}:{path}")
    assert path in refused(path)


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["data_batch_1.bin", "test_batch.bin"], "c"),
        (["train-images-idx3-ubyte"], "m"),
        (["data.mdb"], "x_train_lmdb"),
    ],
)
def test_a_pipe_in_the_folder_of_a_data_set_is_not_waited_for(tmp_path, names, folder):
    (tmp_path / folder).mkdir()
    for name in names:
        os.mkfifo(tmp_path / folder / name)
    assert str(tmp_path / folder) in refused(tmp_path / folder)


# ---------------------------------------------------------------------------------------------- tar


def archive(path, members):
    """A .tar.gz of (name, content, changes of its header), the good ones of CIFAR-10 after them."""
    good = [("data_batch_1.bin", RECORDS, {}), ("test_batch.bin", RECORDS[: 2 * 3073], {})]
    with gzip.open(path, "wb", 1) as file:
        for name, content, changes in [*members, *good]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items():
                setattr(member, key, value)
            file.write(member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
        file.write(bytes(1024))
    return path


@pytest.mark.parametrize(
    "members",
    {
        "links": [("data_batch_2.bin", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})],
        "pipe": [("data_batch_2.bin", b"", {"type": tarfile.FIFOTYPE})],
        "device": [
            ("data_batch_2.bin", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})
        ],
        "folder": [("data_batch_2.bin", b"", {"type": tarfile.DIRTYPE})],
        "sparse": [("data_batch_2.bin", bytes(512), {"type": tarfile.GNUTYPE_SPARSE})],
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_no_regular_file_of_an_archive_is_passed_over(tmp_path, members):
    with at_most(20):
        data = load(str(archive(tmp_path / "c.tar.gz", members[1])))
    assert np.array_equal(data.train[:], COLOUR) and np.array_equal(data.held_out[:], COLOUR[:2])


@pytest.mark.parametrize(
    "members",
    {
        "names of names of names": [
            ("long", b"x" * 200 + b"\0", {"type": tarfile.GNUTYPE_LONGNAME})
        ]
        * 3000,
        "digits": [("pax", b"9" * 3_000_000, {"type": tarfile.XHDTYPE})],
        "a number of digits": [
            ("pax", b"27 size=" + b"9" * 5000 + b"\n", {"type": tarfile.XHDTYPE})
        ],
    }.items(),
    ids=lambda item: item[0],
)
def test_an_archive_whose_headers_lead_nowhere_is_one_line(tmp_path, members):
    with at_most(20):
        said = refused(archive(tmp_path / "c.tar.gz", members[1]))
    assert "is it complete? Get it again" in said


@pytest.mark.parametrize("at", [0, 124, 130, 148, 156])
def test_a_damaged_header_of_an_archive_is_one_line(tmp_path, at):
    content = bytearray(gzip.decompress(archive(tmp_path / "c.tar.gz", []).read_bytes()))
    content[at] ^= 0xFF
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(content, 1))
    assert "it is not a tar archive, or it is damaged" in refused(tmp_path / "c.tar.gz")


# ---------------------------------------------------------------- other types, other orders of axes


def save(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, images=array)
    else:
        with h5py.File(path, "w") as file:
            file["images"] = array
    return path


def followed(advice, x):
    """The array after what is said of it: each formula that follows a "use", in their order."""
    formulas = re.findall(r"use ([^;:]*?)(?=;|$|, or, where)", advice)
    assert formulas, advice
    for formula in formulas:
        x = eval(formula, {"np": np, "x": x})  # of a message of this package, which the test made
    return x


UNITS = COLOUR / 255.0
OTHER_TYPES = {
    "int64": COLOUR.astype(np.int64),
    "int16": COLOUR.astype(np.int16),
    "big-endian int32": COLOUR.astype(">i4"),
    "uint16 of 8 bits": COLOUR.astype(np.uint16),
    "uint16": COLOUR.astype(np.uint16) * 257,
    "int64 of 16 bits": COLOUR.astype(np.int64) * 257,
    "float64 in 0..1": UNITS,
    "float32 in 0..1": UNITS.astype(np.float32),
    "float16 in 0..1": UNITS.astype(np.float16),
    "float64 in -1..1": 2 * UNITS - 1,
    "float32 in -0.5..0.5": (UNITS - 0.5).astype(np.float32),
    "float32 in 0..255": COLOUR.astype(np.float32),
    "float64 in 0..65535": COLOUR * 257.0,
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_advice_on_another_type_gives_the_right_images(tmp_path, kind, suffix):
    x = OTHER_TYPES[kind]
    message = refused(save(tmp_path / f"x{suffix}", x))
    assert "uint8" in message and str(x.dtype) in message
    y = followed(message, x)
    assert y.dtype == np.uint8 and np.array_equal(y, COLOUR), message
    if kind == "float64 in 0..1":  # what resizing overshot is clipped, and does not wrap around
        x = np.where(COLOUR == 255, 1.03, np.where(COLOUR == 0, -0.02, UNITS))
        assert np.array_equal(followed(refused(save(tmp_path / f"y{suffix}", x)), x), COLOUR)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64"])
def test_advice_on_black_and_white_gives_black_and_white(tmp_path, dtype):
    x = (COLOUR > 127).astype(dtype)
    y = followed(refused(save(tmp_path / "x.npy", x)), x)
    assert y.dtype == np.uint8 and np.array_equal(y, np.where(COLOUR > 127, 255, 0))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.where(COLOUR == 7, np.nan, COLOUR), "NaN or infinite"),
        (np.where(COLOUR == 7, np.inf, UNITS), "NaN or infinite"),
        (COLOUR.astype(np.int8), "from -128 to 127"),
        (COLOUR.astype(np.int64) * 4, "from 0 to 1020"),
        (COLOUR.astype(np.uint32) * 2**20, "from 0 to 2.67387e+08"),
        (RNG.normal(0, 1, COLOUR.shape), "its values go from -"),
        (3 * UNITS, "from 0 to 3"),
        (UNITS + 0j, "whole numbers from 0 to 255"),
        (COLOUR.astype("S3"), "whole numbers from 0 to 255"),
        (COLOUR.view([("r", "u1")]), "records with several fields"),
    ],
)
def test_where_the_values_say_nothing_clear_no_formula_is_given(tmp_path, x, said):
    message = refused(save(tmp_path / "x.npy", x))
    assert said in message and " use " not in message, message


def test_the_values_of_a_large_array_are_looked_at_in_part(tmp_path):
    with open(tmp_path / "x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (4000, 1 << 10, 1 << 10, 3)}
        )
        file.truncate(file.tell() + 4000 * 3 * 8 << 20)  # 94 GiB, of which the disk holds nothing
    assert "np.rint(255 * x)" in refused(tmp_path / "x.npy")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_channels_first_are_told_from_rows(tmp_path, suffix, channels, dtype):
    images = RNG.integers(0, 256, (20, 16, 12, channels), dtype=np.uint8)
    x = (
        images.transpose(0, 3, 1, 2)
        if dtype == "uint8"
        else (images / 255).astype(dtype).transpose(0, 3, 1, 2)
    )
    message = refused(save(tmp_path / f"x{suffix}", x))
    assert "channels come last: use x.transpose(0, 2, 3, 1)" in message
    assert np.array_equal(followed(message, x), images)


@pytest.mark.parametrize(
    "shape",
    [
        (20, 2, 64, 3),
        (20, 4, 16, 4),
        (20, 3, 3, 8),
        (20, 1, 1, 12),
        (20, 8, 8, 13),
        (20, 4, 4),
        (20, 8, 6),
        (40, 16, 4),
        (2, 8, 8),
    ],
)
def test_images_that_can_be_meant_are_taken(tmp_path, shape):
    data = load(str(save(tmp_path / "x.npy", np.zeros(shape, np.uint8))))
    assert len(data.train) + len(data.held_out) == shape[0] and data.image_shape == (*shape, 1)[1:4]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((480, 640, 3), "one image"), ((3, 48, 64), "one image"), ((48, 64, 4), "one image"),
        ((48, 64, 1), "one image"),
        ((20, 784), "x.reshape(-1, 28, 28, 1)"), ((20, 3072), "x.reshape(-1, 32, 32, 3)"),
        ((20, 777), "(-1, H, W, C)"),
        ((784,), "stack the images"), ((1, 20, 16, 16, 3), "stack the images"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_images_are_told_what_to_do(tmp_path, shape, said):
    assert said in refused(save(tmp_path / "x.npy", np.zeros(shape, np.uint8)))


def test_what_wants_uint8_or_floats_gives_the_same_advice():
    for kind, x in OTHER_TYPES.items():
        with pytest.raises(ShapeError) as caught:
            dequantize(x, 8, UNITS)
        assert np.array_equal(followed(str(caught.value), x), COLOUR), kind
    model = Glow(GlowConfig((32, 32, 3), K=1, L=1, width=8))
    model.initialize(dequantize(COLOUR, 8, UNITS.astype(np.float32)))
    with pytest.raises(
        ShapeError, match=r"use x\.astype\('uint8'\); then convert .* after .*\.dequantize"
    ):
        model.encode(COLOUR.astype(np.int64))


# ------------------------------------------------------------------------------------ .npy and .npz


def npy(
    header=b"{'descr': '|u1', 'fortran_order': False, 'shape': (12, 32, 32, 3), }",
    version=1,
    content=None,
):
    """An .npy file with a header of one's own."""
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + length
        + header
        + (COLOUR.tobytes() if content is None else content)
    )


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (12, 32, 32, 3), }",
        b"{'descr': '<u1', 'fortran_order': False, 'shape': (12L, 32L, 32L, 3L)}   \n",
        b' {"shape": (12,32,32,3), "fortran_order": False, "descr": "uint8"}',
    ],
)
def test_an_npy_of_any_version_and_writer_is_read(tmp_path, version, header):
    (tmp_path / "x.npy").write_bytes(npy(header, version))
    data = load(str(tmp_path / "x.npy"))
    assert sorted(map(bytes, np.concatenate([data.train[:], data.held_out[:]]))) == sorted(
        map(bytes, COLOUR)
    )


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_the_order_of_axes_in_memory_does_not_matter(tmp_path, suffix, monkeypatch):
    path = save(tmp_path / f"x{suffix}", np.asfortranarray(COLOUR))
    rows = np.array([5, 6, 7, 0, 11, 11, 2])
    assert np.array_equal(READERS[suffix[1:]].read(path).train.read(rows), COLOUR[rows])
    if suffix == ".npy":
        monkeypatch.setattr(
            glowlite.data.readers.arrays, "available_bytes", lambda: COLOUR.nbytes * 1.5
        )
        assert "np.ascontiguousarray(x)" in refused(path)


def test_rows_of_an_npy_are_those_of_the_array_in_any_order(tmp_path):
    train = READERS["npy"].read(save(tmp_path / "x.npy", COLOUR)).train
    for rows in ([], [3], [0, 1, 2], [11, 10, 9], [4, 5, 0, 1, 1, 2, 11]):
        rows = np.array(rows, int)
        assert np.array_equal(train.read(rows), COLOUR[rows])


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (12, 32, 32, 3), 'more': 1}",
            "not a description of an array"),
        (b"{'descr': '|u1', 'fortran_order': False, 'fortran_order': False}",
            "not a description of an array"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (-12, 32, 32, 3)}",
            "not a description of an array"),
        (b"{'descr': '|u1', 'fortran_order': 0, 'shape': (12, 32, 32, 3)}",
            "not a description of an array"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (12, 32, 32, __import__('os'))}",
            "not a description of an array"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b",)}",
            "not a description of an array"),
        (b"{" * 5000, "not a description of an array"),
        (b"((" * 4000, "not a description of an array"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (" + b"1," * 4000 + b")}",
            "with 4000 axes"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': ()}", "stack the images"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 9999999999, 9999999999,"
         b" 3)}",
            "is truncated"),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': (12,)}", "pickled objects"),
        (b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (12,)}",
            "records with several fields"),
        (b"{'descr': '<x9', 'fortran_order': False, 'shape': (12,)}", "of type '<x9'"),
        (b"{'descr': '<i3', 'fortran_order': False, 'shape': (12,)}", "of type '<i3'"),
        (b"{'descr': '<U99999', 'fortran_order': False, 'shape': (99999999,)}", "is truncated"),
        (b"{'descr': '|V0', 'fortran_order': False, 'shape': (9, 4, 4)}", "of type '|V0'"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 32, 32, 3)}", "rescale them to 0"),
        (b" " * 20_000, "does not begin like"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_forged_header_is_one_line(tmp_path, header, said, suffix):
    for version in (1, 3):
        content = npy(header, version, bytes(b"()" in header))
        if suffix == ".npz":
            with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
                archive.writestr("images.npy", content)
        else:
            (tmp_path / "x.npy").write_bytes(content)
        said = {"is truncated": "unpacks to"}.get(said, said) if suffix == ".npz" else said
        assert said in refused(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("keep", [0, 100, 200, 20_000])
def test_an_npy_that_is_cut_short_while_it_is_read_is_one_line(tmp_path, keep):
    """A mapped one would end the process with SIGBUS."""
    path = save(tmp_path / "x.npy", np.repeat(COLOUR, 20, axis=0))
    data = load(str(path))
    assert data.train[:].shape == (216, 32, 32, 3)
    os.truncate(path, keep)
    with pytest.raises(DataError, match=rf"x\.npy: is truncated: .* ends after {keep};"):
        data.train[:]
    path.unlink()
    with pytest.raises(DataError, match="is truncated"):
        data.held_out[:]


def test_an_npy_that_is_replaced_while_it_is_read_stays_what_it_was(tmp_path):
    path = save(tmp_path / "x.npy", COLOUR)
    train = READERS["npy"].read(path).train
    np.save(tmp_path / "new.npy", COLOUR[::-1])
    os.replace(tmp_path / "new.npy", path)
    assert np.array_equal(train[:], COLOUR)


def forged_npz(path, kind):
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", zipfile.ZIP_BZIP2 if kind == "bzip2" else zipfile.ZIP_DEFLATED
    ) as archive:
        content = b"no array" if kind == "no array" else npy()
        content = {
            "more": content + b"\x00",
            "fewer": content[:-1],
            "pickle": b"\x80\x04K\x01.",
        }.get(kind, content)
        archive.writestr("images" if kind == "no array" else "images.npy", content)
        if kind == "two":
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("images.npy", content)
        if kind == "two names":
            archive.writestr("images", content)
        if kind == "text for numbers":
            archive.writestr(
                "attributes.npy",
                npy(b"{'descr': '<U1', 'fortran_order': False, 'shape': (12, 1)}", 1, bytes(48)),
            )
            archive.writestr(
                "attribute_names.npy",
                npy(b"{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", 1, bytes(4)),
            )
    whole = bytearray(buffer.getvalue())
    entry = whole.index(b"PK\x01\x02")
    if kind == "encrypted":
        whole[entry + 8] |= 1
    elif kind == "bomb":  # more is packed than the directory says, or the header of the array
        packed = zlib.compress(npy() + bytes(1 << 26), 1)[2:-4]
        name = b"images.npy"
        sizes = struct.pack("<III", zlib.crc32(npy()), len(packed), len(npy()))
        local = (
            struct.pack("<IHHHHH", 0x04034B50, 20, 0, 8, 0, 0)
            + sizes
            + struct.pack("<HH", len(name), 0)
            + name
            + packed
        )
        directory = struct.pack("<IHHHHHH", 0x02014B50, 20, 20, 0, 8, 0, 0) + sizes
        directory += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
        end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(directory), len(local), 0)
        whole = local + directory + end
    elif kind == "size of 64 bits":
        whole[entry + 24 : entry + 28] = b"\xff" * 4
        extra = struct.pack("<HHQ", 1, 8, 1 << 62)
        at = entry + 46 + len("images.npy")
        whole[entry + 30 : entry + 32] = len(extra).to_bytes(2, "little")
        whole[at:at] = extra
        end = whole.rindex(b"PK\x05\x06")
        whole[end + 12 : end + 16] = (end - entry).to_bytes(4, "little")
    elif kind == "checksum":
        whole[entry + 16] ^= 1
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no array", "x.npz, images: cannot be read as .npy"),
        ("pickle", "x.npz, images: cannot be read as .npy"),
        ("more", "its header says"),
        ("fewer", "its header says"),
        ("two", "has 2 arrays images"),
        ("two names", "has 2 arrays images"),
        ("encrypted", "is encrypted, or packed in an unknown way"),
        ("bzip2", "is encrypted, or packed in an unknown way"),
        ("size of 64 bits", "has 4611686018427387904 bytes, but its header says"),
        ("checksum", "Bad CRC-32"),
        ("text for numbers", "expected attributes (12, 1), one row per image"),
    ],
)
def test_a_forged_npz_is_one_line(tmp_path, kind, said):
    assert said in refused(forged_npz(tmp_path / "x.npz", kind))


def test_no_more_is_unpacked_of_an_npz_than_it_says(tmp_path):
    path = forged_npz(tmp_path / "x.npz", "bomb")
    tracemalloc.start()
    assert len(load(str(path)).train) == 11
    assert tracemalloc.get_traced_memory()[1] < 1 << 24  # of 64 MiB that are packed in it
    tracemalloc.stop()


# --------------------------------------------------------------------------------------------- HDF5


def virtual(file, name, source, unlimited=False):
    most = (None, *COLOUR.shape[1:]) if unlimited else COLOUR.shape
    layout, other = (
        h5py.VirtualLayout(COLOUR.shape, "u1", most),
        h5py.VirtualSource(source, name, COLOUR.shape, maxshape=most),
    )
    rows = slice(h5py.h5s.UNLIMITED if unlimited else None)
    layout[rows] = other[rows]
    file.create_virtual_dataset(name, layout)


def forged_hdf5(path, kind):
    """In the file of `path`, beside x.h5, which is sound."""
    save(path.parent / "x.h5", COLOUR)
    with h5py.File(path, "w") as file:
        if kind == "virtual, itself":
            virtual(file, "images", path.name)
        elif kind == "virtual, itself, growing":
            virtual(file, "images", path.name, unlimited=True)
        elif kind == "virtual, missing":
            virtual(file, "images", "gone.h5")
        elif kind == "virtual, sound":
            virtual(file, "images", "x.h5")
        elif kind == "virtual, of another name":
            virtual(file, "pixels", path.name)
        elif kind == "virtual attributes":
            file["images"], file["attribute_names"] = COLOUR, ["a"]
            file.create_virtual_dataset("attributes", h5py.VirtualLayout((12, 1), "u1"))
        elif kind == "external storage":
            file.create_dataset(
                "images", COLOUR.shape, "u1", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)]
            )
        elif kind == "link to another file":
            file["images"] = h5py.ExternalLink("x.h5", "images")
        elif kind == "link to a device":
            file["images"] = h5py.ExternalLink("/dev/zero", "images")
        elif kind == "link through another file":
            file["a"], file["images"] = h5py.ExternalLink("x.h5", "/"), h5py.SoftLink("/a/images")
        elif kind == "links in a circle":
            file["images"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/images")
        elif kind == "link to nothing":
            file["images"] = h5py.SoftLink("/gone")
        elif kind == "deep":
            group = file
            for _ in range(1100):
                group = group.create_group("g")
        elif kind == "circle of groups":
            inner = file.create_group("a/b")
            inner["c"] = file["a"]
        elif kind == "many groups":
            for i in range(1100):
                file.create_group(f"{i}")
        elif kind == "unknown filter":
            file.create_dataset("images", data=COLOUR, chunks=(2, 32, 32, 3), compression="gzip")
        elif kind == "nothing written":
            file.create_dataset("images", COLOUR.shape, "u1", chunks=(2, 32, 32, 3))
        elif kind == "texts":
            file["images"] = ["a", "b", "c"]
        elif kind == "lists":
            file.create_dataset("images", (12, 8, 8), h5py.vlen_dtype(np.uint8))
        elif kind == "references":
            file["images"] = np.full((12, 8, 8), file.ref, h5py.ref_dtype)
        elif kind == "records":
            file["images"] = np.zeros((12, 8, 8), [("r", "u1"), ("g", "u1")])
        elif kind == "floats in large chunks":
            file.create_dataset(
                "images",
                (1000, 1 << 14, 1 << 10),
                "f8",
                chunks=(1, 1 << 14, 1 << 10),
                compression="gzip",
            )
        elif kind == "long name":
            file["images"], file["attributes"] = COLOUR, np.ones((12, 1))
            file["attribute_names"] = np.array([b"x" * 5000])
        elif kind == "huge attributes":
            file["images"], file["attribute_names"] = COLOUR, ["a"]
            file.create_dataset("attributes", (12, 1 << 40), "f8", chunks=(12, 1))
    if kind == "unknown filter":
        content = bytearray(path.read_bytes())
        # of the name, after the filter's number, flags and lengths
        at = content.index(b"deflate") - 8
        content[at : at + 2] = (32123).to_bytes(2, "little")
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("virtual, itself", "its numbers are in other files"),
        ("virtual, itself, growing", "its numbers are in other files"),
        ("virtual, missing", "its numbers are in other files"),
        ("virtual, sound", "its numbers are in other files"),
        ("virtual, of another name", "its numbers are in other files"),
        ("virtual attributes", "its numbers are in other files"),
        ("external storage", "its numbers are in other files"),
        ("link to another file", "images is a link to another file"),
        ("link to a device", "images is a link to another file"),
        ("link through another file", "a is a link to another file"),
        ("links in a circle", "or to itself"),
        ("link to nothing", "found none"),
        ("deep", "more than 1000 objects"),
        ("circle of groups", "found none"),
        ("many groups", "more than 1000 objects"),
        ("unknown filter", "(filter 32123), which h5py lacks"),
        ("nothing written", "nothing was ever written"),
        ("texts", "whole numbers from 0 to 255"),
        ("lists", "whole numbers from 0 to 255"),
        ("references", "whole numbers from 0 to 255"),
        ("records", "whole numbers from 0 to 255"),
        ("floats in large chunks", "rescale them to 0"),
        ("long name", "texts"),
        ("huge attributes", "expected attributes"),
    ],
)
def test_a_forged_hdf5_is_one_line(tmp_path, kind, said):
    """Those that crash the library where they are not refused would take the tests with them:
    so each has its refusal.
    """
    assert said in refused(forged_hdf5(tmp_path / "forged.h5", kind))


def test_an_hdf5_with_links_within_it_is_read(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["train/pixels"] = COLOUR
        file["images"], file["train/others"] = (
            h5py.SoftLink("/train/others/"),
            h5py.SoftLink("./pixels"),
        )
    assert np.array_equal(READERS["hdf5"].read(tmp_path / "x.h5").train[:], COLOUR)
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["train/pixels"] = COLOUR
        file["again"] = file["train"]  # the same group twice, as a hard link
        file["train/in a circle"] = file["/"]
    assert np.array_equal(READERS["hdf5"].read(tmp_path / "y.h5").train[:], COLOUR)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            errno.EAGAIN,
            "another process has it open for writing; wait until it is closed or, if no process"
            " has it open, set HDF5_USE_F",
        ),
        (errno.ENOLCK, "its file system cannot lock files; set HDF5_USE_FILE_LOCKING=FALSE"),
        (errno.ENOSYS, "its file system cannot lock files; set HDF5_USE_FILE_LOCKING=FALSE"),
        (errno.EACCES, "no permission to read it; check its permissions"),
    ],
)
def test_an_hdf5_that_is_locked_is_not_made_again(tmp_path, monkeypatch, number, said):
    def locked(*_, **__):
        raise OSError(number, "unable to lock file")

    monkeypatch.setattr(h5py, "File", locked)
    (tmp_path / "x.h5").touch()
    message = refused(tmp_path / "x.h5")
    assert said in message and "Make it again" not in message


def test_an_hdf5_that_another_process_writes_is_said_to_be_open(tmp_path):
    path = save(tmp_path / "x.h5", COLOUR)
    with open(path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as HDF5 does where it writes
        assert "another process has it open for writing" in refused(path)
    assert len(load(str(path)).train) == 11


# --------------------------------------------------------------------------------------------- LMDB


def write_lmdb(path, values):
    path.mkdir(parents=True)
    with (
        lmdb.open(str(path), map_size=1 << 26) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in values.items():
            transaction.put(key, value)
    return path


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="png")
    return buffer.getvalue()


def test_an_lmdb_is_what_its_library_reads(tmp_path):
    """Three levels of pages, values in a page or in pages of their own,
    some of exactly a page, some empty, some deleted.
    """
    sizes = RNG.integers(0, 300, 3000)
    sizes[::50] = [0, 1, 2000, 4080, 4081, 9000] * 10
    values = {RNG.bytes(RNG.integers(1, 60)): RNG.bytes(size) for size in sizes}
    path = write_lmdb(tmp_path / "x", values)
    with lmdb.open(str(path), map_size=1 << 26) as environment:
        with environment.begin(write=True) as transaction:
            for key in list(values)[::7]:
                transaction.delete(key)
        with environment.begin() as transaction:
            expected = list(transaction.cursor())
            assert transaction.stat()["depth"] == 3
    found = Lmdb(path / "data.mdb")
    assert len(found) == len(expected)
    assert [(found.key(row), found.value(row)) for row in range(len(found))] == expected
    assert [found.size(row) for row in range(len(found))] == [len(value) for _, value in expected]


PAGE = 4096


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The file of an LMDB of two levels; its root; the leaves below it;
    a leaf with a value in pages of its own.
    """
    values = {f"{i:04}".encode(): png(COLOUR[i % 12]) for i in range(300)}
    content = (write_lmdb(tmp_path_factory.mktemp("lmdb") / "x", values) / "data.mdb").read_bytes()
    newer = max((0, PAGE), key=lambda at: content[at + 144 : at + 152][::-1])
    root = int.from_bytes(content[newer + 128 : newer + 136], "little")
    assert content[newer + 94] == 2
    node = root * PAGE + int.from_bytes(content[root * PAGE + 16 : root * PAGE + 18], "little")
    return content, newer, root, node


def number(value, size=8):
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("a branch of itself", "page"), ("a leaf far away", "a page is out of place"),
        ("a leaf at a description", "out of place"),
        ("huge count", "is truncated"), ("depth", "of an unknown kind"), ("deeper", "out of order"),
        ("value far away", "points outside the file"),
        ("value at a description", "points outside the file"),
        ("huge value", "points outside the file"), ("huge key", "out of order"),
        ("flags", "out of order"),
        ("other version", "of version 2"),
    ],
)  # fmt: skip
def test_a_forged_lmdb_is_one_line(tmp_path, pages, kind, said):
    content, newer, root, node = pages
    leaf = int.from_bytes(content[node : node + 4], "little") * PAGE
    entry = leaf + int.from_bytes(content[leaf + 16 : leaf + 18], "little")
    assert content[entry + 4] == 1  # a large value
    at, value = {
        "a branch of itself": (node, number(root, 4)),
        "a leaf far away": (node, number(-1, 4)),
        "a leaf at a description": (node, number(1, 4)),
        "huge count": (newer + 136, number(-2)),
        "depth": (newer + 94, number(999, 2)),
        "deeper": (newer + 94, number(3, 2)),
        "value far away": (entry + 8 + 4, number(-1)),
        "value at a description": (entry + 8 + 4, number(0)),
        "huge value": (entry, number(-1, 4)),
        "huge key": (entry + 6, number(-1, 2)),
        "flags": (entry + 4, number(7, 2)),
        "other version": (newer + 20, number(2, 4)),
    }[kind]
    forged = bytearray(content)
    forged[at : at + len(value)] = value
    if kind == "other version":
        forged[PAGE - newer + 20] = 2
    (tmp_path / "x_lmdb").mkdir()
    (tmp_path / "x_lmdb" / "data.mdb").write_bytes(forged)
    assert said in refused(tmp_path / "x_lmdb")


def test_an_lmdb_that_is_cut_short_while_it_is_read_is_one_line(tmp_path):
    path = write_lmdb(tmp_path / "x_lmdb", {f"{i}".encode(): png(COLOUR[i]) for i in range(12)})
    pictures = READERS["lsun"].read(path).train
    assert len(pictures) == 12
    os.truncate(path / "data.mdb", 2 * PAGE)
    with pytest.raises(DataError, match=r"data\.mdb: is truncated: it has 8192 bytes"):
        for row in range(12):
            pictures.picture(row)


# ------------------------------------------------------------------------------- damage of any kind

NUMBERS = (b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7, b"\x01" + bytes(7), b"99999999")


def damaged(content, draw):
    """Bits flipped, numbers made huge, bytes removed and put in, the end cut off;
    near the beginning more than elsewhere.
    """
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 4])):
        at = draw.randrange(min(len(content), draw.choice([130, 600, 9000, len(content)])))
        kind, size = draw.randrange(8), draw.choice([1, 2, 4, 8])
        if kind < 3:
            content[at] ^= 1 << draw.randrange(8)
        elif kind < 5:
            content[at : at + size] = draw.choice(NUMBERS)[:size]
        elif kind == 5:
            del content[at : at + size]
        elif kind == 6:
            content[at:at] = draw.randbytes(size)
        else:
            content = content[: max(1, at)]
    return bytes(content)


@pytest.mark.parametrize(
    "kind", ["npy", "npy of floats", "npz", "packed npz", "idx", "idx.gz", "tar", "tar.gz", "lmdb"]
)
def test_damage_of_any_kind_leaves_one_line_or_images(tmp_path, kind):
    small, pack = COLOUR[:, :8, :8], bytes
    if kind in ("npy", "npy of floats"):
        path = file = save(tmp_path / "x.npy", small if kind == "npy" else small / 255)
    elif kind == "npz":
        path = file = tmp_path / "x.npz"
        np.savez(file, images=small, attributes=np.ones((12, 2)), attribute_names=["a", "b"])
    elif kind == "packed npz":
        path = file = tmp_path / "x.npz"
        np.savez_compressed(file, images=small)
    elif kind.startswith("idx"):
        path = file = tmp_path / ("x-idx3-ubyte.gz" if kind == "idx.gz" else "x-idx3-ubyte")
        content = struct.pack(">IIII", 0x803, 12, 8, 8) + small[..., 0].tobytes()
        file.write_bytes(gzip.compress(content) if kind == "idx.gz" else content)
    elif kind.startswith("tar"):
        path = file = archive(tmp_path / "x.tar.gz", [])
        if kind == "tar":  # damage within, and a checksum that holds
            file.write_bytes(gzip.decompress(file.read_bytes()))
            pack = functools.partial(gzip.compress, compresslevel=1)
    else:
        path = write_lmdb(
            tmp_path / "x_lmdb", {f"{i}".encode(): png(small[i % 12, :2, :2]) for i in range(80)}
        )
        file = path / "data.mdb"
    content, draw, read = file.read_bytes(), random.Random(kind), 0
    with at_most(60):
        for _ in range(30):
            file.write_bytes(pack(damaged(content, draw)))
            try:
                data = load(str(path))
                data.train[:], data.held_out[:]
                read += 1
            except DataError as error:
                assert "\n" not in str(error)
    assert read < 30
