"""Arrays that do not fit get one line: where, what was expected, what came, and what to do."""

import numpy as np
import pytest

from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.arrays.backend import namespace, to_host
from glowlite.arrays.device import device_namespace
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.bijectors.invertible_conv import Invertible1x1Conv
from glowlite.bijectors.permutation import Permutation
from glowlite.bijectors.split import Split
from glowlite.bijectors.squeeze import Squeeze
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.objective import dequantize

RNG = np.random.default_rng(0)
ONES = np.ones((2, 4, 4, 6))


def glow():
    model = Glow(GlowConfig((8, 8, 3), K=1, L=2, width=8))
    model.initialized = True  # with random weights; no ActNorm has to be set for what is held here
    return model


def net(c_in, c_out):
    return CouplingNetwork(c_in, c_out, 8, RNG)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: AffineCoupling(3, net(1, 3)), "AffineCoupling: C must be even, at least 2, to be"
                                               " halved, got 3"),
        (lambda: AdditiveCoupling(1, net(1, 1)), "AdditiveCoupling: C must be even"),
        (lambda: Split(5, None), "Split: C must be even, at least 2, to be halved, got 5; squeeze"
                                 " first"),
        (lambda: Squeeze().forward(np.ones((2, 7, 8, 3))), r"Squeeze.forward: H and W must be"
                                                           r" divisible by 2, got \(7, 8\)"),
        (lambda: Squeeze().inverse(np.ones((2, 7, 8, 3))), "C must be divisible by 4"),
        (lambda: ActNorm(4).forward(ONES), r"ActNorm.forward: expected an array \(N, H, W, 4\), got"
                                           r" \(2, 4, 4, 6\)"),
        (lambda: ActNorm(6).inverse(np.ones(6)), r"ActNorm.inverse: expected an array \(N, H, W,"
                                                 r" 6\), got \(6,\)"),
        (lambda: ActNorm(6).forward(ONES[:0]), r"got \(0, 4, 4, 6\)"),
        (lambda: ActNorm(6).forward(ONES.astype(np.float32)), "expected float64, got float32;"
                                                              " convert with x.astype"),
        (lambda: Invertible1x1Conv(4, RNG).backward(ONES, ONES, np.ones(2)),
            "Invertible1x1Conv.backward: expected"),
        (lambda: Permutation(np.array([0, 2, 2])), r"Permutation: indices must contain each of 0..2"
                                                   r" once, got \[0, 2, 2\]"),
        (lambda: AffineCoupling(6, net(3, 6)).forward(ONES.astype(np.float32)), "expected float64,"
                                                                                " got float32"),
        (lambda: AffineCoupling(6, net(3, 6), scale="tanh"), "scale must be 'exp', 'sigmoid' or"
                                                             " 'bounded', got 'tanh'"),
        (lambda: glow().forward(np.ones((2, 8, 6, 3), np.float32)), r"images must be \(8, 8, 3\),"
                                                                    r" got \(8, 6, 3\); resize"),
        (lambda: glow().log_prob(np.ones((2, 8, 8, 3))), "Glow.forward: expected float32, got"
                                                         " float64"),
        (lambda: glow().log_prob(np.ones((2, 8, 8, 3), np.uint8)), "got uint8; convert .* after"
                                                                   " .*dequantize"),
        (lambda: glow().inverse([np.ones((1, 4, 4, 6), np.float32)]), r"latents must have shapes"
                                                                      r" \[\(4, 4, 6\)"),
        (lambda: glow().sample(0), "n must be a whole number of at least 1, got 0"),
        (lambda: glow().sample(1, temperature=-1.0), "temperature must be a finite number of at"
                                                     " least 0, got -1"),
        (lambda: GlowConfig((9, 8, 3), L=2), r"H and W must be divisible by 4, got \(9, 8\); crop"
                                             r" or pad .* fewer"),
        (lambda: GlowConfig((8, 8, 3), K=0), "K must be a whole number from 1 to 4096, got 0"),
        (lambda: GlowConfig((8, 8, 3), permutation="lu,lu"), "permutation must be one of .* L=3"),
        (lambda: GlowConfig((8, 8, 3), border="some"), "border must be one of none, last, all, got"
                                                       " 'some'"),
        (lambda: GlowConfig.from_dict({"K": 3}), "image_shape"),
        (lambda: GlowConfig.from_dict({"image_shape": [8, 8, 3], "depth": 3}), "depth"),
        (lambda: dequantize(np.ones((1, 2, 2, 1)), 5, np.ones((1, 2, 2, 1))),
            "expected uint8 images"),
        (lambda: dequantize(np.ones((1, 2, 2, 1), np.uint8), 9, np.ones((1, 2, 2, 1))),
            "n_bits must be 1 to 8, got 9"),
        (lambda: device_namespace("gpu:x"), "expected cpu, gpu or gpu:k"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_line(wrong, said):
    with pytest.raises(GlowliteError, match=said) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_a_config_survives_its_dictionary():
    config = GlowConfig.paper((16, 8, 1), K=3, L=2, permutation="lu,conv1x1", bound=1.5)
    assert GlowConfig.from_dict(config.to_dict()) == config


def test_latent_shapes_are_those_of_the_model():
    model = Glow(GlowConfig((16, 8, 2), K=1, L=3, width=4))
    model.initialized = True
    latents = model.encode(np.zeros((2, 16, 8, 2), np.float32))
    assert [z.shape[1:] for z in latents] == model.config.latent_shapes()
    assert sum(z[0].size for z in latents) == model.config.dimensions


def test_the_array_decides_the_namespace():
    class DeviceArray:
        def __array_namespace__(self):
            return "its own"

    assert namespace(np.ones(2)) is np and namespace(np.float64(1)) is np
    assert namespace(DeviceArray()) == "its own"
    host = np.ones(2)
    assert to_host(host) is host


def test_samples_are_of_the_seed_alone_and_temperature_scales_the_latents():
    model = glow()
    assert not np.allclose(model.sample(3, 0.7, seed=1), model.sample(3, 0.7, seed=2))
    hot, cold = model.encode(model.sample(2, 1.0, 3)), model.encode(model.sample(2, 0.5, 3))
    for z, half in zip(hot, cold, strict=True):
        np.testing.assert_allclose(half, 0.5 * z, atol=1e-5)
    still = model.sample(2, 0.0)
    # columns of one product may be rounded in different ways
    np.testing.assert_allclose(still[0], still[1], atol=1e-6)
