"""Checks of user input before any layer sees it. Errors say where, what was expected, what was
given, and what to do.

Only host arrays are checked, so that nothing waits for a GPU.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from glowlite.arrays.arguments import MAX_INT, check_seed, real_number, shown, whole_number
from glowlite.arrays.backend import Array, Namespace, namespace
from glowlite.arrays.conversion import value_advice
from glowlite.arrays.machine import available_bytes
from glowlite.errors import DataError, GlowliteError, ShapeError

ROUNDING = 1e-3  # tolerance beyond [-0.5, 0.5): an 8-bit level is four times as wide


def check_images(where: str, x: Array, channels: int, dtype: object) -> None:
    """Raise ShapeError unless `x` is (N, H, W, channels), none of them zero, of `dtype`."""
    if getattr(x, "ndim", None) != 4:
        raise _shape_error(where, x, channels)
    check_channels(where, x, channels, dtype)


def check_channels(where: str, x: Array, channels: int, dtype: object) -> None:
    """Raise ShapeError unless `x` is (N, H, W, channels) or (N, channels), not empty,
    of `dtype`.
    """
    if getattr(x, "ndim", 0) < 2 or x.shape[-1] != channels or 0 in x.shape:
        raise _shape_error(where, x, channels)
    if x.dtype != dtype:
        advice = f"convert with x.astype({str(dtype)!r})"
        if x.dtype.kind in "biu":
            advice += " after glowlite.objective.dequantize"
            advice = advice if x.dtype == "uint8" else f"{value_advice(x)}; then {advice}"
        raise ShapeError(f"{where}: expected {dtype}, got {x.dtype}; {advice}")


def _shape_error(where: str, x: Array, channels: int) -> ShapeError:
    got = tuple(getattr(x, "shape", ())) or type(x).__name__
    return ShapeError(
        f"{where}: expected an array (N, H, W, {channels}), got {got}; channels come last"
    )


def check_even(where: str, height: int, width: int, divisor: int = 2) -> None:
    """Raise ShapeError unless `divisor` divides both sides of the image."""
    if height % divisor or width % divisor:
        raise ShapeError(
            f"{where}: H and W must be divisible by {divisor}, got ({height}, {width}); crop or pad"
            " the images" + ("" if divisor == 2 else ", or use fewer levels")
        )


def check_half(where: str, channels: int) -> None:
    """Raise ShapeError unless the channels can be halved."""
    if channels < 2 or channels % 2:
        raise ShapeError(
            f"{where}: C must be even, at least 2, to be halved, got {channels}; squeeze first"
        )


def check_data(where: str, x: Array, event_shape: tuple[int, ...] | None, dtype: object) -> None:
    """Raise ShapeError unless x is (N, *event_shape), or any (N, ...) while that is None, of
    `dtype`.
    """
    expected = "N, ..." if event_shape is None else ", ".join(["N", *map(str, event_shape)])
    wrong_shape = event_shape is not None and tuple(x.shape[1:]) != event_shape
    if x.ndim < 2 or 0 in x.shape or wrong_shape:
        raise ShapeError(f"{where}: expected an array ({expected}), got {tuple(x.shape)}")
    if x.dtype != dtype:
        raise ShapeError(
            f"{where}: expected {dtype}, got {x.dtype}; convert with x.astype({str(dtype)!r})"
        )


def is_masked(x: Any) -> bool:
    """Whether x is a masked array. It cannot be one before numpy.ma is imported, which is slow."""
    return "numpy.ma" in sys.modules and isinstance(x, np.ma.MaskedArray)


def check_array(where: str, x: Any, xp: Namespace, what: str = "the images") -> None:
    """Raise ShapeError unless x is an array of `xp`, without a mask."""
    if is_masked(x):
        raise ShapeError(
            f"{where}: {what} are a masked array, whose masks a flow cannot keep; take"
            " x.filled(...)"
        )
    if xp is np and isinstance(x, np.ndarray):
        return
    of = namespace(x)
    if of is not xp:
        if of is np or hasattr(type(x), "__array_namespace__"):
            raise ShapeError(
                f"{where}: the model uses {xp.__name__}, but {what} are arrays of"
                f" {getattr(of, '__name__', of)}"
            )
        raise ShapeError(
            f"{where}: expected an array of {xp.__name__}, got"
            f" {type(x).__module__}.{type(x).__name__}; convert with {xp.__name__}.asarray(x),"
            " channels last"
        )


def check_range(where: str, x: Array, strict: bool = False) -> None:
    """Raise DataError for images that are not finite or not in [-0.5, 0.5). Images on a GPU are not
    checked.

    Decoded latents can leave that range slightly, so an image is refused only if no number is below
    0, as in images with range 0..1; with `strict`, if any number is outside.
    """
    line = what_is_wrong(x, strict)
    if line is not None:
        raise DataError(f"{where}: {line}")


def what_is_wrong(x: Array, strict: bool = False) -> str | None:
    """Return what `check_range` reports about these images, or None."""
    if not isinstance(x, np.ndarray):
        return None
    low, high = float(x.min()), float(x.max())
    if not np.isfinite(high - low):
        return "the images contain numbers that are not finite"
    if (low >= 0 and high > 0.5 + ROUNDING) or (strict and max(-low, high) > 0.5 + ROUNDING):
        return (
            "images must be in [-0.5, 0.5), as dequantize and dequantize_midpoint of"
            f" glowlite.objective make them of uint8; for that, {value_advice(x)}"
        )
    return None


def check_initialized(where: str, initialized: bool) -> None:
    """Raise GlowliteError for a model that was neither initialised with data nor loaded."""
    if not initialized:
        raise GlowliteError(
            f"{where}: this model was never initialised: its weights are random, and its ActNorms"
            " have seen no data; call initialize(x) with a batch of images, or load a trained"
            " model"
        )


def check_sampling(
    where: str, n: Any, temperature: Any, seed: Any, rows: Any, dimensions: int
) -> tuple[int, float, int]:
    """Return n, temperature and seed as plain numbers.

    Raises GlowliteError if they are not valid.
    """
    n = whole_number(where, "n", n, 1, MAX_INT)
    temperature, seed = real_number(where, "temperature", temperature), check_seed(where, seed)
    try:
        rows.indices(n)
    except (AttributeError, TypeError, ValueError):
        raise GlowliteError(
            f"{where}: rows must be a slice such as slice(0, 8), got {shown(rows)}"
        ) from None
    if 16.0 * n * dimensions > available_bytes():
        raise GlowliteError(
            f"{where}: n = {n} samples do not fit into this machine's memory; draw fewer per call"
        )
    return n, temperature, seed


def check_latents(
    where: str,
    latents: Any,
    shapes: Sequence[tuple[int, ...]] | None,
    dtype: np.dtype[Any],
    xp: Namespace,
) -> None:
    """Raise ShapeError unless `latents` is a list of arrays (N, ...) with these shapes, if known,
    and the same N.

    They must be of `dtype` and `xp`.
    """
    if not isinstance(latents, (list, tuple)):
        count = "arrays" if shapes is None else f"{len(shapes)} arrays, one per level"
        raise ShapeError(f"{where}: latents must be a list of {count}, got {shown(latents)}")
    for eps in latents:
        check_array(where, eps, xp, "the latents")
    got = [tuple(eps.shape[1:]) for eps in latents]
    if shapes is not None and got != list(shapes):
        raise ShapeError(f"{where}: latents must have shapes {shapes}, got {shown(got)}")
    counts = {len(eps) for eps in latents}
    if len(counts) != 1 or 0 in counts:
        raise ShapeError(
            f"{where}: every level must have the same number of images, got"
            f" {[len(eps) for eps in latents]}"
        )
    for eps in latents:
        if eps.dtype != dtype:
            raise ShapeError(
                f"{where}: expected latents of {dtype}, got {eps.dtype}; convert with"
                f" z.astype({str(dtype)!r})"
            )


def check_images_fit(option: str, n: int, dimensions: int) -> None:
    """Raise GlowliteError for more images, with their noise, than fit into this machine's memory.

    `option`: the option that asked for `n` images, each of `dimensions` numbers.
    """
    there = available_bytes()
    most = int(there / (32 * dimensions)) if math.isfinite(there) else n
    if n > most:
        raise GlowliteError(
            f"{option}: {n} images do not fit into this machine's memory, about {most} do; lower it"
        )
