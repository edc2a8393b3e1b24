"""The objects of distrax, flowjax and TensorFlow Probability on JAX, as functions of the object, a
batch and a condition.

    forward(thing, x, c) -> y, logdet         inverse(thing, y, c) -> x, logdet of the inverse
    log_prob(thing, x, c) -> (N,)             sample(thing, n, key, c) -> x    of a distribution

x, y: (N, ...). c: None, or (N, ...). The `forward` of a distribution goes from data to noise; all
three libraries name their bijectors the other way. Objects are recognised by the names of their
attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Array = Any


class Functions(NamedTuple):
    forward: Callable[..., tuple[Array, Array]]
    inverse: Callable[..., Any]
    log_prob: Callable[..., Array] | None
    sample: Callable[..., Array] | None
    is_compiled: bool
    keeps_dtype: bool = False


class Convention:
    """How to call a kind of object. keeps_derived: whether it stores numbers derived from others,
    so that none can be changed alone. keeps_dtype: whether it stays in the dtype that it was made
    with.
    """

    keeps_derived = False
    keeps_dtype = False
    is_model = False

    def of(self, make: Callable[[Any], Any]) -> Functions:
        """Return the functions of `make(params)`."""

        def made(function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda params, *arguments: function(make(params), *arguments)

        both = (made(self.forward), made(self.inverse))
        if not self.is_model:
            return Functions(*both, None, None, is_compiled=True)
        return Functions(*both, made(self.log_prob), made(self.sample), is_compiled=True)

    def forward(self, thing: Any, x: Array, c: Array | None) -> tuple[Array, Array]:
        raise NotImplementedError

    def inverse(self, thing: Any, y: Array, c: Array | None) -> tuple[Array, Array]:
        raise NotImplementedError

    def log_prob(self, thing: Any, x: Array, c: Array | None) -> Array:
        raise NotImplementedError

    def sample(self, thing: Any, n: int, key: Any, c: Array | None) -> Array:
        raise NotImplementedError


class DistraxBijector(Convention):
    """Its log-determinant is per event, and an event may be one number. Here it is summed over the
    whole sample.
    """

    keeps_derived = True

    def forward(self, thing: Any, x: Array, c: Array | None) -> tuple[Array, Array]:
        y, logdet = thing.forward_and_log_det(x)
        return y, _over_events(logdet, x.ndim - 1 - thing.event_ndims_in)

    def inverse(self, thing: Any, y: Array, c: Array | None) -> tuple[Array, Array]:
        x, logdet = thing.inverse_and_log_det(y)
        return x, _over_events(logdet, y.ndim - 1 - thing.event_ndims_out)


class DistraxModel(DistraxBijector):
    is_model = True

    def forward(self, thing: Any, x: Array, c: Array | None) -> tuple[Array, Array]:
        return super().inverse(thing.bijector, x, c)

    def inverse(self, thing: Any, y: Array, c: Array | None) -> tuple[Array, Array]:
        return super().forward(thing.bijector, y, c)

    def log_prob(self, thing: Any, x: Array, c: Array | None) -> Array:
        return _over_events(thing.log_prob(x), x.ndim - 1 - len(thing.event_shape))

    def sample(self, thing: Any, n: int, key: Any, c: Array | None) -> Array:
        return thing.sample(seed=key, sample_shape=(n,))


class FlowjaxBijection(Convention):
    """A bijection written for one sample."""

    def forward(self, thing: Any, x: Array, c: Array | None) -> tuple[Array, Array]:
        return _for_each(thing.transform_and_log_det, x, c)

    def inverse(self, thing: Any, y: Array, c: Array | None) -> tuple[Array, Array]:
        return _for_each(thing.inverse_and_log_det, y, c)


class FlowjaxModel(FlowjaxBijection):
    is_model = True

    def forward(self, thing: Any, x: Array, c: Array | None) -> tuple[Array, Array]:
        return super().inverse(thing.bijection, x, c)

    def inverse(self, thing: Any, y: Array, c: Array | None) -> tuple[Array, Array]:
        return super().forward(thing.bijection, y, c)

    def log_prob(self, thing: Any, x: Array, c: Array | None) -> Array:
        return thing.log_prob(x, c)

    def sample(self, thing: Any, n: int, key: Any, c: Array | None) -> Array:
        return thing.sample(key, (n,)) if c is None else thing.sample(key, (), c)


class TfpBijector(Convention):
    """Its log-determinant sums over a given number of axes: here, all except the first."""

    keeps_dtype = True

    def forward(self, thing: Any, x: Array, c: Array | None) -> tuple[Array, Array]:
        return thing.forward(x), thing.forward_log_det_jacobian(x, event_ndims=x.ndim - 1)

    def inverse(self, thing: Any, y: Array, c: Array | None) -> tuple[Array, Array]:
        return thing.inverse(y), thing.inverse_log_det_jacobian(y, event_ndims=y.ndim - 1)


class TfpModel(TfpBijector):
    is_model = True

    def forward(self, thing: Any, x: Array, c: Array | None) -> tuple[Array, Array]:
        return super().inverse(thing.bijector, x, c)

    def inverse(self, thing: Any, y: Array, c: Array | None) -> tuple[Array, Array]:
        return super().forward(thing.bijector, y, c)

    def log_prob(self, thing: Any, x: Array, c: Array | None) -> Array:
        return _over_events(thing.log_prob(x), x.ndim - 1 - len(thing.event_shape))

    def sample(self, thing: Any, n: int, key: Any, c: Array | None) -> Array:
        return thing.sample(n, seed=key)


def _over_events(logdet: Array, axes: int) -> Array:
    """Return the sum over the last axes, if there are as many as expected."""
    if axes > 0 and logdet.ndim == 1 + axes:
        return logdet.sum(axis=tuple(range(1, 1 + axes)))
    return logdet


def _for_each(function: Callable[..., Any], x: Array, c: Array | None) -> tuple[Array, Array]:
    return jax.vmap(function, (0, None if c is None else 0))(x, c)


def convention_of(thing: Any) -> Any:
    """Return the convention that the object follows; TypeError if none."""
    for names, convention in TABLE:
        if all(hasattr(thing, name) for name in names):
            return convention
    raise TypeError(
        f"{type(thing).__name__}: expected an object of distrax, flowjax or TensorFlow Probability,"
        " or forward, inverse and params"
    )


TABLE: tuple[tuple[tuple[str, ...], Convention], ...] = (
    (("forward_and_log_det", "inverse_and_log_det", "event_ndims_in"), DistraxBijector()),
    (("transform_and_log_det", "inverse_and_log_det"), FlowjaxBijection()),
    (("bijector", "distribution", "experimental_sample_and_log_prob"), TfpModel()),
    (("bijector", "distribution", "log_prob", "sample"), DistraxModel()),
    (("bijection", "base_dist", "log_prob", "sample"), FlowjaxModel()),
    (("forward", "forward_log_det_jacobian", "inverse_log_det_jacobian"), TfpBijector()),
)
