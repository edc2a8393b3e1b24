"""RealNVP's configurations: how its weights start, its shapes, and what is refused.

tests/test_family.py holds the model to three that other people wrote.
"""

import numpy as np
import pytest

from glowlite import GlowliteError
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.interop.realnvp_kind import RealNVPKind
from glowlite.models.realnvp_config import RealNVPConfig
from glowlite.models.realnvp_layers import realnvp_layers

CODES = {
    "authors": RealNVPConfig.authors,
    "chute": RealNVPConfig.chute,
    "fmu2": RealNVPConfig.fmu2,
}


def test_weights_start_as_in_the_codes():
    """Ranges of v, lengths g, biases, and the factors of the scales."""
    for name, made in CODES.items():
        config = made((8, 8, 2), levels=2, width=16, blocks=1)
        values = {n: p.value for n, p in realnvp_layers(config).parameters().items()}
        for path, v in values.items():
            part, _, leaf = path.rpartition("/")
            if leaf != "v":
                continue
            taps, inputs, _ = v.shape
            r = np.sqrt(2 / inputs) if name == "authors" else 1 / np.sqrt(inputs * taps)
            assert 0.9 * r < abs(v).max() <= r and abs(v.mean()) < 0.2 * r
            if (g := values.get(f"{part}/g")) is not None:
                half = r * np.sqrt(inputs * taps / 12)
                norm = np.sqrt((v**2).sum(axis=(0, 1)))
                np.testing.assert_allclose(g, half if name == "authors" else norm, rtol=1e-12)
            if (bias := values.get(f"{part}/bias")) is not None:
                assert abs(bias).max() <= (0 if name == "authors" else r)
                assert name == "authors" or bias.any()
        starts = {"authors": (0, 1), "chute": (1, 1), "fmu2": (0, 0)}[name]
        for path, a in values.items():
            if path.endswith("/a"):
                assert (a == starts["channels" in path]).all()
            elif path.endswith("/b"):
                assert not a.any()


def test_couplings_may_start_as_the_identity():
    """All that is left are permutations: every number of x is one of a latent."""
    config = RealNVPConfig.authors(
        (8, 8, 2), levels=2, width=4, blocks=1, start="zero", a_pixels=1.0, coupling_norm="none"
    )
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 2))
    latents, logdet = realnvp_layers(config).forward(x)
    assert not logdet.any() and np.array_equal(RealNVPKind.joined(latents), x)


@pytest.mark.parametrize("code", CODES)
def test_a_config_survives_its_dictionary(code):
    config = CODES[code]((16, 8, 3), levels=3, width=5, blocks=2, pixels="even")
    assert RealNVPConfig.from_dict(config.to_dict()) == config


def test_shapes_and_sizes_are_those_of_the_model():
    for config in (
        RealNVPConfig.paper((16, 32, 3), width=2, blocks=1),
        RealNVPConfig.fmu2((16, 32, 3), width=2, blocks=2, levels=1, widths="constant"),
    ):
        layers = realnvp_layers(config)
        latents, _ = layers.forward(np.random.default_rng(0).standard_normal((1, 16, 32, 3)))
        assert [z.shape[1:] for z in latents] == config.latent_shapes()
        assert sum(z.size for z in latents) == config.dimensions
        parameters = layers.parameters()
        assert 0 < config.least_parameters() < sum(p.value.size for p in parameters.values())
        assert 0 < config.least_arrays() < len(parameters)


@pytest.mark.parametrize(
    ("name", "pixels", "channels"),
    [
        ("authors", "second", "second"),
        ("paper", "first", "second"),
        ("chute", "first", "first"),
        ("fmu2", "second", "second"),
    ],
)
def test_which_half_the_first_couplings_change(name, pixels, channels):
    """Of pixels the first half are the even ones; then they alternate."""
    config = getattr(RealNVPConfig, name)((8, 8, 1), levels=2, width=2, blocks=1)
    other = {"first": "second", "second": "first"}
    for i, level in enumerate(realnvp_layers(config).levels):
        for path, layer in level.steps.layers.items():
            if isinstance(layer, AffineCoupling):
                first = pixels if path.startswith("pixels") else channels
                expected = first if int(path[-1]) % 2 == 0 else other[first]
                assert layer.changed == expected, (i, path)


def test_the_paper_goes_on_to_maps_of_4x4():
    sides = {32: 4, 64: 5, 16: 3, 28: 2, 8: 2, 4: 1}
    for side, levels in sides.items():
        assert RealNVPConfig.paper((side, side, 3)).levels == levels


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"levels": 4}, r"H and W must be divisible by 16, got \(8, 8\)"),
        ({"levels": 0}, "levels must be a whole number from 1 to 16, got 0"),
        ({"coupling_norm": "some"}, "coupling_norm must be one of none, changed, zeros, both"),
        ({"eps": 0.0}, "eps must be positive"),
        ({"a_pixels": -1.0}, "a_pixels must be a finite number"),
        ({"mask": 1}, "mask must be True or False, got 1"),
    ],
)
def test_a_config_that_no_model_has_is_refused(options, said):
    with pytest.raises(GlowliteError, match=said) as caught:
        RealNVPConfig.authors((8, 8, 3), **options)
    assert "\n" not in str(caught.value)
