"""Every parameter of a model is a named view into one flat vector `theta`, its gradient into one flat `grad`.

So the optimiser, weight averaging, clipping, checkpoints and the exchange between processes are single vector
operations. The order is that of registration, which is the order of the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from glowlite.arrays.backend import Array, Namespace, namespace, to_device


class Parameter:
    """A trainable array and its gradient. Layers write `p.grad[...] += g`, or `p.add(g)`; assigning to `p.grad` raises.

    `fresh`: nothing has been added yet, and `grad` holds whatever was in its memory. `home`: its ParameterStore, and where.
    """

    __slots__ = ("_fresh", "_grad", "_value", "home")

    def __init__(self, value: Array, grad: Array | None = None, fresh: bool = False) -> None:
        self._value = value
        self._grad = grad  # None: made when it is asked for
        self._fresh = fresh
        self.home: tuple[ParameterStore, slice] | None = None

    @property
    def value(self) -> Array:
        return self._value

    @property
    def grad(self) -> Array:
        if self._grad is None:
            xp, shape, dtype = namespace(self._value), self._value.shape, self._value.dtype
            self._grad = xp.empty(shape, dtype) if self._fresh else xp.zeros(shape, dtype)
        return self._grad

    def room(self) -> Array | None:
        """Where the first gradient may be written to, by `out=`, and then handed to `add`; None if one is there already."""
        return self.grad if self._fresh else None

    def add(self, gradient: Array) -> None:
        """grad += gradient."""
        if not self._fresh:
            grad = self.grad
            grad += gradient
        elif gradient is not self._grad:
            self.grad[...] = gradient
        self._fresh = False

    def bind(self, value: Array, grad: Array, home: tuple[ParameterStore, slice]) -> None:
        """Move to other memory, as a ParameterStore does; the contents of `value` and `grad` are taken as they are."""
        before: Array = getattr(self, "_value", value)  # a copy has none yet
        assert value.shape == grad.shape == before.shape
        self._value, self._grad, self._fresh, self.home = value, grad, False, home

    def __copy__(self) -> Parameter:
        """Another Parameter of the same arrays."""
        twin = Parameter(self._value, self._grad, self._fresh)
        twin.home = self.home
        return twin

    def __getstate__(self) -> tuple[Array | None, Array | None, bool, ParameterStore | None]:
        """A view of a store is one of the store's copy afterwards: so the store comes along, and binds it."""
        return (self._value, self._grad, self._fresh, None) if self.home is None else (None, None, False, self.home[0])

    def __setstate__(self, state: tuple[Array | None, Array | None, bool, ParameterStore | None]) -> None:
        value, grad, fresh, store = state
        if store is None:
            self._value, self._grad, self._fresh, self.home = value, grad, fresh, None


class Constant:
    """An array that belongs to the model but is not trained: a permutation, a sign. It is saved with the weights."""

    __slots__ = ("value",)

    def __init__(self, value: Array) -> None:
        self.value = value


class Parameterized:
    """Anything that has parameters, directly or in its parts; attributes register themselves in order of assignment."""

    def children(self) -> Iterator[tuple[str, Parameter | Constant | Parameterized]]:
        """The named parts, in order. A container overrides this and `map_children` to name its parts itself."""
        for name, child in vars(self).items():
            if isinstance(child, (Parameter, Constant, Parameterized)):
                yield name, child

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        """A shallow copy in which `change(part)` stands for every Parameter and Parameterized part."""
        twin = self.shallow_copy()
        for name, child in vars(self).items():
            if isinstance(child, (Parameter, Parameterized)):
                setattr(twin, name, change(child))
        return twin

    def shallow_copy(self) -> Self:
        """As copy.copy, at a tenth of its cost: this runs for every layer in every pass."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def _leaves(self, kind: type, prefix: str) -> Iterator[tuple[str, Parameter | Constant]]:
        for name, child in self.children():
            if isinstance(child, Parameterized):
                yield from child._leaves(kind, f"{prefix}{name}/")
            elif isinstance(child, kind):
                yield prefix + name, child

    def parameters(self, prefix: str = "") -> dict[str, Parameter]:
        """All trainable arrays, by path, in forward order."""
        return dict(self._leaves(Parameter, prefix))  # type: ignore[arg-type]

    def constants(self, prefix: str = "") -> dict[str, Constant]:
        """All arrays that are saved but not trained, by path, in forward order."""
        return dict(self._leaves(Constant, prefix))  # type: ignore[arg-type]

    def parameter_count(self) -> int:
        return sum(p.value.size for p in self.parameters().values())

    def replica(self, grad: Array) -> tuple[Self, list[tuple[Parameter, Parameter]]]:
        """The same layer over the same values, whose gradients add into the flat vector `grad`; and pairs of (own, its).

        Threads that run one layer on different images each use a replica, so that no two add into one array.
        """
        pairs: list[tuple[Parameter, Parameter]] = []
        offset = 0

        def place(p: Parameter) -> Parameter:
            nonlocal offset
            where = slice(offset, offset + p.value.size)
            offset = where.stop
            pairs.append((p, Parameter(p.value, grad[where].reshape(p.value.shape))))
            return pairs[-1][1]

        return self._replica(place), pairs

    def _replica(self, place: Callable[[Parameter], Parameter]) -> Self:
        return self.map_children(lambda part: place(part) if isinstance(part, Parameter) else part._replica(place))


class ParameterStore:
    """Moves the parameters of a module into one flat `theta` and one flat `grad`, as arrays of `xp` and `dtype`.

    `theta`, `grad`: (P,). `offsets[name]` is the slice of a parameter. Constants of floating type are cast, too.
    A copy (`copy.deepcopy`, `pickle`) has vectors of its own, and the parameters that are copied with it are views of them.
    """

    def __init__(self, module: Parameterized, dtype: str = "float32", xp: Namespace = np) -> None:
        self.parameters = module.parameters()
        self.constants = module.constants()
        size = sum(p.value.size for p in self.parameters.values())
        self.theta = xp.zeros(size, dtype)
        self.grad = xp.zeros(size, dtype)
        self.offsets: dict[str, slice] = {}
        start = 0
        for name, p in self.parameters.items():
            where = self.offsets[name] = slice(start, start + p.value.size)
            start = where.stop
            self.theta[where] = to_device(p.value, xp).ravel()
        self._bind({name: p.value.shape for name, p in self.parameters.items()})
        for c in self.constants.values():
            value = to_device(c.value, xp)
            c.value = value.astype(dtype) if value.dtype.kind == "f" else value

    def _bind(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make every parameter a view of `theta` and `grad`."""
        for name, p in self.parameters.items():
            where, shape = self.offsets[name], shapes[name]
            p.bind(self.theta[where].reshape(shape), self.grad[where].reshape(shape), (self, where))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "shapes": {name: p.value.shape for name, p in self.parameters.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        shapes = state.pop("shapes")
        self.__dict__.update(state)
        if not getattr(self.theta.flags, "writeable", True):  # a buffer that another process lends
            self.theta, self.grad = self.theta.copy(), self.grad.copy()
        self._bind(shapes)

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set every parameter and constant from host arrays, by name."""
        xp = namespace(self.theta)
        for name, value in self.named_values().items():
            value[...] = to_device(arrays[name], xp)

    def named_values(self) -> dict[str, Array]:
        """The array of every parameter and constant: what a file holds of a model."""
        parts: list[Mapping[str, Parameter | Constant]] = [self.parameters, self.constants]
        return {name: holder.value for part in parts for name, holder in part.items()}

    def __len__(self) -> int:
        return int(self.theta.size)

    def name_at(self, index: int) -> str:
        """The path of the parameter that holds element `index` of the flat vectors."""
        return next(name for name, where in self.offsets.items() if where.start <= index < where.stop)
