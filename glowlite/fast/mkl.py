"""Matrix products with MKL instead of NumPy's own BLAS, if `pip install '.[mkl]'` has installed it.

It is off by default. MKL is made by Intel and takes 500 MB; on narrow matrices it can be 20% faster
than OpenBLAS. It is called through its C interface, without the interpreter's lock and with one
thread per call, so the threads of a `Workers` run such products in parallel. Its last bits may
depend on the memory address of an array; those of NumPy's BLAS do not.
"""

from __future__ import annotations

import ctypes
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np

from glowlite.errors import GlowliteError

MatMul = Callable[..., np.ndarray]  # (a, b, out=None), like numpy.matmul, for matrices
ROW_MAJOR, AS_IS, TRANSPOSED = 101, 111, 112  # constants of the C interface of BLAS
SEQUENTIAL = 1  # one of MKL's threading layers


def matmul_of(name: str) -> MatMul:
    """Return numpy.matmul for `numpy`, MKL's for `mkl`; raise GlowliteError if that is missing."""
    if name == "numpy":
        return np.matmul
    if name != "mkl":
        raise GlowliteError(f"blas {name!r}: expected numpy or mkl")
    return Mkl(_find_mkl())


class Mkl:
    """`matmul(a, b, out=None)` of float32 or float64 matrices.

    Other types, and unusual layouts, use NumPy.
    """

    def __init__(self, path: Path) -> None:
        try:
            library = ctypes.CDLL(str(path))
            library.MKL_Set_Threading_Layer(SEQUENTIAL)
            self._functions = {
                np.dtype("float32"): _declared(library.cblas_sgemm, ctypes.c_float),
                np.dtype("float64"): _declared(library.cblas_dgemm, ctypes.c_double),
            }
        except (OSError, AttributeError) as error:
            raise GlowliteError(f"blas mkl: {path} cannot be used ({error}); use numpy") from None

    def __call__(self, a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        gemm = self._functions.get(a.dtype)
        if out is None:
            out = np.empty((a.shape[0], b.shape[1]), a.dtype)
        layouts = [_layout(m) for m in (a, b, out)]
        if gemm is None or a.dtype != b.dtype or None in layouts or layouts[2][0] == TRANSPOSED:  # type: ignore[index]
            return np.matmul(a, b, out=out)
        (ta, lda), (tb, ldb), (_, ldc) = layouts  # type: ignore[misc]
        (m, k), n = a.shape, b.shape[1]
        gemm(
            ROW_MAJOR,
            ta,
            tb,
            m,
            n,
            k,
            1.0,
            _address(a),
            lda,
            _address(b),
            ldb,
            0.0,
            _address(out),
            ldc,
        )
        return out


def _declared(function: Callable[..., None], number: type) -> Callable[..., None]:
    i, p = ctypes.c_int, ctypes.c_void_p
    function.argtypes = [i, i, i, i, i, i, number, p, i, p, i, number, p, i]  # type: ignore[attr-defined]
    function.restype = None  # type: ignore[attr-defined]
    return function


def _layout(m: np.ndarray) -> tuple[int, int] | None:
    """Return how BLAS has to read a matrix (as it is or transposed), and its leading dimension.

    Return None if it cannot.
    """
    (rows, columns), item = m.shape, m.itemsize
    down, across = m.strides[0] // item, m.strides[1] // item
    if m.size == 0 or min(m.strides) < 0:
        return None
    if (across == 1 or columns == 1) and (down >= columns or rows == 1):
        return AS_IS, max(down, columns)
    if (down == 1 or rows == 1) and (across >= rows or columns == 1):
        return TRANSPOSED, max(across, rows)
    return None


def _address(m: np.ndarray) -> int:
    return int(m.__array_interface__["data"][0])


def _find_mkl() -> Path:
    data = Path(sysconfig.get_path("data"))
    for pattern in ("lib/libmkl_rt.so*", "Library/bin/mkl_rt*.dll", "lib/libmkl_rt*.dylib"):
        found = sorted(data.glob(pattern))
        if found:
            return found[-1]
    raise GlowliteError(
        "blas mkl: MKL is not installed; run pip install '.[mkl]' in the source folder, or use"
        " numpy"
    )
