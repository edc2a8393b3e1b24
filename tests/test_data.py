"""Every reader on files as people have them, and on files as nobody wants them."""

import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import small_runs
from PIL import Image

import glowlite.data.preparation
import glowlite.data.readers.arrays
from glowlite.data import Preparation, load
from glowlite.data.dataset import Reading, held_out_indices, make_dataset
from glowlite.data.images import ArrayImages, ArrayPictures
from glowlite.data.preparation import Prepared
from glowlite.data.readers.folder import FilePictures
from glowlite.errors import DataError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)


def together(data):
    """All images of a data set, in a fixed order."""
    flat = np.concatenate((data.train[:], data.held_out[:])).reshape(
        len(data.train) + len(data.held_out), -1
    )
    return sorted(map(bytes, flat))


def test_embedded_sets_have_their_sizes_and_a_notice():
    faces, fashion = load("faces"), load("fashion")
    assert faces.train[:].shape == (7200, 16, 16, 3) and faces.held_out[:].shape == (800, 16, 16, 3)
    assert fashion.train[:].shape == (11000, 16, 16, 1) and fashion.held_out[:].shape == (
        1000,
        16,
        16,
        1,
    )
    assert "smiling" in faces.attribute_names and faces.attributes.shape == (
        7200,
        len(faces.attribute_names),
    )
    assert (
        faces.held_out_attributes.shape == (800, len(faces.attribute_names))
        and fashion.attribute_names == ()
    )
    assert faces.image_shape == (16, 16, 3) and faces.name == "faces"
    from importlib import resources

    notice = (resources.files("glowlite.data") / "files" / "NOTICE").read_text()
    assert "CC0 1.0" in notice and "Zalando SE" in notice


@pytest.mark.parametrize(
    "images", [COLOUR, COLOUR[..., :1], COLOUR[..., 0]], ids=["colour", "grey", "no channel axis"]
)
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_arrays_come_back_as_they_were_saved(tmp_path, images, kind):
    path = tmp_path / f"some.{kind}"
    np.savez(path, images=images, labels=np.zeros(30)) if kind == "npz" else np.save(path, images)
    data = load(str(path))
    assert data.name == "some" and data.train[:].dtype == np.uint8 and data.train[:].ndim == 4
    assert together(data) == sorted(map(bytes, images.reshape(30, -1)))


def test_a_folder_is_read_recursively_in_any_format_and_mode(tmp_path):
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for i, image in enumerate(COLOUR[:10]):
        Image.fromarray(image).save(
            tmp_path / "pictures" / ("more" if i % 2 else "") / f"{i}.{'bmp' if i % 3 else 'PNG'}"
        )
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
    images = np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 2, 2, 1)
    data = make_dataset("n", Reading(ArrayImages(images)), "here")
    assert len(together(data)) == len(set(together(data))) == count


def test_the_split_never_changes():
    """Other indices here would put images that a saved run was
    trained on among those it is judged by.
    """
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
    elif kind == "attributes":
        np.savez(
            path / "x.npz", images=COLOUR, attributes=np.ones((29, 2)), attribute_names=["a", "b"]
        )
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
            {
                "truncated": whole[:-200],
                "garbage": b"garbage" * 50,
                "empty": b"",
                "flipped": bytes(damaged),
            }[kind]
        )
    elif kind.startswith("npy"):
        np.save(
            path / "x.npy",
            np.array([{}], dtype=object) if kind == "npy objects" else COLOUR,
            allow_pickle=True,
        )
        damage = {
            "npy truncated": (path / "x.npy").read_bytes()[:300], "npy empty": b"",
            "npy huge": npy_header(HUGE),
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
        elif kind == "floats":
            Image.fromarray(COLOUR[0, ..., 0].astype(np.float32)).save(path / "deep.tif")
        elif kind == "bomb":
            Image.new("1", (20000, 20000)).save(path / "2.png")
        return path
    return path / "x.npz"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", ["not-there.npz", "no such file"]),
        ("missing folder", ["not-there", "no such name, file or folder", "faces"]),
        ("unknown kind", ["film.mp4", "unknown kind", "npz"]),
        ("long name", ["xxx", "too long", "check the path"]),
        ("empty folder", ["no images", ".png"]),
        ("no images array", ["x.npz", "`images`", "pictures, labels"]),
        ("float", ["float64", "uint8"]),
        ("five axes", ["(1, 30, 6, 5, 3)", "(N, H, W, C)"]),
        ("one image", ["at least 2"]),
        ("no image", ["at least 2"]),
        ("attributes", ["x.npz", "expected attributes (30, 2)", "got (29, 2)"]),
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
        ("no image inside", ["2.png", "not an image"]),
        ("floats", ["deep.tif", "float32", "8 or 16 bits"]),
        ("bomb", ["2.png", "more than 178956970 pixels", "make it smaller"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(tmp_path, kind, said):
    path = write(tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError) as caught:
        load(str(path))
    message = str(caught.value)
    assert "\n" not in message and sorted(tmp_path.rglob("*")) == before
    assert all(part in message for part in said), message


def refuse(path, *_, **__):
    raise PermissionError(13, "Permission denied", str(path))


def test_no_permission_is_one_line_that_names_it(tmp_path, monkeypatch):
    """By patching, since the tests may run as root, whom no permission stops."""
    (tmp_path / "closed").mkdir()
    Image.fromarray(COLOUR[0]).save(tmp_path / "a.png")
    np.save(tmp_path / "x.npy", COLOUR)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(
            DataError, match=r"x\.npy: no permission to read it; check its permissions$"
        ):
            load(str(tmp_path / "x.npy"))
    scandir = os.scandir
    with monkeypatch.context() as patch:
        patch.setattr(
            os, "scandir", lambda path: refuse(path) if "closed" in str(path) else scandir(path)
        )
        with pytest.raises(
            DataError, match=r"closed: cannot be read: Permission denied; check its permissions$"
        ):
            load(str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "is_dir", refuse)
        with pytest.raises(
            DataError, match=r"x\.npy: cannot be looked up: Permission denied; check the path"
        ):
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


def test_attributes_go_with_their_images(tmp_path):
    attributes = RNG.integers(0, 2, (30, 3))
    np.savez(
        tmp_path / "x.npz", images=COLOUR, attributes=attributes, attribute_names=["a", "b", "c"]
    )
    data = load(str(tmp_path / "x.npz"))
    assert data.attribute_names == ("a", "b", "c")
    for images, rows in ((data.train, data.attributes), (data.held_out, data.held_out_attributes)):
        where = [
            next(i for i, other in enumerate(COLOUR) if np.array_equal(image, other))
            for image in images[:]
        ]
        assert len(rows) == len(images) and np.array_equal(rows, attributes[where] > 0)


def test_a_folder_of_two_parts_is_split_by_them(tmp_path):
    for part, images in (("train_64x64", COLOUR[:5]), ("valid_64x64", COLOUR[5:8, ..., 0])):
        (tmp_path / part).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / part / f"{i}.png")
    data = load(str(tmp_path))
    assert np.array_equal(data.train[:], COLOUR[:5])
    assert np.array_equal(data.held_out[:], np.repeat(COLOUR[5:8, ..., :1], 3, axis=3))
    (tmp_path / "more").mkdir()
    assert len(load(str(tmp_path)).train) == 5  # a third folder changes nothing


# ------------------------------------------------------------------------------- larger than memory


def test_an_npy_is_read_by_rows(tmp_path):
    with open(tmp_path / "x.npy", "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (21_845, 1024, 1024, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.seek(start + 5 * 1024 * 1024 * 3)
        file.write(b"\x07")
        file.truncate(start + 21_845 * 1024 * 1024 * 3)  # 64 GiB, of which the disk holds a block
    data = load(str(tmp_path / "x.npy"))
    assert len(data.train) + len(data.held_out) == 21_845 and data.image_shape == (1024, 1024, 3)
    images = data.train.read(np.array([20_000, 3, 3]))
    assert images.shape == (3, 1024, 1024, 3) and images.sum() == 0
    assert data.train[:8].sum() == 7  # image 5 is among them, whichever is held out


def test_an_npy_of_more_images_than_memory_has_numbers_for_is_refused(tmp_path):
    with open(tmp_path / "x.npy", "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 42, 1, 1, 1)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + (1 << 42))
    with pytest.raises(DataError, match=r"x\.npy: says that it has 4398046511104 images"):
        load(str(tmp_path / "x.npy"))


def test_an_npz_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((1000, 32, 32, 3), np.uint8))
    assert (tmp_path / "x.npz").stat().st_size < 10_000
    assert len(load(str(tmp_path / "x.npz")).train) == 900
    # it unpacks to 3.07 MB
    monkeypatch.setattr(glowlite.data.readers.arrays, "available_bytes", lambda: 6e6)
    with pytest.raises(
        DataError,
        match=r"x\.npz: unpacks to .* GiB, but this machine has .*; save the images as \.npy",
    ):
        load(str(tmp_path / "x.npz"))


# -------------------------------------------------------------------------------------- preparation


def prepared(images, room=None, **options):
    return Prepared(ArrayPictures(ArrayImages(images), "here"), Preparation(**options), room)


def test_crops_are_from_the_middle_or_from_anywhere():
    middle = prepared(COLOUR, crop=2)
    assert middle.shape == (2, 2, 3) and np.array_equal(middle[:], COLOUR[:, 2:4, 2:4])
    anywhere = prepared(COLOUR, crop=2, random_crop=True)
    assert np.array_equal(anywhere[:], middle[:])  # unless told where
    rows = np.arange(3)
    assert np.array_equal(anywhere.read(rows, np.zeros((3, 2))), COLOUR[:3, :2, :2])
    for last in (1 - 1e-9, 1.0):
        assert np.array_equal(anywhere.read(rows, np.full((3, 2), last)), COLOUR[:3, -2:, -2:])
    corner = anywhere.read(rows, np.array([[0, 1 - 1e-9]] * 3))
    assert np.array_equal(corner, COLOUR[:3, :2, -2:])
    # places are for random crops alone
    assert np.array_equal(middle.read(rows, np.zeros((3, 2))), middle[:3])
    places = np.random.default_rng(0).random((3000, 2))
    tops = prepared(
        np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None], (2, 6, 5, 1)),
        crop=2,
        random_crop=True,
    )
    counts = np.bincount(tops.read(np.zeros(3000, int), places)[:, 0, 0, 0])
    assert len(counts) == 5 and abs(counts - 600).max() < 5 * np.sqrt(600)  # each place as likely


def test_resizing_sets_the_shorter_side_and_is_pillows(tmp_path):
    big = RNG.integers(0, 256, (3, 40, 30, 3), dtype=np.uint8)
    images = prepared(big, resize=12)
    assert images.shape == (16, 12, 3)
    expected = np.asarray(Image.fromarray(big[0]).resize((12, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(images[:1][0], expected)
    grey = prepared(big[..., 0], resize=12)
    assert np.array_equal(
        grey[:1][0, ..., 0], np.asarray(Image.fromarray(big[0, ..., 0]).resize((12, 16), 3))
    )
    assert (
        prepared(np.full((2, 4, 4, 3), 77, np.uint8), resize=9)[:].tolist()
        == np.full((2, 9, 9, 3), 77).tolist()
    )
    four = prepared(np.repeat(big[..., :1], 4, axis=3), resize=12)
    assert np.array_equal(four[:1][0], np.repeat(grey[:1][0], 4, axis=2))


def test_grey_is_pillows_luma():
    grey = prepared(COLOUR, grey=True)
    pillow = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in COLOUR])
    assert grey.shape == (6, 5, 1) and np.abs(grey[:][..., 0].astype(int) - pillow).max() <= 1
    assert np.array_equal(prepared(COLOUR[..., 0], grey=True)[:], COLOUR[..., :1])
    with pytest.raises(DataError, match="--grey needs images of 3 channels, got 2"):
        prepared(COLOUR[..., :2], grey=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"crop": 6}, "image 0 of here is 5x6, too small for --crop 6; add --resize"),
        ({"crop": 9, "resize": 8}, "is 8x10, too small for --crop 9"),
        ({"random_crop": True}, "random crops need a size: add --crop SIDE"),
        ({"resize": 1 << 14}, "more than 67108864 pixels; use a smaller --resize"),
    ],
)
def test_what_cannot_be_prepared_is_one_line(options, said):
    with pytest.raises(DataError, match=said):
        prepared(COLOUR, **options)


def test_a_long_thin_picture_is_not_blown_up(tmp_path):
    for i in range(3):
        Image.new("RGB", (1, 60_000) if i else (64, 64)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match=r"1\.png would be 64x3840000, more than"):
        load(str(tmp_path), Preparation(resize=64, crop=64))


def folder_of(path, images, damaged=()):
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i:02}.png")
    for i in damaged:
        (path / f"{i:02}.png").write_bytes((path / f"{i:02}.png").read_bytes()[:60])
    return str(path)


def test_mixed_sizes_become_one_by_resizing_and_cropping(tmp_path):
    sizes = [(20, 30), (30, 20), (25, 25), (64, 48), (17, 90)]
    path = folder_of(tmp_path, [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes])
    assert load(path, Preparation(crop=16)).train[:].shape == (4, 16, 16, 3)
    assert load(path, Preparation(resize=16, crop=16, grey=True)).train[:].shape == (4, 16, 16, 1)
    for options in ({}, {"resize": 16}, {"skip_corrupt": True}):  # another size is not corrupt
        with pytest.raises(DataError, match="resize or crop them all"):
            load(path, Preparation(**options))
    with pytest.raises(DataError, match=r"04\.png is 90x17, too small for --crop 20; add --resize"):
        load(path, Preparation(crop=20, skip_corrupt=True))


def test_corrupt_images_are_left_out_and_counted(tmp_path):
    path = folder_of(tmp_path, COLOUR, damaged=(0, 7, 8))
    with pytest.raises(DataError, match=r"00\.png: cannot be read: .*--skip-corrupt$"):
        load(path)
    data = load(path, Preparation(skip_corrupt=True))
    sound = np.delete(COLOUR, (0, 7, 8), axis=0)
    assert (
        len(data.train) == 25
        and len(data.held_out) == 2
        and together(data) == sorted(map(bytes, sound.reshape(27, -1)))
    )
    assert [line.split(":")[0][-6:] for line in data.skipped] == ["00.png", "07.png", "08.png"]


def test_too_many_to_preload_have_a_sound_image_stand_in(tmp_path, monkeypatch):
    monkeypatch.setattr(glowlite.data.dataset, "ROOM", 0)
    data = load(folder_of(tmp_path, COLOUR, damaged=(0, 7, 8)), Preparation(skip_corrupt=True))
    # looked at so far: the first
    assert len(data.train) == 27 and len(data.held_out) == 3 and len(data.skipped) == 1
    expected = COLOUR.copy()
    expected[[0, 7, 8]] = COLOUR[[1, 9, 9]]
    assert together(data) == sorted(map(bytes, expected.reshape(30, -1)))
    assert len(data.skipped) == 3


def test_nothing_but_corrupt_images_is_one_line(tmp_path):
    with pytest.raises(
        DataError, match=r"none of the 3 pictures can be read; the first: .*00\.png"
    ):
        load(folder_of(tmp_path, COLOUR[:3], damaged=range(3)), Preparation(skip_corrupt=True))


@pytest.mark.parametrize(("room", "decoded"), [(0, 60), (6 * 5 * 3 * 10, 50), (1e9, 30)])
def test_decoded_images_are_kept_while_there_is_room(tmp_path, room, decoded):
    folder_of(tmp_path, COLOUR)
    pictures = FilePictures(sorted(tmp_path.iterdir()))
    images = Prepared(pictures, Preparation(), room)
    count, read = [0], pictures.picture

    def counted(row):
        count[0] += 1
        return read(row)

    pictures.picture = counted
    first = 0 if room == 0 else 1  # the first picture was decoded already, to see its size
    assert np.array_equal(images[:], COLOUR) and np.array_equal(images[:], COLOUR)
    assert count[0] == decoded - first
    assert sum(image.nbytes for image in images._kept.values()) <= room


def test_what_was_handed_out_may_be_changed():
    images = prepared(COLOUR, crop=5)
    images[:][...] = 0
    assert np.array_equal(images[:2], COLOUR[:2, 1:])
    whole = load("fashion")
    whole.train[:2][...] = 0
    assert whole.train[:2].any()


def test_pictures_are_turned_as_exif_says(tmp_path):
    for i in range(3):
        exif = Image.Exif()
        exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
        Image.fromarray(COLOUR[i]).save(tmp_path / f"{i}.png", exif=exif)
    data = load(str(tmp_path))
    assert data.image_shape == (5, 6, 3)
    assert together(data) == sorted(bytes(np.rot90(image, -1).tobytes()) for image in COLOUR[:3])


# ------------------------------------------------------------------------------------- command line


def command(cwd, *arguments):
    return small_runs.command(cwd, *arguments, program="data")


def test_the_command_says_what_there_is_and_shows_it(tmp_path):
    (tmp_path / "p").mkdir()
    images = np.full((80, 24, 16, 3), 8, np.uint8)
    images[:, :12] = 200
    folder_of(tmp_path / "p", images, damaged=(1, 2, 3, 4))
    words = ("p", "--skip-corrupt", "--resize", "8", "--sheet", "s.png", "--n-bits", "2")
    done = small_runs.process(tmp_path, *words, program="data")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "p: read as folder",
        "images: 69 for training, 7 held out",
        "shape: (12, 8, 3), height, width and channels; L can be up to 2",
    ]
    assert "over 69 training images" in lines[3] and lines[4].startswith("values: only ")
    assert (
        f"memory: {76 * 12 * 8 * 3 / 2**20:.1f} MiB if all are decoded" in lines
        and "attributes: none" in lines
    )
    at = lines.index("damaged images: 4")
    assert [line.split(":")[0] for line in lines[at + 1 : at + 5]] == [
        f"  p/0{i}.png" for i in (1, 2, 3, 4)
    ]
    assert lines[at + 5 :] == ["64 training images are shown in s.png"] and done.stderr == ""
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert sheet.shape == (8 * 13 + 1, 8 * 9 + 1, 3)
    assert (
        sheet[0, 0].tolist() == [255] * 3
        and sheet[2, 2].tolist() == [224] * 3
        and sheet[11, 2].tolist() == [32] * 3
    )
    again = command(tmp_path, "p", "--skip-corrupt", "--sheet", "s.png")  # a PNG may be replaced
    assert again.returncode == 0 and Image.open(tmp_path / "s.png").size == (8 * 17 + 1, 8 * 25 + 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "s.png"]


def test_the_command_counts_attributes_and_the_values_of_many_images(tmp_path):
    rows = np.arange(12_000)
    images = (rows % 200).astype(np.uint8)[:, None, None] * np.ones((1, 3, 4), np.uint8)
    np.savez(
        tmp_path / "x.npz", images=images, attributes=rows[:, None] % 2, attribute_names=["odd"]
    )
    done = command(tmp_path, "x.npz")
    assert done.returncode == 0, done.stderr
    data = load(str(tmp_path / "x.npz"))
    assert "images: 11000 for training, 1000 held out" in done.stdout and "no L fits" in done.stdout
    odd = data.attributes.sum(), data.held_out_attributes.sum()
    assert (
        sum(odd) == 6000
        and f"attribute odd: {odd[0]} for training, {odd[1]} held out" in done.stdout
    )
    assert f"mean {data.train[::2].mean():.2f}, over 5500 training images" in done.stdout
    assert (tmp_path / "contact-sheet.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone"], "data 'gone': no such name, file or folder"),
        (["cifar10:gone"], "gone: no such file or folder; expected CIFAR-10"),
        (
            ["bomb"],
            "none of the 1 pictures can be read; the first: bomb/1.png: more than 178956970 pixels",
        ),
        (["p", "--skip-corrupt", "--crop", "99"], "too small for --crop 99; add --resize"),
        (["p", "--random-crop"], "random crops need a size"),
        (["p", "--crop", "0"], "must be at least 1"),
        (["p", "--sheet", "notes.png"], "notes.png: exists and is not a PNG, so it is left alone"),
        (["p", "--sheet", "p.png"], "--sheet p.png is a folder"),
        (["p", "--sheet", "sheet.jpg"], "must end in .png"),
        (["p", "--sheet", "no/sheet.png"], "no folder no"),
        (["p", "--n-bits", "9"], "must be at least 1 and at most 8"),
        ([], "required: spec"),
    ],
)
def test_the_command_answers_a_mistake_in_one_line_and_writes_nothing(tmp_path, arguments, said):
    (tmp_path / "p").mkdir()
    (tmp_path / "p.png").mkdir()
    folder_of(tmp_path / "p", COLOUR[:5])
    (tmp_path / "notes.png").write_text("do not lose me")
    if arguments == ["bomb"]:  # of which Pillow would warn, in more lines
        (tmp_path / "bomb").mkdir()
        Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb" / "1.png")
    before = sorted(tmp_path.rglob("*"))
    done = command(tmp_path, *arguments)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and said in last and done.stdout == "", done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("usage:")]) == 1
    assert (
        sorted(tmp_path.rglob("*")) == before
        and (tmp_path / "notes.png").read_text() == "do not lose me"
    )
