"""From pixels to bits per dimension and back: ranges, worst cases,
and the formula derived by hand.
"""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from glowlite import GlowliteError
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.errors import ShapeError
from glowlite.objective import (
    bits_per_dim,
    check_finite,
    dequantization_noise,
    dequantize,
    log_normal,
    loss_gradients,
    nats,
    quantize,
    to_pixels,
)

N_BITS = st.integers(1, 8)
DTYPES = st.sampled_from(("float32", "float64"))
ALL_PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


@given(N_BITS)
def test_quantise_is_the_floor_of_a_division(n_bits):
    levels = quantize(ALL_PIXELS, n_bits)
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(levels, np.floor(ALL_PIXELS / 2.0 ** (8 - n_bits)))
    assert len(np.unique(levels)) == 2**n_bits


@given(N_BITS, DTYPES)
def test_dequantised_pixels_lie_in_their_bin_even_with_the_worst_noise(n_bits, dtype):
    below_one = np.nextafter(np.dtype(dtype).type(1), np.dtype(dtype).type(0))
    width = 2.0**-n_bits
    left = quantize(ALL_PIXELS, n_bits) * width - 0.5
    for u in (0.0, 0.5, below_one):
        x = dequantize(ALL_PIXELS, n_bits, np.full(ALL_PIXELS.shape, u, dtype))
        assert x.dtype == dtype
        assert x.min() >= -0.5 and x.max() < 0.5
        # level + u is rounded to the dtype, at most half a unit in the last place of 256 levels
        assert (x >= left).all() and (x <= left + width + 256 * np.finfo(dtype).eps).all()
    np.testing.assert_array_equal(
        dequantize(ALL_PIXELS, n_bits, np.zeros(ALL_PIXELS.shape, dtype)), left
    )


@given(N_BITS, DTYPES, st.integers(0, 2**16))
def test_pixels_come_back_at_the_level_they_had(n_bits, dtype, seed):
    images = np.random.default_rng(seed).integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    noise = dequantization_noise(seed, "dequantise", 0, 0, images.shape, dtype)
    pixels = to_pixels(dequantize(images, n_bits, noise), n_bits)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(quantize(pixels, n_bits), quantize(images, n_bits))
    # a pixel comes back in the middle of the values that share its level: within half of them
    assert np.abs(pixels.astype(int) - images).max() <= (2 ** (8 - n_bits)) // 2


def test_eight_bits_lose_nothing():
    x = dequantize(ALL_PIXELS, 8, np.full(ALL_PIXELS.shape, 0.5, "float32"))
    np.testing.assert_array_equal(to_pixels(x, 8), ALL_PIXELS)


@given(N_BITS)
def test_values_outside_the_range_are_clipped(n_bits):
    step = 256 // 2**n_bits
    low, high = to_pixels(np.array([-7.0, 7.0]), n_bits)
    assert low == step // 2 * (n_bits < 8) and high == 256 - step + step // 2 * (n_bits < 8)


def test_bits_per_dim_of_a_case_worked_out_by_hand():
    # D = 12, 5 bits. p(x) = 1 on the unit cube: every level has 1/32 of each axis,
    # so 5 bits a dimension
    assert bits_per_dim(np.zeros(2), 12, 5) == pytest.approx([5.0, 5.0], rel=1e-15)
    # one e-fold of density on the whole image saves 1/ln 2 bits of it
    assert bits_per_dim(np.array([1.0]), 12, 5) == pytest.approx(
        [5 - 1 / (12 * math.log(2))], rel=1e-15
    )
    # 3 nats below the uniform density on each of 4 axes, 8 bits: 8 + 3 log2(e)
    assert bits_per_dim(np.array([-12.0]), 4, 8) == pytest.approx(
        [8 + 3 * 1.4426950408889634], rel=1e-15
    )


@given(N_BITS)
def test_a_fair_die_over_the_levels_costs_n_bits(n_bits):
    """A density that is uniform over the cube [-0.5, 0.5)^D codes every pixel in n_bits:
    log p = 0.
    """
    assert bits_per_dim(np.zeros(1), 3072, n_bits)[0] == pytest.approx(n_bits, rel=1e-14)


@given(st.integers(1, 4), st.integers(0, 2**16))
def test_log_normal_is_that_of_scipy(n, seed):
    z = 3 * np.random.default_rng(seed).standard_normal((n, 2, 3, 4))
    got = log_normal(z)
    assert got.shape == (n,) and got.dtype == np.float64
    np.testing.assert_allclose(got, scipy.stats.norm.logpdf(z).sum(axis=(1, 2, 3)), rtol=1e-13)


def test_log_normal_of_float32_sums_in_float64():
    z = np.ones((1, 512, 512, 4), np.float32)
    z[0, 0, 0, 0] = 1e-2
    expected = scipy.stats.norm.logpdf(z.astype(np.float64)).sum()
    got = log_normal(z)
    assert got.dtype == np.float64
    # a sum in float32 keeps 7 digits at most
    np.testing.assert_allclose(got, [expected], rtol=1e-9)


@given(st.integers(1, 4), st.integers(1, 8), st.integers(0, 2**16))
def test_loss_gradients_are_those_of_mean_bits_per_dim(n, batch, seed):
    """The loss is quadratic in the latents and linear in logdet:
    one central difference is exact but for rounding.
    """
    rng = np.random.default_rng(seed)
    latents = [rng.standard_normal((n, 2, 2, 3)), rng.standard_normal((n, 1, 1, 8))]
    logdet = rng.standard_normal(n)

    def loss(latents, logdet):
        return bits_per_dim(sum(log_normal(z) for z in latents) + logdet, 20, 5).sum() / batch

    dlatents, dlogdet = loss_gradients(latents, batch)
    assert [d.shape for d in dlatents] == [z.shape for z in latents] and dlogdet.shape == (n,)
    v = [rng.standard_normal(z.shape) for z in latents]
    u = rng.standard_normal(n)
    up = loss([z + dz for z, dz in zip(latents, v, strict=True)], logdet + u)
    down = loss([z - dz for z, dz in zip(latents, v, strict=True)], logdet - u)
    expected = sum((d * dz).sum() for d, dz in zip(dlatents, v, strict=True)) + dlogdet @ u
    # each loss is about 5 n / batch, so its rounding is some 1e-15 of that
    assert (up - down) / 2 == pytest.approx(expected, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("n_bits", [0, 9, -1])
def test_an_impossible_number_of_bits_is_refused(n_bits):
    for call in (
        lambda: quantize(ALL_PIXELS, n_bits),
        lambda: dequantize(ALL_PIXELS, n_bits, np.zeros(ALL_PIXELS.shape)),
        lambda: to_pixels(np.zeros(3), n_bits),
    ):
        with pytest.raises(GlowliteError, match=rf"n_bits must be 1 to 8, got {n_bits}"):
            call()


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_only_bytes_are_pixels(dtype):
    with pytest.raises(ShapeError, match=f"expected uint8 images 0..255, got {dtype}"):
        quantize(ALL_PIXELS.astype(dtype), 5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_ends_the_run_with_a_place_and_a_remedy(value):
    with pytest.raises(GlowliteError, match=r"the loss is .*lower the learning rate"):
        check_finite("the loss", value)
    assert check_finite("the loss", 1.5) == 1.5


def test_nats_are_those_of_pixels_between_0_and_1():
    """By hand: of two numbers at 3 bits/dim, each of 5 bits, 2 (5 - 3) ln 2 nats. A uniform density
    is 1, whose logarithm is 0. And NICE's figure of MNIST, which is published in nats.
    """
    assert nats(np.array([3.0]), 2, 5)[0] == pytest.approx(4 * math.log(2), rel=1e-15)
    assert nats(np.array([8.0]), 784, 8)[0] == 0
    assert nats(np.array([8 - 1980.50 / (784 * math.log(2))]), 784, 8)[0] == pytest.approx(1980.50)
    log_prob = np.array([-3.0, 700.0])
    np.testing.assert_allclose(nats(bits_per_dim(log_prob, 12, 5), 12, 5), log_prob, rtol=1e-14)
    with pytest.raises(GlowliteError, match="n_bits"):
        nats(log_prob, 12, 9)


# --- temperature ---


class OfFirst:
    """A network whose output is what a coupling of two numbers needs: t = 0 and h = x1, or x1."""

    def __init__(self, outputs):
        self.outputs = outputs

    def forward(self, x):
        return (np.concatenate((0 * x, x), axis=1) if self.outputs == 2 else x), None

    def backward(self, dh, cache):
        return dh[:, -1:]


def grid_density(layer, power):
    """p(x)^power on a grid, normalised, for z = layer(x) ~ N(0, I); and x1 along it."""
    x1, x2 = np.linspace(-5, 5, 401), np.linspace(-60, 60, 4801)
    x = np.stack(np.meshgrid(x1, x2, indexing="ij"), axis=-1).reshape(-1, 2)
    z, logdet = layer.forward(x)
    log_p = power * (log_normal(z) + logdet)
    density = np.exp(log_p - log_p.max()).reshape(len(x1), len(x2))
    return x1, density / density.sum()


@pytest.mark.parametrize("T", [0.7, 1.2])
def test_noise_times_t_is_of_the_density_to_the_power_of_one_over_t_squared(T):
    """N(0, 1) to the power a has the standard deviation 1 / sqrt(a)."""
    z = np.linspace(-12, 12, 24_001)
    for power, deviation in ((1 / T**2, T), (T**2, 1 / T)):
        density = np.exp(power * log_normal(z[:, None]))
        density /= density.sum()
        assert math.isclose(math.sqrt((density * z**2).sum()), deviation, rel_tol=1e-6)


@pytest.mark.parametrize("T", [0.7, 0.85])
def test_in_the_space_of_images_that_needs_a_constant_determinant(T):
    """Noise times T has x1 ~ N(0, T^2) for both couplings, since z1 = x1."""
    additive = AdditiveCoupling(2, OfFirst(1))
    x1, density = grid_density(additive, 1 / T**2)
    assert abs((density.sum(axis=1) * x1).sum()) < 1e-6
    affine = AffineCoupling(2, OfFirst(2), scale="exp", shift="after")
    x1, density = grid_density(affine, 1 / T**2)
    assert abs((density.sum(axis=1) * x1).sum() - (1 - T**2)) < 1e-3
