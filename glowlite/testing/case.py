"""A layer under test, the argument of a law."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.testing.comparison import Broken, Comparison, DoesNotApply, compare
from glowlite.testing.domain import EVERYWHERE
from glowlite.testing.parameters import parameters_of

ROUND_TRIP = 1e-9
SAME = 1e-10  # tolerance for two ways to sum the same numbers
GUESSED = 8  # of so many normal numbers, 1 batch in 5,000 lies in [0, 1] by chance


class Case:
    """A layer, a batch x (N, ...) in float64 at which it is tested, and ways to make the layer
    again.

    make: returns a new layer, as it is before its state is loaded, preferably from another seed;
    needed by laws that save and load. again: returns the same layer once more, for a layer that
    cannot be copied. domain: the range of x; by default what the layer declares, or [0, 1] if all
    of at least GUESSED numbers of the batch lie there. condition: (N, ...), for a layer that can be
    `given` one; laws other than `condition_acts` test the layer at the first condition. worst:
    among all comparisons so far, the one that came closest to the allowed error, or exceeded it
    most.
    """

    def __init__(
        self,
        layer: Any,
        x: np.ndarray,
        make: Callable[[], Any] | None = None,
        condition: np.ndarray | None = None,
        domain: tuple[float, float] | None = None,
        again: Callable[[], Any] | None = None,
    ) -> None:
        self.unconditioned, self.condition = layer, condition
        self.layer = layer if condition is None else self.at_condition(layer)
        self.x, self.make, self.again = x, make, again
        self.domain = domain or _domain(layer, x)
        self.worst: Comparison | None = None
        try:
            self._as_given: Any = copy.deepcopy(layer)
        except Exception as error:  # any failure to copy: make the layer again, if possible
            self._as_given, self._why = None, f"{type(error).__name__}: {error}"

    def at_condition(self, layer: Any) -> Any:
        """Return the layer at the first condition, used for every sample."""
        if self.condition is None:
            return layer
        if not callable(getattr(layer, "given", None)):
            raise TypeError(
                f"{type(layer).__name__} has no given(condition), so it takes no condition"
            )
        return layer.given(self.condition[:1])

    # --- the layer's methods, in the form that laws use ---

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return forward(self.layer, x)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return inverse(self.layer, y)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return backward(self.layer, y, dy, dlogdet)

    @property
    def parameters(self) -> dict[str, Any]:
        return parameters_of(self.layer)

    @property
    def is_map(self) -> bool:
        """Whether there is a map to test, and not only the density of a model."""
        return callable(getattr(self.layer, "forward", None))

    def needs(self, *methods: str) -> None:
        """Raise DoesNotApply unless the layer has all of these methods."""
        for method in methods:
            if not callable(getattr(self.layer, method, None)):
                raise DoesNotApply(f"it has no {method}")

    # --- new copies of the layer ---

    def copy_unconditioned(self) -> Any:
        """Return the layer as it was passed in, before any law called it."""
        if self._as_given is not None:
            return copy.deepcopy(self._as_given)
        if self.again is not None:
            return self.again()
        if self.make is not None:
            new = self.make()
            set_state(new, state(self.unconditioned))
            return new
        raise DoesNotApply(f"it cannot be copied: {self._why}")

    def copy(self) -> Any:
        """Return the same, at the first condition."""
        return self.at_condition(self.copy_unconditioned())

    def loaded(self) -> Any:
        """Return a new layer with the saved state of this one, before any of its methods is
        called.
        """
        if self.make is None:
            raise DoesNotApply("a new layer cannot be made: give make")
        new = self.make()
        set_state(new, state(self.unconditioned))
        return self.at_condition(new)

    def untouched(self) -> Any:
        """Return `loaded()` or, if that is impossible, `copy()`."""
        return self.copy() if self.make is None else self.loaded()

    # --- comparisons ---

    def close(
        self,
        what: str,
        got: np.ndarray,
        expected: np.ndarray,
        tolerance: float,
        scale: float | None = None,
    ) -> None:
        """Raise Broken unless max|got - expected| <= tolerance * scale, and remember the worst.

        `scale`: by default, the largest |expected|.
        """
        self.remember(compare(what, got, expected, tolerance, scale))

    def remember(self, found: Comparison) -> None:
        if self.worst is None or found.share > self.worst.share:
            self.worst = found


def _domain(layer: Any, x: np.ndarray) -> tuple[float, float]:
    if hasattr(layer, "domain"):
        low, high = layer.domain
        return float(low), float(high)
    inside = x.size >= GUESSED and x.min() >= 0 and x.max() <= 1
    return (0.0, 1.0) if inside else EVERYWHERE


def forward(layer: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return y and logdet, a pair of arrays."""
    result = layer.forward(x)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Broken(f"forward gave {_shape_of(result)}, expected a pair: y, logdet")
    return np.asarray(result[0]), np.asarray(result[1])


def inverse(layer: Any, y: np.ndarray) -> np.ndarray:
    """Return x, for a layer whose inverse returns x, or x and a log-determinant."""
    result = layer.inverse(y)
    return np.asarray(result[0] if isinstance(result, tuple) else result)


def backward(
    layer: Any, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rebuilt x, and dx."""
    x, dx = layer.backward(y, dy, dlogdet)
    return np.asarray(x), np.asarray(dx)


def gradients_of(layer: Any, call: Callable[[], Any]) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the result of `call`, and the gradients that it adds, by name."""
    zero_gradients(layer)
    result = call()
    return result, {name: np.array(p.grad) for name, p in parameters_of(layer).items()}


def zero_gradients(layer: Any) -> None:
    for p in parameters_of(layer).values():
        p.grad[...] = 0.0


def state(layer: Any) -> dict[str, np.ndarray]:
    """Return everything that is saved of a layer, by name: `layer.state()`, or the parameters'
    values.
    """
    if callable(getattr(layer, "state", None)):
        return {name: np.array(value) for name, value in layer.state().items()}
    return {name: np.array(p.value) for name, p in parameters_of(layer).items()}


def set_state(layer: Any, saved: dict[str, np.ndarray]) -> None:
    """Load into a layer what `state` returned for another layer."""
    if callable(getattr(layer, "set_state", None)):
        layer.set_state(saved)
        return
    named = parameters_of(layer)
    if named.keys() != saved.keys():
        different = sorted(named.keys() ^ saved.keys())
        raise Broken(f"a new layer has other parameters than the one that was saved: {different}")
    for name, p in named.items():
        p.value[...] = saved[name]


def move_parameters(layer: Any, seed: int, by: float = 0.05) -> None:
    """Change every parameter in place, at random, by a fraction of its size, or of 1 if its size is
    less than 1.
    """
    for i, p in enumerate(parameters_of(layer).values()):
        size = max(1.0, float(np.abs(p.value).max(initial=0.0)))
        p.value[...] += by * size * np.random.default_rng([seed, i]).standard_normal(p.value.shape)


def random_like(a: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(a.shape)


def _shape_of(result: Any) -> str:
    if isinstance(result, (tuple, list)):
        return f"{len(result)} values"
    return f"one {type(result).__name__}"
