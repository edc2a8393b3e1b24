"""What a layer's attributes contain: undeclared arrays, and declared constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from glowlite.testing.case import state
from glowlite.testing.parameters import parameters_of

DEPTH = 20  # how deep attributes of attributes are followed


def unnamed_arrays(layer: Any) -> dict[str, np.ndarray]:
    """Return writable floating-point arrays by path: those of the layer's `unnamed_arrays()`, or
    those in its attributes, lists, tuples and dicts.

    Left out are arrays named by parameters or `state()`, read-only arrays, and arrays in an object
    with a `value` and no `grad`, which is a declared constant.
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
    """Whether the result of `state()` changes with the array, since it may contain copies."""
    before, kept = state(layer), array.copy()
    array[...] = 1 + 2 * np.abs(np.where(np.isfinite(kept), kept, 0))  # every entry changes
    try:
        after = state(layer)
    finally:
        array[...] = kept
    return before.keys() != after.keys() or any(
        after[name].tobytes() != value.tobytes() for name, value in before.items()
    )


def constants(layer: Any) -> list[Any]:
    """Return objects with a `value` and no `grad` in the layer's attributes."""
    return [value for _, value in _held("", layer, DEPTH, set()) if _is_constant(value)]


def _held(path: str, value: Any, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield arrays, parameters and constants, with their paths."""
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
    """Like hasattr, but without calling `__getattr__`, which may do anything."""
    return hasattr(type(value), name) or name in getattr(value, "__dict__", {})


def _is_parameter(value: Any) -> bool:
    return _has(value, "value") and _has(value, "grad")


def _is_constant(value: Any) -> bool:
    is_one = _has(value, "value") and not _has(value, "grad")
    return is_one and isinstance(getattr(value, "value", None), np.ndarray)
