"""Walks through latents: their ends, their lengths, and the same on the stand-in for a GPU."""

from itertools import pairwise

import numpy as np
import pytest
import strict_device
from small_runs import images, small_model
from strict_device import counts, ndarray

from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.errors import ShapeError
from glowlite.fast.threads import Workers
from glowlite.latent.walks import finite, flatten, four_corners, interpolate, unflatten
from glowlite.objective import dequantize, dequantize_midpoint, quantize, to_pixels

SHAPES = [(4, 4, 6), (2, 2, 24)]
SIZE = 4 * 4 * 6 + 2 * 2 * 24


def latents(seed, n=3, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, *shape)).astype(dtype) for shape in SHAPES]


def at(found, n, steps, k):
    """Step k of every walk."""
    return [z.reshape(n, steps, *z.shape[1:])[:, k] for z in found]


@pytest.mark.bits
@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_walk_begins_and_ends_at_its_ends_to_the_last_bit(dtype, spherical):
    a, b = latents(0, dtype=dtype), latents(1, dtype=dtype)
    a[0][0, 0, 0], b[0][0, 0, 0] = -0.0, 1.0  # -0.0 + 0.0 is 0.0
    found = interpolate(a, b, 5, spherical)
    assert [z.shape for z in found] == [(15, *shape) for shape in SHAPES] and {
        z.dtype.name for z in found
    } == {dtype}
    for k, end in ((0, a), (4, b)):
        assert all(z.tobytes() == e.tobytes() for z, e in zip(at(found, 3, 5, k), end))


def test_a_linear_walk_is_a_straight_line():
    a, b = latents(0), latents(1)
    found = interpolate(a, b, 5)
    for k in range(5):
        np.testing.assert_allclose(
            flatten(at(found, 3, 5, k)), (1 - k / 4) * flatten(a) + k / 4 * flatten(b), atol=1e-15
        )


def test_a_spherical_walk_turns_by_equal_angles_and_keeps_the_length_of_equal_ends():
    a, b = (flatten(latents(seed)) for seed in (0, 1))
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) * 3 for v in (a, b))
    found = interpolate(unflatten(a, SHAPES), unflatten(b, SHAPES), 7, spherical=True)
    way = [flatten(at(found, 3, 7, k)) for k in range(7)]
    np.testing.assert_allclose([np.linalg.norm(v, axis=1) for v in way], 3, rtol=1e-12)
    angles = [np.arccos((one * other).sum(axis=1) / 9) for one, other in pairwise(way)]
    np.testing.assert_allclose(
        angles, np.broadcast_to(np.arccos((a * b).sum(axis=1) / 9) / 6, (6, 3)), rtol=1e-9
    )


def test_a_spherical_walk_on_one_line_is_linear():
    a = latents(0)
    for b in ([2 * z for z in a], [-z for z in a], a):
        for found, expected in zip(interpolate(a, b, 4, spherical=True), interpolate(a, b, 4)):
            np.testing.assert_allclose(found, expected, atol=1e-6)
    zero = [0 * z for z in a]
    assert all(
        np.isfinite(z).all()
        for z in interpolate(zero, a, 4, spherical=True) + interpolate(zero, zero, 4, True)
    )


@pytest.mark.parametrize("spherical", [False, True])
def test_a_sheet_has_its_corners_and_walks_along_its_sides(spherical):
    a, b, c, d = (latents(seed, 2) for seed in range(4))
    sheet = [z.reshape(2, 3, 5, *z.shape[1:]) for z in four_corners(a, b, c, d, 3, 5, spherical)]
    for (row, column), corner in {(0, 0): a, (0, 4): b, (2, 0): c, (2, 4): d}.items():
        assert all(np.array_equal(z[:, row, column], e) for z, e in zip(sheet, corner))
    for side, walk in ((0, interpolate(a, b, 5, spherical)), (2, interpolate(c, d, 5, spherical))):
        assert all(
            np.allclose(z[:, side].reshape(w.shape), w, atol=1e-12) for z, w in zip(sheet, walk)
        )
    left = interpolate(a, c, 3, spherical)
    assert all(np.allclose(z[:, :, 0].reshape(w.shape), w, atol=1e-12) for z, w in zip(sheet, left))
    assert four_corners(a, b, c, d, 3)[0].shape == (2 * 9, *SHAPES[0])


def test_flatten_and_unflatten():
    a = latents(0)
    vectors = flatten(a)
    assert vectors.shape == (3, SIZE) and np.array_equal(vectors[:, :96], a[0].reshape(3, -1))
    assert all(np.array_equal(one, other) for one, other in zip(unflatten(vectors, SHAPES), a))
    with pytest.raises(ShapeError, match=rf"expected vectors \(N, {SIZE}\)"):
        unflatten(vectors[:, 1:], SHAPES)


@pytest.mark.parametrize("spherical", [False, True])
def test_on_a_device_the_same_comes_out_and_nothing_is_waited_for(spherical):
    xp = strict_device.xp
    ends = [latents(seed, 2) for seed in range(4)]
    on_device = [[xp.asarray(z) for z in end] for end in ends]
    counts.clear()
    found = four_corners(*on_device, 3, 4, spherical)
    vectors = flatten(found)
    whole = finite(vectors)
    assert (
        counts["sync"] == counts["download"] == 0
        and isinstance(vectors, ndarray)
        and isinstance(whole, ndarray)
    )
    for z, expected in zip(unflatten(vectors, SHAPES), four_corners(*ends, 3, 4, spherical)):
        np.testing.assert_allclose(z.get(), expected, atol=1e-12)
    assert whole.get().all()


def test_finite_names_the_images_that_are_not():
    x = np.zeros((4, 2, 2, 3), np.float32)
    x[1, 0, 0, 0], x[3, 1, 1, 2] = np.nan, np.inf
    assert finite(x).tolist() == [True, False, True, False]
    assert finite(strict_device.xp.asarray(x)).get().tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: (a, a, 1), "steps must be at least 2"),
        (lambda a: (a, a[:1], 3), "same shapes"),
        (lambda a: (a, [z[:1] for z in a], 3), "same shapes"),
        (lambda a: ([], [], 3), "expected latents, a list of arrays"),
        (
            lambda a: (a, [strict_device.xp.asarray(z) for z in a], 3),
            "one latent is an array of numpy",
        ),
    ],
)
def test_what_cannot_be_walked_is_one_line(change, message):
    with pytest.raises(GlowliteError, match=message):
        interpolate(*change(latents(0)))


@pytest.mark.bits
@pytest.mark.parametrize("module", [np, strict_device.xp], ids=["host", "device"])
@pytest.mark.parametrize("n_bits", [1, 5, 8])
def test_uint8_images_are_encoded_in_the_middle_of_their_levels(n_bits, module):
    model = Glow(
        GlowConfig((8, 8, 3), K=2, L=2, width=16), dtype="float64", workers=Workers(1), xp=module
    )
    pictures = images(6)
    half = dequantize(pictures, n_bits, np.full(pictures.shape, 0.5), module)
    model.initialize(half)
    with pytest.raises(GlowliteError, match=r"set model\.n_bits"):
        model.encode(pictures)
    model.n_bits = n_bits
    for one, other in zip(model.encode(pictures), model.encode(half)):
        assert bool((one == other).all())
    assert bool((model.encode(module.asarray(pictures))[0] == model.encode(half)[0]).all())
    back = model.decode(model.encode(pictures))
    back = back if module is np else back.get()
    assert np.array_equal(quantize(to_pixels(back, n_bits), n_bits), quantize(pictures, n_bits))


def test_middles_are_exact_and_in_the_middle():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for n_bits in range(1, 9):
        x = dequantize_midpoint(every, n_bits, "float32")
        assert x.dtype == np.float32
        assert np.array_equal((x.astype(np.float64) + 0.5) * 2**n_bits - 0.5, every >> (8 - n_bits))
        width = np.float32(0.49 / 2**n_bits)  # anywhere within a level, the level comes back
        for moved in (x - width, x + width):
            assert np.array_equal(to_pixels(moved, n_bits) >> (8 - n_bits), every >> (8 - n_bits))


def test_a_small_model_walks_in_float32():
    model = small_model()
    model.initialize(dequantize_midpoint(images(8, seed=2), 5, "float32"))
    ends = [
        model.encode(dequantize_midpoint(images(2, seed=seed), 5, "float32")) for seed in (0, 1)
    ]
    assert model.decode(interpolate(*ends, 4)).shape == (8, 8, 8, 3)
