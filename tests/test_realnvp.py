"""RealNVP against three that other people wrote, the authors' among them: log-likelihoods, latents,
samples, every gradient, and the running statistics after a step (tests/golden/family).
"""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from glowlite import Flow
from glowlite.arrays.batch_statistics import in_training
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

    def __init__(self, name, memory="256MB"):
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
        self.flow = Flow(layers, dtype="float64", event_shape=self.config.image_shape)
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


@pytest.mark.parametrize("memory", ["0", "all"])
@pytest.mark.parametrize("name", FILES)
def test_a_realnvp_of_these_layers_is_that_of_another_code(name, memory):
    golden = Golden(name, memory)
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
