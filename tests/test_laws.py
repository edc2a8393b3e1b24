"""Every layer, in every option, obeys every law, over shapes N 1-3, H and W 2-8, C 1-12."""

import numpy as np
import pytest
import strict_device
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import (
    CONDITIONERS,
    EVEN,
    GIVEN,
    GLOWS,
    LAYERS,
    NETS,
    glow_cases,
    inputs,
    net,
    shaken,
    shapes,
    step,
)
from strict_device.layers import on_device
from test_fast import hold_equal

from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.invertible_conv import Invertible1x1Conv
from glowlite.conditioners import coupling_network, scaled_linear
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.conditioners.gather_scatter import gather, scatter
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.fast.columns import gather as fast_gather
from glowlite.testing import LAWS, check_conditioner, check_layer, gradient_check, taylor_slope
from glowlite.testing.laws import chosen

SEEDS = st.integers(0, 2**16)
BY_DIFFERENCES = chosen(["gradients_through_y", "gradients_through_logdet"])
# the laws that the quick profile holds at many examples; the others at one, see `test_layer_once`
OFTEN = chosen(
    [
        "inverse_of_forward",
        "forward_of_inverse",
        "samples_are_independent",
        "logdet_is_that_of_the_jacobian",
        "backward_rebuilds_the_input",
        "gradients_through_y",
        "gradients_through_logdet",
        "gradients_add",
        "nothing_passed_in_is_changed",
        "kept_equals_rebuilt",
    ]
)
ONCE = [law for law in LAWS if law not in OFTEN]
QUICK = 50  # examples: profiles of fewer leave out what takes long


# where the arrays live: the part of the examples, the module, and how a layer of the host comes
# there
BACKENDS = {"host": (1, np, lambda layer: layer), "device": (5, strict_device.xp, on_device)}


SHAPE = (2, 2, 4, 4)  # of `test_layer_once`: every layer takes it


def is_quick():
    return settings().max_examples < QUICK


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, backend, monkeypatch):
    """In the quick profile gradients on the device are those on the host, which differences hold:
    these take most of the time. So fewer hold a chain, whose layers are held one by one.
    """
    strategy, make = LAYERS[name]
    share, xp, place = backend
    if xp is not np and name.startswith("chain") and is_quick():
        pytest.skip("in the thorough profile; `test_fast` holds it to the same on the host")
    if name.startswith("chain") and is_quick():
        monkeypatch.setattr(gradient_check, "COORDINATES", 1)
    # what has many parameters takes long; of the affine couplings there are twenty-four
    share *= {"chain": 6, "affine": 3}.get(name.partition("-")[0], 1)

    @settings(max_examples=max(1, settings().max_examples // share))
    @given(strategy, SEEDS)
    def laws_hold(shape, seed):
        rng = np.random.default_rng(seed)
        layer = place(make(shape, rng))
        x, laws = inputs(name, shape, rng), OFTEN if is_quick() else LAWS
        if xp is not np and not name.startswith("split") and is_quick():
            laws = [law for law in OFTEN if law not in BY_DIFFERENCES]
            hold_equal(make(shape, np.random.default_rng(seed)), layer, x, seed)
        check_layer(layer, x, laws)

    laws_hold()


@pytest.mark.parametrize("name", LAYERS)
def test_layer_once(name):
    make, conditions = GIVEN.get(name, (LAYERS[name][1], lambda shape, rng: None))
    rng = np.random.default_rng(1)
    layer, x, condition = make(SHAPE, rng), inputs(name, SHAPE, rng), conditions(SHAPE, rng)
    check_layer(layer, x, ONCE, lambda: make(SHAPE, np.random.default_rng(1)), condition)


@pytest.mark.parametrize("name", GLOWS)
def test_glow(name, backend, monkeypatch):
    """On the device one model in the quick profile: there, `test_fast` holds every other to the
    same on the host. There, the gradient of a tensor is held along one direction and at two entries
    of it: `test_layer` holds more of every layer.
    """
    share, xp, place = backend
    if xp is not np and is_quick():
        pytest.skip("in the thorough profile")
    if is_quick():
        monkeypatch.setattr(gradient_check, "COORDINATES", 1)

    @settings(max_examples=max(1, settings().max_examples // (6 * share)))
    @given(glow_cases(GLOWS[name], xp))
    def laws_hold(case):
        layer, x = case
        check_layer(place(layer), x, OFTEN if is_quick() else LAWS)

    laws_hold()


@pytest.mark.parametrize("name", CONDITIONERS)
def test_conditioner(name, backend):
    share, _, place = backend
    # of many parameters, as in `test_layer`
    share *= {"residual": 3, "checkerboard": 3}.get(name.partition("-")[0], 1)

    @settings(max_examples=max(1, settings().max_examples // share))
    @given(shapes(), SEEDS)
    def laws_hold(shape, seed):
        rng = np.random.default_rng(seed)
        check_conditioner(place(CONDITIONERS[name](shape, rng)), rng.standard_normal(shape))

    laws_hold()


def slow_gather(x):
    """`gather`, as its definition is written."""
    n, h, w, c = x.shape
    patches = np.zeros((n, h, w, 3, 3, c))
    for y, z, dy, dx in np.ndindex(h, w, 3, 3):
        if 0 <= y + dy - 1 < h and 0 <= z + dx - 1 < w:
            patches[:, y, z, dy, dx] = x[:, y + dy - 1, z + dx - 1]
    return patches.reshape(n, h, w, 9 * c)


@given(st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8), st.integers(1, 5)), SEEDS)
def test_gather_is_its_definition_and_scatter_its_adjoint(shape, seed):
    rng = np.random.default_rng(seed)
    x, v = rng.standard_normal(shape), rng.standard_normal((9 * shape[3], x_pixels(shape)))
    taps = slow_gather(x).reshape(-1, 9 * shape[3]).T
    assert np.array_equal(gather(x), taps)
    assert (gather(x) * v).sum() == pytest.approx(
        (x * scatter(v, shape)).sum(), rel=1e-12, abs=1e-12
    )
    outside = 1 - slow_gather(np.ones((*shape[:3], 1))).reshape(-1, 9).T
    with_border = gather(x, with_border=True).reshape(9, shape[3] + 1, -1)
    assert np.array_equal(with_border[:, :-1], taps.reshape(9, shape[3], -1))
    assert np.array_equal(with_border[:, -1], outside)
    columns = fast_gather(x, with_border=True, ones=True)
    assert np.array_equal(columns, np.concatenate((taps, outside, np.ones((1, x_pixels(shape))))))
    assert np.array_equal(
        fast_gather(x, ones=True), np.concatenate((taps, np.ones((1, x_pixels(shape)))))
    )
    assert np.array_equal(fast_gather(x), taps)


def x_pixels(shape):
    return shape[0] * shape[1] * shape[2]


@given(shapes(), SEEDS)
def test_a_zero_conv_is_a_convolution_of_the_padded_image(shape, seed):
    rng = np.random.default_rng(seed)
    conv = ZeroConv(shape[3], 4)
    for p in conv.parameters().values():
        p.value[...] = rng.standard_normal(p.value.shape)
    x = rng.standard_normal(shape)
    expected = slow_scatter_conv(x, conv.conv.weight.value, True)
    expected = (expected + conv.conv.bias.value) * np.exp(3 * conv.conv.logs.value)
    np.testing.assert_allclose(
        conv.forward(x)[0], expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max()
    )


@pytest.mark.parametrize("options", NETS)
def test_a_coupling_network_is_the_network_of_the_paper(options):
    """Against whole 3x3 convolutions, each followed by its own scale."""
    border = options[1]

    @given(shapes(), SEEDS)
    def holds(shape, seed):
        rng = np.random.default_rng(seed)
        network = shaken(net(shape[3], 3, rng, options), rng)
        x = rng.standard_normal(shape)
        convs = (network.conv1, network.conv2, network.conv3)
        scales = [np.exp(3 * conv.logs.value) if conv.scaled else 1.0 for conv in convs]
        h = slow_gather(x).reshape(*shape[:3], 9, shape[3])
        if border == "all":
            outside = 1 - slow_gather(np.ones((*shape[:3], 1)))
            h = np.concatenate((h, outside[..., None]), axis=-1)
        h = h.reshape(*shape[:3], -1) @ network.conv1.weight.value + network.conv1.bias.value
        h = np.maximum(h * scales[0], 0)
        h = (h @ network.conv2.weight.value + network.conv2.bias.value) * scales[1]
        h = np.maximum(h, 0)
        expected = slow_scatter_conv(h, network.conv3.weight.value, border != "none")
        expected = (expected + network.conv3.bias.value) * scales[2]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(network.forward(x)[0], expected, rtol=1e-10, atol=1e-10 * scale)

    holds()


def slow_scatter_conv(h, weight, border):
    """A 3x3 convolution of an image padded with zeros and, with a border, one more channel of ones
    outside.
    """
    n, height, width, c = h.shape
    padded = np.zeros((n, height + 2, width + 2, c + border))
    padded[..., c:] = 1
    padded[:, 1:-1, 1:-1, c:] = 0
    padded[:, 1:-1, 1:-1, :c] = h
    kernel = weight.reshape(c + border, 3, 3, -1)[:, ::-1, ::-1]
    return sum(
        padded[:, y : y + height, x : x + width] @ kernel[:, y, x] for y, x in np.ndindex(3, 3)
    )


@given(EVEN, SEEDS)
def test_the_order_of_memory_does_not_matter(shape, seed):
    rng = np.random.default_rng(seed)
    layer, x, dlogdet = step(shape, rng), rng.standard_normal(shape), rng.standard_normal(shape[0])
    planes = np.ascontiguousarray(x.transpose(3, 0, 1, 2)).transpose(1, 2, 3, 0)
    (y, logdet), (y_planes, logdet_planes) = layer.forward(x), layer.forward(planes)
    np.testing.assert_allclose(y_planes, y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(logdet_planes, logdet, rtol=1e-12, atol=1e-12)
    for a, b in zip(
        layer.backward(y, x, dlogdet), layer.backward(y_planes, planes, dlogdet), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_the_fitted_taylor_slope_is_two_for_a_gradient_and_one_for_anything_else():
    def change(t):
        return np.exp(2 * t) - 1

    assert taylor_slope(change, 2.0) > 1.8
    assert taylor_slope(change, 0.0) < 1.2
    assert taylor_slope(change, 1.9) < 1.5


# Bugs as people make them: each has to break a law.


class WrongSignOfLogdet(ActNorm):
    def backward(self, y, dy, dlogdet, cache=None):
        return super().backward(y, dy, -dlogdet, cache)


class ForgottenPixels(ActNorm):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y, logdet / (x.shape[1] * x.shape[2])


class EpsInTheInverse(ActNorm):
    def inverse(self, y):
        s, b, _ = self.scale_and_shift()
        return (y - b) / (s + 1e-6)


class AssignedGradient(ActNorm):
    def backward(self, y, dy, dlogdet, cache=None):
        self.bias.grad[...] = 0
        return super().backward(y, dy, dlogdet, cache)


class ChangedArgument(ActNorm):
    def backward(self, y, dy, dlogdet, cache=None):
        result = super().backward(y, dy, dlogdet, cache)
        dy *= 2
        return result


class BatchStatistics(ActNorm):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y + 1e-6 * x.mean(axis=0), logdet


class LogdetInFloat32(ActNorm):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y, logdet.astype(np.float32)


class SmallGradientMissing(ActNorm):
    def backward(self, y, dy, dlogdet, cache=None):
        before = self.bias.grad.copy()
        result = super().backward(y, dy, dlogdet, cache)
        self.bias.grad[...] = before + (1 - 1e-5) * (self.bias.grad - before)
        return result


class CacheIgnored(ActNorm):
    def backward(self, y, dy, dlogdet, cache=None):
        return super().backward(y, dy, dlogdet, None if cache is None else cache + 1e-6)


class TransposedGradient(Invertible1x1Conv):
    def add_gradients(self, dW, dlog_abs_det, W_inverse):
        super().add_gradients(dW.T, dlog_abs_det, W_inverse)


class AliasOfAParameter(Invertible1x1Conv):
    def forward(self, x):
        y, logdet = super().forward(x)
        if x.shape[:3] == (1, 1, len(self.weight.value)):
            return self.weight.value[None, None], logdet
        return y, logdet


class NoLogdetGradient(Invertible1x1Conv):
    def add_gradients(self, dW, dlog_abs_det, W_inverse):
        super().add_gradients(dW, 0 * dlog_abs_det, W_inverse)


@pytest.mark.parametrize(
    "bug",
    [
        WrongSignOfLogdet,
        ForgottenPixels,
        EpsInTheInverse,
        AssignedGradient,
        ChangedArgument,
        BatchStatistics,
        LogdetInFloat32,
        SmallGradientMissing,
        CacheIgnored,
        TransposedGradient,
        NoLogdetGradient,
    ],
)
def test_a_planted_bug_breaks_a_law(bug):
    rng = np.random.default_rng(0)
    layer = bug(4, rng) if issubclass(bug, Invertible1x1Conv) else bug(4)
    for p in layer.parameters().values():
        p.value[...] += 0.1 * rng.standard_normal(p.value.shape)
    x = rng.standard_normal((3, 2, 3, 4))
    with pytest.raises(AssertionError, match=f"{bug.__name__}, law "):
        check_layer(layer, x)


def test_an_alias_of_a_parameter_breaks_a_law():
    layer = AliasOfAParameter(4, np.random.default_rng(0))
    with pytest.raises(AssertionError, match="law"):
        check_layer(layer, np.random.default_rng(1).standard_normal((1, 1, 4, 4)))


@pytest.mark.parametrize(
    "path", ["net", "log scale slope", "border", "bias", "scale", "relu", "gather"]
)
def test_a_bug_planted_in_a_coupling_breaks_a_law(path, monkeypatch):
    rng = np.random.default_rng(2)
    shape = (2, 4, 4, 6)
    layer = step(shape, rng)
    check_layer(layer, rng.standard_normal(shape))
    conv = scaled_linear.ScatterConv
    if path == "net":  # x1 acts through the network as well
        backward = CouplingNetwork.backward
        monkeypatch.setattr(
            CouplingNetwork, "backward", lambda self, dh, cache: 0 * backward(self, dh, cache)
        )
    elif path == "log scale slope":
        monkeypatch.setattr(AffineCoupling, "log_scale_slope", lambda self, h, log_s: np.exp(log_s))
    elif path == "border":  # its gradient is that of another tap
        senders, backward = conv._senders, conv.convolve_backward
        monkeypatch.setattr(
            conv,
            "convolve_backward",
            with_senders(backward, lambda self, y: senders(self, y)[::-1]),
        )
    elif path == "bias":
        monkeypatch.setattr(
            scaled_linear.ScaledLinear, "forward", lambda self, x: self.weight.value.T @ x
        )
    elif path == "scale":
        monkeypatch.setattr(
            scaled_linear.ScaledLinear, "add_scale_gradient", lambda self, dlog_e: None
        )
    elif path == "relu":
        monkeypatch.setattr(coupling_network, "relu", lambda h: np.maximum(h, 0.01 * h))
    else:
        gathered = scaled_linear.gather
        monkeypatch.setattr(scaled_linear, "gather", lambda x: gathered(x)[::-1])
    with pytest.raises(AssertionError, match="law"):
        check_layer(layer, rng.standard_normal(shape))


def with_senders(method, senders):
    def changed(self, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(self), "_senders", senders)
            return method(self, *arguments)

    return changed
