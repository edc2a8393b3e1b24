"""Compare an imported model with a golden file: what another code computed from the same weights and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glowlite.bijectors.invertible_conv import Invertible1x1Conv
from glowlite.errors import GlowliteError
from glowlite.interop import from_weights, gradients_by_their_names, read_source
from glowlite.interop.sources import NAMES, Rule, Tensors
from glowlite.models.glow import Glow
from glowlite.objective import loss_gradients

# largest error allowed, max|a - b| / max|b| of a tensor: values, gradients, and ActNorm's initialisation
TOLERANCES = {"A": (1e-10, 1e-8, 0.0), "B": (1e-10, 1e-8, 0.0), "C": (1e-5, 1e-4, 1e-5)}

# The second ActNorm of a level sees what the first one and a coupling that is still the identity leave: its exact bias is
# 0, and without a scale its log-scale, too. A float32 reference holds there the rounding of statistics of numbers of order
# 1, a few times 6e-8, against which no relative error can be taken: such a tensor is compared on the scale 1.
ROUNDING = 16 * float(np.finfo(np.float32).eps)


def read_golden(path: str | Path) -> tuple[str, Tensors]:
    """The kind, A, B or C, and the tensors of a golden file; GlowliteError for anything else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            source = (file.metadata() or {}).get("source", "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error).splitlines()[0]
        raise GlowliteError(f"cannot read the golden file {path}: {reason}") from None
    kind = next((letter for name, letter in NAMES.items() if name in source), None)
    if kind is None or not {"x", "log_prob", "grad_x"} <= set(tensors):
        raise GlowliteError(
            f"{path} is no golden file: it needs x, log_prob, grad_x, and a `source` that names a known code"
        )
    return kind, tensors


def round_log_det_as_b(model: Glow, dlogdet: np.ndarray) -> float:
    """What B's rounding adds to log p(x); what it adds to the gradients is added to them.

    B computes log|det W| of a plain 1x1 convolution in float64 and rounds it to float32, and so what comes back through it.
    That rounding, 4e-10 of log p(x) and 2e-8 of a gradient, is in B's golden files, and in no model of ours. Here it is put
    in, so that everything else can be held to the tolerances.
    """

    def rounding(value: np.ndarray) -> float:
        return float(np.float32(value)) - float(value)

    total, (height, width, _) = 0.0, model.config.image_shape
    for i, level in enumerate(model.levels):
        pixels = (height >> (i + 1)) * (width >> (i + 1))
        for step in level.steps.layers.values():
            layer = step.layer.layers["permutation"]  # type: ignore[attr-defined]  # Tiled, then Chain
            if isinstance(layer, Invertible1x1Conv):
                total += pixels * rounding(layer.log_abs_det())
                layer.weight.grad[...] += rounding(pixels * dlogdet.sum()) * layer.inverse_matrix().T
    return total


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """max|a - b| / max|b|; where b is all zeros, a has to be, too. Infinite for another shape or NaN."""
    if a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    difference, size = np.abs(a - b).max(initial=0.0), np.abs(b).max(initial=0.0)
    return 0.0 if difference == 0 else float(difference / size) if size else float("inf")


def under(tensors: Tensors, *prefixes: str) -> Tensors:
    """The tensors whose names begin with a prefix, without it, in float64 (integers as they are)."""
    return {
        name[len(prefix) :]: value.astype(np.float64) if value.dtype.kind == "f" else value
        for prefix in prefixes
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def unwhitened_latents(model: Glow, x: np.ndarray) -> list[np.ndarray]:
    """The latents before the priors make N(0, I) of them: z2 at every split, then the output of the last level."""
    latents = []
    for level in model.levels:
        x, _ = level.steps.forward(level.squeeze.forward(x)[0])
        latents.append(x if level.split is None else x[..., x.shape[-1] // 2 :])
        if level.split is not None:
            x, _, _ = level.split.forward(x)
    return latents


def check(path: str | Path) -> tuple[str, dict[str, dict[str, float]]]:
    """The kind of the file, and relative errors under `log_prob`, `latents`, `gradients`, `grad_x`, `initialisation`."""
    kind, tensors = read_golden(path)
    weights = under(tensors, "param/", "buffer/")

    def images(name: str) -> np.ndarray:  # (N, H, W, C), whatever theirs is
        value = tensors[name].astype(np.float64)
        return value if kind == "C" else value.transpose(0, 2, 3, 1)

    x = np.ascontiguousarray(images("x"))
    model = from_weights(weights, kind, x.shape[1:3], "float64")
    latents, _ = model.forward(x)
    raw = unwhitened_latents(model, x)
    ours = {"z": raw[-1], "z_top": raw[-1]}
    ours |= {f"z/{i}": z for i, z in enumerate(raw)} | {f"eps/{i}": eps for i, eps in enumerate(latents)}
    model.store.grad[...] = 0
    dlatents, dlogdet = loss_gradients(latents, len(x))
    _, dx = model.backward(latents, dlatents, dlogdet)
    log_prob = model.log_prob(x) + (round_log_det_as_b(model, dlogdet) if kind == "B" else 0.0)
    gradients = gradients_by_their_names(model, weights, kind)
    expected = under(tensors, "grad/")
    errors = {
        "log_prob": {"log_prob": relative_error(log_prob, tensors["log_prob"])},
        "latents": {name: relative_error(z, images(name)) for name, z in ours.items() if name in tensors},
        "gradients": {name: relative_error(gradients.get(name, np.zeros(0)), value) for name, value in expected.items()},
        "grad_x": {"grad_x": relative_error(dx, images("grad_x"))},
    }
    if "x_init" in tensors:
        errors["initialisation"] = initialisation_errors(kind, tensors, images("x_init"))
    return kind, errors


def initialisation_errors(kind: str, tensors: Tensors, x: np.ndarray) -> dict[str, float]:
    """Of every ActNorm parameter after data-dependent initialisation on `x`, from the weights before it."""
    after = under(tensors, "ddi/")
    constants = {name: value for name, value in under(tensors, "param/").items() if value.dtype.kind != "f"}
    before = under(tensors, "init/") | constants | {name: np.zeros_like(value) for name, value in after.items()}
    model = from_weights(before, kind, x.shape[1:3], "float64")
    model.initialize(x)
    values = {name: p.value for name, p in model.store.parameters.items()}
    rules = {rule.theirs: rule for rule in read_source(before, kind).rules if isinstance(rule, Rule)}
    errors = {}
    for name, value in after.items():
        ours, theirs = values[rules[name].ours], rules[name].map.load(value)
        noise = np.abs(theirs).max() <= ROUNDING
        errors[name] = float(np.abs(ours - theirs).max()) if noise else relative_error(ours, theirs)
    return errors


def tolerance(kind: str, part: str) -> float:
    values, gradients, initialisation = TOLERANCES[kind]
    return {"gradients": gradients, "grad_x": gradients, "initialisation": initialisation}.get(part, values)
