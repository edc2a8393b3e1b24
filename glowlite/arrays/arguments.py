"""Checks of numbers given to public functions: of the right type and within bounds, or a one-line
error.
"""

from __future__ import annotations

import math
import operator
import reprlib
from typing import Any

import numpy as np

from glowlite.errors import GlowliteError

MAX_INT = 2**63 - 1  # largest whole number that NumPy can represent
MAX_SEED = 2**64 - 1


def whole_number(where: str, name: str, value: Any, least: int = 0, most: int = MAX_INT) -> int:
    """Return `value` as an int if it is a Python or NumPy whole number from `least` to `most`.

    Otherwise raises GlowliteError; True is not a number.
    """
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        bounds = f"of at least {least}" if most == MAX_INT else f"from {least} to {most}"
        raise GlowliteError(f"{where}: {name} must be a whole number {bounds}, got {shown(value)}")
    return number


def real_number(
    where: str, name: str, value: Any, least: float = 0.0, most: float = math.inf
) -> float:
    """Return `value` as a float if it is a finite Python or NumPy number from `least` to `most`.

    Raises GlowliteError.
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    try:
        number = float(value) if is_number else math.nan
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and least <= number <= most):
        bounds = f" of at least {least:g}" if math.isinf(most) else f" from {least:g} to {most:g}"
        bounds = "" if math.isinf(least) else bounds
        raise GlowliteError(f"{where}: {name} must be a finite number{bounds}, got {shown(value)}")
    return number


def check_seed(where: str, seed: Any) -> int:
    """Return a seed as an int. Raises GlowliteError."""
    return whole_number(where, "seed", seed, 0, MAX_SEED)


def shown(value: Any) -> str:
    """Describe an unexpected value in a few characters: an array by its type and shape."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and len(shape):
        return f"{type(value).__name__} of shape {tuple(shape)}"
    return " ".join(reprlib.repr(value).split())
