"""Published settings by name, as options of the train command.

`--preset cifar10,paper` applies one preset after the other. K, L, bits and kind of coupling are
those of the paper. Optimiser, learning rates, warm-up, batch and augmentation are those of the
original code, which took 64 images per worker at 32x32, 16 at 64x64, 4 at 128x128 and 1 at 256x256.
The length of training is not published as one number, so the numbers of steps here are our choice.
"""

from __future__ import annotations

import math
from typing import Any

from glowlite.models.config import OPENAI_MODEL, PAPER_MODEL
from glowlite.models.nice_config import FROM_ZERO
from glowlite.models.realnvp_config import AUTHORS_MODEL
from glowlite.models.realnvp_config import PAPER_MODEL as REALNVP_PAPER_MODEL

# the columns of docs/paper_and_code.md, each with its optimiser
OPENAI: dict[str, Any] = {
    **OPENAI_MODEL, "optimizer": "adamax", "lr": 1e-3, "beta2": "epoch", "average": "epoch",
    "warmup": "10ep", "decay": "constant", "label_weight": 0.01,
}  # fmt: skip
PAPER: dict[str, Any] = {**PAPER_MODEL, "optimizer": "adam", "lr": 1e-3, "beta2": 0.999}

EIGHT_BITS = {"n_bits": 8, "coupling": "affine"}
FIVE_BITS = {"n_bits": 5, "coupling": "additive"}
LONG = {"evaluate_every": "1ep", "checkpoint_every": "1ep", "picture_every": "5ep", "log_every": 50}

# these replace the defaults of the command for another --model
MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "glow": {},
    "nice": {
        "width": 1000, "batch": 200, "lr": 1e-3, "average": 0.995,
    },
    "realnvp": {
        "width": 32, "batch": 64, "lr": 1e-3, "beta2": 0.999, "clip": 100.0,
    },
}  # fmt: skip

# RealNVP: Adam with its defaults, batches of 64, a penalty of 5e-5 on the weight scales (section
# 4.1 of its paper); gradients are clipped at norm 100, as in the released code, which has no fixed
# end of training
REALNVP: dict[str, Any] = {
    **AUTHORS_MODEL, "model": "realnvp", "n_bits": 8, "optimizer": "adam", "lr": 1e-3,
    "beta1": 0.9, "beta2": 0.999, "batch": 64, "clip": 100.0, "scale_penalty": 5e-5, "warmup": 0,
    "decay": "constant", "average": 0.0,
}  # fmt: skip

# NICE: learning rate 1e-3, momentum 0.9, second moments with 0.99, epsilon 1e-4 for gradients in
# nats, 1500 epochs, from which the best model on a validation set is taken (section 5.1 of its
# paper); the batch size is that of the authors' code
EPOCHS: dict[str, Any] = {
    "optimizer": "adam", "lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "batch": 200, "steps": "1500ep",
    "warmup": 0, "decay": "constant", "average": 0.999, "evaluate_every": "1ep",
    "checkpoint_every": "1ep", "picture_every": "10ep", "log_every": 50, "evaluate_images": 2000,
}  # fmt: skip


def in_bits_per_dim(nats: float, dimensions: int) -> float:
    """Convert a gradient with respect to nats into one with respect to bits/dim."""
    return nats / (dimensions * math.log(2))


BROUGHT = {"data": ""}  # images that are not part of glowlite, so --data has to say where they are

PRESETS: dict[str, dict[str, Any]] = {
    "faces": {"data": "faces"},  # the defaults of the command
    "fashion": {"data": "fashion", "n_bits": 8},
    "mnist": {
        **BROUGHT, "n_bits": 8, "L": 2, "augment_shift": 0.1, "batch": 64, "steps": "50ep",
        "lr": 4e-3, "beta2": 0.999, "warmup": "1ep", "decay": "constant", "evaluate_every": "1ep",
    },
    "cifar10": {
        **BROUGHT, **OPENAI, **EIGHT_BITS, **LONG, "K": 32, "L": 3, "batch": 64, "steps": "250ep",
        "flip": True, "augment_shift": 0.1,
    },
    "imagenet32": {
        **BROUGHT, **OPENAI, **EIGHT_BITS, **LONG, "K": 48, "L": 3, "batch": 64, "steps": "20ep",
    },
    "imagenet64": {
        **BROUGHT, **OPENAI, **EIGHT_BITS, **LONG, "K": 48, "L": 4, "batch": 16, "steps": "20ep",
    },
    "lsun64": {
        **BROUGHT, **OPENAI, **EIGHT_BITS, **LONG, "K": 48, "L": 3, "batch": 16, "steps": "10ep",
        "resize": 96, "crop": 64, "random_crop": True,
    },
    "lsun96": {
        **BROUGHT, **OPENAI, **FIVE_BITS, **LONG, "K": 64, "L": 5, "batch": 4, "steps": "10ep",
        "resize": 96, "crop": 96,
    },
    "celebahq256": {
        **BROUGHT, **OPENAI, **FIVE_BITS, **LONG, "K": 32, "L": 6, "batch": 40, "accumulate": 40,
        "steps": "100ep", "resize": 256, "crop": 256,
    },
    "nice-mnist": {
        **BROUGHT, **EPOCHS, "model": "nice", "n_bits": 8, "couplings": 4, "hidden_layers": 5,
        "width": 1000, "base": "logistic", "input": "unit", **FROM_ZERO,
        "epsilon": in_bits_per_dim(1e-4, 784),
    },
    "nice-cifar10": {
        **BROUGHT, **EPOCHS, "model": "nice", "n_bits": 8, "couplings": 4, "hidden_layers": 4,
        "width": 2000, "base": "logistic", "input": "whitened", **FROM_ZERO,
        "epsilon": in_bits_per_dim(1e-4, 3072),
    },
    "nice-svhn": {
        **BROUGHT, **EPOCHS, "model": "nice", "n_bits": 8, "couplings": 4, "hidden_layers": 4,
        "width": 2000, "base": "logistic", "input": "whitened", **FROM_ZERO,
        "epsilon": in_bits_per_dim(1e-4, 3072),
    },
    "realnvp-cifar10": {
        **BROUGHT, **REALNVP, **LONG, "levels": 2, "width": 64, "blocks": 8, "flip": True,
        "steps": "250ep",
    },
    "realnvp-imagenet32": {
        **BROUGHT, **REALNVP, **LONG, "levels": 4, "width": 32, "blocks": 4, "steps": "20ep",
    },
    "realnvp-imagenet64": {
        **BROUGHT, **REALNVP, **LONG, "levels": 5, "width": 32, "blocks": 2, "steps": "20ep",
    },
    "realnvp-lsun64": {
        **BROUGHT, **REALNVP, **LONG, "levels": 5, "width": 32, "blocks": 2, "flip": True,
        "resize": 96, "crop": 64, "random_crop": True, "steps": "10ep",
    },
    "realnvp-celeba": {  # the middle 148x148 of 178x218 pixels, resized to 64x64
        **BROUGHT, **REALNVP, **LONG, "levels": 5, "width": 32, "blocks": 2, "flip": True,
        "resize": 77, "crop": 64, "steps": "100ep",
    },
    "realnvp-authors": {"model": "realnvp", **AUTHORS_MODEL},
    "realnvp-paper": {"model": "realnvp", **REALNVP_PAPER_MODEL},
    "openai": OPENAI,
    "paper": PAPER,
}  # fmt: skip
