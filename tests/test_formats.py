"""Files of arrays that are forged, cut short while they are read, or no files at all: one line each, and soon."""

import gzip
import os
import signal
import tarfile
from contextlib import contextmanager

import numpy as np
import pytest

from glowlite.data import load
from glowlite.errors import DataError

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
