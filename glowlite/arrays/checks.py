"""Shape and dtype errors, in one voice: where, what was expected, what came, what to do."""

from __future__ import annotations

from glowlite.arrays.backend import Array
from glowlite.arrays.conversion import value_advice
from glowlite.errors import ShapeError


def check_images(where: str, x: Array, channels: int, dtype: object) -> None:
    """Raise ShapeError unless `x` is (N, H, W, channels), none of them zero, of `dtype`."""
    if getattr(x, "ndim", None) != 4 or x.shape[3] != channels or 0 in x.shape:
        got = tuple(getattr(x, "shape", ())) or type(x).__name__
        raise ShapeError(f"{where}: expected an array (N, H, W, {channels}), got {got}; channels come last")
    if x.dtype != dtype:
        advice = f"convert with x.astype({str(dtype)!r})"
        if x.dtype.kind in "biu":
            advice += " after glowlite.objective.dequantise"
            advice = advice if x.dtype == "uint8" else f"{value_advice(x)}; then {advice}"
        raise ShapeError(f"{where}: expected {dtype}, got {x.dtype}; {advice}")


def check_even(where: str, height: int, width: int, divisor: int = 2) -> None:
    """Raise ShapeError unless `divisor` divides both sides of the image."""
    if height % divisor or width % divisor:
        raise ShapeError(
            f"{where}: H and W must be divisible by {divisor}, got ({height}, {width}); crop or pad the images"
            + ("" if divisor == 2 else ", or use fewer levels L")
        )


def check_half(where: str, channels: int) -> None:
    """Raise ShapeError unless the channels can be halved."""
    if channels < 2 or channels % 2:
        raise ShapeError(f"{where}: C must be even, at least 2, to be halved, got {channels}; squeeze first")
