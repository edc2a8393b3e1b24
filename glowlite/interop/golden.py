"""Golden files: weights of another code with what that code computed from them, to hold an import
against.

A safetensors file with `param/NAME` (and `buffer/NAME`) in the names and layouts of that code,
images `x`, its `log_prob` in nats, its latents, and `grad/NAME`, `grad_x`: the gradients of the
mean of -log_prob / (D ln 2), D = H W C. Latents: `eps/i` of level i; `z/i`, before the prior has
whitened them; `z` or `z_top`, the same of the last level. Files of kind C also hold `init/NAME`,
weights before ActNorm has seen data; `x_init`; and `ddi/NAME`, ActNorm thereafter. A reversal of
the channels leaves no tensor: a file says of it in its metadata, `permutation`: `reverse`, or
`flow_permutation`: `0`, as the options of those codes are called. Everything is computed in
float64; the error of a tensor is max|a - b| / max|b|.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.errors import GlowliteError
from glowlite.files.tensor_file import open_tensors
from glowlite.interop.reading import kind_of
from glowlite.interop.rules import Kind, Tensors
from glowlite.interop.weights import fill, from_weights, their_gradients
from glowlite.models.glow import Glow
from glowlite.objective import log_normal, loss_gradients

IN_FLOAT64 = {"log_prob": 1e-10, "latents": 1e-10, "gradients": 1e-8, "grad_x": 1e-8}
IN_FLOAT32 = {
    "log_prob": 1e-5,
    "latents": 1e-5,
    "gradients": 1e-4,
    "grad_x": 1e-4,
    "initialisation": 1e-5,
}
LIMITS = {"A": IN_FLOAT64, "B": IN_FLOAT64, "C": IN_FLOAT32}

# The second ActNorm of a level gets what the first one and a coupling that is the identity leave:
# its exact bias is 0, and without scales its log-scale, too. A float32 code holds there the
# rounding of statistics of numbers of order 1: no relative error can be taken against that, so such
# a tensor is compared on the scale 1.
NOTHING_BUT_ROUNDING = 16 * float(np.finfo(np.float32).eps)


@dataclass
class Report:
    """`errors`: quantity -> tensor -> relative error.

    `limits`: the largest allowed, by quantity.
    """

    kind: Kind
    errors: dict[str, dict[str, float]]
    limits: dict[str, float]
    note: str


def relative_error(
    name: str, ours: np.ndarray, theirs: np.ndarray, least_scale: float = 0.0
) -> float:
    """max|ours - theirs| / max|theirs|; infinite with NaN; 0 for two arrays of zeros.

    Raises for another shape.
    """
    if ours.shape != theirs.shape:
        raise GlowliteError(f"{name} must have shape {ours.shape}, got {theirs.shape}")
    difference, scale = float(abs(ours - theirs).max()), float(abs(theirs).max())
    if not np.isfinite(difference + scale):
        return np.inf
    scale = scale if scale > least_scale else float(least_scale > 0)
    return difference / scale if scale else (np.inf if difference else 0.0)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a golden file, floats as float64, and its metadata.

    GlowliteError for any other file.
    """
    with open_tensors(path) as file:
        contents, metadata = file.read(), file.metadata
    for needed in ("param/", "x", "log_prob", "grad/", "grad_x"):
        if not any(
            name.startswith(needed) if needed.endswith("/") else name == needed for name in contents
        ):
            raise GlowliteError(f"{path} is not a golden file: it holds no {needed}")
    return {
        name: t.astype(np.float64) if t.dtype.kind == "f" else t for name, t in contents.items()
    }, metadata


def check(path: Path, permutation: str | None = None) -> Report:
    """The error of every tensor that a golden file allows to compare.

    `permutation`: of the model, if not as the file says. Raises GlowliteError for a file that is
    none, or whose tensors make no model.
    """
    contents, metadata = read(path)
    try:
        return _check(contents, permutation or _reversal(metadata))
    except GlowliteError as error:
        raise GlowliteError(f"{path}: {error}") from None


def _reversal(metadata: dict[str, str]) -> str | None:
    """`reverse`, if the metadata say so; other permutations are known by their tensors."""
    said = (
        metadata.get("permutation", "").strip().lower(),
        metadata.get("flow_permutation", "").strip(),
    )
    return "reverse" if said[0] in ("reverse", "0") or said[1] == "0" else None


def _check(contents: Tensors, permutation: str | None) -> Report:
    tensors = {**_under("param/", contents), **_under("buffer/", contents)}
    kind = kind_of(tensors)
    x = _images(kind, "x", contents)
    given: dict[str, Any] = {} if permutation is None else {"permutation": permutation}
    model = from_weights(tensors, kind.name, (x.shape[1], x.shape[2]), dtype="float64", **given)
    latents, logdet = model.forward(x)
    dlatents, dlogdet = loss_gradients(latents, len(x))
    _, dx = model.backward(latents, dlatents, dlogdet)
    log_prob = logdet + sum(log_normal(eps) for eps in latents)
    note = ""
    if kind.float32_log_det and "conv1x1" in model.config.permutation:
        log_prob = log_prob + round_log_dets(model, float(dlogdet.sum()))
        note = "; log|det W| rounded to float32 here, as this kind does"

    ours = {f"eps/{i}": eps for i, eps in enumerate(latents)}
    ours |= {f"z/{i}": z for i, z in enumerate(before_priors(model, x, latents))}
    ours["z"] = ours["z_top"] = ours[f"z/{len(latents) - 1}"]
    gradients, expected = their_gradients(model, tensors, kind.name), _under("grad/", contents)
    if unmatched := sorted(set(gradients) ^ set(expected)):
        raise GlowliteError(f"grad/{unmatched[0]} is missing or surplus")
    errors = {
        "log_prob": {"log_prob": relative_error("log_prob", log_prob, contents["log_prob"])},
        "latents": {
            name: relative_error(name, ours[name], _images(kind, name, contents))
            for name in ours
            if name in contents
        },
        "gradients": {
            name: relative_error(f"grad/{name}", g, expected[name]) for name, g in gradients.items()
        },
        "grad_x": {"grad_x": relative_error("grad_x", dx, _images(kind, "grad_x", contents))},
    }
    if not errors["latents"]:
        raise GlowliteError("there are no latents, neither eps/0 nor z/0 nor z")
    if "x_init" in contents:
        errors["initialisation"] = _initialisation(model, kind, contents)
        if not errors["initialisation"]:
            raise GlowliteError("there is x_init, and no ActNorm in ddi/ to compare with")
    return Report(kind, errors, LIMITS[kind.name], note)


def before_priors(model: Glow, x: np.ndarray, latents: list[np.ndarray]) -> list[np.ndarray]:
    """The latents of `x` as they were before their priors: mean + eps exp(logs), one per level."""
    z = []
    for level, eps in zip(model.levels, latents, strict=True):
        x, _ = level.steps.forward(level.squeeze.forward(x)[0])
        if level.split is not None:
            x, _, _ = level.split.forward(x)
            z.append(level.split.inverse(x, eps)[..., x.shape[-1] :])
    return [*z, latents[-1] if model.top is None else model.top.inverse(latents[-1])]


def round_log_dets(model: Glow, dlogdet: float) -> float:
    """What rounding every log|det W| to float32 adds to log p(x).

    What it adds to the gradients is added to them. Where a code rounds there in its forward pass,
    automatic differentiation rounds the gradient that comes back, too: 4e-10 of log p(x) and 2e-8
    of a gradient. A Glow here does not; put in, it lets all the rest be held to float64.
    """

    def rounding(value: float) -> float:
        return float(np.float32(value)) - value

    added = 0.0
    for level, (height, width, _) in enumerate(model.config.latent_shapes()):
        for step in range(model.config.K):
            if weight := model.store.parameters.get(f"level{level}/step{step}/permutation/weight"):
                added += height * width * rounding(float(np.linalg.slogdet(weight.value)[1]))
                weight.grad[...] += (
                    height * width * rounding(dlogdet) * np.linalg.inv(weight.value).T
                )
    return added


def _initialisation(model: Glow, kind: Kind, contents: Tensors) -> dict[str, float]:
    """Start again from the weights of `init/`, initialise on `x_init`, and compare every ActNorm
    with that of `ddi/`.
    """
    before, after = (
        {**_under("param/", contents), **_under("init/", contents)},
        _under("ddi/", contents),
    )
    actnorm = [rule for rule in kind.rules(model.config) if set(rule.theirs) <= set(after)]
    others = [rule for rule in kind.rules(model.config) if rule not in actnorm]
    twin = Glow(model.config, dtype="float64")
    fill(
        twin,
        kind,
        {name: before[name] for rule in others for name in rule.theirs if name in before},
        others,
    )
    # whatever their range: those codes take x as it is
    twin.initialize_layers(_images(kind, "x_init", contents))
    values = twin.store.parameters
    return {
        rule.theirs[0]: relative_error(
            rule.theirs[0], values[rule.ours].value, rule.load(after), NOTHING_BUT_ROUNDING
        )
        for rule in actnorm
    }


def _under(prefix: str, contents: Tensors) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): t for name, t in contents.items() if name.startswith(prefix)}


def _images(kind: Kind, name: str, contents: Tensors) -> np.ndarray:
    """This tensor as (N, H, W, C)."""
    t = contents[name]
    if t.ndim != 4 or 0 in t.shape:
        raise GlowliteError(f"{name} must have four axes, none of them empty, got {t.shape}")
    return np.ascontiguousarray(t if kind.channels_last else t.transpose(0, 2, 3, 1))
