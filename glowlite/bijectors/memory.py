"""What is kept from forward to backward: as much as a memory budget allows (`--memory`).

    0             nothing: every layer rebuilds its input from its output      4 forward passes
    256MB, ...    inputs and hidden activations of as many layers as fit       between the two
    all           those of every layer                                         3

    +anchored:k    also the input of every k-th layer that is rebuilt: the rebuilt input is compared
                   with it, then replaced by it

Keeping a layer saves running it once more. The layers that save most multiply-adds per byte are
kept first; among equal ones, the later layers. Each level of a Glow has a quarter of the pixels of
the level before, so one of its steps needs a quarter of the bytes and of the work. The order of the
levels is decided by small terms: at later levels, narrow arrays weigh a little less compared with
the hidden activations, and matrices a little more.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glowlite.arrays.backend import Array
from glowlite.arrays.layout import positions
from glowlite.arrays.parameters import parameters_of
from glowlite.arrays.sizes import EXPECTED, Room, host_room, parse_size, size_text
from glowlite.errors import GlowliteError
from glowlite.terminal import shortened

DEFAULT_MEMORY = "256MB"


@dataclass(frozen=True)
class Memory:
    """`budget`: bytes, a text such as `256MB`, or `all`; `every`: k of the anchors, 0 for none.

    The results do not depend on it, except for the rounding errors of rebuilt values.
    """

    budget: float | str = DEFAULT_MEMORY
    every: int = 0

    def __post_init__(self) -> None:
        budget = parse_size(self.budget) if isinstance(self.budget, str) else self.budget
        every = self.every
        if _is_number(budget) and budget >= 0 and _is_number(every, int) and every >= 0:
            object.__setattr__(self, "budget", float(budget))
            return
        raise GlowliteError(
            "Memory: the budget must be bytes, or a text such as '256MB' or 'all', and every"
            f" must be a whole number; got {shortened(repr(self.budget))} and"
            f" {shortened(repr(every))}"
        )

    @classmethod
    def parse(cls, text: str, room: Room = host_room) -> Memory:
        """Parse `256MB`, `all`, `auto:0.25` (that share of the free memory), `anchored:4`, or a
        budget and anchors joined by `+`. Raises GlowliteError for other texts.

        `room`: returns the free bytes and the total bytes.
        """
        budget, _, anchors = text.partition("+")
        if budget.startswith("anchored:") and not anchors:
            budget, anchors = DEFAULT_MEMORY, budget
        every = re.fullmatch(r"anchored:([1-9]\d{0,8})", anchors, re.ASCII)
        if every is None and (anchors or text.endswith("+")):
            raise GlowliteError(f"memory {shortened(text)!r}: {EXPECTED}")
        return cls(parse_size(budget, room), int(every[1]) if every else 0)

    @property
    def bytes(self) -> float:
        """The budget in bytes; infinity for `all`."""
        return float(self.budget)

    def halved(self, there: float) -> Memory:
        """Return half of the budget, or of the total memory `there` if that is smaller, in whole
        megabytes.
        """
        return dataclasses.replace(self, budget=min(self.bytes, there) // 2**21 * 2**20)

    def __str__(self) -> str:
        return f"{size_text(self.bytes)}{f'+anchored:{self.every}' if self.every else ''}"


def _is_number(value: Any, kind: Any = (int, float)) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True)
class Cost:
    """The cost of keeping one layer: its `size` in bytes, and the `work` that it saves in
    multiply-adds.

    `input`: bytes of only its input, as an anchor.
    """

    size: int
    work: int
    input: int = 0


@dataclass(frozen=True)
class Plan:
    """What one chain keeps: the layers `kept`, by index, and anchors for one in `every` of the
    others.

    `checks_end`: also keep the chain's output if its last layer rebuilds nothing, since the output
    may have been rebuilt by a later chain.
    """

    kept: frozenset[int] = frozenset()
    every: int = 0
    checks_end: bool = False

    def anchors(self, index: int) -> bool:
        """Whether the input of layer `index`, which is rebuilt, is kept for comparison."""
        return (self.every > 0 and index % self.every == 0) or index - 1 in self.kept


def plans(memory: Memory, costs: Sequence[Sequence[Cost]]) -> list[Plan]:
    """Return one plan for each of several consecutive chains of a model, under one budget.

    The choice is greedy: of the layers that still fit, take the one that saves most per byte; among
    equals, the last.
    """
    places = [(chain, i) for chain, layers in enumerate(costs) for i in range(len(layers))]

    def taken(chain: int, i: int) -> int:
        """Return the bytes of keeping it, including the chain's output if a later chain may rebuild
        that.
        """
        cost, is_last = costs[chain][i], i == len(costs[chain]) - 1
        return cost.size + (cost.input if is_last and chain < len(costs) - 1 else 0)

    def gain(place: tuple[int, int]) -> tuple[float, tuple[int, int]]:
        cost = costs[place[0]][place[1]]
        return cost.work / max(1, cost.size), place

    left, kept = memory.bytes, [set[int]() for _ in costs]
    for chain, i in sorted(places, key=gain, reverse=True):
        if taken(chain, i) <= left:
            left -= taken(chain, i)
            kept[chain].add(i)
    whole = [len(k) == len(layers) for k, layers in zip(kept, costs, strict=True)]
    return [
        Plan(frozenset(k), memory.every, not all(whole[chain + 1 :]))
        for chain, k in enumerate(kept)
    ]


def cost_of(layer: Any, few: Array, caches: Sequence[Any], images: int, pieces: int) -> Cost:
    """Return the cost of keeping `layer` for a batch of `images` images that is split into `pieces`
    pieces.

    The cost is computed from what the layer keeps for the first and for all of its inputs `few`,
    which are one or two. A cache has some bytes per image and others per piece. A layer uses each
    weight once per pixel, which gives the work of its forward pass.
    """
    weights = [p.value for p in parameters_of(layer).values()]
    first, both = (cache_bytes(cache, weights) for cache in caches)
    each = both - first if len(few) > 1 else first
    work = sum(w.size for w in weights) * positions(few) * images
    return Cost(
        size=pieces * max(0, first - each) + images * each,
        work=0 if caches[1] is None else work,
        input=few[0].nbytes * images,
    )


def cache_bytes(cache: Any, but: Sequence[Any] = ()) -> int:
    """Return the bytes of all arrays that a cache keeps alive, each counted once, except those in
    `but`.
    """
    known = {id(_whole(array)) for array in but}
    found = {id(array): array for array in map(_whole, _arrays(cache))}
    return sum(array.nbytes for key, array in found.items() if key not in known)


def _whole(array: Any) -> Any:
    """Return the array of which this one is a view, and which it keeps alive."""
    while hasattr(base := getattr(array, "base", None), "nbytes"):
        array = base
    return array


def _arrays(value: Any) -> Iterator[Any]:
    if hasattr(value, "nbytes"):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _arrays(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _arrays(item)
    elif hasattr(value, "__dict__"):
        yield from _arrays(vars(value))


@dataclass(frozen=True)
class Kept:
    """What the chains of a model keep of a batch under the budget `memory`: a plan and the costs of
    each chain.
    """

    memory: Memory
    plans: list[Plan]
    costs: list[list[Cost]]

    @property
    def size(self) -> int:
        """The bytes kept, including anchors."""
        return sum(
            cost.size if i in plan.kept else cost.input if plan.anchors(i) else 0
            for plan, costs in zip(self.plans, self.costs, strict=True)
            for i, cost in enumerate(costs)
        )

    def __str__(self) -> str:
        counts = [len(costs) for costs in self.costs]
        kept = [len(plan.kept) for plan in self.plans]
        if sum(kept) in (0, sum(counts)):
            said = f"all {sum(counts)} steps" if sum(kept) else f"none of {sum(counts)} steps"
        else:
            said = ", ".join(
                f"{k} of {n}{' steps' if i == 0 else ''}{f' of level {i}' if kept[1:] else ''}"
                for i, (k, n) in enumerate(zip(kept, counts, strict=True))
            )
        return f"memory {self.memory}: keeps {said}, {self.size / 2**20:.0f} MB"


class Planner:
    """The plans of the chains of a model, made once per batch size and remembered."""

    def __init__(self) -> None:
        self._layers: list[Any] = []
        self._made: dict[Any, list[Plan]] = {}

    def plans(
        self,
        memory: Memory,
        few: Array,
        images: int,
        chains: Sequence[Any],
        cost_table: Callable[[Array, int], list[list[Cost]]],
    ) -> list[Plan]:
        """Return one plan for each of `chains`, which have `layers`, for a batch of `images`
        images, given `few` of them; `cost_table(few, images)` returns the costs of each of their
        layers.
        """
        if memory.bytes == 0:
            return [Plan(every=memory.every) for _ in chains]
        if memory.bytes == math.inf:
            return [Plan(frozenset(range(len(chain.layers)))) for chain in chains]
        layers = [layer for chain in chains for layer in chain.layers.values()]
        same = len(layers) == len(self._layers)
        if not same or any(a is not b for a, b in zip(layers, self._layers, strict=True)):
            self._layers, self._made = layers, {}
        key = (memory, images, few.shape, str(few.dtype))
        if key not in self._made:
            self._made[key] = plans(memory, cost_table(few, images))
        return self._made[key]
