"""What docs/errata.md says of the paper, where it can be computed."""

import numpy as np
import pytest

from glowlite import Glow, GlowConfig
from glowlite.arrays.parameters import Parameterized
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.invertible_conv import Invertible1x1Conv


@pytest.fixture(scope="module")
def original():
    return Glow(GlowConfig.openai((32, 32, 3)))


@pytest.mark.parametrize("channels", [2, 12, 48])
def test_q_as_lapack_returns_it_is_no_rotation_of_an_even_number_of_channels(channels):
    rng = np.random.default_rng(0)
    for _ in range(20):
        q = np.linalg.qr(rng.standard_normal((channels, channels)))[0]
        assert np.linalg.slogdet(q)[0] == -1


def test_matrices_of_glowlite_have_either_sign():
    signs = [
        np.linalg.slogdet(Invertible1x1Conv(12, np.random.default_rng(seed)).weight.value)[0]
        for seed in range(100)
    ]
    assert 30 < signs.count(1) < 70


def test_the_matrices_are_a_five_hundredth_of_the_parameters(original):
    sizes = {name: p.value.size for name, p in original.parameters().items()}
    matrices = sum(size for name, size in sizes.items() if "/permutation/" in name)
    assert (matrices, sum(sizes.values())) == (96_768, 44_603_604)


@pytest.mark.parametrize(
    "config, factor", [("openai", 1 / (1 + np.exp(-2))), ("paper", 1.0), ("default", 1.0)]
)
def test_what_a_coupling_does_at_initialisation(config, factor):
    shape = (4, 4, 3)
    options = {"K": 1, "L": 1, "width": 4}
    make = GlowConfig if config == "default" else getattr(GlowConfig, config)
    model = Glow(make(shape, **options), dtype="float64")
    (coupling,) = (part for part in parts(model) if isinstance(part, AffineCoupling))
    x = np.random.default_rng(0).standard_normal((2, 2, 2, 12))
    ratios = coupling.forward(x)[0] / x
    changed = slice(6) if config == "paper" else slice(6, None)
    assert np.allclose(ratios[..., changed], factor)
    assert np.isclose(factor, 0.881, atol=5e-4) or factor == 1


def parts(part):
    """Every part of a model, and those within them."""
    if isinstance(part, Parameterized):
        yield part
        for _, child in part.children():
            yield from parts(child)


def test_the_determinant_is_cheap_beside_the_convolution():
    batch, pixels, channels = 64, 16, 48
    assert round(batch * pixels * channels**2 / channels**3) == 21


def test_the_middle_of_two_latents_is_as_long_as_samples_at_0_71():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 1000, 768))
    lengths = np.linalg.norm((one + other) / 2, axis=1) / np.sqrt(768)
    assert np.isclose(lengths.mean(), 0.71, atol=0.01)
