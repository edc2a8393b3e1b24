"""Images that a person brings: of any kind, they fit the model, or one line says why not."""

import io

import numpy as np
import pytest
from PIL import Image
from small_runs import command, images

from glowlite.data.own_images import fit, load_fitted, own_image
from glowlite.errors import DataError

RED = np.array([200, 10, 30], np.uint8)
SHAPE = (16, 16, 3)


def picture(height=16, width=16, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def saved(path, array, mode=None, **options):
    Image.fromarray(array.squeeze()).convert(mode).save(
        path, **options
    ) if mode else Image.fromarray(array.squeeze()).save(path, **options)
    return path


def test_an_image_of_the_right_kind_is_left_as_it_is(tmp_path):
    array = picture()
    image, notes = own_image(saved(tmp_path / "a.png", array), SHAPE)
    assert np.array_equal(image, array) and notes == [] and image.dtype == np.uint8


def test_another_size_is_cut_to_the_aspect_in_the_middle_and_resized(tmp_path):
    array = np.zeros((40, 100, 3), np.uint8)
    array[:, 30:70] = RED  # all of it and nothing else is the middle 40x40
    image, (note,) = own_image(saved(tmp_path / "a.png", array), SHAPE)
    assert image.shape == SHAPE and (image == RED).all()
    assert note == "100x40 pixels cropped to 40x40 at the centre and resized to 16x16"
    tall, (note,) = fit(array.transpose(1, 0, 2), (8, 16, 3), "tall")  # a model of another aspect
    assert tall.shape == (8, 16, 3) and "cropped to 40x20" in note and (tall == RED).all()
    small, (note,) = fit(picture(4, 4), SHAPE, "small")
    assert small.shape == SHAPE and note == "4x4 pixels resized to 16x16"


def test_resizing_is_lanczos(tmp_path):
    array = picture(50, 40)
    image, _ = own_image(saved(tmp_path / "a.png", array), SHAPE)
    expected = (
        Image.fromarray(array).crop((0, 5, 40, 45)).resize((16, 16), Image.Resampling.LANCZOS)
    )
    assert np.array_equal(image, np.asarray(expected))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_laid_on_white(tmp_path, mode):
    colours = Image.new("RGBA", (16, 16), (0, 0, 0, 255))
    colours.paste((90, 90, 90, 0), (0, 0, 8, 16))  # the left half cannot be seen
    colours.convert(mode).save(tmp_path / "a.png")
    if mode == "P":
        palette = Image.new("P", (16, 16), 1)
        palette.putpalette([10, 20, 30, 0, 0, 0])
        palette.paste(0, (0, 0, 8, 16))
        palette.save(tmp_path / "a.png", transparency=0)
    image, notes = own_image(tmp_path / "a.png", SHAPE)
    assert "transparent pixels composited on white" in notes
    assert (image[:, :8] == 255).all() and (image[:, 8:] == 0).all()


def test_half_transparent_is_half_white_and_a_full_alpha_is_not_worth_a_note(tmp_path):
    Image.new("RGBA", (16, 16), (0, 0, 0, 128)).save(tmp_path / "half.png")
    image, _ = own_image(tmp_path / "half.png", SHAPE)
    assert abs(image.astype(int) - 127).max() <= 1
    Image.new("RGBA", (16, 16), (*RED, 255)).save(tmp_path / "full.png")
    image, notes = own_image(tmp_path / "full.png", SHAPE)
    assert (image == RED).all() and notes == []


def test_a_palette_gives_its_colours(tmp_path):
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([1, 2, 3, *RED])
    palette.save(tmp_path / "a.png")
    assert (own_image(tmp_path / "a.png", SHAPE)[0] == RED).all()


def test_greys_and_colours_become_what_the_model_has(tmp_path):
    grey = picture(channels=1)
    image, notes = own_image(saved(tmp_path / "grey.png", grey), SHAPE)
    assert np.array_equal(image, grey.repeat(3, axis=2)) and notes == [
        "grey copied to every channel"
    ]
    image, notes = own_image(saved(tmp_path / "red.png", np.broadcast_to(RED, SHAPE)), (16, 16, 1))
    assert (image == round(0.299 * 200 + 0.587 * 10 + 0.114 * 30)).all() and notes == [
        "colours converted to grey"
    ]
    with pytest.raises(DataError, match="has 3 channels, but the model has 4"):
        own_image(tmp_path / "red.png", (16, 16, 4))


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for name, array in (
        ("exact", values),
        ("near", values.clip(128, 65407) - 100),
        ("wide", values.astype(np.int32)),
    ):
        Image.fromarray(array).save(
            tmp_path / f"{name}.png" if name != "wide" else tmp_path / "wide.tif"
        )
        image, notes = own_image(
            tmp_path / ("wide.tif" if name == "wide" else f"{name}.png"), (16, 16, 1)
        )
        assert notes == ["16 bits per value, rounded to 8"]
        assert np.array_equal(image[..., 0], np.rint(array / 257).astype(np.uint8))


@pytest.mark.parametrize(
    "array",
    [np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16), np.full((16, 16), 70_000, np.int32)],
)
def test_numbers_of_no_known_range_are_refused(tmp_path, array):
    Image.fromarray(array).save(tmp_path / "a.tif")
    with pytest.raises(
        DataError, match=r"a\.tif: expected greys of 8 or 16 bits, got (float32|int32) up to"
    ):
        own_image(tmp_path / "a.tif", (16, 16, 1))


def test_a_camera_held_upright_is_turned(tmp_path):
    array = np.zeros((16, 16, 3), np.uint8)
    array[:, 8:] = 255  # bright on the right
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise: bright below
    Image.fromarray(array).save(tmp_path / "a.png", exif=exif)
    image, _ = own_image(tmp_path / "a.png", SHAPE)
    assert (image[8:] == 255).all() and (image[:8] == 0).all()


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    image, notes = own_image(tmp_path / "a.gif", SHAPE)
    assert (image == [255, 0, 0]).all() and notes == ["only the first frame used"]


@pytest.mark.parametrize("mode", ["1", "CMYK", "YCbCr"])
def test_other_modes_become_colours_or_greys(tmp_path, mode):
    Image.new("RGB", (16, 16), "white").convert(mode).save(tmp_path / "a.tif")
    assert (own_image(tmp_path / "a.tif", SHAPE)[0] >= 253).all()


def refused(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(picture(64, 64)).save(whole, "png")
    (tmp_path / "half.png").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    return {
        "half.png": "cannot be read: .*truncated", "folder.png": "this is a folder",
        "none.png": "no such image",
        "text.png": "cannot be read: it is not an"
                    " image", "empty.jpg": "cannot be read: it is not an image",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["half.png", "text.png", "empty.jpg", "folder.png", "none.png"])
def test_what_is_no_image_is_refused_in_one_line(tmp_path, name):
    said = refused(tmp_path)[name]
    with pytest.raises(DataError, match=rf"{name}: {said}") as caught:
        own_image(tmp_path / name, SHAPE)
    assert "\n" not in str(caught.value) and "--skip-corrupt" not in str(caught.value)


def test_whole_data_sets_are_fitted(tmp_path):
    np.savez(tmp_path / "a.npz", images=images(6, h=20, w=30))
    found, source, notes = load_fitted(str(tmp_path / "a.npz"), (8, 8, 1))
    assert found[:].shape == (6, 8, 8, 1) and source.endswith("a.npz")
    assert notes == [
        "colours converted to grey",
        "30x20 pixels cropped to 20x20 at the centre and resized to 8x8",
    ]
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, (h, w) in enumerate([(20, 30), (8, 9), (16, 16)]):  # of different sizes
        saved(folder / f"{i}.png", picture(h, w))
    found, _, _ = load_fitted(str(folder), SHAPE)
    assert found[:].shape == (3, *SHAPE) and np.array_equal(found[2:][0], picture(16, 16))
    same, source, notes = load_fitted("faces", SHAPE)
    assert notes == [] and len(same) == 8000 and source == "embedded faces"
    with pytest.raises(DataError, match="no such name, file or folder"):
        load_fitted("nothing-there", SHAPE)


@pytest.mark.parametrize("name", ["half.png", "folder.png", "none.png"])
def test_a_command_ends_with_one_line_and_code_2(tmp_path, name):
    refused(tmp_path)
    done = command(tmp_path, "3", name, program="reconstruct")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and name in done.stderr, (
        done.stderr
    )
    assert not (tmp_path / "reconstruction.png").exists()
