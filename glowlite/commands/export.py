"""python -m glowlite.export RUN FILE: write only the trained model, in half the bytes, and measure
its bits/dim from that file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.commands.loaded_model import (
    LoadedModel,
    add_model_options,
    add_place_of_data,
    load_model,
)
from glowlite.commands.option_words import training_command, without_folders
from glowlite.commands.program import Parser, at_least
from glowlite.data import Dataset
from glowlite.data.fingerprint import fingerprint
from glowlite.errors import GlowliteError
from glowlite.files.outputs import MODEL, check_output, output_path
from glowlite.files.saved_weights import named_arrays, rounded
from glowlite.models.image_model import ImageModel
from glowlite.terminal import say
from glowlite.training.class_scoring import given_held_out
from glowlite.training.scoring import HALF_A_LEVEL, reconstruction_error, scores

RECONSTRUCTED = 16  # number of held-out images that are encoded and decoded


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "export", "Write a trained model to one small file, without the optimiser's state."
    )
    add = parser.add_argument
    add("run", help="folder of a run, or a checkpoint file")
    add("file", type=Path, help="the file to write; must end in .safetensors")
    add(
        "--dtype",
        choices=("float16", "float32"),
        default="float16",
        help="dtype of the weights in the file",
    )
    add(
        "--batch",
        type=at_least(1),
        default=64,
        help="images per pass; it changes results only by rounding",
    )
    add_model_options(parser)
    add_place_of_data(parser)
    return parser.parse_args(arguments)


def measured(loaded: LoadedModel, data: Dataset, dtype: str, batch: int) -> dict[str, Any]:
    """Round the model's weights to `dtype` and measure held-out bits/dim with them.

    It uses one draw of the dequantisation noise, with seed 0.
    """
    round_weights(loaded.model, dtype)
    given = given_held_out(loaded.model, data)
    bits = scores(given, data.held_out, loaded.n_bits, batch, seed=0)
    if not np.isfinite(bits).all():
        nonfinite = int((~np.isfinite(bits)).sum())
        raise GlowliteError(
            f"bits/dim with weights in {dtype} are not finite for {nonfinite} of {len(bits)}"
            " held-out images"
        )
    off = reconstruction_error(loaded.of_one_class, data.held_out[:RECONSTRUCTED], loaded.n_bits)
    if not off < HALF_A_LEVEL:
        raise GlowliteError(
            f"with weights in {dtype} the inverse is off by {off:.1f} grey levels; use --dtype"
            " float32"
        )
    return {
        "bits_per_dim": float(bits.mean()),
        "standard_error": float(bits.std(ddof=1) / np.sqrt(len(bits))) if len(bits) > 1 else None,
        "images": len(bits),
        "draws": 1,
        "seed": 0,
    }


def export(
    loaded: LoadedModel, data: Dataset, path: Path, dtype: str, held_out: dict[str, Any]
) -> None:
    """Write the file. Besides the configuration, the header contains n_bits, step, held_out, run
    (options and data), weights and command.
    """
    model = loaded.model
    run = {"options": loaded.options, "data": data.source, "fingerprint": fingerprint(data)}
    known: dict[str, Any] = {
        name: model.facts[name] for name in ("step", "versions") if name in model.facts
    }
    known |= {
        "weights": loaded.weights,
        "command": training_command(without_folders(loaded.options)),
    }
    model.save(path, dtype=dtype, held_out=held_out, run=run, **known)


def round_weights(model: ImageModel, dtype: str) -> None:
    """Round every weight to `dtype` and back."""
    model.store.assign(rounded(named_arrays(model.store), dtype))


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    path: Path = options.file
    check_output("FILE", path, MODEL)
    loaded = load_model(options.run, options)
    data = loaded.data()
    found = measured(loaded, data, options.dtype, options.batch)
    say(
        f"held-out bits/dim {found['bits_per_dim']:.4f} at {loaded.n_bits} bits over"
        f" {found['images']} images with weights in {options.dtype}"
    )
    export(loaded, data, output_path("FILE", path, MODEL), options.dtype, found)
    size = path.stat().st_size / 1e6
    say(f"{path}: {len(loaded.model.store):,} parameters in {options.dtype}, {size:.2f} MB")
