"""What users give to a Glow, looked at before any layer sees it; on the host alone, so that no GPU is waited for."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from glowlite.arrays.arguments import MAX_INT, check_seed, real_number, shown, whole_number
from glowlite.arrays.backend import Array, Namespace, namespace
from glowlite.arrays.conversion import value_advice
from glowlite.arrays.machine import available_bytes
from glowlite.bijectors.memory import Memory
from glowlite.errors import DataError, GlowliteError, ShapeError
from glowlite.fast.threads import Workers

ROUNDING = 1e-3  # beyond [-0.5, 0.5): a level of 8 bits is four times as wide


def check_array(where: str, x: Any, xp: Namespace, what: str = "the images") -> None:
    """Raise ShapeError unless x is an array of `xp`, without a mask."""
    if isinstance(x, np.ma.MaskedArray):
        raise ShapeError(f"{where}: {what} are a masked array, whose masks a flow cannot keep; take x.filled(...)")
    if xp is np and isinstance(x, np.ndarray):
        return
    of = namespace(x)
    if of is not xp:
        if of is np or hasattr(type(x), "__array_namespace__"):
            raise ShapeError(f"{where}: the model is of {xp.__name__}, {what} of {getattr(of, '__name__', of)}")
        raise ShapeError(
            f"{where}: expected an array of {xp.__name__}, got {type(x).__module__}.{type(x).__name__}; convert with"
            f" {xp.__name__}.asarray(x), channels last"
        )


def check_range(where: str, x: Array, strict: bool = False) -> None:
    """Raise DataError for images that are not finite, or not in [-0.5, 0.5); nothing is said of those on a GPU.

    Decoded latents leave that range a little, so an image is refused only if no number is below 0, as in images of 0..1;
    with `strict` if any number is outside.
    """
    line = what_is_wrong(x, strict)
    if line is not None:
        raise DataError(f"{where}: {line}")


def warn_of_range(where: str, x: Array) -> None:
    """`check_range` for models that may have been trained on another range, such as imported ones: a warning, no error."""
    line = what_is_wrong(x)
    if line is not None:
        warnings.warn(f"{where}: {line}", stacklevel=3)


def what_is_wrong(x: Array, strict: bool = False) -> str | None:
    """What `check_range` says of these images; None if nothing."""
    if not isinstance(x, np.ndarray):
        return None
    low, high = float(x.min()), float(x.max())
    if not np.isfinite(high - low):
        return "the images hold numbers that are not finite"
    if (low >= 0 and high > 0.5 + ROUNDING) or (strict and max(-low, high) > 0.5 + ROUNDING):
        return (
            "images must be in [-0.5, 0.5), as dequantise and middles of glowlite.objective make them of uint8;"
            f" for that, {value_advice(x)}"
        )
    return None


def check_initialized(where: str, initialized: bool) -> None:
    """Raise GlowliteError for a model that was never given data, nor the weights of one that was."""
    if not initialized:
        raise GlowliteError(
            f"{where}: this model was never initialised: its weights are random, and its ActNorms have seen no data; call"
            " initialize(x) with a batch of images, or load a trained model"
        )


def check_parts(memory: Any, workers: Any) -> None:
    """Raise GlowliteError unless these are a Memory and Workers, or None."""
    if memory is not None and not isinstance(memory, Memory):
        raise GlowliteError(f"Glow: memory must be a Memory, such as Memory('stored'), got {shown(memory)}")
    if workers is not None and not isinstance(workers, Workers):
        raise GlowliteError(f"Glow: workers must be Workers, such as Workers(2), got {shown(workers)}")


def check_sampling(where: str, n: Any, temperature: Any, seed: Any, rows: Any, dimensions: int) -> tuple[int, float, int]:
    """n, temperature and seed as plain numbers. Raises GlowliteError for those that make no sample."""
    n = whole_number(where, "n", n, 1, MAX_INT)
    temperature, seed = real_number(where, "temperature", temperature), check_seed(where, seed)
    try:
        rows.indices(n)
    except (AttributeError, TypeError, ValueError):
        raise GlowliteError(f"{where}: rows must be a slice such as slice(0, 8), got {shown(rows)}") from None
    if 16.0 * n * dimensions > available_bytes():
        raise GlowliteError(f"{where}: n = {n} samples are more than this machine's memory holds at once; draw fewer a call")
    return n, temperature, seed


def check_latents(where: str, latents: Any, shapes: list[tuple[int, int, int]], dtype: np.dtype[Any], xp: Namespace) -> None:
    """Raise ShapeError unless `latents` is a list of arrays (N, h, w, c) of these shapes, of one N, of `dtype` and `xp`."""
    if not isinstance(latents, (list, tuple)):
        raise ShapeError(f"{where}: latents must be a list of {len(shapes)} arrays, one a level, got {shown(latents)}")
    for eps in latents:
        check_array(where, eps, xp, "the latents")
    got = [tuple(eps.shape[1:]) for eps in latents]
    if got != shapes:
        raise ShapeError(f"{where}: latents must have shapes {shapes}, got {shown(got)}")
    counts = {len(eps) for eps in latents}
    if len(counts) != 1 or 0 in counts:
        raise ShapeError(f"{where}: every level must have the same number of images, got {[len(eps) for eps in latents]}")
    for eps in latents:
        if eps.dtype != dtype:
            raise ShapeError(f"{where}: expected latents of {dtype}, got {eps.dtype}; convert with z.astype({str(dtype)!r})")
