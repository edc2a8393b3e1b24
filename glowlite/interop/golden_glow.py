"""Check a Glow of another code: log-likelihood, latents, gradients, and the initialisation of
ActNorm.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from glowlite.errors import GlowliteError
from glowlite.interop.comparison import Report, in_float64, relative_error, under
from glowlite.interop.glow import GlowKind
from glowlite.interop.rules import Tensors
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

# The input of the second ActNorm of a level comes from the first one and a coupling that is the
# identity. So its exact bias is 0, and without scales its log-scale too. A float32 code has
# rounding errors there, of statistics of numbers of order 1. A relative error is meaningless then,
# so such a tensor is compared absolutely.
NOTHING_BUT_ROUNDING = 16 * float(np.finfo(np.float32).eps)


def compare(
    kind: GlowKind, contents: Tensors, tensors: Tensors, overrides: dict[str, Any]
) -> Report:
    contents = in_float64(contents)
    x = kind.images("x", contents["x"])
    size = x.shape[1], x.shape[2]
    model = cast(Glow, from_weights(tensors, kind.name, size, dtype="float64", **overrides))
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
    gradients, expected = their_gradients(model, tensors, kind.name), under("grad/", contents)
    if unmatched := sorted(set(gradients) ^ set(expected)):
        raise GlowliteError(f"grad/{unmatched[0]} is missing or unexpected")
    errors = {
        "log_prob": {"log_prob": relative_error("log_prob", log_prob, contents["log_prob"])},
        "latents": {
            name: relative_error(name, ours[name], kind.images(name, contents[name]))
            for name in ours
            if name in contents
        },
        "gradients": {
            name: relative_error(f"grad/{name}", g, expected[name]) for name, g in gradients.items()
        },
        "grad_x": {
            "grad_x": relative_error("grad_x", dx, kind.images("grad_x", contents["grad_x"]))
        },
    }
    if not errors["latents"]:
        raise GlowliteError("there are no latents: neither eps/0 nor z/0 nor z")
    if "x_init" in contents:
        errors["initialisation"] = _initialisation(model, kind, contents)
        if not errors["initialisation"]:
            raise GlowliteError("there is x_init, but no ActNorm in ddi/ to compare with")
    return Report(kind, errors, LIMITS[kind.name], note)


def before_priors(model: Glow, x: np.ndarray, latents: list[np.ndarray]) -> list[np.ndarray]:
    """Return the latents of `x` before their priors: mean + eps exp(logs), one per level."""
    z = []
    for level, eps in zip(model.levels, latents, strict=True):
        x, _ = level.steps.forward(level.squeeze.forward(x)[0])
        if level.split is not None:
            x, _, _ = level.split.forward(x)
            z.append(level.split.inverse(x, eps)[..., x.shape[-1] :])
    return [*z, latents[-1] if model.top is None else model.top.inverse(latents[-1])]


def round_log_dets(model: Glow, dlogdet: float) -> float:
    """Return what rounding every log|det W| to float32 adds to log p(x).

    Its effect on the gradients is added to them. If a code rounds in its forward pass, automatic
    differentiation also rounds the gradient: 4e-10 of log p(x) and 2e-8 of a gradient. Our Glow
    does not round; with this correction, everything else can be compared in float64.
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


def _initialisation(model: Glow, kind: GlowKind, contents: Tensors) -> dict[str, float]:
    """Start again from the weights of `init/`, initialise on `x_init`, and compare every ActNorm
    with that of `ddi/`.
    """
    before, after = (
        {**under("param/", contents), **under("init/", contents)},
        under("ddi/", contents),
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
    # whatever their range, since those codes take x as it is
    twin.initialize_layers(kind.images("x_init", contents["x_init"]))
    values = twin.store.parameters
    return {
        rule.theirs[0]: relative_error(
            rule.theirs[0], values[rule.ours].value, rule.load(after), NOTHING_BUT_ROUNDING
        )
        for rule in actnorm
    }
