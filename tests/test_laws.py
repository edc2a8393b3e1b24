"""Every layer, in every option, obeys every law, over shapes N 1-3, H and W 2-8, C 1-12."""

import numpy as np
import pytest
import strict_device
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import CONDITIONERS, EVEN, GLOWS, LAYERS, NETS, glow_cases, net, shaken, shapes, step
from strict_device.layers import on_device

from glowlite import GlowConfig
from glowlite.arrays.parameters import ParameterStore
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.invertible_conv import Invertible1x1Conv
from glowlite.conditioners.gather_scatter import gather, patch_matrix, scatter
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.fast.fused_steps import Fused
from glowlite.fast.threads import Workers
from glowlite.models.steps import flow_step
from glowlite.testing import check_conditioner, check_layer, taylor_slope

SEEDS = st.integers(0, 2**16)


# where the arrays live: the part of the examples, the module, and how a layer of the host comes there
BACKENDS = {"host": (1, np, lambda layer: layer), "device": (3, strict_device.xp, on_device)}

HOST_ONLY = ("tiled",)  # tiles are for threads


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, backend):
    strategy, make = LAYERS[name]
    share, _, place = backend
    if name in HOST_ONLY:
        place = BACKENDS["host"][2]

    @settings(max_examples=max(1, settings().max_examples // share))
    @given(strategy, SEEDS)
    def laws_hold(shape, seed):
        rng = np.random.default_rng(seed)
        layer = place(make(shape, rng))
        check_layer(layer, rng.standard_normal(shape))

    laws_hold()


@pytest.mark.parametrize("name", GLOWS)
def test_glow(name, backend):
    share, xp, place = backend

    @settings(max_examples=max(1, settings().max_examples // (3 * share)))
    @given(glow_cases(GLOWS[name], xp))
    def laws_hold(case):
        layer, x = case
        check_layer(place(layer), x)

    laws_hold()


@pytest.mark.parametrize("name", CONDITIONERS)
def test_conditioner(name, backend):
    share, _, place = backend

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
    x, v = rng.standard_normal(shape), rng.standard_normal((*shape[:3], 9 * shape[3]))
    assert np.array_equal(gather(x), slow_gather(x))
    assert (gather(x) * v).sum() == pytest.approx((x * scatter(v)).sum(), rel=1e-12, abs=1e-12)
    outside = 1 - slow_gather(np.ones((*shape[:3], 1)))
    with_border = gather(x, border=True)
    assert np.array_equal(with_border[..., :-9], slow_gather(x))
    assert np.array_equal(with_border[..., -9:], outside)
    with_ones = patch_matrix(x, border=True, ones=True)
    assert np.array_equal(with_ones[:-1], with_border.transpose(3, 0, 1, 2).reshape(len(with_ones) - 1, -1))
    assert (with_ones[-1] == 1).all() and (patch_matrix(x, ones=True)[-1] == 1).all()


@given(shapes(), SEEDS)
def test_a_zero_conv_is_a_convolution_of_the_padded_image(shape, seed):
    rng = np.random.default_rng(seed)
    conv = ZeroConv(shape[3], 4)
    for p in conv.parameters().values():
        p.value[...] = rng.standard_normal(p.value.shape)
    x = rng.standard_normal(shape)
    expected = slow_scatter_conv(x, conv.conv.weight.value, True)
    expected = (expected + conv.conv.bias.value) * np.exp(3 * conv.conv.logs.value)
    np.testing.assert_allclose(conv.forward(x)[0], expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("options", NETS)
def test_a_pixel_mlp_is_the_network_of_the_paper(options, blocks):
    """Against the plain form: whole 3x3 convolutions, each followed by its own scale, and no folding of anything."""
    border = options[1]

    @given(shapes(), SEEDS)
    def holds(shape, seed):
        rng = np.random.default_rng(seed)
        shape = (1, *shape[1:]) if blocks else shape
        mlp = shaken(net(shape[3], 3, rng, options), rng)
        mlp.workers = Workers(2, 64 / 2**18) if blocks else None
        x = rng.standard_normal(shape)
        scales = [np.exp(3 * conv.logs.value) if conv.scaled else 1.0 for conv in (mlp.conv1, mlp.conv2, mlp.conv3)]
        h = slow_gather(x).reshape(*shape[:3], 9, shape[3])
        if border == "all":
            outside = 1 - slow_gather(np.ones((*shape[:3], 1)))
            h = np.concatenate((h, outside[..., None]), axis=-1)
        h = np.maximum((h.reshape(*shape[:3], -1) @ mlp.conv1.weight.value + mlp.conv1.bias.value) * scales[0], 0)
        h = np.maximum((h @ mlp.conv2.weight.value + mlp.conv2.bias.value) * scales[1], 0)
        expected = slow_scatter_conv(h, mlp.conv3.weight.value, border != "none") + mlp.conv3.bias.value
        raw, _ = mlp.forward(x)
        np.testing.assert_allclose(raw, expected * scales[2], rtol=1e-10, atol=1e-10 * np.abs(expected).max())
        np.testing.assert_array_equal(mlp.apply(x), raw)

    holds()


def slow_scatter_conv(h, weight, border):
    """A 3x3 convolution of an image padded with zeros and, with a border, one more channel of ones outside."""
    n, height, width, c = h.shape
    padded = np.zeros((n, height + 2, width + 2, c + border))
    padded[..., c:] = 1
    padded[:, 1:-1, 1:-1, c:] = 0
    padded[:, 1:-1, 1:-1, :c] = h
    kernel = weight.reshape(c + border, 3, 3, -1)[:, ::-1, ::-1]
    return sum(padded[:, y : y + height, x : x + width] @ kernel[:, y, x] for y, x in np.ndindex(3, 3))


@pytest.mark.parametrize("permutation", ["conv1x1", "lu"])
@pytest.mark.parametrize("actnorm", ["paper", "openai"])
def test_a_fused_level_is_its_steps_one_by_one(permutation, actnorm):
    """ActNorm and 1x1 convolution as one affine map, matrices in one batched call, against the layers themselves."""

    @given(EVEN, SEEDS)
    def holds(shape, seed):
        rng = np.random.default_rng(seed)
        config = GlowConfig((8, 8, 3), width=4, permutation=permutation, actnorm=actnorm)
        plain = Chain({f"step{k}": flow_step(config, shape[3], 0, rng) for k in range(2)})
        shaken(plain, rng, 0.05)
        store = ParameterStore(plain, "float64")
        x, dy, dlogdet = rng.standard_normal(shape), rng.standard_normal(shape), rng.standard_normal(shape[0])
        results, pixels = [], shape[1] * shape[2]
        for fused in (False, True):
            store.grad[...] = 1.0
            forward, backward = Fused(plain, pixels, forward=True).chain, Fused(plain, pixels, inverse=True)
            y, logdet = (forward if fused else plain).forward(x)
            x_again, dx = (backward.chain if fused else plain).backward(y, dy, dlogdet)
            if fused:
                backward.add_gradients(dlogdet)
            results.append((y, logdet, x_again, dx, store.grad.copy(), backward.chain.inverse(y) if fused else x))
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-9 * max(1.0, np.abs(a).max()))

    holds()


@given(EVEN, SEEDS)
def test_the_order_of_memory_does_not_matter(shape, seed):
    rng = np.random.default_rng(seed)
    layer, x, dlogdet = step(shape, rng), rng.standard_normal(shape), rng.standard_normal(shape[0])
    planes = np.ascontiguousarray(x.transpose(3, 0, 1, 2)).transpose(1, 2, 3, 0)
    (y, logdet), (y_planes, logdet_planes) = layer.forward(x), layer.forward(planes)
    np.testing.assert_allclose(y_planes, y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(logdet_planes, logdet, rtol=1e-12, atol=1e-12)
    for a, b in zip(layer.backward(y, x, dlogdet), layer.backward(y_planes, planes, dlogdet), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_the_fitted_taylor_slope_is_two_for_a_gradient_and_one_for_anything_else():
    def change(t):
        return np.exp(2 * t) - 1

    assert taylor_slope(change, 2.0) > 1.8
    assert taylor_slope(change, 0.0) < 1.2
    assert taylor_slope(change, 1.9) < 1.5


# Bugs as people make them: each has to break a law.


class WrongSignOfLogdet(ActNorm):
    def backward(self, y, dy, dlogdet, kept=None):
        return super().backward(y, dy, -dlogdet, kept)


class ForgottenPixels(ActNorm):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y, logdet / (x.shape[1] * x.shape[2])


class EpsInTheInverse(ActNorm):
    def inverse(self, y):
        s, b, _ = self.scale_and_shift()
        return (y - b) / (s + 1e-6)


class AssignedGradient(ActNorm):
    def backward(self, y, dy, dlogdet, kept=None):
        self.bias.grad[...] = 0
        return super().backward(y, dy, dlogdet, kept)


class ChangedArgument(ActNorm):
    def backward(self, y, dy, dlogdet, kept=None):
        result = super().backward(y, dy, dlogdet, kept)
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
    def backward(self, y, dy, dlogdet, kept=None):
        before = self.bias.grad.copy()
        result = super().backward(y, dy, dlogdet, kept)
        self.bias.grad[...] = before + (1 - 1e-5) * (self.bias.grad - before)
        return result


class KeptIgnored(ActNorm):
    def backward(self, y, dy, dlogdet, kept=None):
        return super().backward(y, dy, dlogdet, None if kept is None else kept + 1e-6)


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
        KeptIgnored,
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


@pytest.mark.parametrize("path", ["net", "log scale slope", "border", "bias", "gain", "relu"])
def test_a_bug_planted_in_a_coupling_breaks_a_law(path, monkeypatch):
    from glowlite.bijectors import affine_coupling
    from glowlite.conditioners import folded_network as folded_mlp
    from glowlite.conditioners import zero_conv

    rng = np.random.default_rng(2)
    shape = (2, 4, 4, 6)
    layer = step(shape, rng)
    check_layer(layer, rng.standard_normal(shape))
    fold = zero_conv.ScatterConv.fold
    if path == "net":  # x1 acts through the network as well
        add = folded_mlp.FoldedMLP.add_backward
        monkeypatch.setattr(
            folded_mlp.FoldedMLP, "add_backward", lambda self, draw, cache, dx: add(self, draw, cache, 0 * dx)
        )
    elif path == "log scale slope":
        monkeypatch.setattr(affine_coupling.AffineCoupling, "_log_scale_slope", lambda self, h, log_s: np.exp(log_s))
    elif path == "border":  # its gradient is that of another tap
        monkeypatch.setattr(zero_conv, "CENTRE", 3)
        monkeypatch.setattr(zero_conv.ScatterConv, "fold", with_centre(fold, zero_conv, 4))
    elif path == "bias":  # sent to a neighbour
        monkeypatch.setattr(zero_conv.ScatterConv, "fold", with_centre(fold, zero_conv, 3))
    elif path == "gain":
        monkeypatch.setattr(zero_conv.ScatterConv, "fold", lambda self, gain=None: fold(self))
    else:
        monkeypatch.setattr(folded_mlp, "relu_backward", lambda dh, h: dh)
    with pytest.raises(AssertionError, match="law"):
        check_layer(layer, rng.standard_normal(shape))


def with_centre(fold, module, tap):
    def changed(self, gain=None):
        before, module.CENTRE = module.CENTRE, tap
        try:
            return fold(self, gain)
        finally:
            module.CENTRE = before

    return changed
