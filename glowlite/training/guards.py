"""What can go wrong in a step, found out and said: which layer, how far, and what to try."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glowlite.arrays.backend import Array, namespace, to_host
from glowlite.arrays.parameters import ParameterStore
from glowlite.arrays.statistics import FEWEST
from glowlite.bijectors.chain import END, Chain
from glowlite.bijectors.flow_step import FlowStep
from glowlite.bijectors.invertible_conv import ChannelMixing
from glowlite.bijectors.memory import Memory
from glowlite.distributed.communicator import Communicator, OneProcess
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow
from glowlite.objective import loss_gradients
from glowlite.training.metrics import StepResult

DRIFT_LIMIT = 1e-2  # of the range 1 of an image: gradients taken at inputs that far off are no longer those of the loss
CONDITION_DIGITS = 0.1  # an inverse may lose all but this part of the digits: condition number times rounding
EPS = float(np.finfo(np.float64).eps)  # of the singular values: those below C EPS of the largest are zero but for rounding
FEW = 16  # values a channel from which ActNorm starts well
HELD_OUT_RISE = 3.0  # bits/dim above the best so far
ADVICE = "lower --lr, clip with --clip 100, or warm up for longer"


class BadStep(GlowliteError):
    """A step whose update would do harm; the weights are as they were before it."""


def check_start(config: GlowConfig, batch: int) -> str | None:
    """What to say before ActNorm starts from a batch that has few values a channel at the top level; None if it has enough.

    Raises GlowliteError where they are too few: see `channel_statistics`, whose factor of (n + 1) / (n - 3) comes from every
    ActNorm on the way.
    """
    height, width, _ = (side >> config.L for side in config.image_shape)
    values = batch * height * width
    said = f"ActNorm starts from the first batch, {values} values a channel at the top level ({height}x{width} pixels)"
    if values < FEWEST:
        raise GlowliteError(f"{said}, and needs at least {FEWEST}, better {FEW}; raise --batch, or lower --L")
    return (
        f"{said}: with fewer than {FEW}, bits/dim can begin far too high; raise --batch, or lower --L"
        if values < FEW
        else None
    )


def is_good(loss: Array, norm: Array, drift: Array) -> Array:
    """Whether a step with these may change the weights: numbers, or arrays, wherever they are."""
    return (abs(loss) < np.inf) & (abs(norm) < np.inf) & (drift <= DRIFT_LIMIT)


def check_step(model: Glow, x: Array, parts: Sequence[slice], result: StepResult, ranks: Communicator | None = None) -> None:
    """Raise BadStep, the same on every process, if a step was not good: what is wrong, and where.

    x (N, ...) and `parts` are those of the step, and so is what `model.store.grad` holds. The process
    whose part was the first to go wrong looks at the model; a gradient is every process's.
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
        x = x[parts[part]]
        said = loss_message(model, x, loss) if bad_loss else drift_message(model, x, drift)
    raise BadStep(ranks.broadcast(said, root=rank))


def loss_message(model: Glow, x: Array, loss: float) -> str:
    """The first layer at which the way of x (N, ...) through the model is not finite."""
    return f"the loss is {loss}, {_first_bad_layer(model, x)}; {ADVICE}"


def gradient_message(model: Glow, norm: float) -> str:
    """The first parameter whose gradient is not finite."""
    place = _first_bad_parameter(model.store, model.store.grad)
    return f"the norm of the gradient is {norm}, {place}; {ADVICE}"


def check_weights(model: Glow) -> None:
    """Raise GlowliteError, naming the parameter, if a weight is not finite."""
    theta = model.store.theta
    if not bool(namespace(theta).isfinite(theta).all()):
        raise GlowliteError(f"the weights are no longer finite, {_first_bad_parameter(model.store, theta)}; {ADVICE}")


def check_held_out(bits: float, best: float | None) -> None:
    """Raise GlowliteError if held-out bits/dim are not finite, or far above the best so far."""
    if not np.isfinite(bits) or (best is not None and bits > best + HELD_OUT_RISE):
        before = "" if best is None else f", after {best:.3f} at best"
        raise GlowliteError(f"held-out bits/dim are {bits:.3f}{before}: the training has come apart; {ADVICE}")


def condition(model: Glow) -> float:
    """The largest condition number of a 1x1 convolution; 1.0 if there is none. Raises GlowliteError where it is too large.

    The inverse of W loses a factor cond(W) of precision, and its log-determinant is that of a matrix nearly singular. Of
    several that are singular the first is named: which of them is worst would be decided by rounding.
    """
    check_weights(model)  # the decomposition does not end on a NaN
    worst, name = 1.0, ""
    for i, level in enumerate(model.levels):
        names, matrices = [], []
        for step, layer in level.steps.chain.layers.items():
            if isinstance(layer, FlowStep) and isinstance(layer.layers["permutation"], ChannelMixing):
                names.append(f"level{i}/{step}/permutation")
                matrices.append(to_host(layer.layers["permutation"].matrix()))
        if matrices:
            conditions = np.linalg.cond(np.stack(matrices).astype(np.float64))
            conditions[conditions > 1 / (len(matrices[0]) * EPS)] = np.inf  # singular but for rounding
            k = int(np.argmax(conditions))
            if conditions[k] > worst:
                worst, name = float(conditions[k]), names[k]
    limit = CONDITION_DIGITS / float(np.finfo(model.dtype).eps)
    if not worst <= limit:
        raise GlowliteError(
            f"{name} is nearly singular: its condition number is {worst:.1e} (limit {limit:.0e} in {model.dtype});"
            " lower --lr, or use --permutation lu or --dtype float64"
        )
    return worst


def _first_bad_parameter(store: ParameterStore, vector: Array) -> str:
    bad = int(namespace(vector).argmin(namespace(vector).isfinite(vector)))
    return f"first at {store.name_at(bad)}"


def _first_bad_layer(model: Glow, x: Array) -> str:
    """The images' way through the model again, layer by layer, up to the first result that is not finite."""
    xp = namespace(x)
    if not bool(xp.isfinite(model.store.theta).all()):
        return _first_bad_parameter(model.store, model.store.theta)
    for i, level in enumerate(model.levels):
        x, _ = level.squeeze.forward(x)
        for step, layer in level.steps.chain.layers.items():
            for name, part in layer.layers.items() if isinstance(layer, Chain) else [("", layer)]:
                x, logdet = part.forward(x)
                if not bool(xp.isfinite(x).all() and xp.isfinite(logdet).all()):
                    return f"first at level{i}/{step}/{name}"
        if level.split is not None:
            x, eps, logdet = level.split.forward(x)
            if not bool(xp.isfinite(eps).all() and xp.isfinite(logdet).all()):
                return f"first at level{i}/split"
    return "though every layer is finite: the latents are too large to be squared"


def drift_message(model: Glow, x: Array, drift: float) -> str:
    """Run the step again with an anchor at every layer, so as to name the one whose inverse loses most."""
    chains = [level.steps.chain for level in model.levels]
    policies = [chain.memory for chain in chains]
    try:
        for chain in chains:
            chain.memory = Memory("anchored", 1)
        latents, _, kept = model.forward_keeping(x)
        model.backward(latents, *loss_gradients(latents, len(x)), kept)
    finally:
        for chain, policy in zip(chains, policies, strict=True):
            chain.memory = policy
    place, worst = max(kept.drift.items(), key=lambda item: (item[1] != item[1], item[1]))
    level, _, step = place.rpartition("/")
    top = level == f"level{len(chains) - 1}"
    name = place if step != END else "top" if top else f"{level}/split"  # what hands the steps of a level their output
    return (
        f"rebuilt inputs are off by {drift:.1e} of the image range (limit {DRIFT_LIMIT:.0e}), most at {name}, {worst:.1e}:"
        " use --memory anchored:4, --dtype float64, or a lower --lr"
    )
