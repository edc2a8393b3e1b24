"""A picture shows what its title says: its pixels, bars and lines against arrays that are computed
here, by definition.

What matplotlib is given is read from its figures; sheets are read pixel by pixel.
"""

import base64
import json
import re
import sys
from contextlib import contextmanager
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from small_runs import images

import glowlite.bench.plots
import glowlite.commands.data
import glowlite.commands.edit
import glowlite.commands.evaluate
import glowlite.commands.figures
import glowlite.commands.interpolate
import glowlite.commands.reconstruct
import glowlite.commands.report
import glowlite.commands.sample
import glowlite.commands.train
import glowlite.drawing.plots
import glowlite.drawing.run_pictures
import glowlite.drawing.sheets
from glowlite import Glow, GlowConfig
from glowlite.commands.loaded_model import load_model
from glowlite.data import load
from glowlite.data.images import ArrayImages
from glowlite.fast.threads import Workers
from glowlite.latent.directions import Directions
from glowlite.objective import Logistic
from glowlite.training.scoring import scores

SIDES = 4, 8  # height and width of the images here: a sheet that mixes them up has another shape
N_BITS = 5
CHANNELS = (1, 2, 3, 4)
OPTIONS = SimpleNamespace(device="cpu", checkpoint="last", weights="averaged", threads=1)


# What is expected


def levels(x):
    """Floating images -> the level of every value, by definition."""
    return np.clip(np.floor((np.asarray(x, np.float64) + 0.5) * 2**N_BITS), 0, 2**N_BITS - 1)


def as_shown(x):
    """Floating images (N, H, W, C) as a picture has them, uint8 (N, H, W, 3): the middle of each
    level; colours, or grey.
    """
    return in_colours((8 * levels(x) + 4).astype(np.uint8))


def in_colours(pixels):
    return pixels if pixels.shape[-1] == 3 else np.concatenate([pixels[..., :1]] * 3, axis=-1)


# What is there


def cells(sheet, scale=1, sides=SIDES):
    """The images of a sheet, (rows, columns, H, W, 3): white lines, 1 pixel wide, around each.

    Every pixel a square.
    """
    small = sheet[::scale, ::scale]
    assert np.array_equal(small.repeat(scale, axis=0).repeat(scale, axis=1), sheet)
    (h, w), (height, width) = sides, small.shape[:2]
    assert (height - 1) % (h + 1) == 0 and (width - 1) % (w + 1) == 0
    assert (small[:: h + 1] == 255).all() and (small[:, :: w + 1] == 255).all()
    rows, columns = (height - 1) // (h + 1), (width - 1) // (w + 1)
    parts = [
        [small[y * (h + 1) + 1 :, x * (w + 1) + 1 :][:h, :w] for x in range(columns)]
        for y in range(rows)
    ]
    return np.array(parts)


def check_cells(found, expected):
    """A sheet has these images, row by row, and white where there is none."""
    flat = found.reshape(-1, *found.shape[2:])
    assert len(expected) <= len(flat) < len(expected) + found.shape[1]
    assert np.array_equal(flat[: len(expected)], expected)
    assert (flat[len(expected) :] == 255).all()


def read(path):
    return np.asarray(Image.open(path))


def scale_of(rows, columns):
    """How many pixels of a sheet's file are one of the images: as `enlarged` promises."""
    return max(1, min(8, 1024 // max(rows * (SIDES[0] + 1) + 1, columns * (SIDES[1] + 1) + 1)))


@contextmanager
def drawing():
    """Inside, matplotlib draws nothing: what it would have drawn, by the name of the file."""
    figures, real = {}, glowlite.drawing.plots.figure_at

    @contextmanager
    def figure_at(path, *size, **options):
        with real(path, *size, **options) as figure:
            figures[path.name] = figure
            yield figure

    with pytest.MonkeyPatch.context() as patch:
        for module in (glowlite.drawing.run_pictures, glowlite.bench.plots):
            patch.setattr(module, "figure_at", figure_at)
        patch.setattr(
            Figure,
            "savefig",
            lambda figure, path, **_: Image.new("RGB", (1, 1)).save(path, format="png"),
        )
        yield figures


@contextmanager
def writing():
    """Inside, the titles that Pillow writes: each with the height it is written at."""
    titles, real = [], ImageDraw.ImageDraw.text

    def text(self, place, words, *rest, **named):
        titles.append((place[1], words))
        real(self, place, words, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageDraw.ImageDraw, "text", text)
        yield titles


def titled_sheets(page, titles, rows, columns):
    """The sheets of a page by the title beside each; all of them of as many rows and columns."""
    scale = scale_of(rows, columns)
    height, width = scale * (rows * (SIDES[0] + 1) + 1), scale * (columns * (SIDES[1] + 1) + 1)
    assert len(page) == height * len(titles)
    found = {}
    for y, title in titles:
        top = int(y // height) * height
        assert y == top + height / 2  # in the middle of what it is the title of
        found[title] = cells(page[top : top + height, -width:], scale)
    return found


class Runs(dict):
    """By the number of channels: the folder of a run, its data, model, and figures of its last
    step; made when asked for.

    Their pictures have two attributes, which are read from them.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, channels):
        pictures = images(60, *SIDES, channels)
        flat = pictures.reshape(60, -1).astype(float)
        attributes = np.stack(
            [n > np.median(n) for n in (flat.mean(axis=1), flat[:, 0] - flat[:, -1])], axis=1
        )
        data, run = self.folder / f"ramps{channels}.npz", self.folder / f"run{channels}"
        np.savez(
            data,
            images=pictures,
            attributes=attributes,
            attribute_names=np.array(["bright", "falling"]),
        )
        words = f"--data {data} --out {run} --K 1 --L 2 --width 8 --batch 8 --steps 8 --warmup 8"
        words += " --average 0.5 --lr 0.01 --seed 3"
        with drawing() as figures, pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                sys, "argv", ["train", *words.split(), "--evaluate-every", "4", "--log-every", "1"]
            )
            glowlite.commands.train.main()
        self[channels] = SimpleNamespace(
            path=run, data=load(str(data)), figures=figures, model=Glow.load(run)
        )
        return self[channels]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(params=CHANNELS)
def run(request, runs):
    return runs[request.param]


# Pictures of a training


def test_the_samples_of_a_training_are_of_averaged_weights_at_the_temperatures_of_their_titles(run):
    axes = run.figures["samples-000008.png"].axes
    assert [a.get_title() for a in axes] == ["T = 0.5", "T = 0.7", "T = 0.9"]
    for a in axes:
        temperature = float(a.get_title().partition("= ")[2])
        found = cells(np.asarray(a.images[0].get_array()))
        check_cells(found, as_shown(run.model.sample(64, temperature, seed=3)))
        raw = as_shown(Glow.load(run.path, "raw").sample(64, temperature, seed=3))
        assert not np.array_equal(found.reshape(-1, *found.shape[2:])[:64], raw)


def test_latents_are_drawn_against_the_density_that_the_model_has(tmp_path):
    """The logistic's, of a NICE: exp(-z) / (1 + exp(-z))^2, which is less than 1e-5 from 12 on."""
    z = np.random.default_rng(0).logistic(size=(100, 8))
    with drawing() as figures:
        glowlite.drawing.run_pictures.save_latents(tmp_path / "latents.png", [z], Logistic())
    (axes,) = figures["latents.png"].axes
    (line,) = axes.lines
    edges = line.get_xdata()
    assert edges[0] == -12 and edges[-1] == 12 and line.get_label() == "logistic"
    expected = np.exp(-edges) / np.square(1 + np.exp(-edges))
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-9)


def test_the_latents_of_a_training_are_those_of_held_out_images(run):
    axes = run.figures["latents.png"].axes
    shown = run.data.held_out[:]
    noise = glowlite.drawing.run_pictures.dequantization_noise(
        0, "pictures", 0, 0, shown.shape, "float32"
    )
    x = ((shown // 8 + noise) / 32 - 0.5).astype(np.float32)
    latents = run.model.encode(x)
    assert len(axes) == len(latents) == 2
    for level, (a, eps) in enumerate(zip(axes, latents, strict=True)):
        (bars,) = a.containers
        edges = np.array([bar.get_x() for bar in bars] + [bars[-1].get_x() + bars[-1].get_width()])
        heights, _ = np.histogram(np.clip(eps, edges[0], edges[-1]), edges)
        area = heights / heights.sum() / np.diff(edges)
        assert edges[0] == -5 and edges[-1] == 5
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars], area, rtol=1e-6, atol=2 / eps.size
        )
        (line,) = a.lines
        np.testing.assert_allclose(
            line.get_ydata(), [NormalDist().pdf(x) for x in line.get_xdata()], rtol=1e-12
        )
        named = {text.get_text(): handle for text, handle in zip(*legend_of(a), strict=True)}
        assert set(named) == {f"level {level}", "N(0, 1)"}
        assert named["N(0, 1)"].get_color() == line.get_color()
        assert a.get_xlabel() == f"eps: mean {eps.mean():.2f}, std {eps.std():.2f}"


def test_the_reconstruction_of_a_training_is_that_of_held_out_images(run):
    axes = run.figures["reconstruction.png"].axes
    kept = in_colours(8 * (run.data.held_out[:8] // 8) + 4)
    for a in axes[:2]:
        check_cells(cells(np.asarray(a.images[0].get_array())), kept)


@pytest.mark.parametrize("channels", CHANNELS)
def test_a_reconstruction_has_its_rows_under_their_titles(channels, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 5, *SIDES, channels)) - 0.5
    with drawing() as figures:
        glowlite.drawing.run_pictures.save_reconstruction(tmp_path / "r.png", x, y, N_BITS)
    rows = {
        a.get_title(): cells(np.asarray(a.images[0].get_array())) for a in figures["r.png"].axes
    }
    error = abs(x - y)
    difference = f"difference; white: {256 * error.max():.1e} grey levels"
    assert list(rows) == ["held-out images", "decode(encode(x))", difference]
    check_cells(rows["held-out images"], as_shown(x))
    check_cells(rows["decode(encode(x))"], as_shown(y))
    expected = in_colours(255 * error / error.max())
    assert abs(rows[difference][0] - expected).max() <= 1 and rows[difference].max() in (254, 255)


def test_the_curves_of_a_training_are_those_of_its_metrics(run):
    (axes,) = run.figures["learning-curve.png"].axes
    metrics = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    expected = {
        "training": "train_bits_per_dim",
        "held out": "held_out_bits_per_dim",
        "held out, raw weights": "held_out_raw_bits_per_dim",
    }
    assert {line.get_label() for line in axes.lines} == set(expected)
    for line in axes.lines:
        name = expected[line.get_label()]
        points = [(m["step"], m[name]) for m in metrics if m[name] is not None]
        assert np.array_equal(np.array(line.get_data()).T, points) and len(points) == (
            8 if line.get_label() == "training" else 2
        )
    drawn_in_legend = {
        text.get_text(): handle for text, handle in zip(*legend_of(axes), strict=True)
    }
    for line in axes.lines:
        assert drawn_in_legend[line.get_label()].get_color() == line.get_color()
    assert axes.get_xlabel() == "step" and axes.get_ylabel() == "bits/dim at 5 bits"
    limit = axes.get_ylim()[1]
    assert all(m["held_out_bits_per_dim"] < limit for m in metrics[-1:])


def legend_of(axes):
    legend = axes.get_legend()
    return legend.get_texts(), legend.legend_handles


def test_histograms_are_of_the_data_that_their_legend_names(tmp_path):
    rng = np.random.default_rng(0)
    results = {"own": rng.normal(4, 0.1, 300), "others": np.append(rng.normal(6, 0.3, 200), np.nan)}
    with drawing() as figures:
        glowlite.drawing.run_pictures.save_histograms(tmp_path / "h.png", results, N_BITS)
    (axes,) = figures["h.png"].axes
    texts, handles = legend_of(axes)
    assert [text.get_text() for text in texts] == [
        "own: 4.00 bits/dim",
        f"others: {np.nanmean(results['others']):.2f} bits/dim",
    ]
    for bits, bars, handle in zip(results.values(), axes.containers, handles, strict=True):
        bits = bits[np.isfinite(bits)]
        edges = np.array([bar.get_x() for bar in bars] + [bars[-1].get_x() + bars[-1].get_width()])
        counts, _ = np.histogram(bits, edges)
        assert abs(counts.sum() - len(bits)) <= 1
        found = np.array([bar.get_height() for bar in bars]) * np.diff(edges) * len(bits)
        assert abs(found - counts).max() < 1.5  # a value on an edge may fall to either side
        assert handle.get_facecolor() == bars[0].get_facecolor()


def test_a_comparison_draws_its_own_data_and_the_others(runs, tmp_path, monkeypatch, capsys):
    run, seen = runs[3], []
    monkeypatch.setattr(
        glowlite.commands.evaluate,
        "save_histograms",
        lambda path, results, n_bits: seen.append((results, n_bits)),
    )
    data = runs[1].data.source
    glowlite.commands.evaluate.main(
        [str(run.path), "--ood", str(data), "--histogram", str(tmp_path / "h.png")]
    )
    ((results, n_bits),) = seen
    (own, ours), (other, theirs) = results.items()
    assert "held-out" in own and str(data) in str(other) and n_bits == N_BITS
    assert np.array_equal(ours, scores(run.model, run.data.held_out, N_BITS, 64, 0))
    grey_in_colours = ArrayImages(np.repeat(np.load(data)["images"], 3, axis=3))
    assert np.array_equal(theirs, scores(run.model, grey_in_colours, N_BITS, 64, 0))


# Sheets


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(("count", "columns"), [(1, 1), (5, 3), (6, 3), (3, 8)])
def test_a_sheet_has_every_image_once_row_by_row(channels, count, columns):
    pixels = np.random.default_rng(count).integers(0, 255, (count, *SIDES, channels), np.uint8)
    found = cells(glowlite.drawing.sheets.tile(pixels, columns))
    assert found.shape[1] == columns
    check_cells(found, in_colours(pixels))


@pytest.mark.parametrize("channels", CHANNELS)
def test_drawn_images_are_theirs_and_a_lost_one_is_lost_alone(channels):
    x = np.random.default_rng(0).random((3, *SIDES, channels)) - 0.5
    assert np.array_equal(glowlite.drawing.sheets.to_rgb(x, N_BITS), as_shown(x))
    broken = x.copy()
    broken[1, 2, 3, channels - 1] = np.nan
    found = glowlite.drawing.sheets.to_rgb(broken, N_BITS)
    assert np.array_equal(found[[0, 2]], as_shown(x[[0, 2]])) and not np.array_equal(
        found[1], as_shown(x)[1]
    )


def test_a_grid_of_samples_is_the_samples_in_their_order(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    glowlite.commands.sample.main(
        [str(run.path), "--n", "7", "--temperature", "0.8", "--seed", "2"]
    )
    expected = as_shown(run.model.sample(7, 0.8, 2))
    check_cells(cells(read("samples.png"), scale_of(3, 3)), expected)
    glowlite.commands.sample.main(
        [str(run.path), "--n", "7", "--temperature", "0.8", "--seed", "2", "--no-grid"]
    )
    for i, image in enumerate(expected):
        assert np.array_equal(read(f"samples/sample-{i:04}.png"), image)


def test_a_sweep_has_the_same_noise_at_the_temperature_of_each_title(
    run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with writing() as titles:
        glowlite.commands.sample.main(
            [str(run.path), "--temperature-sweep", "0.9,0.2,0.5", "--n", "4", "--seed", "2"]
        )
    rows = titled_sheets(read("samples.png"), titles, 1, 4)
    assert list(rows) == ["T = 0.9", "T = 0.2", "T = 0.5"]
    for title, found in rows.items():
        check_cells(found, as_shown(run.model.sample(4, float(title[4:]), 2)))


def middle(pixels):
    """uint8 images in the middle of their levels."""
    return ((pixels // 8 + 0.5) / 32 - 0.5).astype(np.float32)


def between(model, ends, weights):
    """Images whose latents are the sum of those of `ends`, weighted by each row of `weights`."""
    latents = model.encode(middle(ends))
    weights = np.asarray(weights, np.float32)
    return model.decode([np.einsum("si,ihwc->shwc", weights, z) for z in latents])


def check_close(found, x):
    """Pixels of floating images that were computed another way: a rounding may bring a value to the
    level beside it.
    """
    off = abs(found.reshape(-1, *found.shape[-3:]).astype(int) - as_shown(x))
    assert off.max() <= 8 and (off > 0).mean() < 0.01


def test_a_walk_goes_from_the_first_image_to_the_second(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ends = run.data.held_out[:]
    glowlite.commands.interpolate.main([str(run.path), "1", "4", "--steps", "5"])
    t = np.linspace(0, 1, 5)
    strip = cells(read("interpolation.png"), scale_of(1, 5))
    assert strip.shape[:2] == (1, 5)
    check_close(strip, between(run.model, ends[[1, 4]], np.stack([1 - t, t], axis=1)))
    glowlite.commands.interpolate.main([str(run.path), "1", "4", "2", "5", "--steps", "3"])
    sheet = cells(read("interpolation.png"), scale_of(3, 3))
    weights = [
        [(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u]
        for v in (0, 0.5, 1)
        for u in (0, 0.5, 1)
    ]
    assert sheet.shape[:2] == (3, 3)
    check_close(sheet, between(run.model, ends[[1, 4, 2, 5]], weights))


def test_an_animation_has_the_frames_of_the_walk_there_and_back(
    runs, tmp_path, monkeypatch, capsys
):
    run = runs[1]  # grey images have few enough colours for a GIF to keep all of them
    monkeypatch.chdir(tmp_path)
    glowlite.commands.interpolate.main(
        [str(run.path), "1", "4", "--steps", "4", "--out", "walk.gif"]
    )
    t = np.array([0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])
    with Image.open("walk.gif") as gif:
        assert gif.n_frames == 6
        frames = []
        for i in range(gif.n_frames):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("RGB"))[::8, ::8])
    check_close(
        np.array(frames),
        between(run.model, run.data.held_out[:][[1, 4]], np.stack([1 - t, t], axis=1)),
    )


def test_a_page_of_reconstructions_has_its_rows_beside_their_titles(
    run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    x = middle(run.data.held_out[:])[[3, 0, 5]]
    y = x[::-1].copy() + np.float32(0.01)  # of other images, so that no row looks like another
    monkeypatch.setattr(
        glowlite.commands.reconstruct, "rebuilt", lambda model, pixels, n_bits: (middle(pixels), y)
    )
    with writing() as titles:
        glowlite.commands.reconstruct.main([str(run.path), "3", "0", "5"])
    rows = titled_sheets(read("reconstruction.png"), titles, 1, 3)
    assert list(rows) == [
        "original",
        "decode(encode(x))",
        f"difference; white: {256 * abs(x - y).max():.1e}",
    ]
    original, again, difference = rows.values()
    check_cells(original, as_shown(x))
    check_cells(again, as_shown(y))
    expected = in_colours(255 * abs(x - y) / abs(x - y).max())
    assert abs(difference[0].astype(float) - expected).max() <= 1


def test_what_is_rebuilt_is_the_image_through_the_model_and_back(run):
    pixels = run.data.held_out[:4]
    x, y = glowlite.commands.reconstruct.rebuilt(run.model, pixels, N_BITS)
    assert np.array_equal(x, middle(pixels)) and np.array_equal(
        y, run.model.decode(run.model.encode(x))
    )


def changed(run, image, column, alphas):
    """Images (H, W, C) along the paper's direction of an attribute, at each of alphas."""
    data = run.data
    directions = Directions.from_images(
        run.model, data.train[:], data.attributes, data.attribute_names
    )
    latents = run.model.encode(middle(image[None]))
    sizes = np.cumsum([z.size for z in latents])[:-1]
    parts = [
        d.reshape(z.shape)
        for d, z in zip(np.split(directions.mean[column], sizes), latents, strict=True)
    ]
    return np.concatenate(
        [run.model.decode([z + np.float32(a) * d for z, d in zip(latents, parts)]) for a in alphas]
    )


def test_a_strip_of_edits_goes_from_the_least_to_the_most_in_a_row_for_each_image(
    run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = ["--attribute", "falling", "--alpha", "-1..2", "--steps", "4", "--method", "mean"]
    glowlite.commands.edit.main([str(run.path), "2", "0", *words])
    found = cells(read("edit.png"), scale_of(2, 4))
    assert found.shape[:2] == (2, 4)
    for row, number in zip(found, (2, 0), strict=True):
        check_close(row, changed(run, run.data.held_out[:][number], 1, (-1, 0, 1, 2)))


@pytest.mark.parametrize("n_bits", [8, 3])
def test_a_contact_sheet_has_training_images_from_the_first_to_the_last(
    run, n_bits, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(glowlite.commands.data, "SHOWN", 10)
    monkeypatch.setattr(sys, "argv", ["data", run.data.source, "--n-bits", str(n_bits)])
    glowlite.commands.data.main()
    count, step = len(run.data.train), 2 ** (8 - n_bits)
    rows = [int(i * (count - 1) / 9) for i in range(10)]
    pixels = run.data.train[:][rows]
    small = read("contact-sheet.png")
    check_cells(cells(small), in_colours(pixels // step * step + (step // 2 if n_bits < 8 else 0)))


# Figures of the paper


def task_of(runs, channels, others=()):
    trained = [load_model(str(runs[c].path), OPTIONS) for c in (channels, *others)]
    return glowlite.commands.figures.Task(trained[0], trained[1:], 4, 0.6)


def test_the_figures_of_the_paper_show_what_they_are_called(runs):
    run, task = runs[3], task_of(runs, 3)
    held_out = run.data.held_out[:]
    check_cells(
        cells(glowlite.commands.figures.samples(task), scale_of(8, 8)),
        as_shown(run.model.sample(64, 0.6, 4)),
    )
    strips = cells(glowlite.commands.figures.interpolation(task), scale_of(5, 9))
    t = np.linspace(0, 1, 9)
    assert strips.shape[:2] == (5, 9)
    for i, strip in enumerate(strips):
        ends = held_out[[2 * i % len(held_out), (2 * i + 1) % len(held_out)]]
        check_close(strip, between(run.model, ends, np.stack([1 - t, t], axis=1)))
    sheet = cells(glowlite.commands.figures.corners(task), scale_of(9, 9))
    for image, end in zip(
        (sheet[0, 0], sheet[0, -1], sheet[-1, 0], sheet[-1, -1]), held_out[:4], strict=True
    ):
        check_close(image, middle(end)[None])


def test_the_figures_with_titles_have_each_beside_its_own(runs):
    run, task = runs[3], task_of(runs, 3)
    with writing() as titles:
        page = glowlite.commands.figures.temperature(task)
    for title, found in titled_sheets(page, titles, 1, 8).items():
        check_cells(found, as_shown(run.model.sample(8, float(title[4:]), 4)))
    assert [float(title[4:]) for _, title in titles] == [0, 0.25, 0.6, 0.7, 0.8, 0.9, 1]
    with writing() as titles:
        page = glowlite.commands.figures.attributes(task)
    rows = titled_sheets(page, titles, 1, 7)
    assert list(rows) == ["bright", "falling"]
    directions = task.loaded.directions()
    for j, (name, found) in enumerate(rows.items()):
        image = run.data.held_out[:][j : j + 1]
        expected = [
            run.model.decode(
                directions.edit(run.model.encode(image), directions.states(image), {name: alpha})
            )
            for alpha in np.linspace(-1, 1, 7)
        ]
        check_close(found, np.concatenate(expected))


def test_the_figure_of_depth_has_each_model_beside_its_depth(runs):
    task = task_of(runs, 3)
    deeper = Glow(GlowConfig((*SIDES, 3), K=2, L=2, width=8), workers=Workers(1))
    deeper.initialize(middle(runs[3].data.train[:8]))
    other = SimpleNamespace(model=deeper, n_bits=N_BITS, name="deeper")
    with writing() as titles:
        page = glowlite.commands.figures.depth(
            glowlite.commands.figures.Task(other, [task.loaded], 4, 0.6)
        )
    rows = titled_sheets(page, titles, 1, 8)
    assert list(rows) == ["K = 1, L = 2", "K = 2, L = 2"]
    check_cells(rows["K = 1, L = 2"], as_shown(task.loaded.model.sample(8, 0.6, 4)))
    check_cells(rows["K = 2, L = 2"], as_shown(deeper.sample(8, 0.6, 4)))


# The report, and the plots of a benchmark


def test_a_report_has_each_picture_under_its_heading(runs, tmp_path):
    folder, places = (
        tmp_path / "run",
        {"Learning curve": "learning-curve", "Samples": "samples-000008"},
    )
    places |= {"Latents": "latents", "Reconstruction": "reconstruction"}
    folder.mkdir()
    for name in ("config.json", "metrics.jsonl", "timing.jsonl"):
        (folder / name).write_bytes((runs[3].path / name).read_bytes())
    for name in (*places.values(), "samples-000004"):
        (folder / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + name.encode())
    parts = (
        part.partition("</h2>") for part in glowlite.commands.report.page(folder).split("<h2>")
    )
    sections = {title: content for title, _, content in parts}
    for title, name in places.items():
        content = base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
        assert re.findall(r"base64,([\w+/=]+)", sections[title]) == [content]


def test_the_plots_of_a_benchmark_have_each_number_at_its_name(tmp_path):
    steps = {"memory 0": (3, 2.5, 4, 1.5), "memory all": (2, 1.75, 2.5, 1.25)}
    steps["torch"] = (5, 4, 7, 1)
    memory = {"memory 0": {"4": {"step": 2**20}, "16": {"step": 2**21}}}
    memory["memory all"] = {"4": {"step": 2**22}, "16": {"step": 2**24}}
    # MiB kept, seconds, MiB at the peak
    budgets = {"all": (5, 2, 9), "0": (0, 3, 4), "16MB": (4, 2.25, 8), "2MB": (2, 2.5, 6)}
    found = {
        "title": "a job",
        "rivals": ["torch"],
        "shares": {"products": 0.6, "optimiser": 0.1, "the rest": 0.3},
        "steps": {
            name: dict(zip(("median_s", "min_s", "max_s", "limit_s"), times))
            for name, times in steps.items()
        },
        "memory": memory,
        "budgets": {
            name: {"kept_bytes": kept * 2**20, "median_s": seconds, "peak_bytes": peak * 2**20}
            for name, (kept, seconds, peak) in budgets.items()
        },
    }
    with drawing() as figures:
        glowlite.bench.plots.draw(found, tmp_path)
    (axes,) = figures["step-times.png"].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert {name: bar.get_width() for name, bar in zip(names, axes.patches)} == {
        n: times[0] for n, times in steps.items()
    }
    (spread,) = axes.collections
    ends = {name: tuple(segment[:, 0]) for name, segment in zip(names, spread.get_segments())}
    assert ends == {name: times[1:3] for name, times in steps.items()}
    (limits,) = [line for line in axes.lines if (line.get_label() or "").startswith("limit")]
    assert dict(zip(names, limits.get_xdata())) == {n: times[3] for n, times in steps.items()}
    (axes,) = figures["shares.png"].axes
    texts, handles = legend_of(axes)
    assert [text.get_text() for text in texts] == [
        "products 60.0%",
        "optimiser 10.0%",
        "the rest 30.0%",
    ]
    np.testing.assert_allclose(
        [(bar.get_x(), bar.get_width()) for bar in axes.patches], [(0, 0.6), (0.6, 0.1), (0.7, 0.3)]
    )
    assert [handle.get_facecolor() for handle in handles] == [
        bar.get_facecolor() for bar in axes.patches
    ]
    (axes,) = figures["memory.png"].axes
    lines = {line.get_label(): np.array(line.get_data()).T.tolist() for line in axes.lines}
    assert lines == {"memory 0": [[4, 1], [16, 2]], "memory all": [[4, 4], [16, 16]]}
    times, peaks = figures["budget.png"].axes
    (line,), (peak,) = times.lines, peaks.lines
    assert np.array(line.get_data()).T.tolist() == [[0, 3], [2, 2.5], [4, 2.25], [5, 2]]
    assert np.array(peak.get_data()).T.tolist() == [[0, 4], [2, 6], [4, 8], [5, 9]]
    (above,) = times.child_axes
    ticks = {label.get_text(): at for label, at in zip(above.get_xticklabels(), above.get_xticks())}
    assert ticks == {name: kept for name, (kept, *_) in budgets.items()}
