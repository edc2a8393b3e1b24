"""Compare what is computed here with the arrays of a golden file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glowlite.errors import GlowliteError
from glowlite.interop.rules import Kind, Tensors


@dataclass
class Report:
    """`errors`: relative errors by quantity and tensor.

    `limits`: largest allowed error, by quantity.
    """

    kind: Kind
    errors: dict[str, dict[str, float]]
    limits: dict[str, float]
    note: str


def relative_error(
    name: str, ours: np.ndarray, theirs: np.ndarray, least_scale: float = 0.0
) -> float:
    """Return max|ours - theirs| / max|theirs|, or the absolute error if the scale is at most
    `least_scale`. It is infinite with NaN, and 0 for two arrays of zeros.

    Raises GlowliteError for different shapes.
    """
    if ours.shape != theirs.shape:
        raise GlowliteError(f"{name} must have shape {ours.shape}, got {theirs.shape}")
    difference, scale = float(abs(ours - theirs).max()), float(abs(theirs).max())
    if not np.isfinite(difference + scale):
        return np.inf
    scale = scale if scale > least_scale else float(least_scale > 0)
    return difference / scale if scale else (np.inf if difference else 0.0)


def in_float64(contents: Tensors) -> dict[str, np.ndarray]:
    """Return the same numbers, with floating-point arrays as float64."""
    return {
        name: t.astype(np.float64) if t.dtype.kind == "f" else t for name, t in contents.items()
    }


def under(prefix: str, contents: Tensors) -> dict[str, np.ndarray]:
    """Return the entries with this prefix, by the rest of the name."""
    return {name.removeprefix(prefix): t for name, t in contents.items() if name.startswith(prefix)}
