"""Every parameter of a model is a named view into one flat vector `theta`, its gradient into one
flat `grad`.

So the optimiser, weight averaging, clipping, checkpoints and the sum over processes are single
vector operations. The order is that of registration, which is the order of the forward pass.

Parameters are found by one rule for every part of a model: they are its attributes and the contents
of its lists, tuples and dicts, at any depth, including other parts; or, if a part has its own
`parameters()` method, what that returns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

import numpy as np

from glowlite.arrays.backend import Array, Namespace, namespace, to_device
from glowlite.arrays.shared import shared_zeros
from glowlite.errors import GlowliteError

Value = TypeVar("Value")
PROTOCOL = ("forward", "backward", "parameters")  # what makes an object a part: any of these


class Parameter:
    """A trainable array and its gradient.

    Layers write `p.grad[...] += g`. Both arrays may be views of a larger array that holds all
    parameters of a model, so that another array in their place raises AttributeError.
    """

    __slots__ = ("_grad", "_value")

    def __init__(self, value: Array, grad: Array | None = None) -> None:
        self._value = value
        self._grad = grad  # None means zeros, made on first use

    @property
    def value(self) -> Array:
        return self._value

    @value.setter
    def value(self, new: Array) -> None:
        if new is not self._value:  # as it is after p.value += v
            raise AttributeError(
                "Parameter: write p.value[...] = v, which fills the array in place"
            )

    @property
    def grad(self) -> Array:
        if self._grad is None:
            self._grad = namespace(self._value).zeros_like(self._value)
        return self._grad

    @grad.setter
    def grad(self, new: Array) -> None:
        if new is not self._grad:
            raise AttributeError("Parameter: write p.grad[...] += g, which adds in place")

    def bind(self, value: Array, grad: Array) -> None:
        """Move to other memory; a ParameterStore calls this.

        The contents of `value` and `grad` are used as they are.
        """
        if not value.shape == grad.shape == self._value.shape:
            raise ValueError(
                f"Parameter.bind: expected {self._value.shape}, got {value.shape} and {grad.shape}"
            )
        self._value, self._grad = value, grad


class Constant:
    """An array that belongs to the model but is not trained: a permutation, a sign.

    It is saved with the weights.
    """

    __slots__ = ("value",)

    def __init__(self, value: Array) -> None:
        self.value = value


class Statistic(Constant):
    """A constant that follows the data, such as a running mean.

    A training pass adds the intended update to `change`. The update is applied together with the
    weights, if the step is good.
    """

    __slots__ = ("change",)

    def __init__(self, value: Array) -> None:
        super().__init__(value)
        self.change = namespace(value).zeros_like(value)


class Parameterized:
    """An object that has parameters, directly or in its parts.

    Attributes register themselves in order of assignment.
    """

    def children(self) -> Iterator[tuple[str, Any]]:
        """Yield the named parts, in order: Parameters, Constants, and parts that may have some.

        A container overrides this and `map_children` to name its parts itself.
        """
        return children(self)

    def map_children(self, change: Callable[[Any], Any]) -> Self:
        """Return a shallow copy in which `change(part)` replaces every Parameter and every part.

        Constants are shared.
        """
        twin = self.shallow_copy()
        for name, value in vars(self).items():
            twin.__dict__[name] = map_parts(value, change)
        return twin

    def shallow_copy(self) -> Self:
        """Like copy.copy, at a tenth of its cost, since this runs for every layer in every pass."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def parameters(self, prefix: str = "") -> dict[str, Parameter]:
        """Return all trainable arrays, by path, in forward order."""
        return dict(leaves(self, Parameter, prefix, whole=True))

    def constants(self, prefix: str = "") -> dict[str, Constant]:
        """Return all arrays that are saved but not trained, by path, in forward order."""
        return dict(leaves(self, Constant, prefix, whole=True))

    def parameter_count(self) -> int:
        return sum(p.value.size for p in self.parameters().values())


def is_part(value: Any) -> bool:
    """Whether a value is a part of a model that may have parameters: Parameterized, or with the
    same interface.
    """
    if isinstance(value, Parameterized):
        return True
    if value is None or isinstance(value, (bool, int, float, str)):
        return False
    return not isinstance(value, type) and any(
        callable(getattr(value, name, None)) for name in PROTOCOL
    )


def children(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the named Parameters, Constants and parts among the attributes of `part`, including its
    lists, tuples and dicts.
    """
    for name, value in getattr(part, "__dict__", {}).items():
        yield from _named(name, value)


def _named(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Parameter, Constant)) or is_part(value):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _named(f"{name}/{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _named(f"{name}/{key}", item)


def map_parts(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return `value` with `change(part)` in place of each Parameter and part, also in lists, tuples
    and dicts.
    """
    if isinstance(value, Parameter) or is_part(value):
        return change(value)
    if isinstance(value, list):
        return [map_parts(item, change) for item in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(map_parts(item, change) for item in value)
    if isinstance(value, dict):
        return {key: map_parts(item, change) for key, item in value.items()}
    return value


def map_part(part: Any, change: Callable[[Any], Any]) -> Any:
    """Return a shallow copy of any part in which `change(part)` replaces each of its Parameters and
    parts.
    """
    if isinstance(part, Parameterized):
        return part.map_children(change)
    twin = copy.copy(part)
    for name, value in getattr(part, "__dict__", {}).items():
        twin.__dict__[name] = map_parts(value, change)
    return twin


def leaves(
    part: Any, kind: type[Value], prefix: str = "", whole: bool = False
) -> Iterator[tuple[str, Value]]:
    """Return every Parameter, or every Constant, of `part`, by path.

    Raises GlowliteError for an object that cannot be one. `whole`: search its parts even if it has
    its own `parameters()`, which is then the caller.
    """
    method = getattr(type(part), "parameters", None)
    if kind is Parameter and not whole and method not in (None, Parameterized.parameters):
        named = part.parameters()
        if not isinstance(named, Mapping):
            raise GlowliteError(
                f"{type(part).__name__}: parameters() must be a dict of Parameters by name, got"
                f" {_article(named)}"
            )
        for name, p in named.items():
            if not isinstance(p, Parameter):
                raise GlowliteError(
                    f"{type(part).__name__}: parameters() names {name!r}, which is {_article(p)},"
                    " not a Parameter; keep it as Parameter(array), and read and write its .value"
                )
            yield f"{prefix}{name}", p  # type: ignore[misc]
        return
    for name, child in part.children() if isinstance(part, Parameterized) else children(part):
        if isinstance(child, kind):
            yield f"{prefix}{name}", child
        elif not isinstance(child, (Parameter, Constant)):
            yield from leaves(child, kind, f"{prefix}{name}/")


def parts_of(part: Any) -> Iterator[Any]:
    """Yield `part` and every part in it, at any depth, in order."""
    yield part
    for _, child in part.children() if isinstance(part, Parameterized) else children(part):
        if not isinstance(child, (Parameter, Constant)):
            yield from parts_of(child)


def parameters_of(part: Any) -> dict[str, Parameter]:
    """Return the parameters of any part, by path: a Parameterized, one with its own `parameters()`,
    or any other.
    """
    return dict(leaves(part, Parameter))


def replica(part: Any, grad: Array) -> tuple[Any, list[tuple[Parameter, Parameter]]]:
    """Return the same part with the same values, but with gradients in the flat vector `grad`, and
    the pairs (original parameter, its replica).

    Threads that run one layer on different images each use a replica, so that no two of them add
    into the same array. Raises GlowliteError if `parameters()` of a part names something that is
    not among its attributes.
    """
    pairs: dict[int, tuple[Parameter, Parameter]] = {}
    offset = 0

    def place(child: Any) -> Any:
        nonlocal offset
        if not isinstance(child, Parameter):
            return map_part(child, place)
        if id(child) not in pairs:
            where = slice(offset, offset + child.value.size)
            offset = where.stop
            pairs[id(child)] = child, Parameter(child.value, grad[where].reshape(child.value.shape))
        return pairs[id(child)][1]

    twin = map_part(part, place)
    return twin, list(pairs.values())


def check_registered(where: str, part: Any) -> None:
    """Raise GlowliteError unless what parameters() names is among the attributes of `part`.

    Otherwise copies with separate gradients, which threads need, could not be made.
    """
    named = parameters_of(part)
    found = {id(p) for p in _all_parameters(part)}
    for name, p in named.items():
        if id(p) not in found:
            raise GlowliteError(
                f"{where}: parameters() of {type(part).__name__} names {name!r}, which is none of"
                " its attributes, nor in a list, tuple or dict of them; keep it as an attribute"
            )


def _all_parameters(part: Any) -> Iterator[Parameter]:
    for _, child in part.children() if isinstance(part, Parameterized) else children(part):
        if isinstance(child, Parameter):
            yield child
        elif not isinstance(child, Constant):
            yield from _all_parameters(child)


def _article(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


class ParameterStore:
    """Moves the parameters of a module into one flat `theta` and one flat `grad`, arrays of `xp`
    and `dtype`.

    `theta`, `grad`: (P,); theta is in memory that is shared with processes forked from this one,
    until it is copied. `offsets[name]` is the slice of a parameter. `running`, `change`: (S,), the
    same for all Statistics. Floating-point Constants are also cast. A copy (`copy.deepcopy`,
    `pickle`) has its own vectors, and the copied parameters are views of them.
    """

    def __init__(self, module: Any, dtype: str = "float32", xp: Namespace = np) -> None:
        self.parameters = parameters_of(module)
        self.constants = dict(leaves(module, Constant))
        size = sum(p.value.size for p in self.parameters.values())
        self.theta = shared_zeros((size,), dtype) if xp is np else xp.zeros(size, dtype)
        self.grad = xp.zeros(size, dtype)
        self.offsets: dict[str, slice] = {}
        start = 0
        for name, p in self.parameters.items():
            where = self.offsets[name] = slice(start, start + p.value.size)
            start = where.stop
            self.theta[where] = to_device(p.value, xp).ravel()
        for c in self.constants.values():
            value = to_device(c.value, xp)
            c.value = value.astype(dtype) if value.dtype.kind == "f" else value
        self.statistics = [c for c in self.constants.values() if isinstance(c, Statistic)]
        values = [c.value.ravel() for c in self.statistics]
        self.running = xp.concatenate([xp.zeros(0, dtype), *values])
        self.change = xp.zeros_like(self.running)
        self._bind()

    def _bind(self) -> None:
        """Make every parameter a view of `theta` and `grad`, and every statistic a view of
        `running` and `change`.
        """
        self._places: dict[int, tuple[slice, Array]] = {}
        for name, p in self.parameters.items():
            where, shape = self.offsets[name], p.value.shape
            p.bind(self.theta[where].reshape(shape), self.grad[where].reshape(shape))
            self._places[id(p)] = where, p.value
        start = 0
        for c in self.statistics:
            where, shape = slice(start, start + c.value.size), c.value.shape
            start = where.stop
            c.value, c.change = (
                self.running[where].reshape(shape),
                self.change[where].reshape(shape),
            )

    def place_of(self, p: Parameter) -> slice | None:
        """Return the slice of a parameter in `theta`.

        Return None for a parameter that is not in it, or that another store has moved away.
        """
        where, value = self._places.get(id(p), (None, None))
        return where if value is p.value else None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_places"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not getattr(self.theta.flags, "writeable", True):  # a buffer that another process owns
            self.theta, self.grad = self.theta.copy(), self.grad.copy()
            self.running, self.change = self.running.copy(), self.change.copy()
        self._bind()

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set every parameter and constant from host arrays, by name."""
        xp = namespace(self.theta)
        for name, value in self.named_values().items():
            value[...] = to_device(arrays[name], xp)

    def state(self) -> Array:
        """Return theta and running, (P + S,): everything that changes in training; a copy, if there
        are statistics.
        """
        if not self.statistics:
            return self.theta
        return namespace(self.theta).concatenate((self.theta, self.running))

    def set_state(self, state: Array) -> None:
        """Set theta and running in place."""
        self.theta[...], self.running[...] = state[: len(self)], state[len(self) :]

    def named_values(self) -> dict[str, Array]:
        """Return the array of every parameter and constant, which a file stores."""
        parts: list[Mapping[str, Parameter | Constant]] = [self.parameters, self.constants]
        return {name: holder.value for part in parts for name, holder in part.items()}

    def __len__(self) -> int:
        return int(self.theta.size)

    def name_at(self, index: int) -> str:
        """Return the path of the parameter that contains element `index` of the flat vectors."""
        return next(
            name for name, where in self.offsets.items() if where.start <= index < where.stop
        )
