"""The stand-in for CuPy refuses what CuPy refuses, and counts."""

import numpy as np
import pytest
from strict_device import API, counts, list_api, ndarray, xp

X = xp.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
HOST = np.ones((2, 3), np.float32)

REFUSED = {  # what works on NumPy and dies, or goes wrong, on CuPy 14.2
    "np.asarray": (lambda: np.asarray(X), TypeError),
    "np.savez": (lambda: np.savez("/dev/null", X), TypeError),
    "np.testing": (lambda: np.testing.assert_array_equal(X, HOST), TypeError),
    "a function of NumPy": (lambda: np.concatenate([X, X]), TypeError),
    "host + device": (lambda: HOST + X, TypeError),
    "device + host": (lambda: X + HOST, TypeError),
    "device += host": (lambda: X.__iadd__(HOST), TypeError),
    "ufunc of a list": (lambda: xp.maximum(X, [1.0, 2.0, 3.0]), TypeError),
    "ufunc of the host": (lambda: xp.multiply(X, HOST), TypeError),
    "device[:] = host": (lambda: X.__setitem__(slice(None), HOST), ValueError),
    "an index of the host": (lambda: X[np.array([0, 1])], TypeError),
    "an index outside": (lambda: X[[0, 2]], IndexError),
    "writing twice": (lambda: X.copy().__setitem__([0, 0], 1.0), IndexError),
    "ufunc where": (lambda: xp.add(X, X, where=X > 1), TypeError),
    "reduction initial": (lambda: xp.sum(X, initial=1.0), TypeError),
    "method where": (lambda: X.sum(where=X > 1), TypeError),
    "einsum out": (lambda: xp.einsum("ij->i", X, out=X[:, 0]), TypeError),
    "clip min": (lambda: xp.clip(X, min=0), TypeError),
    "objects": (lambda: xp.asarray(np.array([None])), ValueError),
    "errstate": (lambda: xp.errstate(), AttributeError),
    "nditer": (lambda: xp.nditer(X), AttributeError),
    "noise": (lambda: xp.random.standard_normal(3), AttributeError),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(what):
    action, error = REFUSED[what]
    with pytest.raises(error):
        action()


def test_works_like_numpy_otherwise():
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    d = xp.asarray(a)
    for f in (
        lambda x, m: m.sqrt(x) + 2 * x - x / 3,
        lambda x, m: m.stack([x, x])[1, ::2].reshape(-1, 2),
        lambda x, m: m.concatenate([x.T @ x, m.ones((1, 4), m.float32)]),
        lambda x, m: m.linalg.slogdet((x @ x.T).astype(m.float64) + m.eye(3))[1],
        lambda x, m: m.maximum(x, 3, out=m.empty_like(x)),
        lambda x, m: (1 - x) ** 2 > abs(-x),
        lambda x, m: x[..., None] * m.float32(2),
        lambda x, m: m.where(x > 3, x, 0.0).sum(axis=1, dtype=m.float64),
    ):
        got, expected = f(d, xp), f(a, np)
        assert (
            isinstance(got, ndarray)
            and np.array_equal(got.get(), expected)
            and got.dtype == expected.dtype
        )


def test_reductions_stay_on_the_device_and_reading_them_is_counted():
    counts.clear()
    total = X.sum()
    assert isinstance(total, ndarray) and total.shape == () and counts == {"kernel": 1}
    assert float(total) == 15.0 and bool(total > 3)
    assert counts == {"kernel": 2, "sync": 2, "download": 2}
    xp.asarray(HOST)
    assert X.reshape(3, 2)[1:].T.shape == (2, 2)
    assert counts["upload"] == 1 and counts["kernel"] == 2


def test_singular_matrices_do_not_raise():
    assert np.isnan(xp.linalg.inv(xp.zeros((2, 2))).get()).all()


def test_the_list_is_that_of_a_whole_cupy():
    assert len(API) > 800 and "cupyx.scatter_add" in API and "clip" in API and "errstate" not in API


def test_the_list_is_that_of_the_installed_cupy():
    """Needs CuPy, though no GPU: pip install 'cupy-cuda12x==14.2.*'
    nvidia-cuda-runtime-cu12 nvidia-cuda-nvrtc-cu12.
    """
    cupy = pytest.importorskip("cupy", reason="needs CuPy, though no GPU")
    if not cupy.__version__.startswith("14.2."):
        pytest.skip(f"the list is of CuPy 14.2, and {cupy.__version__} is installed")
    found, missing = list_api.api()
    # which look for cuBLAS
    assert len(found) > 900 and set(missing) <= {"cupyx.lapack", "cupyx.scipy.linalg"}
    absent = tuple(f"{module}." for module in missing)
    assert found == {
        name: kw for name, kw in API.items() if name not in missing and not name.startswith(absent)
    }


SIGNATURES = {
    "concatenate(tup, axis=0, out=None, *, dtype=None)": ["tup", "axis", "out", "dtype"],
    "_ndarray_base.sum(self, axis=None, dtype=None) -> _ndarray_base": ["axis", "dtype"],
    "MemoryPool.malloc(self, size_t size) -> MemoryPointer": ["size"],
    "einsum(subscripts, *operands, dtype=None, optimize=False)": ["dtype", "optimize"],
    "f(x1, x2, /, shape=(1, 2), order: str = 'K')": ["shape", "order"],
    r"matmul(x1, x2, /, out=None, \*\*kwargs)": None,
    "Clips the values of an array to a given interval.": None,
}  # fmt: skip


@pytest.mark.parametrize("line", SIGNATURES)
def test_keywords_are_read_from_the_first_line_of_a_text(line):
    assert list_api._keywords_of_text(line) == SIGNATURES[line]
