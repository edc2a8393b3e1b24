"""python -m glowlite.figures [RUN]: make the paper's qualitative figures with your own model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glowlite.commands.loaded_model import (
    DEFAULT,
    MODEL_HELP,
    LoadedModel,
    add_model_options,
    add_place_of_data,
    load_model,
)
from glowlite.commands.program import MAX_SEED, Parser, at_least
from glowlite.drawing.class_rows import in_turn
from glowlite.drawing.sample_sheets import (
    GRID,
    LOWER_TEMPERATURE,
    ROW,
    SWEEP,
    class_sheet,
    temperature_sheet,
)
from glowlite.drawing.sheets import enlarged, save_png, tile, titled, to_rgb, warn_nonfinite
from glowlite.errors import GlowliteError
from glowlite.files.outputs import PNG, check_folder, make_folder
from glowlite.latent.directions import ENOUGH, decode_edits
from glowlite.latent.walks import decode_walk
from glowlite.models.glow import Glow
from glowlite.terminal import say, warn
from glowlite.training.scoring import sample_images

OFF_THE_WAY = "the path leaves the region of latents that decode to images"  # hint
WALKS, STEPS = 5, 9  # number of interpolation strips, and images per strip
EDITS, MAX_ATTRIBUTES = 7, 12  # images per strip of edits, and largest number of strips


@dataclass(frozen=True)
class Task:
    """The input of a figure: the model, models of other depths, the seed and the temperature."""

    loaded: LoadedModel
    others: list[LoadedModel]
    seed: int
    temperature: float


def samples(task: Task) -> np.ndarray:
    """Samples at one temperature, as in figures 4 and 7. A model with classes gets one row per
    class.
    """
    if task.loaded.model.classes:
        return class_sheet(task.loaded.model, task.loaded.n_bits, ROW, task.temperature, task.seed)
    images = sample_images(task.loaded.model, GRID, task.temperature, task.seed)
    warn_nonfinite(images, "samples", LOWER_TEMPERATURE)
    return enlarged(tile(to_rgb(images, task.loaded.n_bits), 8))


def interpolation(task: Task) -> np.ndarray:
    """Interpolation between pairs of held-out images, one strip per pair (figure 5)."""
    loaded = task.loaded
    held_out = loaded.held_out
    pairs = [held_out.read(np.array([2 * i, 2 * i + 1]) % len(held_out)) for i in range(WALKS)]
    images = np.concatenate([decode_walk(loaded.of_one_class, pair, STEPS)[0] for pair in pairs])
    warn_nonfinite(images, "images on the way", OFF_THE_WAY)
    return enlarged(tile(to_rgb(images, loaded.n_bits), STEPS))


def corners(task: Task) -> np.ndarray:
    """A sheet that interpolates between four held-out images (figure 5 in two directions)."""
    loaded = task.loaded
    held_out = loaded.held_out
    images = decode_walk(loaded.of_one_class, held_out.read(np.arange(4) % len(held_out)), STEPS)
    images = images.reshape(-1, *images.shape[2:])
    warn_nonfinite(images, "images on the way", OFF_THE_WAY)
    return enlarged(tile(to_rgb(images, loaded.n_bits), STEPS))


def temperature(task: Task) -> np.ndarray:
    """Samples from the same noise at rising temperatures (figure 8)."""
    return temperature_sheet(task.loaded.model, task.loaded.n_bits, ROW, SWEEP, task.seed)


def depth(task: Task) -> np.ndarray:
    """Samples of models of rising depth, from the same noise (figure 9)."""
    rows = {}
    for loaded in sorted([task.loaded, *task.others], key=depth_of):
        images = sample_images(in_turn(loaded.model, ROW), ROW, task.temperature, task.seed)
        warn_nonfinite(images, f"samples of {loaded.name}", LOWER_TEMPERATURE)
        config = loaded.model.config
        title = f"K = {config.K}, L = {config.L}"
        title += f" ({loaded.name})" if title in rows else ""
        rows[title] = enlarged(tile(to_rgb(images, loaded.n_bits), ROW))
    return titled(rows)


def depth_of(loaded: LoadedModel) -> int:
    """Return K of a Glow.

    Raises GlowliteError for another model.
    """
    if not isinstance(loaded.model, Glow):
        raise GlowliteError(
            f"--depth: {loaded.name} is not a Glow and has no depth K; leave it out"
        )
    return loaded.model.config.K


def attributes(task: Task) -> np.ndarray:
    """One strip per attribute, from removed to added, each for a different held-out image (figure
    6).
    """
    loaded = task.loaded
    directions = loaded.directions()
    rows, alphas = {}, np.linspace(-ENOUGH, ENOUGH, EDITS)
    method = "held" if directions.given.shape[2] else "mean"
    for j, name in enumerate(directions.names[:MAX_ATTRIBUTES]):
        image = loaded.held_out.read(np.array([j]) % len(loaded.held_out))
        images = decode_edits(loaded.of_one_class, directions, image, [name], alphas, method)[0]
        warn_nonfinite(images, f"edits of {name}", "the direction is too long")
        rows[name] = enlarged(tile(to_rgb(images, loaded.n_bits), EDITS))
    return titled(rows)


# by file name
FIGURES: dict[str, Callable[[Task], np.ndarray]] = {
    "samples": samples, "interpolation": interpolation, "corners": corners,
    "attributes": attributes, "temperature": temperature, "depth": depth,
}  # fmt: skip


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "figures",
        "Make the paper's qualitative figures with a trained flow and write them to one folder.",
    )
    add = parser.add_argument
    add("run", nargs="?", default=DEFAULT, help=MODEL_HELP)
    add(
        "--depth",
        nargs="+",
        default=[],
        metavar="RUN",
        help="models with other depths K, for the depth figure",
    )
    add(
        "--out",
        type=Path,
        default=Path("figures"),
        help="the folder to write to; pictures with the same names are replaced",
    )
    add(
        "--temperature",
        type=at_least(0, float, 100),
        default=0.7,
        help="temperature of the samples",
    )
    add("--seed", type=at_least(0, int, MAX_SEED), default=0, help="seed of the noise")
    add_model_options(parser)
    add_place_of_data(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    out: Path = options.out
    check_folder("--out", out, PNG, {f"{name}.png" for name in FIGURES}.__contains__)
    loaded, *others = (load_model(which, options) for which in (options.run, *options.depth))
    shape = loaded.model.config.image_shape
    for other in [loaded, *others] if others else []:
        depth_of(other)
        if other.model.config.image_shape != shape:
            raise GlowliteError(
                f"--depth {other.name}: is for images {other.model.config.image_shape}, but"
                f" {loaded.name} for {shape}"
            )
    if loaded.held_out.shape != shape:  # checked before anything is written
        raise GlowliteError(
            f"{loaded.name}: its held-out images are {loaded.held_out.shape}, but the model is"
            f" for {shape}"
        )
    task = Task(loaded, others, options.seed, options.temperature)
    make_folder("--out", out)
    for name, figure in FIGURES.items():
        if figure is depth and not others:
            warn("no depth figure: name models with other depths with --depth")
            continue
        try:
            sheet = figure(task)
        except GlowliteError as error:
            if figure is not attributes:
                raise
            warn(f"no attribute figure: {error}")  # the data have no attributes
            continue
        save_png(out / f"{name}.png", sheet)
        say(out / f"{name}.png")
