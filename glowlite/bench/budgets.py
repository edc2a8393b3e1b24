"""Time and memory of a step against what it may keep: a row of budgets, from 0 to all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glowlite.arrays.sizes import Room
from glowlite.bench.figures import REFERENCE
from glowlite.bijectors.memory import Memory

if TYPE_CHECKING:
    from glowlite.bench.rounds import Times
    from glowlite.bijectors.memory import Kept

PARTS = 4  # number of equal parts of a row from 0 to all


def parse_budgets(text: str, room: Room) -> list[Memory]:
    """Parse budgets separated by commas; add the default one first if it is missing."""
    budgets = [Memory.parse(word, room) for word in text.split(",")]
    return list(dict.fromkeys([*([] if Memory() in budgets else [Memory()]), *budgets]))


def row_of(everything: Kept) -> list[Memory]:
    """Return equally spaced budgets from 0 to what a step keeps that keeps `everything`."""
    parts = [everything.size * i // PARTS for i in range(1, PARTS)]
    megabytes = dict.fromkeys(-(-part // 2**20) for part in parts)
    return [Memory(0), *(Memory(n * 2**20) for n in megabytes), Memory("all")]


def row_figures(
    times: Mapping[str, Times], kept: Mapping[str, Kept], peaks: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Return, for each budget with a measured peak, the seconds of a step, the bytes kept, and the
    peak bytes.
    """
    return {
        name.removeprefix("memory "): {
            "median_s": times[name].median,
            "ratio_to_default": times[name].ratio_to(times[REFERENCE]),
            "kept_bytes": kept[name].size,
            "peak_bytes": peak,
        }
        for name, peak in peaks.items()
    }
