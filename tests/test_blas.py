"""Products by another BLAS: the same numbers, for every layout that layers hand over."""

import numpy as np
import pytest

from glowlite import GlowliteError
from glowlite.fast.mkl import AS_IS, TRANSPOSED, _find_mkl, _layout, matmul_of
from glowlite.fast.threads import Workers


def has_mkl():
    try:
        _find_mkl()
    except GlowliteError:
        return False
    return True


def test_numpy_is_numpy():
    assert matmul_of("numpy") is np.matmul
    assert Workers(1).matmul is np.matmul


def test_an_unknown_one_is_refused():
    with pytest.raises(GlowliteError, match="expected numpy or mkl"):
        matmul_of("atlas")


@pytest.mark.skipif(has_mkl(), reason="MKL is installed")
def test_without_mkl_the_command_to_install_it_is_named():
    with pytest.raises(GlowliteError, match=r"pip install '.\[mkl\]'"):
        Workers(1, blas="mkl")


def test_layouts_are_read_from_strides():
    m = np.zeros((6, 8), np.float32)
    assert _layout(m) == (AS_IS, 8)
    assert _layout(m.T) == (TRANSPOSED, 8)
    assert _layout(m[:, 2:5]) == (AS_IS, 8)
    assert _layout(m[1:4].T) == (TRANSPOSED, 8)
    assert _layout(m[:1]) == (AS_IS, 8) and _layout(m[:, :1]) == (AS_IS, 8)
    assert _layout(m[:, ::2]) is None and _layout(m[::-1]) is None and _layout(m[:0]) is None
    assert _layout(np.broadcast_to(np.zeros(4, np.float32), (3, 4))) is None


@pytest.mark.skipif(not has_mkl(), reason="needs pip install '.[mkl]'")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mkl_agrees_with_numpy_for_every_layout(dtype):
    rng, matmul = np.random.default_rng(0), matmul_of("mkl")

    def variants(rows, columns):
        yield rng.standard_normal((rows, columns)).astype(dtype)
        yield rng.standard_normal((columns, rows)).astype(dtype).T
        yield rng.standard_normal((rows, 2 * columns)).astype(dtype)[:, :columns]
        yield rng.standard_normal((rows, 2 * columns)).astype(dtype)[:, ::2]

    for m, k, n in ((5, 7, 3), (1, 4, 6), (4, 1, 1), (64, 30, 17)):
        for a in variants(m, k):
            for b in variants(k, n):
                out = np.full((m, 2 * n), np.nan, dtype)
                matmul(a, b, out=out[:, :n])
                limit = 1e-5 if dtype == "float32" else 1e-13
                np.testing.assert_allclose(out[:, :n], a @ b, rtol=limit, atol=limit)
                np.testing.assert_allclose(matmul(a, b), a @ b, rtol=limit, atol=limit)
                assert np.isnan(out[:, n:]).all()
