"""Every reader on files as people have them, and on files as nobody wants them."""

import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

import glowlite.data.arrays
from glowlite.data import load
from glowlite.data.dataset import held_out_indices, make_dataset
from glowlite.errors import DataError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)


def together(data):
    """All images of a data set, in a fixed order."""
    flat = np.concatenate((data.train, data.held_out)).reshape(len(data.train) + len(data.held_out), -1)
    return sorted(map(bytes, flat))


def test_embedded_sets_have_their_sizes_and_a_notice():
    faces, fashion = load("faces"), load("fashion")
    assert faces.train.shape == (7200, 16, 16, 3) and faces.held_out.shape == (800, 16, 16, 3)
    assert fashion.train.shape == (11000, 16, 16, 1) and fashion.held_out.shape == (1000, 16, 16, 1)
    assert faces.image_shape == (16, 16, 3) and faces.name == "faces"
    from importlib import resources

    notice = (resources.files("glowlite.data") / "files" / "NOTICE").read_text()
    assert "CC0 1.0" in notice and "Zalando SE" in notice


@pytest.mark.parametrize("images", [COLOUR, COLOUR[..., :1], COLOUR[..., 0]], ids=["colour", "grey", "no channel axis"])
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_arrays_come_back_as_they_were_saved(tmp_path, images, kind):
    path = tmp_path / f"some.{kind}"
    np.savez(path, images=images, labels=np.zeros(30)) if kind == "npz" else np.save(path, images)
    data = load(str(path))
    assert data.name == "some" and data.train.dtype == np.uint8 and data.train.ndim == 4
    assert together(data) == sorted(map(bytes, images.reshape(30, -1)))


def test_a_folder_is_read_recursively_in_any_format_and_mode(tmp_path):
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for i, image in enumerate(COLOUR[:10]):
        Image.fromarray(image).save(tmp_path / "pictures" / ("more" if i % 2 else "") / f"{i}.{'bmp' if i % 3 else 'PNG'}")
    Image.fromarray(COLOUR[10]).convert("RGBA").save(tmp_path / "pictures" / "alpha.png")
    Image.fromarray(COLOUR[11, ..., 0]).save(tmp_path / "pictures" / "grey.png")
    (tmp_path / "pictures" / "readme.txt").write_text("no image")
    data = load(str(tmp_path / "pictures"))
    grey = np.repeat(COLOUR[11, ..., :1], 3, axis=2)
    assert data.name == "pictures"
    assert together(data) == sorted(map(bytes, [*COLOUR[:11].reshape(11, -1), grey.ravel()]))


def test_a_folder_of_grey_images_has_one_channel(tmp_path):
    for i in range(4):
        Image.fromarray(COLOUR[i, ..., 0]).save(tmp_path / f"{i}.png")
    assert load(str(tmp_path)).image_shape == (6, 5, 1)


@pytest.mark.parametrize("count", [2, 3, 9, 10, 99, 5000, 20000])
def test_the_split_is_fixed_disjoint_and_complete(count):
    held_out = held_out_indices(count)
    assert len(held_out) == len(set(held_out.tolist())) == min(max(1, count // 10), 1000)
    assert np.array_equal(held_out, held_out_indices(count)) and held_out.max() < count
    data = make_dataset("n", np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 2, 2, 1), "here")
    assert len(together(data)) == len(set(together(data))) == count


def test_the_split_never_changes():
    """Other indices here would put images that a saved run was trained on among those it is judged by."""
    assert held_out_indices(30).tolist() == [0, 9, 12]
    assert held_out_indices(8000)[:6].tolist() == [4, 29, 32, 43, 48, 69]


def npy_header(header):
    """The bytes of an .npy file with a header of one's own making, and few data."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(100)


HUGE = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999, 16, 16, 3), }"


def write(path, kind):
    """A bad file or folder of the kind; returns the path to load."""
    if kind == "missing":
        return path / "not-there.npz"
    if kind == "missing folder":
        return path / "not-there"
    if kind == "unknown kind":
        (path / "film.mp4").write_bytes(b"1234")
        return path / "film.mp4"
    if kind == "long name":
        return path / ("x" * 300)
    if kind == "empty folder":
        return path
    if kind == "no images array":
        np.savez(path / "x.npz", pictures=COLOUR, labels=COLOUR)
    elif kind == "float":
        np.savez(path / "x.npz", images=COLOUR / 255.0)
    elif kind == "five axes":
        np.savez(path / "x.npz", images=COLOUR[None])
    elif kind == "one image":
        np.savez(path / "x.npz", images=COLOUR[:1])
    elif kind == "no image":
        np.savez(path / "x.npz", images=COLOUR[:0])
    elif kind == "objects":
        np.savez(path / "x.npz", images=np.array([{}, []], dtype=object))
    elif kind == "npy as npz":
        with open(path / "x.npz", "wb") as f:
            np.save(f, COLOUR)
    elif kind == "npz huge":
        with zipfile.ZipFile(path / "x.npz", "w") as archive:
            archive.writestr("images.npy", npy_header(HUGE))
    elif kind in ("truncated", "garbage", "empty", "flipped"):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=COLOUR)
        whole = buffer.getvalue()
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 0xFF
        (path / "x.npz").write_bytes(
            {"truncated": whole[:-200], "garbage": b"garbage" * 50, "empty": b"", "flipped": bytes(damaged)}[kind]
        )
    elif kind.startswith("npy"):
        np.save(path / "x.npy", np.array([{}], dtype=object) if kind == "npy objects" else COLOUR, allow_pickle=True)
        damage = {
            "npy truncated": (path / "x.npy").read_bytes()[:300], "npy empty": b"", "npy huge": npy_header(HUGE),
            "npy open bracket": npy_header(HUGE[:-3]), "npy indent": npy_header(b"  a\n b"),
            "npy shape of truth": npy_header(HUGE.replace(b"99999999999999, 16, 16, 3", b"True,")),
            "npy deep": npy_header(b"-" * 5000 + b"1"),
            "npy overflow": npy_header(HUGE.replace(b"9", b"999")),
        }  # fmt: skip
        if kind in damage:
            (path / "x.npy").write_bytes(damage[kind])
        if kind == "npy from npz":
            with open(path / "x.npy", "wb") as f:
                np.savez(f, images=COLOUR)
        return path / "x.npy"
    else:
        for i in range(4):
            Image.fromarray(COLOUR[i]).save(path / f"{i}.png")
        if kind == "mixed sizes":
            Image.fromarray(COLOUR[4, :4]).save(path / "odd-one.png")
        elif kind == "corrupt image":
            (path / "2.png").write_bytes((path / "2.png").read_bytes()[:60])
        elif kind == "no image inside":
            (path / "2.png").write_text("hello")
        elif kind in ("16 bits", "floats"):
            deep = COLOUR[0, ..., 0].astype(np.uint16 if kind == "16 bits" else np.float32)
            Image.fromarray(deep).save(path / "deep.tif")
        elif kind == "dangling link":
            (path / "2.png").unlink()
            (path / "2.png").symlink_to(path / "gone.png")
        elif kind == "bomb":
            Image.new("1", (20000, 20000)).save(path / "2.png")
        return path
    return path / "x.npz"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", ["not-there.npz", "no such file"]),
        ("missing folder", ["not-there", "no such name, file or folder", "faces"]),
        ("unknown kind", ["film.mp4", "unknown kind", ".npz"]),
        ("long name", ["xxx", "too long", "check the path"]),
        ("empty folder", ["no images", ".png"]),
        ("no images array", ["x.npz", "`images`", "pictures, labels"]),
        ("float", ["float64", "uint8"]),
        ("five axes", ["(1, 30, 6, 5, 3)", "(N, H, W, C)"]),
        ("one image", ["at least 2"]),
        ("no image", ["at least 2"]),
        ("objects", ["x.npz", "pickled"]),
        ("npy as npz", ["x.npz", "rename"]),
        ("truncated", ["x.npz", "complete"]),
        ("garbage", ["x.npz"]),
        ("empty", ["x.npz"]),
        ("flipped", ["x.npz", "complete"]),
        ("npz huge", ["x.npz", "memory"]),
        ("npy empty", ["x.npy", "complete"]),
        ("npy huge", ["x.npy", "complete"]),
        ("npy open bracket", ["x.npy", "complete"]),
        ("npy indent", ["x.npy", "complete"]),
        ("npy shape of truth", ["x.npy", "complete"]),
        ("npy deep", ["x.npy"]),
        ("npy overflow", ["x.npy", "complete"]),
        ("npy from npz", ["x.npy", "rename"]),
        ("npy objects", ["x.npy", "pickled"]),
        ("npy truncated", ["x.npy", "complete"]),
        ("mixed sizes", ["odd-one.png", "5x4", "5x6", "crop"]),
        ("corrupt image", ["2.png", "cannot be read"]),
        ("no image inside", ["2.png", "no image"]),
        ("16 bits", ["deep.tif", "I;16", "8 bits"]),
        ("floats", ["deep.tif", "mode F", "8 bits"]),
        ("dangling link", ["2.png", "cannot be read"]),
        ("bomb", ["2.png", "pixels"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(tmp_path, kind, said):
    with pytest.raises(DataError) as caught:
        load(str(write(tmp_path, kind)))
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in said), message


def refuse(path, *_, **__):
    raise PermissionError(13, "Permission denied", str(path))


def test_no_permission_is_one_line_that_names_it(tmp_path, monkeypatch):
    """By patching, since the tests may run as root, whom no permission stops."""
    (tmp_path / "closed").mkdir()
    Image.fromarray(COLOUR[0]).save(tmp_path / "a.png")
    np.save(tmp_path / "x.npy", COLOUR)
    with monkeypatch.context() as patch:
        patch.setattr(glowlite.data.arrays.np, "load", refuse)
        with pytest.raises(DataError, match=r"x\.npy: may not be read; check its permissions$"):
            load(str(tmp_path / "x.npy"))
    scandir = os.scandir
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda path: refuse(path) if "closed" in str(path) else scandir(path))
        with pytest.raises(DataError, match=r"closed: cannot be read: Permission denied; check its permissions$"):
            load(str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "is_dir", refuse)
        with pytest.raises(DataError, match=r"x\.npy: cannot be looked up: Permission denied; check the path"):
            load(str(tmp_path / "x.npy"))


def test_an_empty_name_is_not_the_current_folder(tmp_path, monkeypatch):
    for i in range(3):
        Image.fromarray(COLOUR[i]).save(tmp_path / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="data '': no such name"):
        load("")
    assert len(load(".").train) == 2


def test_a_near_miss_of_a_name_is_suggested():
    with pytest.raises(DataError, match="did you mean fashion"):
        load("fashon")


def test_pillow_is_imported_only_for_a_folder():
    code = "import sys, glowlite.data; glowlite.data.load('faces'); sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
