"""Carry the weights of three other Glow codes into a Glow, and gradients back under their names.

    tensors = {name: array.numpy() for name, array in torch_model.state_dict().items()}
    model = from_weights(tensors, kind="rosinality", image_size=(64, 64))

`python -m glowlite.interop check FILE...` compares with results that those codes gave.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glowlite.errors import GlowliteError
from glowlite.interop.sources import NAMES, SOURCES, Rule, ShiftThenScale, Source, Tensors
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow

__all__ = ["from_weights", "gradients_by_their_names", "read_source"]

# what the three codes hold besides: masks and identities of LU, flags, and zeros for the top prior
NOT_NEEDED = ("l_mask", "u_mask", "l_eye", "initialized", "prior_h", "indices_inverse", "eye", "l_mask", "global_step")


def read_source(tensors: Tensors, kind: str) -> Source:
    """Configuration and rules for tensors of `kind`: A or y0ast, B or rosinality, C or openai."""
    letter = NAMES.get(kind.lower(), kind.upper())
    if letter not in SOURCES:
        raise GlowliteError(f"weights: kind must be one of {', '.join([*SOURCES, *NAMES])}, got {kind!r}")
    return SOURCES[letter](tensors)


def from_weights(tensors: Tensors, kind: str, image_size: tuple[int, int], dtype: str = "float32", **options: Any) -> Glow:
    """A Glow with the weights `tensors` (name -> array, under the names and layouts of `kind`), of images (H, W).

    K, L, width, channels, coupling and permutation are read off the names and shapes; `options` override fields of
    GlowConfig. The model counts as initialised. Raises GlowliteError for a tensor that is missing, left over or misshapen.
    """
    source = read_source(tensors, kind)
    fields = {**source.options, **options}
    model = Glow(GlowConfig((*image_size, fields.pop("channels")), **fields), dtype=dtype)
    holders: dict[str, Any] = {**model.store.parameters, **model.store.constants}
    filled, used = set(), set()
    for rule in source.rules:
        for ours, theirs, value in _values(rule, tensors):
            if ours not in holders or holders[ours].value.shape != value.shape:
                expected = holders[ours].value.shape if ours in holders else "nothing"
                raise GlowliteError(f"weights: {theirs} gives {value.shape} for {ours}, expected {expected}")
            holders[ours].value[...] = value
            filled.add(ours)
            used.add(theirs)
    unused = {name for name in set(tensors) - used if not name.endswith(NOT_NEEDED)}
    missing = set(holders) - filled - {name for name in holders if name.endswith("/indices")}
    if unused or missing:
        raise GlowliteError(
            f"weights of kind {kind}: {len(unused)} tensors are left over ({min(unused, default='')}) and {len(missing)}"
            f" parameters get none ({min(missing, default='')}); is this another kind or a changed model?"
        )
    model.initialized = True
    return model


def _values(rule: Rule | ShiftThenScale, tensors: Tensors) -> list[tuple[str, str, np.ndarray]]:
    """(our name, their name, our value) of a rule."""
    if isinstance(rule, Rule):
        if rule.theirs not in tensors:
            raise GlowliteError(f"weights: the tensor {rule.theirs} is missing")
        try:
            return [(rule.ours, rule.theirs, rule.map.load(tensors[rule.theirs]))]
        except (ValueError, IndexError):
            raise GlowliteError(f"weights: {rule.theirs} has the unexpected shape {tensors[rule.theirs].shape}") from None
    scale, loc = (tensors[f"{rule.theirs}.{name}"].ravel() for name in ("scale", "loc"))
    return [
        (f"{rule.ours}/scale", f"{rule.theirs}.scale", scale),
        (f"{rule.ours}/bias", f"{rule.theirs}.loc", scale * loc),
    ]


def gradients_by_their_names(model: Glow, tensors: Tensors, kind: str) -> Tensors:
    """What is in the gradients of `model`, made by `from_weights` of `tensors`, in their names and layouts."""
    gradients: Tensors = {}
    ours = {name: p.grad for name, p in model.store.parameters.items()}
    for rule in read_source(tensors, kind).rules:
        if isinstance(rule, ShiftThenScale):
            scale, loc = (tensors[f"{rule.theirs}.{name}"] for name in ("scale", "loc"))
            dscale, dbias = (ours[f"{rule.ours}/{name}"].reshape(scale.shape) for name in ("scale", "bias"))
            # bias = scale loc:  dscale gets loc dbias as well,  dloc = scale dbias
            gradients |= {f"{rule.theirs}.scale": dscale + loc * dbias, f"{rule.theirs}.loc": scale * dbias}
        elif rule.ours in ours:
            gradients[rule.theirs] = rule.map.back(ours[rule.ours], tensors[rule.theirs].shape)
    return gradients
