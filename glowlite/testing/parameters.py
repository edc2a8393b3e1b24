"""The parameters of any layer: objects with a `value` and a `grad`, by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def parameters_of(layer: Any) -> dict[str, Any]:
    """Return `layer.parameters()` if there is such a method, otherwise the parameters found in its
    attributes.

    Lists, tuples, dicts and parts among the attributes are searched. The rule is that of
    `glowlite.arrays.parameters`, which this suite does not import.
    """
    if callable(getattr(layer, "parameters", None)):
        return dict(layer.parameters())
    return dict(_held("", vars(layer)))


def _held(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(value, "value") and hasattr(value, "grad"):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _held(f"{path}/{name}" if path else str(name), item)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _held(f"{path}/{i}", item)
    elif callable(getattr(value, "parameters", None)) and not isinstance(value, type):
        yield from ((f"{path}/{name}", p) for name, p in value.parameters().items())
    elif hasattr(value, "forward") and hasattr(value, "__dict__"):
        yield from _held(path, vars(value))
