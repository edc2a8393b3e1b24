"""Hidden pixels filled in, noise taken away: the gradient by x, the ascent against what is exact
for a Gaussian, masks, and the command.
"""

import re
from itertools import islice, pairwise

import numpy as np
import pytest
import strict_device
from PIL import Image
from small_runs import images, small_model
from test_sample import cells, pixels

import glowlite.latent.ascent as ascent
from glowlite import MLP, AdditiveCoupling, Chain, Flow, Glow, GlowliteError, Logistic, Scaling
from glowlite.bijectors.whitening import Whitening
from glowlite.commands import inpaint
from glowlite.drawing.sheets import MAGENTA
from glowlite.errors import ShapeError
from glowlite.latent.ascent import (
    CANDIDATES,
    LONGEST,
    Known,
    Noisy,
    ascend,
    information,
    mean_start,
    nearest_samples,
    score,
)
from glowlite.latent.masks import NAMES, hidden_pixels
from glowlite.objective import dequantize_midpoint, to_pixels

LIBRARIES = {"host": np, "device": strict_device.xp}


def on_host(x):
    return x if isinstance(x, np.ndarray) else x.get()


def gaussian(D=4, seed=0, xp=np):
    """A flow that is a Gaussian, its mean and its covariance."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((500, D)) @ rng.standard_normal((D, D)) + rng.standard_normal(D)
    flow = Flow(Chain({"whitening": Whitening.from_data(data, ridge=0)}), dtype="float64", xp=xp)
    flow.initialize(xp.asarray(data))
    return flow, data.mean(axis=0), np.cov(data.T, bias=True)


def small_glow(xp=np, dtype="float64"):
    model = Glow(small_model().config, 0, dtype, xp=xp)
    shake = np.random.default_rng(1).standard_normal(len(model.store))
    model.store.theta[...] += xp.asarray(0.05 * shake).astype(dtype)
    model.initialize(xp.asarray(images(8).astype(dtype) / 256 - 0.5))
    model.n_bits = 5
    return model


# --- the gradient by x ---


def nice():
    """A flow of vectors with a logistic base."""
    rng = np.random.default_rng(3)
    layers = {"coupling": AdditiveCoupling(6, MLP(3, 3, [8])), "scaling": Scaling((6,))}
    flow = Flow(Chain(layers), Logistic(), dtype="float64")
    flow.store.theta[...] = rng.standard_normal(len(flow.store)) / 2
    flow.initialize(rng.standard_normal((8, 6)))
    return flow


@pytest.mark.parametrize("make", [small_glow, nice])
def test_a_score_is_the_gradient_of_log_p(make):
    flow, rng = make(), np.random.default_rng(0)
    x = 0.3 * rng.standard_normal((3, *flow.event_shape))
    log_prob, dx = score(flow, x)
    np.testing.assert_allclose(log_prob, flow.log_prob(x), rtol=1e-12)
    direction, h = rng.standard_normal(x.shape), 1e-6
    change = (flow.log_prob(x + h * direction) - flow.log_prob(x - h * direction)) / (2 * h)
    found = (dx * direction).reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(found, change, rtol=1e-5)


def test_a_score_leaves_the_gradients_of_the_parameters_as_they_were():
    flow = small_glow()
    flow.store.grad[...] = np.arange(len(flow.store))
    score(flow, np.zeros((2, 8, 8, 3)))
    assert np.array_equal(flow.store.grad, np.arange(len(flow.store)))


def test_information_is_the_mean_curvature():
    """Of a Gaussian the mean of 1 / variance."""
    flow = Flow(Chain({"scaling": Scaling((400,))}), dtype="float64", event_shape=(400,))
    flow.store.theta[...] = 0.5 * np.random.default_rng(0).standard_normal(400)
    flow.initialize(np.zeros((2, 400)))
    assert information(flow) == pytest.approx(np.exp(2 * flow.store.theta).mean(), rel=0.1)


def test_information_passes_over_samples_that_are_not_finite(monkeypatch):
    flow = Flow(Chain({"scaling": Scaling((4,))}), dtype="float64", event_shape=(4,))
    flow.initialize(np.zeros((2, 4)))
    samples = np.full((16, 4), 3.0)
    samples[:7] = np.nan
    monkeypatch.setattr(flow, "sample", lambda n, temperature, seed: samples)
    assert information(flow) == 9


def test_known_pixels_stay_within_the_bounds_at_every_step():
    """White and noise can round up to the end of its level, which the logit of some has no room
    for.
    """
    flow, _, _ = gaussian()
    x = np.zeros((2, 4))

    class Over(Known):
        def project(self, x, seed, draw):
            return np.full_like(x, 0.5)

    known = Over(x, np.zeros((1, 1), bool))
    assert all((step <= 0.4).all() for step in ascend(flow, x, known, 2, bounds=(-0.5, 0.4)))


# --- the ascent ---


def conditional(mean, covariance, x):
    """Mean and covariance of the last half of a Gaussian vector, given the first half of x."""
    D = len(mean) // 2
    gain = covariance[D:, :D] @ np.linalg.inv(covariance[:D, :D])
    return mean[D:] + (x[:, :D] - mean[:D]) @ gain.T, (
        covariance[D:, D:] - gain @ covariance[:D, D:]
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_end_of_an_ascent_is_the_most_likely_x(library):
    xp = LIBRARIES[library]
    flow, mean, covariance = gaussian(xp=xp)
    x = mean + np.random.default_rng(1).standard_normal((3, 4))
    known = Known(xp.asarray(x), xp.asarray([[True, True, False, False]]))
    *_, last = ascend(flow, mean_start(known), known, steps=2000, noise=0.0)
    expected, _ = conditional(mean, covariance, x)
    np.testing.assert_allclose(on_host(last)[:, 2:], expected, rtol=0, atol=1e-6)
    assert np.array_equal(on_host(last)[:, :2], x[:, :2])


def test_noise_of_temperature_1_draws_from_what_is_left_open(monkeypatch):
    """Mean and covariance of 20,000 x after 400 of very many steps, the temperature hardly
    lower. Of four numbers the scores differ so much in length that many would be shortened.
    """
    monkeypatch.setattr(ascent, "LONGEST", 1e9)
    flow, mean, covariance = gaussian()
    x = np.repeat(mean[None] + 0.5, 20_000, axis=0)
    known = Known(x, np.array([[True, True, False, False]]))
    steps = ascend(flow, mean_start(known), known, steps=100_000, step=0.1)
    drawn = next(islice(steps, 400, None))[:, 2:]
    expected, spread = conditional(mean, covariance, x[:1])
    size = np.sqrt(np.diag(spread))
    assert (abs(drawn.mean(axis=0) - expected[0]) < 0.05 * size).all()
    error = (np.cov(drawn.T) - spread) / np.outer(size, size)
    assert abs(error).max() < 0.1


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_noisy_x_moves_to_where_it_is_most_likely(library):
    xp = LIBRARIES[library]
    flow, mean, covariance = gaussian(xp=xp)
    y, sigma = mean + np.random.default_rng(2).standard_normal((3, 4)), 0.5
    precision, data = np.linalg.inv(covariance), np.eye(4) / sigma**2
    expected = np.linalg.solve(precision + data, (mean @ precision + y @ data).T).T
    noisy = Noisy(xp.asarray(y), sigma)
    *_, last = ascend(flow, noisy.values, noisy, steps=2000, noise=0.0)
    np.testing.assert_allclose(on_host(last), expected, rtol=0, atol=1e-6)


def test_steps_shorten_as_in_nice(monkeypatch):
    """100 / (100 + i), a step of 1 being 1 / I; the momentum carries 9/10 of the step before."""
    flow, _, _ = gaussian()
    x = np.zeros((1, 4))
    monkeypatch.setattr(ascent, "score", lambda flow, x: (None, np.ones_like(x)))
    monkeypatch.setattr(ascent, "information", lambda flow, seed: 4.0)
    way = np.stack(list(ascend(flow, x, Known(x, np.zeros((1, 1), bool)), 3, 0.5, 0.0)))
    moved = np.diff(way[:, 0, 0])
    steps = 0.5 / 4 * 100 / (100 + np.arange(3))
    expected = [steps[0], 0.9 * steps[0] + steps[1], 0.81 * steps[0] + 0.9 * steps[1] + steps[2]]
    np.testing.assert_allclose(moved, expected, rtol=1e-12)


def test_noise_falls_to_none(monkeypatch):
    flow, _, _ = gaussian()
    monkeypatch.setattr(ascent, "MOMENTUM", 0.0)
    monkeypatch.setattr(ascent, "score", lambda flow, x: (None, np.zeros_like(x)))
    monkeypatch.setattr(ascent, "information", lambda flow, seed: 4.0)
    x = np.zeros((5000, 4))
    way = np.stack(list(ascend(flow, x, Known(x, np.zeros((1, 1), bool)), 4, 0.5, 2.0)))
    variances = np.diff(way, axis=0).var(axis=(1, 2))
    expected = [2 * 0.5 / 4 * 100 / (100 + i) * 2 * (1 - i / 4) for i in range(4)]
    np.testing.assert_allclose(variances, expected, rtol=0.05)


def test_a_score_of_any_length_moves_x_by_no_more_than_some(monkeypatch):
    flow, _, _ = gaussian()
    g = np.array([[1.0, 2, -1, 2], [1e9, -1e9, 0, 0], [-1e3, 0, 0, 0]])
    monkeypatch.setattr(ascent, "score", lambda flow, x: (None, g))
    monkeypatch.setattr(ascent, "information", lambda flow, seed: 4.0)
    x = np.zeros((3, 4))
    _, moved = ascend(flow, x, Known(x, np.zeros((1, 1), bool)), 1, 1.0, 0.0)
    length = np.sqrt(np.square(4 * moved).mean(axis=1))
    np.testing.assert_allclose(length, [np.sqrt(2.5), LONGEST * 2, LONGEST * 2], rtol=1e-12)
    np.testing.assert_allclose(4 * moved[0], g[0], rtol=1e-12)
    assert moved[1, 0] == -moved[1, 1] > 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_images_stay_in_their_range_and_known_pixels_in_their_level(library):
    xp = LIBRARIES[library]
    model = small_glow(xp, "float32")
    x = dequantize_midpoint(images(2), 5, "float32")
    mask = ~hidden_pixels("left", 8, 8)[None, :, :, None]
    known = Known(xp.asarray(x), xp.asarray(mask), 1 / 32)
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    way = [
        on_host(a) for a in ascend(model, mean_start(known), known, 3, 5.0, 9.0, 0, (-0.5, below))
    ]
    there = np.broadcast_to(mask, x.shape)
    assert len(way) == 4
    for before, after in pairwise(way):
        assert after.dtype == np.float32 and after.min() >= -0.5 and after.max() < 0.5
        assert np.array_equal(to_pixels(after, 5)[there], to_pixels(x, 5)[there])
        assert (before != after)[there].mean() > 0.9  # somewhere else in its level
    assert (abs(way[-1]) > 0.49)[~there].any()  # the range was felt


def test_an_ascent_is_of_its_seed(monkeypatch):
    model = small_glow()
    monkeypatch.setattr(ascent, "information", lambda flow, seed: 1e4)
    x = dequantize_midpoint(images(2), 5, "float64")
    known = Known(x, np.zeros((1, 8, 8, 1), bool), 1 / 32)

    def last(seed):
        return list(ascend(model, x, known, 3, seed=seed))[-1]

    assert np.array_equal(last(1), last(1)) and not np.isclose(last(1), last(2)).any()


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_ascent_raises_log_p(library):
    xp = LIBRARIES[library]
    model = small_glow(xp)
    x = xp.asarray(dequantize_midpoint(images(2), 5, "float64"))
    known = Known(x, xp.asarray(~hidden_pixels("bottom", 8, 8)[None, :, :, None]))
    first, *_, last = ascend(model, mean_start(known), known, 20, 0.1, 0.0)
    assert (model.log_prob(last) > model.log_prob(first)).all()


def test_what_is_no_ascent_is_said_in_one_line():
    flow, _, _ = gaussian()
    x = np.zeros((2, 4))
    known = Known(x, np.ones((1, 1), bool))
    with pytest.raises(ShapeError, match=r"known values \(3, 4\), like the start, got \(2, 4\)"):
        next(ascend(flow, np.zeros((3, 4)), known))
    for options, said in (
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"step": -1.0}, "step must be a finite number of at least 0"),
        ({"noise": np.nan}, "noise must be a finite number"),
        ({"seed": -1}, "seed must be a whole number"),
    ):
        with pytest.raises(GlowliteError, match=f"ascend: {said}"):
            next(ascend(flow, x, known, **options))


def test_a_model_whose_samples_have_no_score_is_said_in_one_line(monkeypatch):
    flow, _, _ = gaussian()
    x = np.zeros((2, 4))
    monkeypatch.setattr(ascent, "score", lambda flow, x: (None, np.full_like(x, np.nan)))
    with pytest.raises(GlowliteError, match="samples have mean square inf; its weights are"):
        next(ascend(flow, x, Known(x, np.ones((1, 1), bool))))


# --- starts ---


def test_a_mean_start_is_the_mean_of_the_known_pixels_of_an_image():
    x = np.random.default_rng(0).random((2, 4, 6, 3))
    mask = ~hidden_pixels("top", 4, 6)[None, :, :, None]
    start = mean_start(Known(x, mask))
    np.testing.assert_allclose(start[:, 1, 2], x[:, 2:].mean(axis=(1, 2)), rtol=1e-12)
    assert (start == start[:, :1, :1]).all() and start.shape == x.shape
    np.testing.assert_allclose(mean_start(Noisy(x, 1.0))[:, 3, 3], x.mean(axis=(1, 2)), rtol=1e-12)
    vectors = mean_start(Known(x[:, 0, :, 0], np.array([[True, False] * 3])))
    np.testing.assert_allclose(vectors[:, 1], x[:, 0, ::2, 0].mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_nearest_sample_is_that_in_the_known_pixels(library, monkeypatch):
    xp = LIBRARIES[library]
    model, rng = small_glow(xp), np.random.default_rng(0)
    samples = rng.random((CANDIDATES, 8, 8, 3))
    samples[5, 0] = np.nan  # is near to nothing
    asked = []

    def sample(n, temperature, seed):
        asked.append((n, temperature, seed))
        return xp.asarray(samples)

    monkeypatch.setattr(model, "sample", sample)
    mask = ~hidden_pixels("top", 8, 8)[None, :, :, None]
    x = samples[[7, 3]].copy()
    x[:, :4] = 5.0
    x[1, :4] = samples[9, :4]  # would be the nearest in what is hidden
    found = on_host(nearest_samples(model, Known(xp.asarray(x), xp.asarray(mask)), 4))
    assert np.array_equal(found, samples[[7, 3]]) and asked == [(CANDIDATES, 0.7, 4)]
    near = samples[[8, 2]] + 0.01
    assert np.array_equal(
        on_host(nearest_samples(model, Noisy(xp.asarray(near), 1.0))), samples[[8, 2]]
    )


# --- masks ---


def test_masks_hide_what_their_names_say():
    masks = {name: hidden_pixels(name, 4, 6) for name in NAMES}
    assert masks["top"][:2].all() and not masks["top"][2:].any()
    assert masks["left"][:, :3].all() and not masks["left"][:, 3:].any()
    assert (masks["bottom"] == ~masks["top"]).all() and (masks["right"] == ~masks["left"]).all()
    assert masks["even"][0, 0] and masks["even"][1, 1] and not masks["even"][0, 1]
    assert (masks["odd"] == ~masks["even"]).all()
    assert [tuple(index) for index in np.argwhere(masks["middle"])] == [
        (i, j) for i in (1, 2) for j in (2, 3)
    ]
    assert not hidden_pixels("top", 5, 4)[2].any()  # of an odd number the middle is known
    assert not hidden_pixels("bottom", 5, 4)[2].any()
    assert hidden_pixels("random:0.3", 200, 100).mean() == pytest.approx(0.3, abs=0.02)
    one, other = (hidden_pixels("random:0.5", 8, 8, seed) for seed in (1, 2))
    assert (one != other).any()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "sideways",
            "'sideways': the masks are top, bottom, left, right, middle, even, odd, random:",
        ),
        ("random:1", "a fraction between 0 and 1"),
        ("random:x", "a fraction between 0 and 1"),
        ("random:nan", "a fraction between 0 and 1"),
        ("random:1e-9", "hides nothing of 4x4 pixels"),
        ("random:0.999999999", "hides everything of 4x4 pixels"),
    ],
)
def test_a_mask_that_is_none_is_said_in_one_line(name, said):
    with pytest.raises(GlowliteError, match=re.escape(said)):
        hidden_pixels(name, 4, 4)


# --- the command ---


def test_half_of_a_face_is_filled_in(home, faces, capsys):
    inpaint.main(["0", "7", "--steps", "8"])
    sheet = cells(pixels("inpainting.png"), 2, 7)
    original, given, start, *way, result = sheet.transpose(1, 0, 2, 3, 4)
    assert (given[:, 8:] >= 248).all() and len(way) == 3
    for column in (given, start, *way, result):
        assert np.array_equal(column[:, :8], original[:, :8])
    assert (result[:, 8:] != start[:, 8:]).mean() > 0.5
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[-1].startswith("inpainting.png: images, their known pixels")
    for word, own, start_x, end, line in zip("07", original, start, result, lines, strict=False):
        found = re.fullmatch(
            r"(\d): bits/dim ([\d.]+); start ([\d.]+), ([\d.]+) grey levels away; result ([\d.]+),"
            r" ([\d.]+) away",
            line,
        )
        assert found[1] == word
        x = dequantize_midpoint(np.stack([own, start_x, end]), 5, "float32")
        np.testing.assert_allclose(
            [float(found[i]) for i in (2, 3, 5)], faces.bits_per_dim(x, 5), atol=6e-4
        )
        off = 256 * np.sqrt(np.square(x[1:] - x[0])[:, 8:].mean(axis=(1, 2, 3)))
        # of x itself, which is somewhere else in its level
        np.testing.assert_allclose([float(found[4]), float(found[6])], off, rtol=0.05)
        assert float(found[5]) < float(found[3])


def test_a_picture_says_what_is_known(home):
    known = np.zeros((16, 16), np.uint8)
    known[2:9, 3:] = 255
    Image.fromarray(known).save("mask.png")
    inpaint.main(["0", "--mask", "mask.png", "--steps", "1", "--start", "mean"])
    original, given, *_ = cells(pixels("inpainting.png"), 1, 4)[0]
    there = known > 0
    assert np.array_equal(given[there], original[there]) and (given[~there] >= 248).all()


def test_noise_is_added_and_taken_away(home, capsys):
    inpaint.main(["0", "7", "--denoise", "20", "--steps", "30", "--out", "a.png"])
    numbers = re.findall(r"start [\d.]+, ([\d.]+) .* ([\d.]+) away", capsys.readouterr().out)
    for noisy, result in np.array(numbers, float):
        assert 15 < noisy < 21  # what is beyond the range is cut
        assert result < 0.9 * noisy
    given = cells(pixels("a.png"), 2, 7)[:, 1]
    for i, picture in enumerate(given):
        Image.fromarray(picture).save(f"{i}.png")
    words = ["0.png", "1.png", "--denoise", "20", "--noisy", "--steps", "1", "--out", "b.png"]
    inpaint.main(words)
    again = cells(pixels("b.png"), 2, 4)
    assert np.array_equal(again[:, 1], given) and np.array_equal(again[:, 0], given)


def test_a_result_that_is_not_finite_is_said_and_drawn_as_a_cross(home, monkeypatch, capsys):
    def nowhere(flow, start, known, steps, *_):
        way = np.repeat(start[None].copy(), steps + 1, axis=0)
        way[-1, 1, 12] = np.nan
        return iter(way)

    monkeypatch.setattr(inpaint, "ascend", nowhere)
    inpaint.main(["0", "7", "8", "--steps", "4", "--start", "mean"])
    said = capsys.readouterr()
    assert "1 of 3 results is not finite: number 1, counted from 0; lower --step" in said.err
    assert [line[:2] for line in said.out.splitlines()[:-1]] == ["0:", "8:"]
    sheet = cells(pixels("inpainting.png"), 3, 7)
    # whatever becomes of known pixels, they are shown as they are
    assert np.array_equal(sheet[:, 2, :8], sheet[:, 0, :8])
    assert (sheet[1, -1] == MAGENTA).all(axis=-1).any()
    assert not (sheet[[0, 2]] == MAGENTA).all(axis=-1).any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["faces"], "faces is a model; also name images"),
        (
            ["0", "--mask", "sideways"],
            "--mask sideways: no such picture, and not one of top, bottom",
        ),
        (["0", "--mask", "random:7"], "a fraction between 0 and 1"),
        (["0", "--mask", "small.png"], "has 4x4 pixels, but the images of this model have 16x16"),
        (["0", "--mask", "white.png"], "--mask white.png: hides nothing of 16x16 pixels"),
        (["0", "--mask", "black.png"], "hides everything of 16x16 pixels"),
        (["0", "--mask", "notes.png"], "notes.png: cannot be read"),
        (["0", "--mask", "top", "--denoise", "9"], "--denoise and --mask: give one of the two"),
        (["0", "--noisy"], "--noisy: needs --denoise"),
        (["0", "--start", "itself"], "--start itself: needs --denoise"),
        (["0", "--out", "none/a.png"], "no folder none"),
        (["0", "--out", "a.gif"], "must end in .png"),
        (["800"], "800 held-out images, counted from 0"),
    ],
)
def test_a_mistake_is_one_line(home, words, said):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("small.png")
    Image.fromarray(np.zeros((16, 16), np.uint8)).save("black.png")
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save("white.png")
    (home / "notes.png").write_text("my notes")
    with pytest.raises(GlowliteError) as caught:
        inpaint.main(words)
    assert said in str(caught.value) and "\n" not in str(caught.value)
