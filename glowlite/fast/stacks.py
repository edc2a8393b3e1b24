"""Several layers of one kind as one layer whose arrays have one axis more, the first.

So what a pass works out from the parameters alone, a scale or an inverse, takes one call for all steps of a level and
not one a step. It works for whatever is written along the last axes: `weight[..., :n, :]`, `sum(axis=-1)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Constant, Parameter, Parameterized

Layer = TypeVar("Layer", bound=Parameterized)


def side_by_side(layers: Sequence[Parameterized]) -> bool:
    """Whether the layers are of one shape and lie one after the other in one ParameterStore: those of a level do."""
    parameters = [list(layer.parameters().values()) for layer in layers]
    shapes = [[p.value.shape for p in ps] for ps in parameters]
    if not shapes[0] or any(other != shapes[0] for other in shapes):
        return False
    end: int | None = None
    for p in (p for ps in parameters for p in ps):
        if p.home is None or p.home[0] is not parameters[0][0].home[0] or end not in (None, p.home[1].start):  # type: ignore[index]
            return False
        end = p.home[1].stop
    return True


def stacked(layers: Sequence[Layer]) -> Layer:
    """A layer whose parameters are those of `layers`, (n, ...), value and gradient: views of them. Constants are copied.

    `layers`: one of any kind, or such as are `side_by_side`.
    """
    return _stacked(layers, sum(p.value.size for p in layers[0].parameters().values()))


def _stacked(layers: Sequence[Layer], size: int) -> Layer:
    parts = [[child for _, child in layer.children()] for layer in layers]
    siblings = iter([group for group in zip(*parts, strict=True) if not isinstance(group[0], Constant)])

    def change(part: Parameterized | Parameter) -> object:
        group = next(siblings)
        return _one(part, len(group), size) if isinstance(part, Parameter) else _stacked(group, size)

    twin = layers[0].map_children(change)
    for (name, child), group in zip(layers[0].children(), zip(*parts, strict=True), strict=True):
        if isinstance(child, Constant):
            setattr(twin, name, Constant(namespace(child.value).stack([c.value for c in group])))
    return twin


def _one(first: Parameter, count: int, size: int) -> Parameter:
    """The parameter `first` and those that follow it at distances of `size` numbers: (count, ...)."""
    if count == 1:
        return Parameter(first.value[None], first.grad[None])
    assert first.home is not None
    store, where = first.home

    def view(flat: Array) -> Array:
        ends = flat[where.start : where.start + (count - 1) * size + where.stop - where.start]
        strides = (size * flat.itemsize, *first.value.strides)
        return namespace(flat).lib.stride_tricks.as_strided(ends, (count, *first.value.shape), strides)

    return Parameter(view(store.theta), view(store.grad))
