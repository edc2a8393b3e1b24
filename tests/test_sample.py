"""What a flow is for, from the command line: sample, interpolate, reconstruct, figures, evaluate
--ood.
"""

import re
import time

import numpy as np
import pytest
import strict_device
from PIL import Image
from small_runs import command, images, process, small_model

from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.arrays import checks
from glowlite.commands import evaluate, figures, interpolate, reconstruct, sample
from glowlite.commands.evaluate import auc
from glowlite.commands.loaded_model import model_and_images
from glowlite.data import load
from glowlite.drawing.sheets import MAGENTA, nonfinite_message, tile, to_rgb
from glowlite.fast.threads import Workers
from glowlite.files.outputs import GIF, PNG, check_output
from glowlite.latent.walks import decode_walk
from glowlite.objective import to_pixels
from glowlite.training.scoring import sample_images

SECONDS = (
    10  # from a fresh start to a grid on the disk; 0.7 on two cores: written for a busy machine
)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def cells(sheet, rows, columns, side=16):
    """The images of an enlarged sheet, (rows, columns, side, side, 3)."""
    scale = sheet.shape[0] // (rows * (side + 1) + 1)
    small = sheet[scale // 2 :: scale, scale // 2 :: scale]
    assert small.shape == (rows * (side + 1) + 1, columns * (side + 1) + 1, 3)
    inner = small[1:, 1:].reshape(rows, side + 1, columns, side + 1, 3)
    return inner[:, :side, :, :side].transpose(0, 2, 1, 3, 4)


# --- sample ---


def test_a_grid_of_samples_is_those_of_the_model(home, faces, capsys):
    sample.main(["--n", "10", "--seed", "3", "--temperature", "0.8", "--grid", "--out", "a.png"])
    expected = to_pixels(faces.sample(10, 0.8, 3), 5)
    assert np.array_equal(cells(pixels("a.png"), 3, 4).reshape(-1, 16, 16, 3)[:10], expected)
    assert (
        capsys.readouterr().out
        == "a.png: 10 samples of pretrained faces at temperature 0.8, seed 3\n"
    )
    sample.main([])
    assert cells(pixels("samples.png"), 8, 8).shape == (8, 8, 16, 16, 3)


def test_without_a_grid_there_is_a_png_for_each(home, faces):
    sample.main(["faces", "--no-grid", "--n", "3", "--seed", "1"])
    assert sorted(path.name for path in (home / "samples").iterdir()) == [
        f"sample-000{i}.png" for i in range(3)
    ]
    expected = to_pixels(faces.sample(3, 0.7, 1), 5)
    assert all(np.array_equal(pixels(f"samples/sample-000{i}.png"), expected[i]) for i in range(3))


def test_a_sweep_has_a_row_of_the_same_noise_at_each_temperature(home, faces):
    sample.main(["--temperature-sweep", "0,0.6", "--n", "3"])
    sheet = pixels("samples.png")
    scale = 8  # 3 images in a row are small
    rows = sheet[:, sheet.shape[1] - scale * (3 * 17 + 1) :].reshape(2, -1, scale * 52, 3)
    for row, temperature in zip(rows, (0.0, 0.6)):
        expected = to_pixels(faces.sample(3, temperature, 0), 5)
        assert np.array_equal(cells(row, 1, 3)[0], expected)
    title = sheet[:, : sheet.shape[1] - scale * 52].reshape(2, -1, 3)
    assert all((part < 128).any() for part in title)  # something is written beside each
    sample.main(["--temperature-sweep", "--out", "all.png"])
    # temperatures, and 8 images in a row are enlarged 7 times
    assert pixels("all.png").shape[0] == 7 * 18 * 7


def test_samples_that_are_not_finite_are_counted_numbered_and_crossed_out(home, capsys):
    sample.main(["--temperature", "50", "--n", "12"])
    said = capsys.readouterr()
    assert said.err.startswith(
        "12 of 12 samples are not finite: numbers 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..., counted from"
        " 0;"
    )
    assert "lower --temperature" in said.err and len(said.err.splitlines()) == 1
    found = cells(pixels("samples.png"), 3, 4)
    assert ((found == MAGENTA).all(axis=-1).sum(axis=(2, 3)) >= 2 * 15).all()
    sample.main(["--temperature-sweep", "0.5,50", "--n", "2"])
    assert capsys.readouterr().err.startswith("2 of 2 samples at temperature 50 are not finite")


def test_what_is_not_finite_is_drawn_as_a_cross_and_the_rest_as_it_is():
    x = np.linspace(-0.6, 0.6, 5 * 4 * 4 * 1, dtype=np.float32).reshape(5, 4, 4, 1)
    expected = to_pixels(x, 8)
    x[1, 2, 2, 0], x[4, 0, 0, 0] = np.nan, -np.inf
    found = to_rgb(x, 8)
    assert found.dtype == np.uint8 and found.shape == (5, 4, 4, 3)
    assert all(np.array_equal(found[i], expected[i].repeat(3, axis=2)) for i in (0, 2, 3))
    for i in (1, 4):
        assert all(
            (found[i, k, k] == MAGENTA).all() and (found[i, k, 3 - k] == MAGENTA).all()
            for k in range(4)
        )
    assert (
        nonfinite_message(x, "samples", "do this")
        == "2 of 5 samples are not finite: numbers 1, 4, counted from 0; do this"
    )
    assert nonfinite_message(x[:2], "samples", "do this").startswith(
        "1 of 2 samples is not finite: number 1,"
    )
    assert nonfinite_message(x[2:4], "samples", "do this") is None
    assert tile(found, 3).shape == (2 * 5 + 1, 3 * 5 + 1, 3)


def test_from_a_fresh_start_to_a_grid_takes_little_time(tmp_path, capsys):
    start = time.perf_counter()
    done = process(tmp_path, program="sample")
    seconds = time.perf_counter() - start
    assert done.returncode == 0 and (tmp_path / "samples.png").exists(), done.stderr
    with capsys.disabled():
        print(f"\npython -m glowlite.sample: {seconds:.2f} s from a fresh start")
    assert seconds < SECONDS


# --- interpolate ---


def test_a_strip_begins_and_ends_with_the_images_themselves(home, capsys):
    interpolate.main(["3", "17", "--steps", "5"])
    (strip,) = cells(pixels("interpolation.png"), 1, 5)
    held_out = load("faces").held_out[:20] // 8 * 8 + 4  # at 5 bits
    assert np.array_equal(strip[0], held_out[3]) and np.array_equal(strip[4], held_out[17])
    assert not np.array_equal(strip[2], strip[0]) and len({image.tobytes() for image in strip}) == 5
    assert "5 images between 3, 17, by pretrained faces" in capsys.readouterr().out
    interpolate.main(["faces", "3", "17", "--steps", "5", "--spherical", "--out", "arc.png"])
    (arc,) = cells(pixels("arc.png"), 1, 5)
    assert np.array_equal(arc[4], strip[4]) and not np.array_equal(arc[2], strip[2])


def test_four_images_are_the_corners_of_a_sheet_one_of_them_a_file(home):
    held_out = load("faces").held_out[:20]
    Image.fromarray(held_out[9]).save("mine.png")
    interpolate.main(["3", "17", "mine.png", "5", "--steps", "3"])
    sheet = cells(pixels("interpolation.png"), 3, 3)
    for (row, column), number in {(0, 0): 3, (0, 2): 17, (2, 0): 9, (2, 2): 5}.items():
        assert np.array_equal(sheet[row, column], held_out[number] // 8 * 8 + 4)


@pytest.mark.parametrize(("words", "frames"), [(["3", "17"], 6), (["3", "17", "4", "5"], 12)])
def test_a_gif_goes_there_and_back_or_round(home, words, frames):
    interpolate.main([*words, "--steps", "4", "--out", "walk.gif"])
    with Image.open("walk.gif") as animation:
        assert (
            animation.n_frames == frames
            and animation.info["loop"] == 0
            and animation.size == (128, 128)
        )
        first = np.asarray(animation.convert("RGB"), int)
    assert abs(first[::8, ::8] - (load("faces").held_out[3:4][0] // 8 * 8 + 4)).max() <= 4


def test_a_loop_visits_every_frame_at_the_border_once():
    walk = np.arange(5)[None]
    assert interpolate.loop(walk).tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    sheet = np.arange(9).reshape(3, 3)
    assert interpolate.loop(sheet).tolist() == [0, 1, 2, 5, 8, 7, 6, 3]
    assert interpolate.loop(np.arange(4).reshape(2, 2)).tolist() == [0, 1, 3, 2]
    assert interpolate.loop(np.arange(2)[None]).tolist() == [0, 1]


# --- reconstruct ---


def test_a_reconstruction_is_exact_to_rounding(home, capsys):
    Image.fromarray(images(1, h=40, w=60)[0]).save("mine.png")
    reconstruct.main(["0", "7", "mine.png"])
    said = capsys.readouterr()
    for word in ("0", "7", "mine.png"):
        assert re.search(
            rf"^{word}: 0 of 768 values differ at 5 bits; off by at most \d\.\de-0[1-9]",
            said.out,
            re.MULTILINE,
        )
    assert "mine.png: 60x40 pixels cropped to 40x40 at the centre and resized to 16x16" in said.err
    sheet = pixels("reconstruction.png")
    originals, rebuilt, difference = sheet.reshape(3, -1, sheet.shape[1], 3)[
        :, :, -(3 * 17 + 1) * 8 :
    ]
    assert np.array_equal(originals, rebuilt) and originals.std() > 20
    assert difference.max() > 240  # stretched to the largest


def test_weights_that_lose_an_image_are_said_to(home, capsys):
    model = small_model()
    model.n_bits, model.initialized = 5, True
    for name, p in model.store.parameters.items():
        if name.startswith("level0") and name.endswith("actnorm/logs"):
            p.value[...] = 40.0  # exp(3 * 40) is more than float32 holds
    model.save("broken.safetensors")
    Image.fromarray(images(1)[0]).save("mine.png")
    reconstruct.main(["broken.safetensors", "mine.png"])
    assert "1 of 1 reconstructions is not finite: number 0," in capsys.readouterr().err
    assert (pixels("reconstruction.png") == MAGENTA).all(axis=-1).any()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (30.0, "level0/step0/permutation is nearly singular"),
        (np.nan, "first at level0/step0/actnorm/bias"),
    ],
)
def test_a_model_that_cannot_be_inverted_is_one_line(home, value, said):
    model = small_model()
    model.store.theta[...] = value
    model.initialized = True
    model.save("broken.safetensors", n_bits=5)
    with pytest.raises(GlowliteError, match=said):
        sample.main(["broken.safetensors"])


def test_on_a_device_the_same_images_come_out():
    xp = strict_device.xp
    pair = images(2)
    found = []
    for module in (np, xp):
        model = Glow(
            GlowConfig((8, 8, 3), K=2, L=2, width=16),
            dtype="float64",
            workers=Workers(1),
            xp=module,
        )
        model.n_bits, model.initialized = 5, True
        rebuilt = reconstruct.rebuilt(model, pair, 5)
        found.append([decode_walk(model, pair, 4, True), *rebuilt, sample_images(model, 3, 0.7, 0)])
    for host, device in zip(*found):
        assert isinstance(device, np.ndarray)
        np.testing.assert_allclose(device, host, atol=1e-9)


# --- figures ---


def test_the_figures_are_all_there_and_not_blank(home, capsys, monkeypatch):
    figures.main(["--depth", "faces", "--out", "paper"])
    made = {path.stem: pixels(path) for path in (home / "paper").iterdir()}
    assert (
        set(made)
        == set(figures.FIGURES)
        == {"samples", "interpolation", "corners", "attributes", "temperature", "depth"}
    )
    assert all(sheet.std() > 20 for sheet in made.values())
    assert cells(made["interpolation"], 5, 9).shape[:2] == (5, 9) and cells(
        made["corners"], 9, 9
    ).shape[:2] == (9, 9)
    small = {"GRID": 4, "ROW": 2, "SWEEP": (0.5, 1.0), "WALKS": 1, "STEPS": 3, "EDITS": 2}
    for name, value in small.items():
        monkeypatch.setattr(figures, name, value)
    figures.main(["--out", "alone"])
    assert (
        not (home / "alone" / "depth.png").exists() and "no depth figure" in capsys.readouterr().err
    )


# --- evaluate --ood ---


def test_other_data_are_fitted_scored_and_drawn(home, capsys):
    np.savez("others.npz", images=images(30, h=20, w=24, c=1))
    evaluate.main(["--ood", "others.npz", "--dequantisation-samples", "1"])
    said = capsys.readouterr()
    own, other = (float(bits) for bits in re.findall(r"(\d+\.\d+) \+- ", said.out))
    assert (
        own == pytest.approx(Glow.pretrained().facts["held_out"]["bits_per_dim"], abs=1e-3)
        and other > own + 1
    )
    assert "over 30 images" in said.out and "in 100.0% of pairs" in said.out
    assert "others.npz: grey copied to every channel, 24x20 pixels cropped to 20x20" in said.err
    assert pixels("ood.png").std() > 5
    np.savez("same.npz", images=load("faces").held_out[:])
    evaluate.main(["--ood", "same.npz", "--histogram", "same.png"])
    told = float(re.search(r"in (\d+\.\d)% of pairs", capsys.readouterr().out)[1])
    assert 49 < told < 51  # its own data cannot be told apart


def test_pairs_are_counted_with_ties_as_halves():
    own, others = np.array([1.0, 2.0, 3.0]), np.array([2.0, 9.0])
    assert auc(own, others) == (1 + 0.5 + 3) / 6
    assert auc(own, own) == 0.5 and auc(own, own + 5) == 1 and auc(own, own - 5) == 0


# --- mistakes ---


MISTAKES = [
    (sample, ["nothing"], "nothing: no such file, folder or pretrained model; the pretrained models"
                          " are: faces"),
    (sample, ["runs/none.safetensors"], "no such file"),
    (sample, ["--out", "a.jpg"], "must end in .png"),
    (sample, ["--out", "no/a.png"], "no folder no"),
    (sample, ["--out", "notes.png"], "exists and is not a PNG, so it is left alone"),
    (sample, ["--no-grid", "--out", "notes.png"], "is a file; name a folder"),
    (sample, ["--no-grid", "--temperature-sweep", "0,1"], "leave out --no-grid"),
    (sample, ["--device", "tpu"], "expected cpu, gpu or gpu:k"),
    (interpolate, ["3"], "expected two or four images, got 1"),
    (interpolate, ["faces", "1", "2", "3"], "expected two or four images, got 3"),
    (interpolate, ["3", "800"], "800 held-out images, counted from 0"),
    (interpolate, ["3", "9" * 5000], "800 held-out images, counted from 0"),
    (interpolate, ["3", "none.png"], "none.png: no such image"),
    (interpolate, ["3", "notes.png"], "it is not an image"),
    (interpolate, ["3", "4", "--out", "a.bmp"], "must end in .png or .gif"),
    (interpolate, ["bits.safetensors", "3", "4"], "does not say what it was trained on"),
    (reconstruct, ["faces"], "also name images"),
    (reconstruct, ["bare.safetensors", "3"], "not how it was trained"),
    (figures, ["--out", "notes.png"], "is a file; name a folder"),
    (figures, ["--depth", "bits.safetensors"], "(8, 8, 3), but pretrained faces for (16, 16, 3)"),
    (evaluate, ["--ood", "nothing-there"], "no such name, file or folder"),
    (evaluate, ["--ood", "fashion", "--histogram", "notes.png"], "exists and is not a PNG"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "arguments", "said"), MISTAKES, ids=lambda value: str(value)[-40:]
)
def test_a_mistake_is_one_line(home, program, arguments, said):
    (home / "notes.png").write_text("my notes")
    model = small_model()
    model.initialized = True
    model.save("bare.safetensors")
    model.save("bits.safetensors", n_bits=5)
    with pytest.raises(GlowliteError) as caught:
        program.main(arguments)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert (home / "notes.png").read_text() == "my notes" and not list(home.glob("*.gif"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--temperature", "-1"], ["--temperature", "nan"], ["--n", "0"],
        ["--temperature-sweep", "0,x"],
        ["--temperature-sweep", ","], ["--temperature", "0.5", "--temperature-sweep", "0,1"],
        ["--seed", "-1"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_option_out_of_range_is_one_line_and_code_2(home, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        sample.main(arguments)
    assert caught.value.code == 2 and len(capsys.readouterr().err.splitlines()) == 1


def test_a_mistake_ends_the_command_with_code_2_and_no_traceback(tmp_path):
    for program, arguments in (("sample", ["nothing"]), ("interpolate", ["1", "2", "3"])):
        done = command(tmp_path, *arguments, program=program)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


def test_the_first_word_is_a_model_if_it_is_a_folder_a_model_file_or_a_name(home):
    (home / "run").mkdir()
    assert model_and_images(["run", "1"]) == ("run", ["1"]) and model_and_images(
        ["a.safetensors"]
    ) == ("a.safetensors", [])
    assert model_and_images(["faces", "a.png"]) == ("faces", ["a.png"]) and model_and_images(
        ["1", "run"]
    ) == (
        "faces",
        ["1", "run"],
    )
    assert model_and_images([]) == ("faces", [])


def test_more_samples_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(checks, "available_bytes", lambda: 1e6)
    checks.check_images_fit("--n", 40, 768)
    with pytest.raises(
        GlowliteError,
        match="--n: 41 images do not fit into this machine's memory, about 40",
    ):
        checks.check_images_fit("--n", 41, 768)


def test_a_place_for_a_picture_is_free_or_holds_one(home):
    check_output("--out", home / "new.gif", PNG, GIF)
    Image.new("RGB", (2, 2)).save("old.png")
    check_output("--out", home / "old.png", PNG)
    (home / "old.png").rename(home / "old.gif")
    with pytest.raises(GlowliteError, match="exists and is not a GIF"):
        check_output("--out", home / "old.gif", PNG, GIF)
