"""python -m glowlite.interpolate [RUN] A B [C D]: from image to image through latent space (figure 5)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from glowlite.arrays.backend import to_host
from glowlite.commands.loaded_model import add_model_options, add_place_of_data, load_model, model_and_images
from glowlite.commands.program import Parser, at_least
from glowlite.commands.sample import check_size
from glowlite.drawing.sheets import enlarged, nonfinite_message, save_gif, save_png, tile, to_rgb
from glowlite.errors import GlowliteError
from glowlite.files.outputs import GIF, PNG, check_output
from glowlite.latent.walks import four_corners, interpolate
from glowlite.models.glow import Glow
from glowlite.terminal import say, warn

SECONDS = 0.12  # a frame of an animation is shown
AT_ONCE = 256  # images decoded at once
ADVICE = "the way leads past latents of no image; try --spherical, or other images"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("interpolate", "Walk between two images, or on a sheet between four, through the latents of a Glow.")
    parser.usage = "%(prog)s [RUN] A B [C D] [options]"
    add = parser.add_argument
    what = "the model, as for sample (default: the pretrained faces), and two or four images: files, or numbers of held-out"
    add("words", nargs="+", metavar="[RUN] A B [C D]", help=f"{what} images; C and D are the lower corners")
    add(
        "--steps",
        type=at_least(2, int, 1000),
        default=9,
        help="images from A to B, both among them; in a sheet along either side",
    )
    add("--spherical", action="store_true", help="along the arc between two latents, in place of the straight line")
    add("--out", type=Path, default=Path("interpolation.png"), help="a PNG, or a GIF: there and back, or round the sheet")
    add_model_options(parser)
    add_place_of_data(parser)
    return parser.parse_args(arguments)


def walk(model: Glow, ends: np.ndarray, steps: int, spherical: bool = False) -> np.ndarray:
    """From uint8 images `ends` (2 or 4, H, W, C): floating images (1 or steps, steps, H, W, C), on the host.

    Two ends are those of a strip, four the corners of a sheet, row by row. Cost: an inverse pass of every image.
    """
    latents = model.encode(ends)
    parts = [[z[i : i + 1] for z in latents] for i in range(len(ends))]
    if len(parts) == 2:
        way = interpolate(parts[0], parts[1], steps, spherical)
    else:
        way = four_corners(parts[0], parts[1], parts[2], parts[3], steps, steps, spherical)
    blocks = range(0, len(way[0]), AT_ONCE)
    images = np.concatenate([to_host(model.decode([z[i : i + AT_ONCE] for z in way])) for i in blocks])
    return images.reshape(-1, steps, *model.config.image_shape)


def loop(images: np.ndarray) -> np.ndarray:
    """The frames of an animation that ends where it begins, from images (rows, steps, ...): there and back, or round."""
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
        raise GlowliteError(f"expected two or four images, got {len(words)}: {' '.join(words)}; numbers are held-out images")
    trained = load_model(which, options)
    check_size("--steps", options.steps ** (len(words) // 2), trained.model.config.dimensions)
    images = walk(trained.model, trained.images(words), options.steps, options.spherical)
    line = nonfinite_message(images.reshape(-1, *images.shape[2:]), "images on the way", ADVICE)
    if line is not None:
        warn(line)
    shown = to_rgb(images.reshape(-1, *images.shape[2:]), trained.n_bits)
    if kind is GIF:
        frames = loop(shown.reshape(*images.shape[:4], 3))
        save_gif(options.out, enlarged(frames), SECONDS)
        made = f"{len(frames)} frames"
    else:
        save_png(options.out, enlarged(tile(shown, options.steps)))
        made = f"{len(shown)} images"
    say(f"{options.out}: {made} between {', '.join(words)}, by {trained.name}")
