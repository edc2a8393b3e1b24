"""A layer's numbers against what a law says they are, and what is raised where they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """Two arrays side by side, at the entry where they differ most.

    what: the two arrays, in words, "this against that". got, expected: the two numbers there.
    error, allowed: how far they are apart, and how far they may be. index: where that is in the
    array.
    """

    what: str
    got: float
    expected: float
    error: float
    allowed: float
    index: tuple[int, ...] = ()

    @property
    def share(self) -> float:
        """Error over what is allowed: a law holds where this is at most 1."""
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
    """A layer does not obey a law. `comparison`: the numbers, if it is a matter of numbers."""

    def __init__(self, message: str, comparison: Comparison | None = None) -> None:
        super().__init__(message)
        self.comparison = comparison


class Undecided(AssertionError):
    """The numbers cannot tell whether the law holds here, as where differences are too rough to
    judge a gradient: a kink of a ReLU is closer than rounding lets a step be.
    """


class DoesNotApply(Exception):
    """The law asks for something that this layer does not have. The message says what."""


def compare(
    what: str, got: np.ndarray, expected: np.ndarray, tolerance: float, scale: float | None = None
) -> Comparison:
    """max|got - expected| <= tolerance * scale, or Broken is raised.

    Scale: the largest |expected| unless given. A zero that should be zero has to be exactly zero.
    What is not finite, on either side, is broken.
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
    if not found.error <= found.allowed:  # nor is what is allowed known, if it is not a number
        raise Broken(str(found), found)
    return found
