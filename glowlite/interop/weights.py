"""Import tensors of another code into our model, and export its gradients and running statistics as
theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.backend import Namespace, to_host
from glowlite.arrays.parameters import Statistic
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError
from glowlite.fast.threads import Workers
from glowlite.interop.kinds import kind_called
from glowlite.interop.rules import Kind, Rule, Tensors
from glowlite.models.glow import Glow
from glowlite.models.image_model import ImageModel
from glowlite.models.nice import NICE
from glowlite.models.realnvp import RealNVP

MODELS: tuple[type[ImageModel], ...] = (Glow, NICE, RealNVP)


def from_weights(
    tensors: Mapping[str, Any],
    kind: str,
    image_size: tuple[int, int] | None = None,
    dtype: str = "float32",
    memory: Memory | None = None,
    workers: Workers | None = None,
    xp: Namespace = np,
    plain: bool = False,
    **overrides: Any,
) -> ImageModel:
    """Return a Glow, RealNVP or NICE with the weights of another code. It computes the same, and
    can be trained further.

    tensors: arrays by their names there, in the layout there. kind: a name of glowlite.interop.
    image_size: (H, W) in pixels; only A stores it. overrides: fields of the configuration that
    replace or complete what the names and shapes say: K, L, permutation ... of a Glow,
    coupling_norm of realnvp-fmu2, base and changed_first of nice-fmu2. The other arguments are
    those of ImageModel. Raises GlowliteError that names a tensor if it is missing, unexpected, of
    the wrong shape or not finite.
    """
    source = kind_called(kind)
    arrays = _arrays(tensors)
    config = source.config_from(arrays, image_size, overrides)
    numbers = sum(array.size for array in arrays.values())
    if numbers < config.least_parameters():
        raise GlowliteError(
            f"{source.where}: tensors with {numbers} numbers in all, but a model read as"
            f" {config.sizes()} has at least {config.least_parameters()}; tensors are missing or"
            " misshapen"
        )
    of_it = next(model for model in MODELS if model.configuration is type(config))
    model = of_it(config, 0, dtype, memory, workers, xp, plain)
    fill(model, source, arrays, rules_of(model, source))
    model.initialized = True
    return model


def rules_of(model: ImageModel, kind: Kind) -> list[Rule]:
    """Return the rules for what the model has."""
    held = {**model.store.parameters, **model.store.constants}
    return [rule for rule in kind.rules(model.config) if rule.ours in held]


def their_gradients(
    model: ImageModel, tensors: Mapping[str, Any], kind: str
) -> dict[str, np.ndarray]:
    """Return the gradients in `model.store.grad`, float64, with the names and layouts of the
    `tensors` that the model was made from.
    """
    arrays = _arrays(tensors)
    gradients: dict[str, np.ndarray] = {}
    for rule in rules_of(model, kind_called(kind)):
        if rule.ours in model.store.parameters:
            ours = to_host(model.store.parameters[rule.ours].grad).astype(np.float64)
            for name, gradient in rule.gradients(ours, arrays):
                gradients[name] = gradients.get(name, 0.0) + gradient
    prefix = _prefix(tensors)
    return {prefix + name: gradient for name, gradient in gradients.items()}


def their_statistics(
    model: ImageModel, tensors: Mapping[str, Any], kind: str, batches: int = 0
) -> dict[str, np.ndarray]:
    """Return the running statistics of a model with the names and layouts of the `tensors` that it
    was made from, and the counters there, increased by `batches`.
    """
    source, arrays = kind_called(kind), _arrays(tensors)
    running = {
        rule.theirs[0]: rule.layout.back(to_host(holder.value))
        for rule in rules_of(model, source)
        if isinstance(holder := model.store.constants.get(rule.ours), Statistic)
    }
    counted = {
        name: arrays[name] + batches
        for name, mean in source.counters(model.config).items()
        if name in arrays and mean in model.store.constants
    }
    prefix = _prefix(tensors)
    return {prefix + name: value for name, value in (running | counted).items()}


def fill(model: ImageModel, kind: Kind, tensors: Tensors, rules: Sequence[Rule]) -> None:
    """Set every parameter and constant that `rules` name from `tensors`, after checking all of
    them.
    """
    where = f"{kind.where}, read as {kind.described(model.config)}"
    holders: dict[str, Any] = {**model.store.parameters, **model.store.constants}
    shapes = {
        name: rule.their_shape(holders[rule.ours].value.shape)
        for rule in rules
        for name in rule.theirs
    }
    for name, shape in shapes.items():
        if name not in tensors:
            raise GlowliteError(f"{where}: the tensor {name}, {shape}, is missing")
        if tensors[name].shape != shape:
            raise GlowliteError(
                f"{where}: {name} must have shape {shape}, got {tensors[name].shape}"
            )
        if tensors[name].dtype.kind not in "fiu" or not np.isfinite(tensors[name]).all():
            raise GlowliteError(f"{where}: {name} must contain finite numbers")
    _check_others(where, kind.idle_tensors(model.config), tensors, shapes)
    values = {rule.ours: rule.load(tensors) for rule in rules}
    for rule in rules:
        restored = (
            rule.layout.back(values[rule.ours]) if rule.ours in model.store.constants else None
        )
        if restored is not None and not np.allclose(restored, tensors[rule.theirs[0]], 1e-6, 1e-6):
            raise GlowliteError(
                f"{where}: {rule.theirs[0]} must be a permutation, or contain signs, 1 and -1"
            )
        if rule.ours.endswith("/variance") and (values[rule.ours] < 0).any():
            raise GlowliteError(f"{where}: {rule.theirs[0]} contains a variance below 0")
    for ours, value in values.items():
        holders[ours].value[...] = model.xp.asarray(value)


def _check_others(
    where: str, idle: Mapping[str, np.ndarray | None], tensors: Tensors, used: Collection[str]
) -> None:
    """Raise GlowliteError unless every tensor that is not `used` is an idle one."""
    for name, tensor in tensors.items():
        if name in used:
            continue
        if name not in idle:
            raise GlowliteError(f"{where}: unexpected tensor {name}, {tensor.shape}")
        expected = idle[name]
        if expected is None:
            continue
        if expected.shape not in ((), tensor.shape) or not np.allclose(expected, tensor, 1e-6, 0):
            wanted = f"{expected.shape} {expected.ravel()[:3]}..." if expected.ndim else expected
            raise GlowliteError(f"{where}: {name} must be {wanted}, got something else")


def _prefix(tensors: Mapping[str, Any]) -> str:
    """Return the prefix that PyTorch's DataParallel puts before each name, if it did."""
    return "module." if tensors and all(name.startswith("module.") for name in tensors) else ""


def _arrays(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    prefix = _prefix(tensors)
    arrays = {name.removeprefix(prefix): np.asarray(tensor) for name, tensor in tensors.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise GlowliteError(
                f"from_weights: {name} must be an array of numbers, got"
                f" {shown(tensors[prefix + name])}"
            )
    return arrays
