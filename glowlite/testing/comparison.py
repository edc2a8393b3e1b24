"""Compare a layer's numbers with what a law requires, and raise an error if they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """Two arrays, compared at the entry where they differ most.

    what: the two arrays, in words, "this against that". got, expected: the two numbers at that
    entry. error, allowed: their difference, and the largest allowed difference. index: the position
    of the entry.
    """

    what: str
    got: float
    expected: float
    error: float
    allowed: float
    index: tuple[int, ...] = ()

    @property
    def share(self) -> float:
        """The error divided by the allowed error: a law holds if this is at most 1."""
        if self.error <= 0:
            return 0.0
        return self.error / self.allowed if self.allowed > 0 else float("inf")

    def __str__(self) -> str:
        place = f" at entry {list(self.index)}" if self.index else ""
        return (
            f"{self.what}: {self.got:.9g} against {self.expected:.9g}{place},"
            f" off by {self.error:.2e}, allowed {self.allowed:.1e}"
        )


class Broken(AssertionError):
    """A layer does not obey a law. `comparison`: the numbers, if numbers were compared."""

    def __init__(self, message: str, comparison: Comparison | None = None) -> None:
        super().__init__(message)
        self.comparison = comparison


class Undecided(AssertionError):
    """The numbers cannot decide whether the law holds here. For example, finite differences are too
    inaccurate to judge a gradient if the kink of a ReLU is closer than the smallest usable step.
    """


class DoesNotApply(Exception):
    """The law needs something that this layer does not have. The message says what."""


def compare(
    what: str, got: np.ndarray, expected: np.ndarray, tolerance: float, scale: float | None = None
) -> Comparison:
    """Raise Broken unless max|got - expected| <= tolerance * scale.

    `scale`: by default, the largest |expected|. If all expected numbers are zero, the result must
    be exactly zero. Non-finite numbers on either side are broken.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise Broken(f"{what}: shape {got.shape}, expected {expected.shape}")
    finite = np.isfinite(got) & np.isfinite(expected)
    if not finite.all():
        at = tuple(map(int, np.argwhere(~finite)[0]))
        place = f" at entry {list(at)}" if at else ""
        raise Broken(f"{what}: not finite, {got[at]:.9g} against {expected[at]:.9g}{place}")
    scale = float(np.abs(expected).max(initial=0.0)) if scale is None else scale
    error = np.abs(got - expected)
    if error.size == 0:
        return Comparison(what, 0.0, 0.0, 0.0, tolerance * scale)
    index = np.unravel_index(int(error.argmax()), error.shape)
    found = Comparison(
        what,
        float(got[index]),
        float(expected[index]),
        float(error[index]),
        tolerance * scale,
        tuple(int(i) for i in index),
    )
    if not found.error <= found.allowed:  # also true if the allowed error is not a number
        raise Broken(str(found), found)
    return found
