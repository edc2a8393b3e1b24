"""python -m glowlite.sample [RUN]: draw samples at one temperature or several (figure 8), as a grid
or as one PNG per sample.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from glowlite.arrays.checks import check_images_fit
from glowlite.commands.loaded_model import (
    DEFAULT,
    MODEL_HELP,
    add_model_options,
    load_model,
)
from glowlite.commands.program import MAX_SEED, Parser, at_least
from glowlite.drawing.class_rows import row_labels, row_names
from glowlite.drawing.sample_sheets import (
    GRID,
    LOWER_TEMPERATURE,
    ROW,
    SWEEP,
    class_sheet,
    temperature_sheet,
)
from glowlite.drawing.sheets import columns_of, enlarged, save_png, tile, to_rgb, warn_nonfinite
from glowlite.errors import GlowliteError
from glowlite.files.outputs import PNG, check_folder, check_output, make_folder
from glowlite.terminal import say
from glowlite.training.scoring import sample_images

MAX_TEMPERATURES = 64


a_temperature = at_least(0, float, 100)  # an argparse type


def temperatures(text: str) -> tuple[float, ...]:
    """An argparse type: temperatures separated by commas."""
    parts = text.split(",")
    if len(parts) > MAX_TEMPERATURES:
        raise argparse.ArgumentTypeError(
            f"{len(parts)} temperatures are too many: at most {MAX_TEMPERATURES}"
        )
    return tuple(a_temperature(part) for part in parts)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("sample", "Draw samples from a trained flow.")
    add = parser.add_argument
    add("run", nargs="?", default=DEFAULT, help=MODEL_HELP)
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--temperature",
        type=a_temperature,
        default=0.7,
        help="scale of the standard deviation of the latents; 0 gives the mode",
    )
    several = ",".join(f"{temperature:g}" for temperature in SWEEP)
    either.add_argument(
        "--temperature-sweep", type=temperatures, nargs="?", const=SWEEP, metavar="T,T,...",
        help=
            "draw a row of samples from the same noise at each of these temperatures; without"
            f" values: {several}",
    )  # fmt: skip
    add(
        "--n",
        type=at_least(1, int, 10**6),
        help=f"how many samples; default {GRID}, or {ROW} for each class or temperature",
    )
    add("--seed", type=at_least(0, int, MAX_SEED), default=0, help="seed of the noise")
    label = (
        "the class of the samples: a name, or its index from 0; default for a model with labels:"
        " a row of each class"
    )
    add("--label", help=label)
    add(
        "--grid",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="all samples on one sheet, or one PNG per sample in a folder",
    )
    add(
        "--out",
        type=Path,
        help="the file to write (default: samples.png), or with --no-grid the folder (default:"
        " samples)",
    )
    add_model_options(parser)
    return parser.parse_args(arguments)


def save_each(folder: Path, images: np.ndarray) -> None:
    """Write uint8 images (N, H, W, 3) to folder/sample-0000.png, ... at their own size."""
    make_folder("--out", folder)
    digits = max(4, len(str(len(images) - 1)))
    for i, image in enumerate(images):
        save_png(folder / f"sample-{i:0{digits}d}.png", image)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    levels = options.temperature_sweep
    if levels and not options.grid:
        raise GlowliteError("--temperature-sweep makes one sheet; leave out --no-grid")
    out = options.out or Path("samples.png" if options.grid else "samples")
    if options.grid:
        check_output("--out", out, PNG)
    else:
        check_folder(
            "--out", out, PNG, lambda name: re.fullmatch(r"sample-\d{4,}\.png", name) is not None
        )
    loaded = load_model(options.run, options).of_class(options.label)
    model, n_bits = loaded.model, loaded.n_bits
    rows = len(row_names(model)) if model.labels is None and not levels else 0
    n = options.n or (ROW if levels or rows else GRID)
    check_images_fit("--n", n * max(1, rows), model.dimensions)
    if levels:
        save_png(out, temperature_sheet(model, n_bits, n, levels, options.seed))
        at = "temperatures " + ", ".join(f"{temperature:g}" for temperature in levels)
    elif rows and options.grid:
        save_png(out, class_sheet(model, n_bits, n, options.temperature, options.seed))
        at = f"temperature {options.temperature:g}"
    else:
        given = model.given(row_labels(model.classes, n)) if rows else model
        images = sample_images(given, n * max(1, rows), options.temperature, options.seed)
        warn_nonfinite(images, "samples", LOWER_TEMPERATURE)
        if options.grid:
            save_png(out, enlarged(tile(to_rgb(images, n_bits), columns_of(*images.shape[:3]))))
        else:
            save_each(out, to_rgb(images, n_bits))
        at = f"temperature {options.temperature:g}"
    of = f" of each of {rows} classes," if rows else ""
    say(f"{out}: {n} samples{of} of {loaded.name} at {at}, seed {options.seed}")
