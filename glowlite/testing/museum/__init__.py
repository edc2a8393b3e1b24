"""A museum of small broken layers, each of a kind that was seen in public codes of flows.

One file each: the story in its docstring, `LAW`, the law that convicts it, `SHAPE` of one sample
without N, `clean(seed)`, a right layer, and `broken(seed)`, the same with one mistake. The layers
are of our own making, in NumPy; what is cited is where a mistake of that kind was reported.

    from glowlite.testing import check_layer, museum
    exhibit = museum.load("pixels_forgotten")
    check_layer(exhibit.broken(0), rng.standard_normal((3, *exhibit.SHAPE)))   # AssertionError
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

EXHIBITS = (
    "inverse_keeps_the_sign",
    "pixels_forgotten",
    "halves_joined_otherwise",
    "flag_not_saved",
    "stale_inverse",
    "log_of_a_negative_determinant",
    "inverse_before_forward",
    "tails_forgotten_in_reverse",
    "constant_channel",
    "condition_of_another_sample",
    "log_prob_of_the_first_call",
)


def load(name: str) -> ModuleType:
    """The module of the exhibit `name`, one of EXHIBITS."""
    if name not in EXHIBITS:
        raise ValueError(f"museum.load: no exhibit {name!r}; there are {', '.join(EXHIBITS)}")
    return import_module(f"{__name__}.{name}")
