"""What is kept from forward to backward: as much as a budget of memory holds. `--memory`.

    0             nothing: every layer rebuilds its input from its output      4 forward passes
    256MB, ...    inputs and hidden activations of as many layers as fit       between the two
    all           those of every layer                                         3

    +anchored:k    also the input of every k-th layer that is rebuilt: the rebuilt one is measured
                   against it, then replaced by it

A layer that is kept saves its work, in multiply-adds, once more; those come first that save most
per byte, and of equal ones the later. A Glow's level has a quarter of the pixels of the one before,
so that a step of it costs a quarter of the bytes and of the work; what decides is that thin arrays
weigh a little less beside the hidden maps there, and matrices a little more.
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

    Whatever it is, results are the same but for the rounding of what is rebuilt.
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
            "Memory: the budget is bytes, or a text such as '256MB' or 'all', and every a whole"
            f" number; got {shortened(repr(self.budget))} and {shortened(repr(every))}"
        )

    @classmethod
    def parse(cls, text: str, room: Room = host_room) -> Memory:
        """From `256MB`, `all`, `auto:0.25` (of the bytes that are free now), `anchored:4`, or a
        budget and anchors joined by `+`; else a GlowliteError that says so.

        `room`: the bytes that are free, and all there are.
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
        """The budget; infinity for all."""
        return float(self.budget)

    def halved(self, there: float) -> Memory:
        """Half of the budget, or of all bytes `there` are, in whole megabytes."""
        return dataclasses.replace(self, budget=min(self.bytes, there) // 2**21 * 2**20)

    def __str__(self) -> str:
        return f"{size_text(self.bytes)}{f'+anchored:{self.every}' if self.every else ''}"


def _is_number(value: Any, kind: Any = (int, float)) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True)
class Cost:
    """Of keeping one layer: `size`, bytes, and the `work` it saves, multiply-adds.

    `input`: bytes of its input alone, as an anchor.
    """

    size: int
    work: int
    input: int = 0


@dataclass(frozen=True)
class Plan:
    """What one chain keeps: the layers `kept`, by index; of the others, anchors, one in `every`.

    `checks_end`: the chain's output is kept, too, where its last layer rebuilds nothing, since what
    comes from above may have been rebuilt there.
    """

    kept: frozenset[int] = frozenset()
    every: int = 0
    checks_end: bool = False

    def anchors(self, index: int) -> bool:
        """Whether the input of layer `index`, which is rebuilt, is kept to be compared."""
        return (self.every > 0 and index % self.every == 0) or index - 1 in self.kept


def plans(memory: Memory, costs: Sequence[Sequence[Cost]]) -> list[Plan]:
    """The plan of each of several chains, one after the other in a model, under one budget.

    Greedy: of the layers that still fit, the one that saves most per byte; the last, of equals.
    """
    places = [(chain, i) for chain, layers in enumerate(costs) for i in range(len(layers))]

    def taken(chain: int, i: int) -> int:
        """Bytes, with the output that is compared where a later chain may rebuild it."""
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
    """The cost of keeping `layer` for a batch of `images`, which comes in so many `pieces`.

    Found from what it keeps of the first and of all of its inputs `few`, one or two. A cache has
    bytes of every image, and, once a piece, others. A layer uses each weight once per pixel: that
    is the work of its forward.
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
    """The bytes of all arrays that a cache holds on to, each once, but for those of `but`."""
    known = {id(_whole(array)) for array in but}
    found = {id(array): array for array in map(_whole, _arrays(cache))}
    return sum(array.nbytes for key, array in found.items() if key not in known)


def _whole(array: Any) -> Any:
    """The array of which this one is a view, and which it keeps alive."""
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
    """What the chains of a model keep of a batch under a budget of `memory`: a plan and the costs
    of each.
    """

    memory: Memory
    plans: list[Plan]
    costs: list[list[Cost]]

    @property
    def size(self) -> int:
        """Bytes, anchors and all."""
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
    """The plans of the chains of a model, made once for a size of batch and remembered."""

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
        """One of each of `chains`, which have `layers`, for a batch of so many `images`, `few` of
        which are here; `cost_table(few, images)` has the costs of each of their layers.
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
