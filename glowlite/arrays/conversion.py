"""Advice for an array that is not uint8 images (N, H, W, C), depending on its shape and values.

One formula for every type would ruin most arrays: 255 * x wraps around for bytes stored as int64,
and gives negative numbers for floats in -1..1. So some of the values are examined, and if they are
not clear, no formula is given.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

ROWS, BYTES = 256, 1 << 26  # largest numbers of rows and bytes that are examined
MAX_CHANNELS = 4  # most channels of pictures: colours and transparency
BEYOND = 0.05  # fraction of a range by which resizing can overshoot it
OF_16_BITS = (1 << 14, 1 << 16)  # cameras have 10, 12 or 14 bits; above that, 65535 is white
GENERIC = (
    "rescale them to 0 (black) .. 255 (white), round them, and convert them with .astype('uint8')"
)


def value_advice(array: Any) -> str:
    """Say how to convert `array`, called x, to uint8. It is an array of NumPy, HDF5 or a file, with
    a dtype, a shape and rows.
    """
    kind = array.dtype.kind
    if kind == "b":
        return "use 255 * x.astype('uint8')"
    if kind not in "iuf":
        return "images are whole numbers from 0 to 255"
    values = _looked_at(array)
    if values is None:
        return GENERIC
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"some values are NaN or infinite: replace them, and {GENERIC}"
    formula = _of_floats(low, high) if kind == "f" else _of_integers(low, high)
    return f"its values go from {low:.6g} to {high:.6g}: " + (
        f"use {formula}" if formula else GENERIC
    )


def shape_advice(shape: tuple[int, ...]) -> str | None:
    """Say what to do if this is probably not the shape of images (N, H, W, C) or (N, H, W).

    Return None if it can be.
    """
    if len(shape) == 4 and shape[1] <= MAX_CHANNELS < shape[3] and shape[1] < shape[2]:
        return "channels come last: use x.transpose(0, 2, 3, 1)"
    if len(shape) == 3 and _is_one_image(*shape):
        return (
            "this looks like one image, not many: stack several, channels last; if it is many"
            " grey images, use x[..., None]"
        )
    if len(shape) == 2:
        height, width, channels = _square(shape[1])
        return (
            f"if a row is an image, use x.reshape(-1, {height}, {width}, {channels}), or, where its"
            f" channels come first, x.reshape(-1, {channels}, {height}, {width}).transpose(0, 2, 3,"
            " 1)"
        )
    return None if len(shape) in (3, 4) else "stack the images along one axis, the first"


def _looked_at(array: Any) -> Any:
    """Return the values of rows that are evenly spaced over the array.

    Return None if there are none, or a row is too large.
    """
    if not array.shape or 0 in array.shape:
        return None
    row = math.prod(array.shape[1:]) * array.dtype.itemsize
    if isinstance(array, np.ndarray) and row * len(array) <= BYTES:
        return array
    # of HDF5, unpacked as a whole
    chunk = math.prod(getattr(array, "chunks", None) or ()) * array.dtype.itemsize
    count = min(array.shape[0], ROWS, BYTES // max(row, chunk))
    return (
        array[np.unique(np.linspace(0, array.shape[0] - 1, count).astype(int))] if count else None
    )


def _of_integers(low: float, high: float) -> str | None:
    if (low, high) == (0, 1):
        return "255 * x.astype('uint8')"
    if low >= 0 and high <= 255:
        return "x.astype('uint8')"
    if low >= 0 and OF_16_BITS[0] <= high < OF_16_BITS[1]:
        return "np.rint(x / 257).astype('uint8')"
    return None


def _of_floats(low: float, high: float) -> str | None:
    for least, most, formula in (
        (0.0, 1.0, "np.rint(255 * {x}).astype('uint8')"),
        (-0.5, 0.5, "np.rint(255 * ({x} + 0.5)).astype('uint8')"),
        (-1.0, 1.0, "np.rint(127.5 * ({x} + 1)).astype('uint8')"),
        (0.0, 255.0, "np.rint({x}).astype('uint8')"),
    ):
        more = BEYOND * (most - least)
        # 0..2 is neither 0..1 nor 0..255: such images would be almost black
        if least - more <= low and high <= most + more and not (most == 255 and high < 16):
            inside = least <= low and high <= most
            return formula.format(x="x" if inside else f"np.clip(x, {least:g}, {most:g})")
    return _of_integers(0, high) if low >= 0 and high > 255 else None


def _is_one_image(first: int, second: int, third: int) -> bool:
    """Whether this is (H, W, C) or (C, H, W).

    Grey images (N, H, W) with one or three columns could not be squeezed anyway.
    """
    channels_last = third in (1, 3) or (third == MAX_CHANNELS and min(first, second) >= 32)
    return (channels_last and min(first, second) > third) or (
        first in (1, 3) and min(second, third) >= 8
    )


def _square(size: int) -> tuple[int | str, int | str, int | str]:
    """Return the height, width and channels of square images with so many numbers.

    Return letters if there are none.
    """
    for channels in (3, 1):
        side = math.isqrt(size // channels)
        if side > 1 and channels * side * side == size:
            return side, side, channels
    return "H", "W", "C"
