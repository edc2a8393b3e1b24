"""RealNVP against three that other people wrote, the authors' among them: log-likelihoods, latents,
samples, every gradient, and the running statistics after a step (tests/golden/family).
"""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from glowlite import Flow, GlowliteError
from glowlite.arrays.batch_statistics import in_training
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.memory import Memory
from glowlite.interop.realnvp import (
    KINDS,
    config_from,
    fill,
    joined,
    parted,
    their_gradients,
    their_statistics,
)
from glowlite.models.realnvp_config import RealNVPConfig
from glowlite.models.realnvp_layers import realnvp_layers
from glowlite.objective import loss_gradients

GOLDEN = Path(__file__).parent / "golden" / "family"
FILES = {
    "authors_eval_8x8": {},
    "authors_train_16x16": {},
    "chute_eval_8x8": {},
    "chute_train_16x16": {},
    "fmu2_bn_eval_8x8": {},
    "fmu2_bn_train_8x8": {},
    "fmu2_nobn_eval_8x8": {"coupling_bn": False},
}
# gradients that are zero in exact arithmetic, or act by eps alone: always, and in training, of what
# only reaches a batch norm
ZERO = ("rescale.weight_v",)
ZERO_IN_TRAINING = (
    "h_in/biases", "skip_in/biases", "skip_0/biases", "block_0/out/biases",
    "st_net.in_conv.conv.bias", "in_skip.conv.bias", "skips.0.conv.bias",
    "blocks.0.out_conv.conv.bias", "blocks.0.in_conv.conv.weight_g",
    "in_block.conv.bias", "res_block.3.conv.bias",
)  # fmt: skip


class Golden:
    """One file: arrays by name, and the model that it is of, in float64."""

    def __init__(self, name, memory="256MB", plain=False):
        with safe_open(GOLDEN / f"realnvp_{name}.safetensors", "np") as file:
            self.facts = file.metadata()
            self.arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.kind = KINDS[name.partition("_")[0]]
        self.is_training = self.facts["mode"] == "train"
        self.in_float32 = self.kind.name == "authors"
        self.tensors = {**self.under("param/"), **self.under("buffer/")}
        size = tuple(map(int, self.facts["image_shape_hwc"].split(",")))[:2]
        self.config = config_from(self.kind, self.tensors, size, **FILES[name])
        layers = realnvp_layers(self.config, memory=Memory(memory))
        shape = self.config.image_shape
        self.flow = Flow(layers, dtype="float64", event_shape=shape, plain=plain)
        fill(self.flow, self.kind, self.config, self.tensors)
        self.flow.initialized = True

    def under(self, prefix):
        return {
            name.removeprefix(prefix): array
            for name, array in self.arrays.items()
            if name.startswith(prefix)
        }

    def is_nothing(self, name):
        """Whether this gradient is held on an absolute scale."""
        return name.endswith(ZERO + ZERO_IN_TRAINING * self.is_training)

    def images(self, name):
        """(N, H, W, C) in float64, from their run in float64 where there is one."""
        array = self.arrays.get(f"float64/{name}", self.arrays[name])
        return self.kind.images(array).astype(np.float64)

    def numbers(self, name):
        return self.arrays.get(f"float64/{name}", self.arrays[name])


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_a_realnvp_of_these_layers_is_that_of_another_code(name, plain):
    golden = Golden(name, memory="0" if plain else "all", plain=plain)
    flow, x = golden.flow, golden.images("x")
    with in_training(flow) if golden.is_training else nullcontext():
        latents, logdet, cache = flow.forward_with_cache(x)
        dlatents, dlogdet = loss_gradients(latents, len(x))
        rebuilt, dx = flow.backward(latents, dlatents, dlogdet, cache)
    np.testing.assert_allclose(joined(latents), golden.images("z"), rtol=0, atol=1e-10)
    np.testing.assert_allclose(logdet, golden.numbers("logdet"), rtol=0, atol=1e-10)
    log_prob = logdet + flow.base.log_prob(latents)
    np.testing.assert_allclose(log_prob, golden.numbers("log_prob"), rtol=0, atol=1e-10)
    np.testing.assert_allclose(rebuilt, x, rtol=0, atol=1e-9)

    theirs = golden.images("grad_x")
    np.testing.assert_allclose(dx, theirs, rtol=0, atol=1e-8 * abs(theirs).max())
    gradients = their_gradients(flow, golden.kind, golden.config, golden.tensors)
    assert set(gradients) == set(golden.under("grad/"))
    relative, absolute = (1e-4, 1e-6) if golden.in_float32 else (1e-8, 1e-13)
    for key, theirs in golden.under("grad/").items():
        is_nothing = golden.is_nothing(key)
        scale = 1.0 if is_nothing else abs(theirs).max()
        tolerance = (absolute if is_nothing else relative) * scale
        np.testing.assert_allclose(gradients[key], theirs, rtol=0, atol=tolerance, err_msg=key)
    if golden.is_training:
        flow.store.running += flow.store.change  # what an update does
        after, ours = golden.under("after/"), their_statistics(flow, golden.kind, golden.config)
        assert set(after) - set(ours) == {k for k in after if k.endswith(golden.kind.idle)}
        for key, statistic in ours.items():
            tolerance = 1e-5 * abs(after[key]).max() if golden.in_float32 else 1e-10
            np.testing.assert_allclose(statistic, after[key], rtol=0, atol=tolerance, err_msg=key)
    else:
        assert not flow.store.change.any()


@pytest.mark.parametrize("name", [name for name in FILES if "eval" in name])
def test_samples_are_those_of_another_code(name):
    golden = Golden(name)
    z = golden.images("sample/z")
    latents = parted(z, golden.config.levels)
    assert np.array_equal(joined(latents), z)
    assert [eps.shape[1:] for eps in latents] == golden.config.latent_shapes()
    expected = golden.images("sample/x")
    np.testing.assert_allclose(golden.flow.inverse(latents), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in FILES if "train" in name])
def test_a_step_of_training_has_their_loss_and_gradients(name):
    """Through `Flow.gradients`, which is what trains."""
    golden = Golden(name)
    loss, drift = golden.flow.gradients(golden.images("x"))
    assert loss == pytest.approx(golden.arrays["loss"][0], rel=1e-5 if golden.in_float32 else 1e-12)
    assert drift < 1e-12
    assert golden.flow.store.grad.any() and golden.flow.store.change.any()


def test_weights_start_as_in_the_codes():
    """Ranges of v, lengths g, biases, and the factors of the scales."""
    for name, kind in KINDS.items():
        config = kind.config((8, 8, 2), levels=2, width=16, blocks=1)
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
    assert not logdet.any() and np.array_equal(joined(latents), x)


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_survives_its_dictionary(kind):
    config = KINDS[kind].config((16, 8, 3), levels=3, width=5, blocks=2, pixels="even")
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


SOME = "s1_ckbd.0.coupling.block.1.in_skip.conv.weight_v"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop(SOME), f"the tensor {SOME}, .* is missing"),
        (lambda t: t.update({SOME: np.ones((3, 3))}), f"{SOME} must be finite numbers"),
        (lambda t: t.update({SOME: t[SOME] * np.nan}), f"{SOME} must be finite numbers"),
        (lambda t: t.update(more=np.ones(2)), "there is no place for more"),
        (lambda t: t.update({SOME.replace("skip", "block").replace("_v", "_g"): np.ones(8) * 2}),
            "there is no place for s1_ckbd.0.coupling.block.1.in_block.conv.weight_g"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_named(change, said):
    golden = Golden("fmu2_bn_eval_8x8")
    change(golden.tensors)
    before = golden.flow.store.theta.copy()
    with pytest.raises(GlowliteError, match=said) as caught:
        fill(golden.flow, golden.kind, golden.config, golden.tensors)
    assert "\n" not in str(caught.value)
    assert np.array_equal(golden.flow.store.theta, before)


def test_tensors_of_another_code_are_no_realnvp_of_this_one():
    golden = Golden("fmu2_bn_eval_8x8")
    with pytest.raises(
        GlowliteError, match=r"RealNVP of kind chute: no tensor flows\.in_couplings"
    ):
        config_from(KINDS["chute"], golden.tensors, (8, 8))
