"""Log-determinants and likelihoods are summed in float64, whatever the dtype of the model: by
themselves, and in a level.

The terms of each sum here are one float32 number, COUNT times: so it has to be COUNT times that
number. Summed in float32, it is off by 1e-7 of that or more.
"""

import numpy as np
import pytest
from strict_device import xp

from glowlite.arrays.parameters import ParameterStore
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.chain import UniformChain
from glowlite.bijectors.invertible_conv import Invertible1x1Conv, Invertible1x1ConvLU
from glowlite.bijectors.split import Split
from glowlite.bijectors.top_prior import TopPrior
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.fast.accelerate import accelerate
from glowlite.fast.cuda.steps import CudaSteps, Shared
from glowlite.fast.threads import Workers
from glowlite.models.config import GlowConfig
from glowlite.models.steps import flow_step
from glowlite.objective import log_normal

SIDE = 37
COUNT = SIDE * SIDE * 3
LOG_SCALE = 0.1


def in_float32(layer):
    ParameterStore(layer, "float32")
    return layer


def images(side, channels):
    return np.zeros((2, side, side, channels), np.float32)


def coupling(scale):
    """Six channels, of which three are changed; the network gives LOG_SCALE everywhere."""
    net = CouplingNetwork(3, 6, 4, np.random.default_rng(0), border="none")
    net.conv3.bias.value[...] = LOG_SCALE
    return in_float32(AffineCoupling(6, net, scale=scale))


def split():
    prior = ZeroConv(3, 6, with_border=False)
    prior.conv.bias.value[...] = LOG_SCALE
    return in_float32(Split(6, prior))


def top():
    layer = TopPrior(3, with_border=False)
    layer.prior.conv.bias.value[...] = LOG_SCALE
    return in_float32(layer)


SPATIAL = {
    **{f"coupling {scale}": (lambda scale=scale: coupling(scale), 6) for scale in ("exp", "sigmoid",
        "bounded")},
    "split": (split, 6),
    "top": (top, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", SPATIAL)
def test_a_log_determinant_of_many_pixels(name):
    make, channels = SPATIAL[name]
    layer = make()
    one, many = (layer.forward(images(side, channels))[-1] for side in (1, SIDE))
    assert many.dtype == np.float64 and one.all()
    np.testing.assert_allclose(many, SIDE * SIDE * one, rtol=1e-13)


def of_channels(kind, channels):
    """A layer of `channels` channels whose log-scales are all LOG_SCALE."""
    rng = np.random.default_rng(0)
    if kind.startswith("actnorm"):
        layer = ActNorm(channels, kind.split()[1])
        (layer.logs if kind.endswith("openai") else layer.scale).value[...] = np.exp(LOG_SCALE)
        return in_float32(layer)
    layer = Invertible1x1ConvLU(channels, rng) if kind == "lu" else Invertible1x1Conv(channels, rng)
    if kind == "lu":
        layer.log_s.value[...] = LOG_SCALE
    else:
        layer.weight.value[...] = np.exp(LOG_SCALE) * np.eye(channels)
    return in_float32(layer)


@pytest.mark.parametrize("kind", ["actnorm paper", "actnorm openai", "lu", "conv1x1"])
def test_a_log_determinant_of_many_channels(kind):
    one, many = (
        of_channels(kind, channels).forward(images(1, channels))[1] for channels in (1, 57)
    )
    assert many.dtype == np.float64 and one.all()
    np.testing.assert_allclose(many, 57 * one, rtol=1e-13)


@pytest.mark.parametrize("permutation", ["lu", "conv1x1"])
def test_a_log_determinant_of_a_level(permutation):
    """ActNorm and the 1x1 convolution as one map, as they run on a GPU."""
    config = GlowConfig((8, 8, 3), width=4, permutation=permutation)
    chain = UniformChain({"step": flow_step(config, 58, 0, np.random.default_rng(0))})
    step = chain.layers["step"].layers
    step["actnorm"].logs.value[...] = LOG_SCALE
    store = ParameterStore(chain, "float32", xp)
    steps = accelerate(chain, Workers(1), store)
    assert type(steps) is CudaSteps
    x = xp.zeros((1, SIDE, SIDE, 58), "float32")
    affine = Shared(steps, x, forward=True).chain.layers["step"].layers["affine"]
    log_abs_det = float(step["permutation"].log_abs_det())
    expected = log_abs_det + 58 * np.float64(np.float32(3) * np.float32(LOG_SCALE))
    np.testing.assert_allclose(affine.logdet.get(), SIDE * SIDE * expected, rtol=1e-13)


def test_a_log_likelihood():
    z = np.full((2, COUNT), 0.1, np.float32)
    square = np.float64(np.float32(0.1) * np.float32(0.1))
    np.testing.assert_allclose(
        log_normal(z), -0.5 * COUNT * (square + np.log(2 * np.pi)), rtol=1e-13
    )
