"""Tensors of another Glow code into a Glow of ours, and its gradients back into theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.backend import Namespace, to_host
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError
from glowlite.fast.threads import Workers
from glowlite.interop.reading import config_from, kind_called
from glowlite.interop.rules import Kind, Rule, Tensors
from glowlite.models.glow import Glow


def from_weights(
    tensors: Mapping[str, Any],
    kind: str,
    image_size: tuple[int, int] | None = None,
    dtype: str = "float32",
    memory: Memory | None = None,
    workers: Workers | None = None,
    xp: Namespace = np,
    **overrides: Any,
) -> Glow:
    """A Glow with the weights of another code; it computes what theirs does, and can be trained on.

    tensors: name there -> array, in the layout there. kind: `A` or `y0ast`, `B` or `rosinality`,
    `C` or `openai`. image_size: (H, W) in pixels; only A stores it. overrides: fields of
    GlowConfig, in place of what the names and shapes say: K, L, permutation ... Raises
    GlowliteError, naming a tensor, if one is missing, surplus, misshapen or not finite.
    """
    source = kind_called(kind)
    arrays = _arrays(tensors)
    config = config_from(source, arrays, image_size, overrides)
    numbers = sum(array.size for array in arrays.values())
    if numbers < config.least_parameters():
        raise GlowliteError(
            f"from_weights, kind {source.name}: tensors of {numbers} numbers in all, and a Glow"
            f" read as K={config.K}, L={config.L}, width={config.width} has at least"
            f" {config.least_parameters()}; tensors are missing or misshapen"
        )
    model = Glow(config, dtype=dtype, memory=memory, workers=workers, xp=xp)
    fill(model, source, arrays, source.rules(config))
    model.initialized = True
    return model


def their_gradients(model: Glow, tensors: Mapping[str, Any], kind: str) -> dict[str, np.ndarray]:
    """The gradients in `model.store.grad` under the names and in the layouts of the `tensors` it
    was made from, float64.
    """
    arrays = _arrays(tensors)
    gradients: dict[str, np.ndarray] = {}
    for rule in kind_called(kind).rules(model.config):
        if rule.ours in model.store.parameters:
            ours = to_host(model.store.parameters[rule.ours].grad).astype(np.float64)
            for name, gradient in rule.gradients(ours, arrays):
                gradients[name] = gradients.get(name, 0.0) + gradient
    prefix = _prefix(tensors)
    return {prefix + name: gradient for name, gradient in gradients.items()}


def fill(model: Glow, kind: Kind, tensors: Tensors, rules: Sequence[Rule]) -> None:
    """Set every parameter and constant that `rules` name from `tensors`, once all of them have been
    checked.
    """
    config = model.config
    where = (
        f"from_weights, kind {kind.name}, read as K={config.K}, L={config.L}, width={config.width},"
        f" images {config.image_shape}, {config.coupling}, {config.permutation}, top prior"
        f" {config.top_prior}"
    )
    holders: dict[str, Any] = {**model.store.parameters, **model.store.constants}
    shapes = {
        name: rule.their_shape(holders[rule.ours].value.shape)
        for rule in rules
        for name in rule.theirs
    }
    idle = kind.idle_tensors(config)
    for name, shape in shapes.items():
        if name not in tensors:
            raise GlowliteError(f"{where}: the tensor {name}, {shape}, is missing")
        if tensors[name].shape != shape:
            raise GlowliteError(
                f"{where}: {name} must have shape {shape}, got {tensors[name].shape}"
            )
        if tensors[name].dtype.kind not in "fiu" or not np.isfinite(tensors[name]).all():
            raise GlowliteError(f"{where}: {name} must hold finite numbers")
    for name, tensor in tensors.items():
        if name not in shapes and name not in idle:
            raise GlowliteError(f"{where}: there is no place for the tensor {name}, {tensor.shape}")
        if (expected := idle.get(name)) is not None and not np.array_equal(expected, tensor):
            raise GlowliteError(
                f"{where}: {name} must be {expected.shape} {expected.ravel()[:3]}..., got something"
                " else"
            )
    values = {rule.ours: rule.load(tensors) for rule in rules}
    for rule in rules:
        restored = (
            rule.layout.back(values[rule.ours]) if rule.ours in model.store.constants else None
        )
        if restored is not None and not np.array_equal(restored, tensors[rule.theirs[0]]):
            raise GlowliteError(
                f"{where}: {rule.theirs[0]} must be a permutation, or hold signs, 1 and -1"
            )
    for ours, value in values.items():
        holders[ours].value[...] = model.xp.asarray(value)


def _prefix(tensors: Mapping[str, Any]) -> str:
    """What PyTorch's DataParallel puts before each name, where it did."""
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
