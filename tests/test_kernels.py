"""The kernels of the device, compiled by g++ and run on the host, against their NumPy twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict_device import counts, xp

from glowlite.conditioners.patches import GATHER, SCATTER, patch_matrix, scatter_columns
from glowlite.kernels import source

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("border", "ones"), [(False, False), (True, False), (False, True), (True, True)])
@given(SHAPES, st.integers(0, 1000))
def test_gather(dtype, border, ones, shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    counts.clear()
    got = patch_matrix(xp.asarray(x), border, ones)
    assert counts["kernel"] <= 2 and got.dtype == dtype  # one of them where the pixels have to be put in order first
    assert np.array_equal(got.get(), patch_matrix(x, border, ones))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(SHAPES, st.integers(0, 1000))
def test_scatter(dtype, shape, seed):
    sent = np.random.default_rng(seed).standard_normal((9 * shape[3], shape[0] * shape[1] * shape[2])).astype(dtype)
    counts.clear()
    got = scatter_columns(xp.asarray(sent), shape)
    assert counts["kernel"] == 1 and got.dtype == dtype
    np.testing.assert_allclose(
        got.get(), scatter_columns(sent.copy(), shape), rtol=0, atol=1e-5 if dtype == np.float32 else 1e-14
    )


def test_a_kernel_is_a_loop_over_its_size():
    text = source("twice", "const T* x, T* y", "  y[i] = 2 * x[i];\n", "float")
    assert "typedef float T;" in text and "if (i >= size) return;" in text
    kernel = xp.RawKernel(text, "twice")
    x, y = xp.asarray(np.arange(10, dtype=np.float32)), xp.zeros(12, np.float32)
    kernel((1,), (256,), (x, y, np.int32(10)))
    assert y.get().tolist() == [*range(0, 20, 2), 0, 0]


KERNELS = {"gather": GATHER, "scatter": SCATTER}


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("name", KERNELS)
def test_nvrtc_compiles_it(name, kind, architecture):
    """The real compiler, which needs no GPU: pip install cupy-cuda12x nvidia-cuda-nvrtc-cu12."""
    compiler = pytest.importorskip("cupy.cuda.compiler", reason="needs CuPy and NVRTC, though no GPU")
    program = compiler._NVRTCProgram(source(name, *KERNELS[name], kind), f"{name}.cu", method="cubin")
    binary, _ = program.compile(("--std=c++17", f"-arch={architecture}"))
    assert len(binary) > 1000
