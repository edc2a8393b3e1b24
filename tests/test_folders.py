"""Folders as people have them: splits, links, what programs leave beside pictures,
and pictures of every kind.
"""

import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image
from small_runs import ROOT, command, environment

from glowlite.commands.data import main as data_command
from glowlite.commands.evaluate import main as evaluate
from glowlite.commands.option_sources import parse_arguments
from glowlite.commands.presets import PRESETS
from glowlite.commands.train import main as train
from glowlite.data import load
from glowlite.data.own_images import load_fitted, own_image
from glowlite.data.readers.pictures import extensions, formats, read_picture
from glowlite.errors import DataError, GlowliteError


def put(folder, numbers, suffix="png"):
    """A picture for each number, of which it is the red."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        colours = np.full((4, 4, 3), number, np.uint8)
        colours[..., 1:] = 9
        Image.fromarray(colours).save(folder / f"{number:03}.{suffix}")
    return folder


def red(images):
    return sorted(images[:][:, 0, 0, 0].tolist())


def both(data):
    return red(data.train) + red(data.held_out)


# ------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize(
    ("names", "held_out", "left_alone"),
    [
        ("train val test", "val", "test"),
        ("Train VALID Test", "VALID", "Test"),
        ("train test", "test", ""),
        ("train Dev", "Dev", ""),
        ("train eval", "eval", ""),
        ("train dev test", "dev", "test"),
        ("training validation testing", "validation", "testing"),
        ("train2017 val2017 test2017 labels", "val2017", "test2017, labels"),
        ("train val masks", "val", "masks"),
    ],
)
@pytest.mark.parametrize("deep", [False, True], ids=["here", "in a folder alone"])
def test_only_what_is_named_train_trains(tmp_path, names, held_out, left_alone, deep):
    root = tmp_path / "data" / "data" if deep else tmp_path / "data"
    for i, name in enumerate(names.split()):
        put(root / name / "kind", range(20 * i, 20 * i + 5))
    put(root, [200])
    (root / "notes").mkdir()
    data = load(str(tmp_path / "data"))
    at = names.split().index(held_out)
    assert red(data.train) == list(range(5)) and red(data.held_out) == list(
        range(20 * at, 20 * at + 5)
    )
    (note,) = data.notes
    assert (
        f"{names.split()[0]} is for training, {held_out} is held out" in note
        and "1 picture beside them" in note
    )
    assert all(f"{name} (5 pictures)" in note for name in left_alone.split(", ") if name)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("train trainB val", "has train, trainB, but only one of them"),
        ("train val dev", "has dev, val, but only one of them"),
        ("train test testB", "has test, testB, but only one of them"),
        ("cat dog train", "has train beside cat, dog, but no folder val"),
        ("cats/train cats/test dogs/train dogs/test", "train and test would be mixed"),
        ("train/a/train train/a/val val", "train and val would be mixed"),
    ],
)
def test_names_that_could_mean_several_splits_are_one_line(tmp_path, names, said):
    for name in names.split():
        put(tmp_path / name, range(3))
    with pytest.raises(DataError, match=said) as caught:
        load(str(tmp_path))
    assert "\n" not in str(caught.value) and "name " in str(caught.value)


def test_without_a_split_of_its_own_a_tenth_is_held_out(tmp_path):
    put(tmp_path / "alone" / "train", range(5))
    (tmp_path / "alone" / "labels").mkdir()
    alone = load(str(tmp_path / "alone"))
    assert (
        len(both(alone)) == 5
        and len(alone.held_out) == 1
        and "a tenth of it is held out" in alone.notes[0]
    )
    put(tmp_path / "kinds" / "cats", range(5))
    put(tmp_path / "kinds" / "valleys", range(5, 10))
    kinds = load(str(tmp_path / "kinds"))
    assert sorted(both(kinds)) == list(range(10)) and "no folder train*: valleys" in kinds.notes[0]
    assert load(str(put(tmp_path / "plain", range(5)))).notes == []


# -------------------------------------------------------------------------------------------- links


def test_links_to_folders_are_followed_and_each_folder_counts_once(tmp_path):
    put(tmp_path / "real" / "a", range(5))
    put(tmp_path / "p" / "b", range(5, 9))
    (tmp_path / "p" / "a").symlink_to("../real/a")
    (tmp_path / "p" / "a again").symlink_to("../real/a")
    (tmp_path / "real" / "a" / "up").symlink_to("../../p")  # a loop
    (tmp_path / "p" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "p" / "self.png").symlink_to("self.png")
    (tmp_path / "p" / "file.png").symlink_to(put(tmp_path / "more", [99]) / "099.png")
    data = load(str(tmp_path / "p"))
    assert sorted(both(data)) == [*range(9), 99]
    assert data.notes == ["skipped: folders already read (2), links to nothing (2)"]
    (tmp_path / "links").mkdir()
    # nothing else, but for what its loop leads to
    (tmp_path / "links" / "a").symlink_to("../real/a")
    (tmp_path / "whole").symlink_to("p")
    assert (
        len(both(load(str(tmp_path / "links")))) == 10
        and len(both(load(str(tmp_path / "whole")))) == 10
    )


def test_a_folder_comes_before_the_links_to_it(tmp_path):
    """Else `all`, a link to train, would have its pictures,
    and there would be nothing to train on.
    """
    put(tmp_path / "p" / "train", range(5))
    put(tmp_path / "p" / "val", range(10, 13))
    (tmp_path / "p" / "all").symlink_to("train")
    data = load(str(tmp_path / "p"))
    assert red(data.train) == list(range(5)) and red(data.held_out) == [10, 11, 12]


def test_links_in_a_split_leak_nothing(tmp_path):
    put(tmp_path / "p" / "train", range(5))
    put(tmp_path / "p" / "val", range(10, 13))
    put(tmp_path / "p" / "test", range(20, 23))
    for name, target in {"up": "..", "val": "../val", "test": "../test"}.items():
        (tmp_path / "p" / "train" / name).symlink_to(target)
    data = load(str(tmp_path / "p"))
    assert red(data.train) == list(range(5)) and red(data.held_out) == [10, 11, 12]


# ------------------------------------------------------------------------------- what is not a
# picture


def test_what_programs_leave_beside_pictures_is_passed_over_and_counted(tmp_path):
    put(tmp_path, range(20))
    left = [
        ".ipynb_checkpoints",
        "__MACOSX",
        "@eaDir",
        ".thumbnails",
        ".Trash-1000",
        "#recycle",
        "deep/.cache/more",
    ]
    for i, name in enumerate(left):
        put(tmp_path / name, [100 + i, 150 + i])
    (tmp_path / "._003.png").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    (tmp_path / ".hidden.png").write_bytes((tmp_path / "003.png").read_bytes())
    (tmp_path / "Thumbs.db").write_text("x")
    data = load(str(tmp_path))
    assert sorted(both(data)) == list(range(20))
    assert data.notes == [f"skipped: hidden or system files ({2 * len(left) + 3})"]
    # who names it means it
    assert sorted(both(load(str(tmp_path / ".ipynb_checkpoints")))) == [100, 150]


def test_suffixes_that_pillow_reads_are_read_and_the_others_counted(tmp_path):
    common = {
        ".png",
        ".jpg",
        ".jfif",
        ".jpe",
        ".tga",
        ".pnm",
        ".pbm",
        ".apng",
        ".webp",
        ".tiff",
        ".bmp",
        ".gif",
    }
    assert common <= extensions()
    # no pictures, or of other programs
    assert not {".h5", ".hdf", ".eps", ".ps", ".pdf", ".mpg", ".wmf"} & extensions()
    put(tmp_path, range(4))
    shutil.copy(tmp_path / "000.png", tmp_path / "x.jp2")
    for i, suffix in enumerate(("jfif", "JPE", "tga", "ppm", "apng")):
        Image.new("RGB", (4, 4), (100 + i, 0, 0)).save(tmp_path / f"{i}.{suffix}")
    for name in ("a.heic", "b.HEIC", "c.txt", "Makefile", "x.a-very-long-suffix"):
        (tmp_path / name).write_text("hello")
    os.mkfifo(tmp_path / "pipe.png")
    data = load(str(tmp_path))
    assert len(both(data)) == 10
    assert data.notes == [
        "skipped: .heic (2), files without suffix (2), .txt (1), pipes and devices (1)"
    ]


def test_a_folder_without_pictures_says_what_is_there(tmp_path):
    for name in ("a.heic", "b.heic", "c", ".d.png"):
        (tmp_path / name).write_text("x")
    counts = r"\.heic \(2\), files without suffix \(1\), hidden or system files \(1\)"
    with pytest.raises(DataError, match=rf"no images in this folder.*; skipped: {counts}$"):
        load(str(tmp_path))


@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
def test_what_is_no_regular_file_is_never_waited_for(tmp_path, kind):
    path = tmp_path / "x.png"
    os.mkfifo(path) if kind == "a named pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match=rf"x\.png: is {kind}; name a regular file"):
        own_image(path, (4, 4, 3))


def test_a_picture_of_another_program_is_not_handed_to_it(tmp_path, monkeypatch):
    """By its content, Pillow would have Ghostscript run a file of PostScript, whatever its name."""
    (tmp_path / "x.png").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    assert "EPS" not in formats()
    with pytest.raises(DataError, match="it is not an image"):
        own_image(tmp_path / "x.png", (4, 4, 3))


# ----------------------------------------------------------------------------- pictures as they are


def see_through(path, kind):
    """Magenta, which nobody sees, around a dark middle."""
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[..., :3] = 255, 0, 255
    rgba[2:6, 2:6] = 10, 10, 10, 255
    grey = np.full((8, 8), 70, np.uint8)
    grey[2:6, 2:6] = 10
    alpha = Image.fromarray(rgba[..., 3])
    picture, saved = Image.fromarray(rgba), {}
    if kind == "LA.png":
        picture = Image.fromarray(grey)
        picture.putalpha(alpha)
    elif kind in ("P.png", "PA.png", "P.gif"):
        picture = Image.fromarray((grey == 10).astype(np.uint8), "P")
        picture.putpalette([255, 0, 255, 10, 10, 10])
        saved = {"transparency": 0} if kind != "PA.png" else {"transparency": b"\x00\xff"}
    elif kind == "L.png":
        picture, saved = Image.fromarray(grey), {"transparency": 70}
    elif kind == "L of 4 bits.png":
        picture, saved = (
            Image.fromarray((grey // 8 * 17).astype(np.uint8)),
            {"bits": 4, "transparency": 8},
        )
    elif kind == "RGB.png":
        picture, saved = (
            Image.fromarray(np.ascontiguousarray(rgba[..., :3])),
            {"transparency": (255, 0, 255)},
        )
    elif kind == "16 bits.png":
        picture, saved = Image.fromarray(grey.astype(np.uint16) * 257), {"transparency": 70 * 257}
    elif kind.endswith("webp"):
        saved = {"lossless": True, "exact": True}
    elif kind == "masks.bmp":
        return masked_bmp(path, rgba)
    picture.save(path, **saved)
    return path


def masked_bmp(path, rgba):
    """A BMP with a mask for each channel, alpha among them,
    as Windows has had them since version 4 of the header.
    """
    height, width = rgba.shape[:2]
    header = (
        b"BM"
        + (122 + 4 * height * width).to_bytes(4, "little")
        + bytes(4)
        + (122).to_bytes(4, "little")
    )
    numbers = [108, width, height]
    fields = (
        b"".join(n.to_bytes(4, "little") for n in numbers)
        + (1).to_bytes(2, "little")
        + (32).to_bytes(2, "little")
    )
    fields += b"".join(n.to_bytes(4, "little") for n in (3, 4 * height * width, 2835, 2835, 0, 0))
    fields += b"".join(n.to_bytes(4, "little") for n in (0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    path.write_bytes(
        header + fields + bytes(122 - 14 - len(fields)) + rgba[::-1][..., [2, 1, 0, 3]].tobytes()
    )
    return path


TRANSPARENT = [
    "RGBA.png", "LA.png", "P.png", "PA.png", "L.png", "L of 4 bits.png", "RGB.png", "16 bits.png",
    "P.gif", "RGBA.webp",
    "RGBA.tiff", "RGBA.bmp", "masks.bmp", "RGBA.tga",
]  # fmt: skip


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_what_is_transparent_is_white_in_training_as_in_use(tmp_path, kind):
    for i in range(3):
        see_through(tmp_path / f"{i} {kind}", kind)
    data = load(str(tmp_path))
    used, notes = own_image(tmp_path / f"0 {kind}", data.image_shape)
    assert (
        np.array_equal(used, data.train[:][0]) and "transparent pixels composited on white" in notes
    )
    assert used.shape[2] == (1 if kind[:2] in ("L.", "LA", "L ", "16") else 3)
    assert (
        (used[:2] == 255).all()
        and (used[:, 6:] == 255).all()
        and abs(used[2:6, 2:6].astype(int) - 10).max() <= 7
    )
    assert "transparent pixels composited on white: 3 pictures" in data.notes
    fitted, _, done = load_fitted(str(tmp_path), data.image_shape)
    assert np.array_equal(fitted[:][0], used) and "transparent pixels composited on white" in done


def test_a_bmp_whose_fourth_bytes_are_empty_is_opaque(tmp_path):
    rgba = np.full((4, 4, 4), 50, np.uint8)
    rgba[..., 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.bmp")
    assert (read_picture(tmp_path / "a.bmp")[0] == 50).all()


@pytest.mark.parametrize(
    ("model", "kind"),
    [(4, "RGBA.png"), (2, "LA.png"), (4, "LA.png"), (2, "RGBA.png"), (4, "P.gif")],
)
def test_a_model_with_transparency_is_given_it(tmp_path, model, kind):
    path = see_through(tmp_path / kind, kind)
    image, notes = own_image(path, (8, 8, model))
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:6, 2:6] = 255
    assert (
        image.shape == (8, 8, model)
        and np.array_equal(image[..., -1], alpha)
        and not any("white" in n for n in notes)
    )
    assert (image[2:6, 2:6, :-1] == 10).all()
    fitted, _, _ = load_fitted(str(tmp_path), (8, 8, model))
    assert np.array_equal(fitted[:][0], image)


@pytest.mark.parametrize(
    ("kind", "model", "has"),
    [("RGB", 4, 3), ("RGBA", 5, 4), ("LA", 5, 2), ("L", 4, 1), ("RGB", 2, 3)],
)
def test_the_number_of_channels_that_a_file_has_is_said(tmp_path, kind, model, has):
    Image.new(kind, (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=rf"a\.png: has {has} channels, but the model has {model}"):
        own_image(tmp_path / "a.png", (8, 8, model))


def test_four_channels_of_ink_are_said_to_be_that(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(
        DataError,
        match=r"a\.jpg \(CMYK converted to colours\): has 3 channels, but the model has 4",
    ):
        own_image(tmp_path / "a.jpg", (8, 8, 4))
    assert own_image(tmp_path / "a.jpg", (8, 8, 3))[1] == ["CMYK converted to colours"]


def test_greys_of_16_bits_are_rounded_in_training_as_in_use(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (5, 8, 8), dtype=np.uint16)
    for i, image in enumerate(values):
        Image.fromarray(image).save(tmp_path / f"{i}.{'tif' if i % 2 else 'png'}")
    data = load(str(tmp_path))
    assert data.image_shape == (8, 8, 1) and data.notes == [
        "16 bits per value, rounded to 8: 5 pictures"
    ]
    images = np.concatenate((data.train[:], data.held_out[:]))[..., 0]
    assert sorted(map(bytes, images)) == sorted(map(bytes, np.rint(values / 257).astype(np.uint8)))


def exif(tag, kind, count, value):
    """EXIF of one entry: 8 bytes of header, the number of entries, and of it the tag,
    its kind, count and value.
    """
    entry = tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + count.to_bytes(4, "big") + value
    return b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + entry + bytes(4)


BROKEN_EXIF = {
    "garbage": b"garbage",
    "no tags": b"Exif\x00\x00",
    "cut": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05\x01\x12",
    "far offset": b"Exif\x00\x00II*\x00\xff\xff\xff\x7f",
    "orientation of 99": exif(0x0112, 3, 1, b"\x00c\x00\x00"),
    "orientation is a text": exif(0x0112, 2, 4, b"six\x00"),
    "a loop": exif(0x8769, 4, 1, b"\x00\x00\x00\x08"),
}


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg", "tif"])
@pytest.mark.parametrize("kind", BROKEN_EXIF)
def test_damaged_exif_leaves_the_pixels(tmp_path, suffix, kind):
    pixels = np.full((8, 16, 3), 200, np.uint8)
    options = (
        {"lossless": True} if suffix == "webp" else {"quality": 100} if suffix == "jpg" else {}
    )
    if suffix == "tif":
        plain = tmp_path / "x.tif"
        Image.fromarray(pixels).save(plain, tiffinfo={0x0112: 99, 0x8769: 123_456_789, 0x0110: "x"})
    else:
        Image.fromarray(pixels).save(tmp_path / f"x.{suffix}", exif=BROKEN_EXIF[kind], **options)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("error")
        image, notes = read_picture(tmp_path / f"x.{suffix}")
    assert np.array_equal(image, pixels) and not said
    assert notes in ([], ["EXIF cannot be read, so not rotated"])


def test_pillows_warnings_are_nobodys_and_refuse_no_picture(tmp_path):
    """Of transparency as bytes in a palette, of damaged EXIF, and of many pixels;
    with -W error they were damage.
    """
    see_through(tmp_path / "a.png", "PA.png")
    Image.new("RGB", (8, 8), "white").save(tmp_path / "b.jpg", exif=BROKEN_EXIF["cut"])
    Image.new("RGB", (8, 8), "white").save(tmp_path / "c.png")
    code = """
import sys, warnings
from PIL import Image
Image.MAX_IMAGE_PIXELS = 40
from glowlite.data import load
from glowlite.data.__main__ import main as data_command
data = load(sys.argv[1])
print(len(data.train) + len(data.held_out))
"""
    words = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    done = subprocess.run(
        words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "3\n" and done.stderr == "", done.stderr


def test_pictures_are_read_up_to_what_pillow_itself_refuses(tmp_path, monkeypatch):
    Image.new("L", (30, 20), 7).save(tmp_path / "a.png")
    # of which Pillow warns, and refuses twice as many
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert read_picture(tmp_path / "a.png")[0].shape == (20, 30, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 299)
    with pytest.raises(
        DataError, match=r"a\.png: more than 598 pixels, which Pillow refuses; make it smaller"
    ):
        read_picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr("glowlite.data.readers.pictures.available_bytes", lambda: 600 * 16)
    with pytest.raises(
        DataError, match=r"a\.png: needs 0\.0 GiB while it is decoded, but this machine has"
    ):
        read_picture(tmp_path / "a.png")


# -------------------------------------------------------------------------------------------- names


def test_a_name_that_is_also_a_folder_is_asked_about(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("data: faces\n")
    assert parse_arguments(["--data", "faces"]).data == "faces"
    put(tmp_path / "faces", range(5))
    for arguments in (["--data", "faces"], ["--config", "c.yaml"]):
        with pytest.raises(DataError, match=r"^faces: .* give embedded:faces or \./faces$"):
            parse_arguments(arguments)
    for program, arguments in (
        (evaluate, ["--data", "faces"]),
        (evaluate, ["--ood", "faces"]),
        (data_command, ["faces"]),
    ):
        monkeypatch.setattr(sys, "argv", ["glowlite", *arguments])
        with pytest.raises(DataError, match=r"give embedded:faces or \./faces$"):
            program()
    # which nobody typed
    assert parse_arguments([]).data == parse_arguments(["--preset", "faces"]).data == "faces"
    assert load("faces").notes == [
        "using the embedded images; for the faces in this folder, give ./faces"
    ]
    assert len(load("embedded:faces").train) == 7200 and load("embedded:faces").notes == []
    assert (
        load("embedded:faces").name == "faces"
        and len(load_fitted("embedded:faces", (16, 16, 3))[0]) == 8000
    )
    assert len(both(load("./faces"))) == 5
    with pytest.raises(
        DataError, match="embedded:fishes: no such embedded data set; expected faces or fashion"
    ):
        load("embedded:fishes")


@pytest.mark.parametrize("name", [name for name in PRESETS if PRESETS[name].get("data") == ""])
def test_a_preset_of_images_that_are_not_embedded_asks_for_them(
    tmp_path, monkeypatch, capsys, name
):
    monkeypatch.chdir(tmp_path)
    assert (
        parse_arguments(["--preset", name]).data == ""
        and parse_arguments(["--preset", f"fashion,{name}"]).data == ""
    )
    assert parse_arguments(["--preset", name, "--data", "faces"]).data == "faces"
    assert parse_arguments(["--preset", f"{name},fashion"]).data == "fashion"
    monkeypatch.setattr(sys, "argv", ["train", "--preset", name])
    with pytest.raises(
        GlowliteError, match=f"give --data: the images of --preset {name} are not part of glowlite"
    ):
        train()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["loop", "loop.npy", "loop_lmdb", "loop.tar.gz", "folder:loop", "npy:loop.npy", "in/loop.npy"],
)
def test_a_link_to_itself_is_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = name.partition(":")[2] or name
    if name == "in/loop.npy":
        (tmp_path / "in").symlink_to("in")
    else:
        (tmp_path / path).symlink_to(path)
    with pytest.raises(
        DataError, match=r"a link to nothing, or to itself|Too many levels of symbolic links"
    ):
        load(name)


# ------------------------------------------------------------------------------------- the commands


def test_the_command_lists_every_damaged_picture_and_fails(tmp_path):
    put(tmp_path / "p", range(40))
    damaged = [f"{i:03}.png" for i in range(2, 38)]
    for name in damaged:
        (tmp_path / "p" / name).write_bytes((tmp_path / "p" / name).read_bytes()[:45])
    put(tmp_path / "p" / ".thumbnails", [1])
    done = command(tmp_path, "p", "--sheet", "s.png", "--save", "p.npy", program="data")
    lines = done.stdout.splitlines()
    at = lines.index("damaged images: 36")
    assert [line.strip().split(":")[0] for line in lines[at + 1 : at + 21]] == [
        f"p/{name}" for name in damaged[:20]
    ]
    assert lines[at + 21] == "  and 16 more" and "skipped: hidden or system files (1)" in lines
    (said,) = done.stderr.splitlines()
    assert done.returncode == 2 and "36 images cannot be read" in said and "--skip-corrupt" in said
    assert (tmp_path / "s.png").exists() and not (tmp_path / "p.npy").exists()


def test_training_says_what_was_decided_about_its_pictures(tmp_path, undrawn):
    for name, numbers in {"train": range(9), "val": range(9, 12), "test": range(12, 15)}.items():
        put(tmp_path / "p" / name, numbers)
    see_through(tmp_path / "p" / "train" / "x.png", "RGBA.png")
    put(tmp_path / "p" / "train" / ".cache", [1])
    small = [
        "--K",
        "1",
        "--L",
        "1",
        "--width",
        "8",
        "--batch",
        "4",
        "--steps",
        "1",
        "--crop",
        "4",
        "--threads",
        "1",
    ]
    done = command(tmp_path, "--data", "p", "--out", "r", *small)
    assert done.returncode == 0, done.stderr
    assert (
        "p: split: train is for training, val is held out; not used: test (3 pictures)"
        in done.stderr
    )
    assert "p: skipped: hidden or system files (1)" in done.stderr
    assert "p: transparent pixels composited on white: 1 picture\n" in done.stderr
