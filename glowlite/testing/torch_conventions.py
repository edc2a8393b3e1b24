"""The conventions of PyTorch flow codes, converted to one form.

    forward(x, c) -> y, logdet                inverse(y, c) -> x, logdet of the inverse or None
    log_prob(x, c) -> (N,)                    sample(n, c) -> x            of a model only

x, y: tensors (N, ...). c: None or a condition of N (in `sample`: n) rows. logdet: what the module
returned, in its own shape.

    PlainModule      a module's own `forward` and `inverse`: nflows, normflows, most codes of Glow
    PlainModel       the same, with `log_prob` and `sample`
    FreiaModule      m([x], c=[c], rev=False, jac=True) -> (y,), logdet
    Transform        torch.distributions, zuko
    LazyTransform    m(c) -> Transform, zuko
    LazyFlow         m(c) -> a distribution with a `transform`, zuko
    NflowsFlow       a transform and a distribution, of nflows
    NormflowsModel   flows from noise to data, of normflows
    NormflowsLevels  the same, with a latent of each level

The `forward` of a model goes from data to noise, whatever its library calls it. Modules are
recognised by the names of their attributes; this file imports none of these libraries.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from glowlite.testing.comparison import DoesNotApply

Tensor = Any
Pair = tuple[Tensor, Any]

WAYS_BACK = ("inverse", "reverse", "backward")  # names of methods
SWITCHES = {"reverse": True, "rev": True, "inverse": True, "mode": "inverse"}  # of `forward`
CONDITIONS = ("context", "condition", "conditions", "cond", "cond_inputs", "c", "y")
# arguments for a log-determinant to which the layer adds its own
SUMS = ("logdet", "log_det", "logabsdet", "log_det_jacobian", "log_det_jac", "ldj", "sldj")
LOGDETS = (  # methods that return the log-determinant separately from `forward`
    "log_abs_det_jacobian",
    "log_abs_det",
    "log_det_jacobian",
    "log_det",
    "logabsdet",
    "logdet",
)


def convention_of(module: Any) -> Any:
    """Return the convention that the module follows: an object with `forward` and `inverse` as
    above.
    """
    for recognises, convention in TABLE:
        if recognises(module):
            return convention(module)
    raise TypeError(f"{_name(module)}: expected a module or transform of torch; it has no forward")


def _name(thing: Any) -> str:
    return type(thing).__name__


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # for some functions written in C
        return {}


def _others(function: Any) -> list[str]:
    """Return the names of the arguments after the first."""
    return list(_parameters(function))[1:]


def _passes_on(function: Any) -> bool:
    """Whether it takes arguments of any name."""
    return any(p.kind is p.VAR_KEYWORD for p in _parameters(function).values())


def _required(function: Any) -> int:
    """Return the number of required arguments."""
    return sum(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in _parameters(function).values()
    )


def _described(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{len(value)} values ({', '.join(_name(item) for item in value)})"
    return f"one {_name(value)}"


# --- a module's own methods ---


class PlainModule:
    """`forward(x)` returns y, logdet; or only y, and a method of LOGDETS returns the
    log-determinant.

    The inverse is a method of WAYS_BACK, or a switch of `forward` from SWITCHES. A condition is
    passed to the argument named in CONDITIONS. An argument named in SUMS gets zeros.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def _call(self, x: Tensor, **beside: Any) -> Any:
        return (self.module if callable(self.module) else self.module.forward)(x, **beside)

    def forward(self, x: Tensor, c: Tensor | None) -> Pair:
        result = self._call(x, **self._beside(self.module.forward, x, c))
        y, logdet = self._pair(result, "forward")
        return y, self._logdet(x, y, c) if logdet is None else logdet

    def inverse(self, y: Tensor, c: Tensor | None) -> Pair:
        for method in WAYS_BACK:
            back = getattr(self.module, method, None)
            if callable(back):
                return self._pair(back(y, **self._beside(back, y, c)), method)
        for switch, on in SWITCHES.items():
            if self._has_switch(switch):
                beside = self._beside(self.module.forward, y, c)
                return self._pair(self._call(y, **{switch: on}, **beside), f"forward, {switch}")
        raise DoesNotApply(
            f"{_name(self.module)} has no inverse: expected a method inverse(y), or forward(y,"
            " reverse=True)"
        )

    def _has_switch(self, name: str) -> bool:
        parameter = _parameters(self.module.forward).get(name)
        return parameter is not None and (name != "mode" or parameter.default == "direct")

    def _beside(self, function: Any, x: Tensor, c: Tensor | None) -> dict[str, Tensor]:
        """Return the arguments besides x."""
        names = _others(function)
        sums = {name: x.new_zeros(len(x)) for name in names if name in SUMS}
        return sums | self._condition(function, c)

    def _condition(self, function: Any, c: Tensor | None) -> dict[str, Tensor]:
        if c is None:
            return {}
        for name in CONDITIONS:
            if name in _others(function):
                return {name: c}
        if _passes_on(function):
            return {CONDITIONS[0]: c}
        raise TypeError(
            f"{_name(self.module)}.{getattr(function, '__name__', 'forward')} takes no condition:"
            f" expected an argument with one of the names {', '.join(CONDITIONS)}"
        )

    def _pair(self, result: Any, method: str) -> Pair:
        if torch.is_tensor(result):
            return result, None
        if isinstance(result, (tuple, list)) and len(result) == 2 and torch.is_tensor(result[0]):
            return result[0], result[1]
        raise TypeError(
            f"{_name(self.module)}.{method} gives {_described(result)};"
            " expected a tensor, or a tensor and a log-determinant"
        )

    def _logdet(self, x: Tensor, y: Tensor, c: Tensor | None) -> Any:
        for name in LOGDETS:
            method = getattr(self.module, name, None)
            if callable(method):
                of_both = _required(method) > 1 or "y" in _others(method)
                named = [n for n in CONDITIONS if n != "y" and n in _others(method)]
                beside = {named[0]: c} if named and c is not None else {}
                return method(x, y, **beside) if of_both else method(x, **beside)
        raise TypeError(
            f"{_name(self.module)} has no log-determinant: expected forward(x) -> y, logdet,"
            " or a method log_abs_det_jacobian(x, y) beside it"
        )


class PlainModel(PlainModule):
    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        return self.module.log_prob(x, **self._condition(self.module.log_prob, c))

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        x = self.module.sample(n, **self._condition(self.module.sample, c))
        return x[0] if isinstance(x, (tuple, list)) else x


class NormflowsModel(PlainModel):
    """normflows goes from noise to data; here the direction is reversed."""

    def forward(self, x: Tensor, c: Tensor | None) -> Pair:
        back = self.module.inverse_and_log_det
        return self._pair(back(x, **self._condition(back, c)), "inverse_and_log_det")

    def inverse(self, y: Tensor, c: Tensor | None) -> Pair:
        forth = self.module.forward_and_log_det
        return self._pair(forth(y, **self._condition(forth, c)), "forward_and_log_det")


class NormflowsLevels(PlainModel):
    """One latent per level, here concatenated, (N, D). A condition is that of the density."""

    def forward(self, x: Tensor, c: Tensor | None) -> Pair:
        latents, logdet = self.module.inverse_and_log_det(x)
        return torch.cat([z.flatten(1) for z in latents], dim=1), logdet

    def inverse(self, y: Tensor, c: Tensor | None) -> Pair:
        shapes = [tuple(base.shape) for base in self.module.q0]
        parts = y.split([int(np.prod(shape)) for shape in shapes], dim=1)
        latents = [z.reshape(-1, *shape) for z, shape in zip(parts, shapes, strict=True)]
        return self.module.forward_and_log_det(latents)

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        return self.module.log_prob(x, c)


class NflowsFlow(PlainModel):
    """The transform from data to noise, given the embedding of the condition."""

    def forward(self, x: Tensor, c: Tensor | None) -> Pair:
        return self.module._transform(x, context=self._embedded(c))

    def inverse(self, y: Tensor, c: Tensor | None) -> Pair:
        return self.module._transform.inverse(y, context=self._embedded(c))

    def _embedded(self, c: Tensor | None) -> Tensor | None:
        return None if c is None else self.module._embedding_net(c)

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        # with a context it returns (rows of the context, samples of each, ...)
        return self.module.sample(n) if c is None else self.module.sample(1, c)[:, 0]


class FreiaModule:
    """Inputs and outputs are tuples of tensors, here of one tensor. The Jacobian is that of the
    called direction.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def forward(self, x: Tensor, c: Tensor | None) -> Pair:
        return self._call(x, c, rev=False)

    def inverse(self, y: Tensor, c: Tensor | None) -> Pair:
        return self._call(y, c, rev=True)

    def _call(self, x: Tensor, c: Tensor | None, rev: bool) -> Pair:
        beside = {} if c is None else {"c": [c]}
        out, logdet = self.module((x,), **beside, rev=rev, jac=True)
        if not torch.is_tensor(out) and len(out) != 1:
            raise TypeError(f"{_name(self.module)} gives {_described(out)}; expected one tensor")
        return out if torch.is_tensor(out) else out[0], logdet


# --- transforms of torch.distributions ---


class Transform:
    """`log_abs_det_jacobian` is per event, and an event may be one number. Here it is summed over
    the whole sample.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def transform(self, c: Tensor | None) -> Any:
        if c is not None:
            raise TypeError(f"{_name(self.module)} is a transform: it takes no condition")
        return self.module

    def domain(self, c: Tensor | None) -> tuple[float, float]:
        """Return its ends, infinite where there is none."""
        return _ends(self.transform(c).domain)

    def codomain(self, c: Tensor | None) -> tuple[float, float]:
        return _ends(self.transform(c).codomain)

    def forward(self, x: Tensor, c: Tensor | None) -> Pair:
        return _through(self.transform(c), x)

    def inverse(self, y: Tensor, c: Tensor | None) -> Pair:
        return _through(self.transform(c).inv, y)


def _ends(constraint: Any) -> tuple[float, float]:
    while hasattr(constraint, "base_constraint"):
        constraint = constraint.base_constraint
    low = getattr(constraint, "lower_bound", float("-inf"))
    return float(low), float(getattr(constraint, "upper_bound", float("inf")))


def _through(transform: Any, x: Tensor) -> Pair:
    if hasattr(transform, "call_and_ladj"):
        y, logdet = transform.call_and_ladj(x)
    else:
        y = transform(x)
        logdet = transform.log_abs_det_jacobian(x, y)
    batch = x.shape[: x.ndim - transform.domain.event_dim]
    return y, _over_events(_spread(logdet, batch), len(batch) - 1)


def _spread(logdet: Any, shape: tuple[int, ...]) -> Any:
    """Repeat for each sample a value without a sample axis; otherwise return it unchanged."""
    if not torch.is_tensor(logdet) or logdet.ndim >= len(shape):
        return logdet
    last = shape[len(shape) - logdet.ndim :]
    fits = all(own in (1, n) for own, n in zip(logdet.shape, last, strict=True))
    return logdet.expand(shape) if fits else logdet


def _over_events(logdet: Any, axes: int) -> Any:
    """Return the sum over the last axes, if there are as many as expected."""
    return logdet.flatten(1).sum(1) if axes > 0 and logdet.ndim == 1 + axes else logdet


class LazyTransform(Transform):
    """A module that returns a transform."""

    def transform(self, c: Tensor | None) -> Any:
        return self.module(c)


class LazyFlow(Transform):
    """A module that returns a distribution; its transform goes from data to noise."""

    def transform(self, c: Tensor | None) -> Any:
        return self.module(c).transform

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        return self.module(c).log_prob(x)

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        return self.module(c).sample((n,) if c is None else ())


# --- which is which ---


def _is_transform(module: Any) -> bool:
    return all(
        hasattr(type(module), name) for name in ("log_abs_det_jacobian", "inv", "with_cache")
    )


def _is_freia(module: Any) -> bool:
    return {"rev", "jac"} <= _parameters(getattr(module, "forward", None)).keys()


def _is_lazy(module: Any) -> bool:
    return next(iter(_parameters(getattr(module, "forward", None))), "") == "c"


def _is_lazy_flow(module: Any) -> bool:
    return _is_lazy(module) and hasattr(module, "transform") and hasattr(module, "base")


def _is_lazy_transform(module: Any) -> bool:
    return _is_lazy(module) and isinstance(getattr(type(module), "inv", None), property)


def _is_nflows_flow(module: Any) -> bool:
    return all(hasattr(module, name) for name in ("_transform", "_distribution", "_embedding_net"))


def _is_normflows_model(module: Any) -> bool:
    names = ("q0", "forward_and_log_det", "inverse_and_log_det", "log_prob")
    return all(hasattr(module, name) for name in names)


def _has_levels(module: Any) -> bool:
    return _is_normflows_model(module) and hasattr(module, "merges")


def _is_model(module: Any) -> bool:
    return _has_forward(module) and all(
        callable(getattr(module, name, None)) for name in ("log_prob", "sample")
    )


def _has_forward(module: Any) -> bool:
    return callable(getattr(module, "forward", None)) and not isinstance(module, type)


TABLE: tuple[tuple[Callable[[Any], bool], type], ...] = (
    (_is_transform, Transform),
    (_is_freia, FreiaModule),
    (_is_lazy_flow, LazyFlow),
    (_is_lazy_transform, LazyTransform),
    (_is_nflows_flow, NflowsFlow),
    (_has_levels, NormflowsLevels),
    (_is_normflows_model, NormflowsModel),
    (_is_model, PlainModel),
    (_has_forward, PlainModule),
)
