"""The kernels of the device, compiled by g++ and run on the host, against their NumPy twins."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import dataset
from strict_device import counts, xp

from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.fast import columns as host
from glowlite.fast.accelerate import retyped
from glowlite.fast.cuda import columns as device
from glowlite.fast.cuda import launch as kernels
from glowlite.fast.cuda.affine_coupling import LOG_SCALE, SHIFT, CudaAffineCoupling
from glowlite.fast.cuda.columns import GATHER
from glowlite.fast.cuda.coupling import CudaAdditiveCoupling
from glowlite.fast.cuda.dequantization import dequantize_on_device
from glowlite.fast.cuda.launch import launch, source
from glowlite.fast.threads import Workers
from glowlite.objective import dequantize
from glowlite.training.loop import train
from glowlite.training.optimizers import Adam, Adamax, AveragedWeights
from glowlite.training.run import Training
from glowlite.training.settings import Settings

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("border", "ones"), [(False, False), (True, False), (False, True), (True, True)]
)
@given(SHAPES, st.integers(0, 1000))
def test_gather(dtype, border, ones, shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    counts.clear()
    got = device.gather(xp.asarray(x), border, ones)
    # one of them where the pixels have to be put in order first
    assert counts["kernel"] <= 2 and got.dtype == dtype
    assert np.array_equal(got.get(), host.gather(x, border, ones))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(SHAPES, st.integers(0, 1000))
def test_scatter(dtype, shape, seed):
    sent = (
        np.random.default_rng(seed)
        .standard_normal((9 * shape[3], shape[0] * shape[1] * shape[2]))
        .astype(dtype)
    )
    counts.clear()
    got = device.scatter(xp.asarray(sent), shape)
    assert counts["kernel"] == 1 and got.dtype == dtype
    np.testing.assert_allclose(
        got.get(),
        host.scatter(sent.copy(), shape),
        rtol=0,
        atol=1e-5 if dtype == np.float32 else 1e-14,
    )


def test_a_kernel_is_a_loop_over_its_size():
    text = source("twice", "const T* x, T* y", "  y[i] = 2 * x[i];\n", "float")
    assert "typedef float T;" in text and "if (i >= size) return;" in text
    kernel = xp.RawKernel(text, "twice")
    x, y = xp.asarray(np.arange(10, dtype=np.float32)), xp.zeros(12, np.float32)
    kernel((1,), (256,), (x, y, np.int32(10)))
    assert y.get().tolist() == [*range(0, 20, 2), 0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 1000))
def test_relu(dtype, rows, columns, seed):
    rng = np.random.default_rng(seed)
    h, dh = (rng.standard_normal((rows, columns)).astype(dtype) for _ in range(2))
    h[0, 0] = np.nan
    bias = rng.standard_normal(rows).astype(dtype)
    got, expected = device.relu(xp.asarray(h), xp.asarray(bias)), host.relu(h.copy(), bias)
    np.testing.assert_array_equal(got.get(), expected)
    got_dh, expected_dh = (
        device.relu_backward(xp.asarray(dh), got),
        host.relu_backward(dh.copy(), expected),
    )
    np.testing.assert_array_equal(got_dh.get(), expected_dh)


NET = CouplingNetwork(3, 6, 4, np.random.default_rng(0))  # which is not run
COUPLINGS = {
    "additive": lambda changed: AdditiveCoupling(6, NET, changed),
    **{
        f"{scale}, {shift}": lambda changed, scale=scale, shift=shift: AffineCoupling(
            6, NET, changed, scale, shift, 1.5
        )
        for scale in LOG_SCALE
        for shift in SHIFT
    },
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("changed", ["first", "second"])
@pytest.mark.parametrize("name", COUPLINGS)
@given(seed=st.integers(0, 1000))
def test_couplings(name, changed, dtype, seed):
    """Forward, inverse and backward of the map, a kernel each."""
    rng, coupling = np.random.default_rng(seed), COUPLINGS[name](changed)
    shape, tolerance = (2, 3, 4, 6), 1e-5 if dtype == np.float32 else 1e-13
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    raw = 2 * rng.standard_normal((*shape[:3], 3 if name == "additive" else 6)).astype(dtype)
    dlogdet = rng.standard_normal(2)
    expected = three_passes(coupling, x, raw, dy, dlogdet)
    fast = retyped(
        coupling,
        {AdditiveCoupling: CudaAdditiveCoupling, AffineCoupling: CudaAffineCoupling}[
            type(coupling)
        ],
    )
    d = [xp.asarray(a) for a in (x, raw, dy, dlogdet)]
    counts.clear()
    got = three_passes(fast, *d)
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            one.get(), other, rtol=tolerance, atol=tolerance * np.abs(other).max()
        )
    given_x = fast.transform_backward(got[0], d[1], d[2], d[3], d[0])
    assert given_x[0] is d[0] and np.array_equal(given_x[2].get(), got[5].get())


def three_passes(coupling, x, net_output, dy, dlogdet):
    y, logdet = coupling.transform(x, net_output)
    x_again = coupling.transform_inverse(y, net_output)
    return [y, logdet, x_again, *coupling.transform_backward(y, net_output, dy, dlogdet, None)]


@pytest.mark.parametrize("kind", [Adam, Adamax])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_optimisers(kind, dtype):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(700).astype(dtype)
    host, device = kind(theta.copy()), kind(xp.asarray(theta))
    averages = AveragedWeights(host.theta, 0.9), AveragedWeights(device.theta, 0.9)
    for _ in range(4):
        grad = rng.standard_normal(700).astype(dtype)
        host.step(grad, 1e-2, 0.5)
        averages[0].update(host.theta)
        on_device = xp.asarray(grad)
        counts.clear()
        device.step(on_device, 1e-2, xp.full(1, 0.5))
        averages[1].update(device.theta)
        assert counts["kernel"] == 3  # one of them the 0.5
    for one, other in (
        (device.theta, host.theta),
        (device.m, host.m),
        (device.v, host.v),
        (averages[1].sum, averages[0].sum),
    ):
        np.testing.assert_allclose(
            one.get(), other, rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-7
        )
    before = [a.get() for a in (device.theta, device.m, device.v)]
    device.step(on_device, 1e-2, xp.full(1, np.nan))
    assert all(
        np.array_equal(a.get(), b)
        for a, b in zip((device.theta, device.m, device.v), before, strict=True)
    )


@pytest.mark.parametrize("n_bits", [1, 5, 8])
def test_dequantise_to_the_last_bit(n_bits):
    rng = np.random.default_rng(0)
    images, noise = (
        rng.integers(0, 256, (4, 5, 6, 3)).astype(np.uint8),
        rng.random((4, 5, 6, 3), np.float32),
    )
    noise[0], images[0, :2] = np.nextafter(np.float32(1), np.float32(0)), 255
    got = dequantize_on_device(xp.asarray(images), n_bits, xp.asarray(noise))
    assert got.dtype == np.float32 and np.array_equal(got.get(), dequantize(images, n_bits, noise))


def test_a_kernel_of_too_many_elements_is_refused():
    with pytest.raises(GlowliteError, match="too large for one kernel: lower --batch"):
        launch(xp, "gather", *GATHER, 2**31, xp.zeros(1), xp.zeros(1), 1, 1, 1, 1, 0)


@pytest.fixture(scope="module")
def launched():
    """The source of every kernel that training, evaluation and sampling launch, under
    any option.
    """
    found = {}

    def compiled(xp, text, name):
        found[name, "float" if "typedef float T" in text else "double"] = text
        return kernels.compiled.__wrapped__(xp, text, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "compiled", functools.update_wrapper(compiled, kernels.compiled))
        for dtype in ("float32", "float64"):
            for options in (
                *(
                    {"scale": scale, "shift": shift, "permutation": "shuffle"}
                    for scale in LOG_SCALE
                    for shift in SHIFT
                ),
                {"coupling": "additive"},
            ):
                model = Glow(
                    GlowConfig((8, 8, 3), K=1, L=1, width=4, **options),
                    dtype=dtype,
                    workers=Workers(1),
                    xp=xp,
                )
                kind = "adamax" if options.get("shift") == "after" else "adam"
                training = Training(model, Settings(steps=1, batch=8, average=0.9, optimizer=kind))
                train(training, dataset(), [])
                model.sample(1)
    return found


PASSES = ("forward", "inverse", "backward")
ALL = [
    "gather", "scatter", "bias_relu", "relu_backward", "scale_and_shift", "additive", "adam",
    "adamax", "average",
    "dequantise",
    *(
        f"affine_{scale}_{shift}_{which}"
        for scale in LOG_SCALE for shift in SHIFT for which in PASSES
    ),
]  # fmt: skip


def test_these_are_all_kernels(launched):
    assert {name for name, _ in launched} == set(ALL) and len(launched) == 2 * len(ALL)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("name", ALL)
def test_nvrtc_compiles_it(launched, name, kind, architecture):
    """The real compiler, which needs no GPU: pip install cupy-cuda12x nvidia-cuda-nvrtc-cu12."""
    compiler = pytest.importorskip(
        "cupy.cuda.compiler", reason="needs CuPy and NVRTC, though no GPU"
    )
    program = compiler._NVRTCProgram(launched[name, kind], f"{name}.cu", method="cubin")
    binary, _ = program.compile(("--std=c++17", f"-arch={architecture}"))
    assert len(binary) > 1000
