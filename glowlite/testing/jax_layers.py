"""A JAX flow as a layer of NumPy arrays, for testing against the laws."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glowlite.testing.comparison import DoesNotApply
from glowlite.testing.jax_conventions import Functions, convention_of

Leaves = dict[str, Any]  # leaves of a pytree, by name
# number of compiled programs that are kept, for layers that differ only in their arrays
PROGRAMS = 64


def jax_layer(
    forward: Any,
    inverse: Callable[..., Any] | None = None,
    params: Any = None,
    condition: np.ndarray | None = None,
) -> JaxLayer:
    """Present a JAX flow as a layer under test, or as a model if it is a distribution.

        jax_layer(forward, inverse, params)   forward(params, x) -> y, logdet; inverse(params, y)
                                              -> x, or x and its logdet; with a condition both take
                                              it as a third argument
        jax_layer(make, params=params)        make(params) gives an object of distrax or flowjax
        jax_layer(thing)                      such an object

    x, y: (N, ...). logdet: (N,), or a number. params: a pytree; its floating-point leaves are the
    parameters, NumPy arrays that are read at every call. condition: (N, ...), or (1, ...) for every
    sample. An object of flowjax is itself such a pytree, without the parts frozen by
    `non_trainable`. The arrays in an object of distrax depend on each other, so they are its state,
    and it has no parameters; pass `make` to have parameters. An attribute `domain = (low, high)` of
    the object, or of `make` or `forward`, gives the range of x.

    This sets `jax_enable_x64` in `jax.config` for the whole process, since the laws need float64.
    An object of distrax has to be made after that, since it stores derived numbers in float32
    otherwise (ValueError). Objects are compiled. Functions are called as they are; pass
    `jax.jit(forward)` to have them compiled. Raises TypeError for other kinds of objects. A missing
    inverse raises DoesNotApply when it is called.
    """
    jax.config.update("jax_enable_x64", True)
    functions, tree, is_derived = _functions_and_tree(forward, inverse, params)
    if is_derived and any(_is_of(leaf, np.float32) for leaf in jax.tree_util.tree_leaves(tree)):
        raise ValueError(
            f"{type(forward).__name__} was made in float32: make it after"
            " jax.config.update('jax_enable_x64', True), or give jax_layer(make, params=...)"
        )
    leaves, structure = _leaves_of(tree, params is None, is_derived)
    program = _program(functions, leaves, structure)
    trained = {name: leaf for name, leaf in leaves.items() if isinstance(leaf, Parameter)}
    frozen = {name: leaf for name, leaf in leaves.items() if isinstance(leaf, np.ndarray)}
    kind = JaxModel if functions.log_prob is not None else JaxLayer
    domain = getattr(forward, "domain", None)
    return kind(program, trained, frozen, np.float64, condition, domain)


def _functions_and_tree(
    forward: Any, inverse: Callable[..., Any] | None, params: Any
) -> tuple[Functions, Any, bool]:
    """Return what to call, its first argument, and whether the arrays in that depend on
    each other.
    """
    if inverse is not None:
        return _of_functions(forward, inverse), params, False
    if params is not None:
        made = convention_of(forward(jax.tree_util.tree_map(_in_float64, params)))
        return _functions_of(made, forward), params, False
    convention = convention_of(forward)
    functions = _functions_of(convention, _itself)._replace(keeps_dtype=convention.keeps_dtype)
    return functions, forward, convention.keeps_derived


def _functions_of(convention: Any, make: Callable[[Any], Any]) -> Functions:
    """Return the same functions for the same `make`, so that they are compiled once."""
    try:
        return _kept_functions(convention, make)
    except TypeError:  # it cannot be hashed
        return convention.of(make)


@functools.lru_cache(PROGRAMS)
def _kept_functions(convention: Any, make: Callable[[Any], Any]) -> Functions:
    return convention.of(make)


def _itself(thing: Any) -> Any:
    return thing


def _of_functions(forward: Callable[..., Any], inverse: Callable[..., Any]) -> Functions:
    def call(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda p, x, c: function(p, x) if c is None else function(p, x, c)

    return Functions(call(forward), call(inverse), None, None, is_compiled=False)


def _program(functions: Functions, leaves: dict[str, Any], structure: Any) -> Program:
    """Return an already compiled program if an earlier object differed only in its arrays."""
    if not functions.is_compiled:
        return Program(functions, leaves, structure)
    others = tuple(
        (name, type(leaf), leaf)
        for name, leaf in leaves.items()
        if not isinstance(leaf, (Parameter, np.ndarray))
    )
    try:
        return _kept_program(functions, tuple(leaves), others, structure)
    except (TypeError, ValueError):  # what cannot be hashed or compared is compiled again
        return Program(functions, leaves, structure)


@functools.lru_cache(PROGRAMS)
def _kept_program(
    functions: Functions, names: tuple[str, ...], others: tuple[Any, ...], structure: Any
) -> Program:
    leaves = dict.fromkeys(names) | {name: leaf for name, _, leaf in others}
    return Program(functions, leaves, structure)


class Parameter:
    """A leaf of a pytree: `value` and `grad`."""

    def __init__(self, value: np.ndarray) -> None:
        self.value, self.grad = value, np.zeros_like(value)


class Program:
    """Functions of arrays only: the leaves by name, of which `trained` have gradients, a batch, and
    a condition.

    leaves: by name, in the tree's order; leaves that are not arrays stay in the program.
    """

    def __init__(self, functions: Functions, leaves: dict[str, Any], structure: Any) -> None:
        self._functions, self._leaves, self._structure = functions, leaves, structure
        compiled = jax.jit if functions.is_compiled else _as_it_is
        self.forward = compiled(self._forward)
        self.inverse = compiled(self._inverse)
        self.pull_forward = compiled(_pull_back(self._forward))
        self.pull_inverse = compiled(_pull_back(self._inverse_alone))
        self.log_prob = compiled(self._log_prob)
        self.keeps_dtype = functions.keeps_dtype
        self.sample = compiled(self._sample, static_argnames="n")

    def _forward(self, trained: Leaves, frozen: Leaves, x: Any, c: Any) -> tuple[Any, Any]:
        result = self._functions.forward(self._tree(trained, frozen), x, c)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError("forward(params, x) has no log-determinant: expected y, logdet")
        return result[0], _per_sample(result[1], x)

    def _inverse(self, trained: Leaves, frozen: Leaves, y: Any, c: Any) -> tuple[Any, Any]:
        result = self._functions.inverse(self._tree(trained, frozen), y, c)
        if not isinstance(result, (tuple, list)):
            return result, None
        x, logdet = result
        return x, None if logdet is None else _per_sample(logdet, y)

    def _inverse_alone(self, *arguments: Any) -> tuple[Any]:
        return self._inverse(*arguments)[:1]

    def _log_prob(self, trained: Leaves, frozen: Leaves, x: Any, c: Any) -> Any:
        assert self._functions.log_prob is not None
        return self._functions.log_prob(self._tree(trained, frozen), x, c)

    def _sample(self, trained: Leaves, frozen: Leaves, n: int, key: Any, c: Any) -> Any:
        assert self._functions.sample is not None
        return self._functions.sample(self._tree(trained, frozen), n, key, c)

    def _tree(self, trained: Leaves, frozen: Leaves) -> Any:
        arrays = trained | frozen
        leaves = [arrays.get(name, leaf) for name, leaf in self._leaves.items()]
        return jax.tree_util.tree_unflatten(self._structure, leaves)


def _as_it_is(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
    return function


def _pull_back(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the gradients of <cotangents, function(trained, frozen, at, c)> with respect to
    trained and at.
    """

    def pull(
        trained: Leaves, frozen: Leaves, at: Any, c: Any, cotangents: tuple[Any, ...]
    ) -> tuple[Leaves, Any]:
        out, back = jax.vjp(lambda t, a: function(t, frozen, a, c), trained, at)
        return back(tuple(d.astype(o.dtype) for d, o in zip(cotangents, out, strict=True)))

    return pull


class JaxLayer:
    """The interface of the laws, implemented with functions and `jax.vjp`."""

    def __init__(
        self,
        program: Program,
        trained: dict[str, Parameter],
        frozen: dict[str, np.ndarray],
        dtype: Any,
        condition: np.ndarray | None = None,
        domain: tuple[float, float] | None = None,
    ) -> None:
        self._program, self._trained, self._frozen = program, trained, frozen
        self._dtype, self._condition, self._domain = np.dtype(dtype), condition, domain

    # --- what every law calls ---

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._running():
            y, logdet = self._program.forward(*self._arguments(x))
            return np.array(y), self._numbers(logdet)

    def inverse(self, y: np.ndarray) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Return x, and the log-determinant of the inverse if there is one."""
        with self._running():
            x, logdet = self._program.inverse(*self._arguments(y))
            return np.array(x) if logdet is None else (np.array(x), self._numbers(logdet))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        back = self.inverse(y)
        x = back[0] if isinstance(back, tuple) else back
        return x, self._pulled_back(self._program.pull_forward, x, dy, dlogdet)

    def inverse_backward(self, y: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """Return dy of the loss <dx, inverse(y)>; also add the gradients of the parameters."""
        return self._pulled_back(self._program.pull_inverse, y, dx)

    def parameters(self) -> dict[str, Parameter]:
        return dict(self._trained)

    # --- what some laws call ---

    def state(self) -> dict[str, np.ndarray]:
        """Return a copy of every array of the pytree: parameters, and arrays without gradients."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def set_state(self, saved: dict[str, np.ndarray]) -> None:
        """Load what `state()` returned; KeyError if a name is missing."""
        for name, array in self._arrays().items():
            array[...] = saved[name]

    def unnamed_arrays(self) -> dict[str, np.ndarray]:
        """Return no arrays, since what a function closes over cannot be changed in place."""
        return {}

    @property
    def given(self) -> Any:
        """`given(condition)` returns the layer at another condition. Only layers made with a
        condition have it.
        """
        if self._condition is None:
            raise AttributeError("the layer was made without a condition")
        return lambda condition: type(self)(
            self._program, self._trained, self._frozen, self._dtype, condition, self._domain
        )

    @property
    def domain(self) -> tuple[float, float]:
        """The range of x. Only layers that declare it have this attribute."""
        if self._domain is None:
            raise AttributeError("the layer declares no domain")
        return self._domain

    def cast(self, dtype: Any) -> JaxLayer:
        """Return a new layer with the same values in float32 or float64; in float32 it runs as if
        `jax_enable_x64` were off. Raises DoesNotApply for an object that stays in its dtype.
        """
        if self._program.keeps_dtype and self._arrays():
            raise DoesNotApply("it stays in the dtype that it was made in: give (make, params)")
        trained = {name: Parameter(p.value.astype(dtype)) for name, p in self._trained.items()}
        frozen = {
            name: array.astype(dtype if _is_float(array) else array.dtype)
            for name, array in self._frozen.items()
        }
        return type(self)(self._program, trained, frozen, dtype, self._condition, self._domain)

    def __deepcopy__(self, memo: dict[int, Any]) -> JaxLayer:
        """Return a copy with its own arrays; functions and other objects are shared."""
        own = copy.deepcopy((self._trained, self._frozen, self._dtype, self._condition), memo)
        return type(self)(self._program, *own, self._domain)

    # --- how it is done ---

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        try:
            with _with_x64(self._dtype == np.float64):
                yield
        except NotImplementedError as error:
            raise DoesNotApply(" ".join(str(error).split()) or "not implemented") from error

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: p.value for name, p in self._trained.items()} | self._frozen

    def _leaves(self) -> tuple[Leaves, Leaves]:
        """Return copies of the current arrays."""
        trained = {name: jnp.array(p.value) for name, p in self._trained.items()}
        return trained, {name: jnp.array(array) for name, array in self._frozen.items()}

    def _arguments(self, x: np.ndarray) -> tuple[Any, ...]:
        return (*self._leaves(), jnp.array(x), self._rows(len(x)))

    def _pulled_back(
        self, pull: Callable[..., Any], at: np.ndarray, *cotangents: np.ndarray
    ) -> np.ndarray:
        with self._running():
            given = tuple(jnp.array(d) for d in cotangents)
            gradients, found = pull(*self._arguments(at), given)
            for name, p in self._trained.items():
                p.grad[...] += np.asarray(gradients[name])
            return np.array(found)

    def _rows(self, n: int) -> Any:
        """Return the condition of n samples."""
        if self._condition is None:
            return None
        c = np.asarray(self._condition)
        if len(c) not in (1, n):
            raise ValueError(f"expected a condition of {n} rows or of 1, got {len(c)}")
        c = c.astype(self._dtype) if np.issubdtype(c.dtype, np.floating) else c
        return jnp.array(np.broadcast_to(c, (n, *c.shape[1:])))

    def _numbers(self, values: Any) -> np.ndarray:
        """Return float64, as the laws need for a log-determinant; values with fewer digits than the
        layer's dtype are left unchanged.
        """
        found = np.array(values)
        return found.astype(np.float64) if found.dtype == self._dtype else found


class JaxModel(JaxLayer):
    """A layer with a density: `forward` goes from data to noise."""

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Return the log-density of each sample, (N,), in nats."""
        with self._running():
            return self._numbers(self._program.log_prob(*self._arguments(x)))

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Return n samples (n, ...)."""
        with self._running():
            key, c = jax.random.key(seed), self._rows(n)
            return np.array(self._program.sample(*self._leaves(), n, key, c))


def _with_x64(is_on: bool) -> Any:
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(is_on)
    from jax.experimental import enable_x64  # its name up to jax 0.7

    return enable_x64(is_on)


def _per_sample(values: Any, x: Any) -> Any:
    """Return (N,) from one number for all samples, or from (1,) or (N, 1); otherwise unchanged."""
    values = jnp.asarray(values, None if hasattr(values, "dtype") else x.dtype)
    if values.shape == (len(x), 1):
        return values[:, 0]
    return jnp.broadcast_to(values, (len(x),)) if values.shape in ((), (1,)) else values


# --- leaves of a pytree ---


def _leaves_of(tree: Any, is_object: bool, is_derived: bool) -> tuple[dict[str, Any], Any]:
    """Return the leaves by name, in the tree's order, and the tree's structure."""
    found, structure = jax.tree_util.tree_flatten_with_path(tree)
    frozen = _frozen(tree)
    leaves = {}
    for path, leaf in found:
        is_number = _is_float(leaf) or (isinstance(leaf, float) and not is_object)
        is_trained = is_number and not is_derived and not any(path[: len(p)] == p for p in frozen)
        if is_number or _is_array(leaf):
            leaf = np.array(leaf, np.float64 if is_number else None)
        leaves[jax.tree_util.keystr(path)] = Parameter(leaf) if is_trained else leaf
    return leaves, structure


def _frozen(tree: Any) -> list[Any]:
    """Return the nodes at which the tree says that everything below has no gradient."""
    nodes, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_frozen)
    return [path for path, node in nodes if _is_frozen(node)]


def _is_frozen(node: Any) -> bool:
    return type(node).__name__ == "NonTrainable"  # of paramax, for flowjax


def _in_float64(leaf: Any) -> Any:
    return jnp.array(leaf, jnp.float64) if _is_float(leaf) else leaf


def _is_array(leaf: Any) -> bool:
    """Whether it is an array of numbers; random keys are left as they are."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and (
        jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)
    )


def _is_float(leaf: Any) -> bool:
    return _is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)


def _is_of(leaf: Any, dtype: Any) -> bool:
    return getattr(leaf, "dtype", None) == dtype
