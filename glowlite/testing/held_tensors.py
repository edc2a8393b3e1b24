"""Find the tensors within a module, registered or not."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

OF_TORCH = ("_parameters", "_buffers", "_modules")  # dicts in which a module registers its own
KEPT = ("_inv", "_cached_x_y")  # what a transform stores about its inverse once that was used
DEPTH = 20


def held_tensors(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield every tensor in the attributes, lists and dicts of `thing`, recursively, once each,
    with its path.
    """
    return _held("", thing, set(), DEPTH)


def _held(path: str, thing: Any, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    if id(thing) in seen or depth < 0 or isinstance(thing, (type, types.ModuleType)):
        return
    seen.add(id(thing))
    if hasattr(thing, "detach") and hasattr(thing, "grad_fn"):
        yield path, thing
    elif isinstance(thing, dict):
        for name, item in list(thing.items()):
            if name in KEPT:
                continue
            is_own = name in OF_TORCH
            yield from _held(path if is_own else _joined(path, name), item, seen, depth - 1)
    elif isinstance(thing, (list, tuple)):
        for i, item in enumerate(thing):
            yield from _held(_joined(path, i), item, seen, depth - 1)
    elif hasattr(thing, "__dict__") and not isinstance(thing, types.FunctionType):
        yield from _held(path, vars(thing), seen, depth - 1)


def _joined(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
