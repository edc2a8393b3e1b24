"""A law: a function of a Case, with a level, and one sentence that states it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from glowlite.testing.case import Case

LEVELS = ("maps", "density", "gradients", "model", "life cycle", "numerics")


@dataclass(frozen=True)
class Law:
    """Called with a Case, it raises Broken, Undecided or DoesNotApply, or returns.

    name: the name of the function. level: one of LEVELS. says: the law in one sentence. often: the
    usual mistakes of layers that break it. error_probability: for a law with random draws, the
    probability of a false alarm; 0 for all others.
    """

    name: str
    level: str
    says: str
    often: str
    function: Callable[[Case], None]
    error_probability: float = 0.0

    def __call__(self, case: Case) -> None:
        self.function(case)

    def __str__(self) -> str:
        return self.name


def law(
    level: str, says: str, often: str, error_probability: float = 0.0
) -> Callable[[Callable[[Case], None]], Law]:
    """Make a law from the decorated function."""
    assert level in LEVELS

    def made(function: Callable[[Case], None]) -> Law:
        return Law(function.__name__, level, says, often, function, error_probability)

    return made
