"""Files of arrays that are forged, cut short while they are read, or no files at all: one line each, and soon."""

import gzip
import os
import re
import signal
import tarfile
from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from glowlite import Glow, GlowConfig
from glowlite.data import load
from glowlite.errors import DataError, ShapeError
from glowlite.objective import dequantise

RNG = np.random.default_rng(2)
COLOUR = RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
RECORDS = b"".join(b"\x01" + image.transpose(2, 0, 1).tobytes() for image in COLOUR)


@contextmanager
def at_most(seconds):
    """Whoever waits for a pipe waits without end: an alarm tells."""

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
    """What is said of data that are refused, when they are loaded or when their images are read; one line."""
    with at_most(20), pytest.raises(DataError) as caught:
        data = load(str(spec))
        data.train[:], data.held_out[:]
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


# ------------------------------------------------------------------------------------------------- no regular files

NAMES = ("x.npy", "x.npz", "x.h5", "x.tar.gz", "x-idx3-ubyte", "x-idx3-ubyte.gz")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
def test_a_pipe_or_a_device_is_refused_and_never_waited_for(tmp_path, name, kind):
    os.mkfifo(tmp_path / name) if kind == "a named pipe" else (tmp_path / name).symlink_to("/dev/zero")
    assert refused(tmp_path / name) == f"{tmp_path / name}: is {kind}; name a regular file"


@pytest.mark.parametrize("reader", ["npy", "npz", "hdf5", "mnist", "cifar10", "lsun"])
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_refused_by_the_name_of_a_reader_too(reader, path):
    assert path in refused(f"{reader}:{path}")
    assert path in refused(path)


@pytest.mark.parametrize(
    ("names", "folder"),
    [(["data_batch_1.bin", "test_batch.bin"], "c"), (["train-images-idx3-ubyte"], "m"), (["data.mdb"], "x_train_lmdb")],
)
def test_a_pipe_in_the_folder_of_a_data_set_is_not_waited_for(tmp_path, names, folder):
    (tmp_path / folder).mkdir()
    for name in names:
        os.mkfifo(tmp_path / folder / name)
    assert str(tmp_path / folder) in refused(tmp_path / folder)


# ------------------------------------------------------------------------------------------------------------- tar


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
        "device": [("data_batch_2.bin", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})],
        "folder": [("data_batch_2.bin", b"", {"type": tarfile.DIRTYPE})],
        "sparse": [("data_batch_2.bin", bytes(512), {"type": tarfile.GNUTYPE_SPARSE})],
        "names of names of names": [("long", b"x" * 200 + b"\0", {"type": tarfile.GNUTYPE_LONGNAME})] * 3000,
        "digits": [("pax", b"9" * 300_000, {"type": tarfile.XHDTYPE})],
        "a number of digits": [("pax", b"27 size=" + b"9" * 5000 + b"\n", {"type": tarfile.XHDTYPE})],
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_no_regular_file_of_an_archive_is_passed_over(tmp_path, members):
    with at_most(20):
        data = load(str(archive(tmp_path / "c.tar.gz", members[1])))
    assert np.array_equal(data.train[:], COLOUR) and np.array_equal(data.held_out[:], COLOUR[:2])


@pytest.mark.parametrize("at", [0, 124, 130, 148, 156])
def test_a_damaged_header_of_an_archive_is_one_line(tmp_path, at):
    content = bytearray(gzip.decompress(archive(tmp_path / "c.tar.gz", []).read_bytes()))
    content[at] ^= 0xFF
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(content, 1))
    assert "no tar archive, or a damaged one" in refused(tmp_path / "c.tar.gz")


# --------------------------------------------------------------------------------------- other types, other orders of axes


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
        (COLOUR.view([("r", "u1")]), "whole numbers from 0 to 255"),
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
    x = images.transpose(0, 3, 1, 2) if dtype == "uint8" else (images / 255).astype(dtype).transpose(0, 3, 1, 2)
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
        ((480, 640, 3), "one image"), ((3, 48, 64), "one image"), ((48, 64, 4), "one image"), ((48, 64, 1), "one image"),
        ((20, 784), "x.reshape(-1, 28, 28, 1)"), ((20, 3072), "x.reshape(-1, 32, 32, 3)"), ((20, 777), "(-1, H, W, C)"),
        ((784,), "stack the images"), ((1, 20, 16, 16, 3), "stack the images"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_images_are_told_what_to_do(tmp_path, shape, said):
    assert said in refused(save(tmp_path / "x.npy", np.zeros(shape, np.uint8)))


def test_what_wants_uint8_or_floats_gives_the_same_advice():
    for kind, x in OTHER_TYPES.items():
        with pytest.raises(ShapeError) as caught:
            dequantise(x, 8, UNITS)
        assert np.array_equal(followed(str(caught.value), x), COLOUR), kind
    model = Glow(GlowConfig((32, 32, 3), K=1, L=1, width=8))
    with pytest.raises(ShapeError, match=r"use x\.astype\('uint8'\); then convert .* after .*\.dequantise"):
        model.encode(COLOUR.astype(np.int64))
