"""python -m glowlite.interpolate [RUN] A B [C D]: walk from one image to another through latent
space (figure 5).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from glowlite.arrays.checks import check_images_fit
from glowlite.commands.loaded_model import (
    add_model_options,
    add_place_of_data,
    load_model,
    model_and_images,
)
from glowlite.commands.program import Parser, at_least
from glowlite.drawing.sheets import enlarged, save_gif, save_png, tile, to_rgb, warn_nonfinite
from glowlite.errors import GlowliteError
from glowlite.files.outputs import GIF, PNG, check_output
from glowlite.latent.walks import decode_walk
from glowlite.terminal import say

SECONDS = 0.12  # duration of one frame of an animation
OFF_THE_WAY = (
    "the path leaves the region of latents that decode to images; try --spherical, or other images"
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "interpolate",
        "Interpolate between two images, or on a sheet between four, in the latent space of a"
        " flow.",
    )
    parser.usage = "%(prog)s [RUN] A B [C D] [options]"
    add = parser.add_argument
    model = "the model, as for sample (default: the pretrained faces model)"
    what = f"{model}, then two or four images: files, or indices of held-out"
    add(
        "words",
        nargs="+",
        metavar="[RUN] A B [C D]",
        help=f"{what} images; C and D are the lower corners",
    )
    add(
        "--steps",
        type=at_least(2, int, 1000),
        default=9,
        help="number of images from A to B, both included; for a sheet, along each side",
    )
    add(
        "--spherical",
        action="store_true",
        help="interpolate along the arc between two latents instead of the straight line",
    )
    add(
        "--out",
        type=Path,
        default=Path("interpolation.png"),
        help="the file to write: a PNG, or a GIF that goes to B and back, or round the sheet",
    )
    add_model_options(parser)
    add_place_of_data(parser)
    return parser.parse_args(arguments)


def loop(images: np.ndarray) -> np.ndarray:
    """Return the frames of an animation that ends where it begins, from images (rows, steps, ...):
    to the last image and back, or round the edge of the sheet.
    """
    top = images[0]
    if len(images) == 1:
        return np.concatenate((top, top[-2:0:-1]))
    right, bottom, left = images[1:, -1], images[-1, -2::-1], images[-2:0:-1, 0]
    return np.concatenate((top, right, bottom, left))


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    kind = check_output("--out", options.out, PNG, GIF)
    which, words = model_and_images(options.words)
    if len(words) not in (2, 4):
        raise GlowliteError(
            f"expected two or four images, got {len(words)}: {' '.join(words)}; numbers are"
            " indices of held-out images"
        )
    loaded = load_model(which, options)
    check_images_fit("--steps", options.steps ** (len(words) // 2), loaded.model.dimensions)
    images = decode_walk(
        loaded.of_one_class, loaded.images(words), options.steps, options.spherical
    )
    flat = images.reshape(-1, *images.shape[2:])
    warn_nonfinite(flat, "images on the way", OFF_THE_WAY)
    shown = to_rgb(flat, loaded.n_bits)
    if kind is GIF:
        frames = loop(shown.reshape(*images.shape[:4], 3))
        save_gif(options.out, enlarged(frames), SECONDS)
        made = f"{len(frames)} frames"
    else:
        save_png(options.out, enlarged(tile(shown, options.steps)))
        made = f"{len(shown)} images"
    say(f"{options.out}: {made} between {', '.join(words)}, by {loaded.name}")
