"""Follow a batch through a bijector, layer by layer, to find the layer at which something goes
wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from glowlite.arrays.backend import Array, namespace
from glowlite.bijectors.chain import Chain


@dataclass(frozen=True)
class Visit:
    """One visited layer: its path, its input, its outputs, log|det| (N,), and its rebuilt input.

    `rebuild()` runs the layer's own backward with derivatives of zero, as training would.
    """

    name: str
    x: Array
    outputs: list[Array]
    logdet: Array
    rebuild: Callable[[], Array]


def trace(bijector: Any, x: Array, name: str = "") -> Iterator[Visit]:
    """Visit every layer that x (N, ...) passes through in `bijector`, in order, including the
    layers of chains.

    `name`: the path of the bijector itself. A container that is not a Chain has its own `trace(x)`.
    Cost: a forward pass, and a backward pass if every input is rebuilt.
    """
    bijector = getattr(bijector, "chain", bijector)  # a fast form of a chain contains the chain
    if hasattr(bijector, "trace"):
        yield from bijector.trace(x)
    elif isinstance(bijector, Chain):
        for part, layer in bijector.layers.items():
            for visit in trace(layer, x, f"{name}/{part}" if name else part):
                yield visit
                x = visit.outputs[0]
    else:
        y, logdet = bijector.forward(x)
        yield Visit(name, x, as_list(y), logdet, lambda: _rebuilt(bijector, y, logdet))


def as_list(y: Any) -> list[Array]:
    """Return the output of a bijector, one array or several, as a list of arrays."""
    return list(y) if isinstance(y, (list, tuple)) else [y]


def _rebuilt(bijector: Any, y: Any, logdet: Array) -> Array:
    zero = namespace(logdet).zeros_like
    dy = [zero(part) for part in y] if isinstance(y, (list, tuple)) else zero(y)
    return bijector.backward(y, dy, zero(logdet))[0]
