"""Several layers of one kind as one layer whose arrays have an additional first axis.

So what a pass computes only from parameters, such as a scale or an inverse, takes one call for all
steps of a level instead of one per step. It works for all code written along the last axes:
`weight[..., :n, :]`, `sum(axis=-1)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Constant, Parameter, Parameterized, ParameterStore


def side_by_side(layers: Sequence[Parameterized], store: ParameterStore) -> bool:
    """Whether the layers have the same shape and are adjacent in the store, like those of a
    level.
    """
    parameters = [list(layer.parameters().values()) for layer in layers]
    shapes = [[p.value.shape for p in ps] for ps in parameters]
    if not shapes[0] or any(other != shapes[0] for other in shapes):
        return False
    end: int | None = None
    for p in (p for ps in parameters for p in ps):
        place = store.place_of(p)
        if place is None or end not in (None, place.start):
            return False
        end = place.stop
    return True


def stacked(layers: Sequence[Parameterized], store: ParameterStore) -> Any:
    """Return a layer whose parameters are those of `layers`, (n, ...), both value and gradient, as
    views of the store.

    `layers`: a single layer, or layers that are `side_by_side`. Constants are copied.
    """
    size = sum(p.value.size for p in layers[0].parameters().values())
    return _stacked(layers, size, store)


def _stacked(layers: Sequence[Parameterized], size: int, store: ParameterStore) -> Any:
    parts = [[child for _, child in layer.children()] for layer in layers]
    groups = list(zip(*parts, strict=True))
    siblings = iter([group for group in groups if not isinstance(group[0], Constant)])

    def change(part: Any) -> object:
        group = next(siblings)
        if isinstance(part, Parameter):
            return _one(part, len(group), size, store)
        return _stacked(group, size, store)

    twin = layers[0].map_children(change)
    for (name, child), group in zip(layers[0].children(), groups, strict=True):
        if isinstance(child, Constant):
            setattr(twin, name, Constant(namespace(child.value).stack([c.value for c in group])))
    return twin


def _one(first: Parameter, count: int, size: int, store: ParameterStore) -> Parameter:
    """Return the parameter `first` and those that follow it at distances of `size` numbers: (count,
    ...).
    """
    if count == 1:
        return Parameter(first.value[None], first.grad[None])
    where = store.place_of(first)
    if where is None:
        raise ValueError("stacked: expected layers whose parameters are adjacent in the store")

    def view(flat: Array) -> Array:
        ends = flat[where.start : where.start + (count - 1) * size + where.stop - where.start]
        strides = (size * flat.itemsize, *first.value.strides)
        as_strided = namespace(flat).lib.stride_tricks.as_strided
        return as_strided(ends, (count, *first.value.shape), strides)

    return Parameter(view(store.theta), view(store.grad))
