"""What stands in a layer's attributes: arrays without a name, and constants that have one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from glowlite.testing.case import state
from glowlite.testing.parameters import parameters_of

DEPTH = 20  # how far attributes of attributes are followed


def unnamed_arrays(layer: Any) -> dict[str, np.ndarray]:
    """Arrays of floating numbers that can be written to, by path: those that the layer's
    `unnamed_arrays()` gives, or those in its attributes, lists, tuples and dicts.

    Left out: what parameters and `state()` name, arrays that are read-only, and what stands in an
    object with a `value` and no `grad`, which is how a named constant looks.
    """
    if callable(getattr(layer, "unnamed_arrays", None)):
        return dict(layer.unnamed_arrays())
    named = [a for p in parameters_of(layer).values() for a in (p.value, p.grad)]
    found: dict[str, np.ndarray] = {}
    for path, value in _held("", layer, DEPTH, set()):
        array = value.value if _is_parameter(value) else value
        if not isinstance(array, np.ndarray) or not array.flags.writeable or not array.size:
            continue
        is_named = any(np.shares_memory(array, a) for a in named)
        known = any(array is other for other in found.values())
        if not np.issubdtype(array.dtype, np.floating) or is_named or known:
            continue
        if not _is_saved(layer, array):
            found[path] = array
    return found


def _is_saved(layer: Any, array: np.ndarray) -> bool:
    """Whether what `state()` gives changes with the array: it may well give copies."""
    before, kept = state(layer), array.copy()
    array[...] = 1 + 2 * np.abs(np.where(np.isfinite(kept), kept, 0))  # no entry stays as it is
    try:
        after = state(layer)
    finally:
        array[...] = kept
    return before.keys() != after.keys() or any(
        after[name].tobytes() != value.tobytes() for name, value in before.items()
    )


def constants(layer: Any) -> list[Any]:
    """Objects with a `value` and no `grad` that stand in the layer's attributes."""
    return [value for _, value in _held("", layer, DEPTH, set()) if _is_constant(value)]


def _held(path: str, value: Any, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Arrays, parameters and constants, by path."""
    if id(value) in seen or depth < 0:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray) or _is_parameter(value) or _is_constant(value):
        yield path, value
    elif isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in list(items):
            yield from _held(f"{path}/{name}" if path else str(name), item, depth - 1, seen)
    elif hasattr(type(value), "__dict__") and not isinstance(value, type):
        for name, item in list(getattr(value, "__dict__", {}).items()):
            yield from _held(f"{path}/{name}" if path else name, item, depth - 1, seen)


def _has(value: Any, name: str) -> bool:
    """As hasattr, without asking a `__getattr__`, which may do anything."""
    return hasattr(type(value), name) or name in getattr(value, "__dict__", {})


def _is_parameter(value: Any) -> bool:
    return _has(value, "value") and _has(value, "grad")


def _is_constant(value: Any) -> bool:
    is_one = _has(value, "value") and not _has(value, "grad")
    return is_one and isinstance(getattr(value, "value", None), np.ndarray)
