"""Find and report what went wrong in a step: which layer, by how much, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.backend import Array, namespace, to_host
from glowlite.arrays.parameters import Parameterized, ParameterStore
from glowlite.bijectors.invertible_conv import ChannelMixing
from glowlite.distributed.communicator import Communicator, OneProcess
from glowlite.errors import GlowliteError
from glowlite.training.metrics import StepResult

if TYPE_CHECKING:
    from glowlite.flow import Flow

# in units of an image's range, 1: gradients computed at inputs with a larger error are no longer
# those of the loss
DRIFT_LIMIT = 1e-2
CONDITION_DIGITS = 0.1  # largest allowed condition number times rounding error of an inverse
# singular values below C EPS times the largest are zero up to rounding
EPS = float(np.finfo(np.float64).eps)
HELD_OUT_RISE = 3.0  # bits/dim above the best so far
ADVICE = "lower --lr, clip with --clip 100, or warm up for longer"


class BadStep(GlowliteError):
    """A step whose update would do harm. The weights are unchanged."""


def is_good(loss: Array, norm: Array, drift: Array) -> Array:
    """Whether a step with these values may change the weights. They are numbers or arrays, on any
    device.
    """
    return (abs(loss) < np.inf) & (abs(norm) < np.inf) & (drift <= DRIFT_LIMIT)


def check_step(
    model: Flow,
    x: Array,
    parts: Sequence[slice],
    result: StepResult,
    ranks: Communicator | None = None,
    labels: Array | None = None,
    n_bits: int | None = None,
) -> None:
    """If a step was not good, raise BadStep, the same on every process, which says what is wrong
    and where.

    x (N, ...), `parts`, `n_bits` and, for a model with classes, `labels` (N,) are those of the
    step, and so are the gradients in `model.store.grad`. The process with the first bad part
    examines the model; the gradient is the same on all processes.
    """
    loss, norm, drift = to_host(result.table)
    if is_good(loss, norm, drift):
        return
    shares, ranks = to_host(result.shares), ranks or OneProcess()
    sound = np.isfinite(shares[:, 0]) & (shares[:, 1] <= DRIFT_LIMIT)  # (processes, parts)
    if sound.all():
        raise BadStep(gradient_message(model, norm))
    rank, part = np.argwhere(~sound)[0].tolist()
    said = ""
    if rank == ranks.rank:
        loss, drift = shares[rank, :, part].tolist()
        bad_loss = not np.isfinite(loss)
        x, model = (
            x[parts[part]],
            model if labels is None else model.given(labels[parts[part]]),
        )
        model, x = model.of_noise(x, n_bits)
        said = loss_message(model, x, loss) if bad_loss else drift_message(model, x, drift)
    raise BadStep(ranks.broadcast(said, root=rank))


def loss_message(model: Flow, x: Array, loss: float) -> str:
    """Return a message with the first layer at which x (N, ...) on its way through the model is not
    finite.
    """
    return f"the loss is {loss}, {_first_bad_layer(model, x)}; {ADVICE}"


def gradient_message(model: Flow, norm: float) -> str:
    """Return a message with the first parameter whose gradient is not finite."""
    place = _first_bad_parameter(model.store, model.store.grad)
    return f"the norm of the gradient is {norm}, {place}; {ADVICE}"


def check_weights(model: Flow) -> None:
    """Raise GlowliteError, naming the parameter, if a weight is not finite."""
    theta = model.store.theta
    if not bool(namespace(theta).isfinite(theta).all()):
        raise GlowliteError(
            f"the weights are no longer finite, {_first_bad_parameter(model.store, theta)};"
            f" {ADVICE}"
        )


def check_held_out(bits: float, best: float | None) -> None:
    """Raise GlowliteError if held-out bits/dim are not finite, or far above the best so far."""
    if not np.isfinite(bits) or (best is not None and bits > best + HELD_OUT_RISE):
        before = "" if best is None else f", after {best:.3f} at best"
        raise GlowliteError(
            f"held-out bits/dim are {bits:.3f}{before}: the training has diverged; {ADVICE}"
        )


def condition(model: Flow) -> float:
    """Return the largest condition number of the 1x1 convolutions; 1.0 if there are none. Raises
    GlowliteError if it is too large.

    The inverse of W can lose a factor cond(W) of precision, and its log-determinant is that of a
    nearly singular matrix. If several are singular, the first one is named, since rounding would
    decide which is worst.
    """
    check_weights(model)  # the decomposition does not terminate on a NaN
    worst, name = 1.0, ""
    for size, matrices in _mixing_matrices(model).items():
        conditions = np.linalg.cond(np.stack(list(matrices.values())).astype(np.float64))
        conditions[conditions > 1 / (size * EPS)] = np.inf  # singular up to rounding
        k = int(np.argmax(conditions))
        if conditions[k] > worst:
            worst, name = float(conditions[k]), list(matrices)[k]
    limit = CONDITION_DIGITS / float(np.finfo(model.dtype).eps)
    if not worst <= limit:
        raise GlowliteError(
            f"{name} is nearly singular: its condition number is {worst:.1e} (limit {limit:.0e} in"
            f" {model.dtype}); lower --lr, or use --permutation lu or --dtype float64"
        )
    return worst


def _mixing_matrices(model: Flow) -> dict[int, dict[str, np.ndarray]]:
    """Return the matrices (C, C) of all 1x1 convolutions by path, in forward order, grouped
    by C.
    """
    found: dict[int, dict[str, np.ndarray]] = {}

    def look(part: Any, path: str) -> None:
        if isinstance(part, ChannelMixing):
            matrix = to_host(part.matrix())
            found.setdefault(len(matrix), {})[path] = matrix
        elif isinstance(part, Parameterized):
            for name, child in part.children():
                look(child, f"{path}/{name}" if path else name)

    look(model, "")
    return found


def _first_bad_parameter(store: ParameterStore, vector: Array) -> str:
    bad = int(namespace(vector).argmin(namespace(vector).isfinite(vector)))
    return f"first at {store.name_at(bad)}"


def _first_bad_layer(model: Flow, x: Array) -> str:
    """Run x through the model again, layer by layer, and name the first layer whose result is not
    finite.
    """
    xp = namespace(x)
    if not bool(xp.isfinite(model.store.theta).all()):
        return _first_bad_parameter(model.store, model.store.theta)
    for layer in model.trace(x):
        if not all(bool(xp.isfinite(y).all()) for y in (*layer.outputs, layer.logdet)):
            return f"first at {layer.name or type(model.bijector).__name__}"
    return "although every layer is finite: the latents are too large to be squared"


def drift_message(model: Flow, x: Array, drift: float) -> str:
    """Return a message with the layer whose rebuilt input has the largest error for x."""
    off = {layer.name: float(abs(layer.rebuild() - layer.x).max()) for layer in model.trace(x)}
    name, worst = max(off.items(), key=lambda item: (item[1] != item[1], item[1]))
    return (
        f"rebuilt inputs are off by {drift:.1e} of the range of the data (limit"
        f" {DRIFT_LIMIT:.0e}), most at {name or type(model.bijector).__name__}, {worst:.1e}: give"
        " a larger --memory, or use --memory anchored:4, --dtype float64, or a lower --lr"
    )
