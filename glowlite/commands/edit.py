"""python -m glowlite.edit [RUN] IMAGE ... --attribute NAME: add or remove an attribute of a face
(figure 6).
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np

from glowlite.commands.loaded_model import (
    add_model_options,
    add_place_of_data,
    load_model,
    model_and_images,
)
from glowlite.commands.program import Parser, at_least
from glowlite.data.labels import with_attributes
from glowlite.drawing.sheets import enlarged, save_png, tile, to_rgb, warn_nonfinite
from glowlite.errors import GlowliteError
from glowlite.files.outputs import DIRECTIONS as DIRECTIONS_FILE
from glowlite.files.outputs import PNG, check_output, output_path
from glowlite.latent.directions import ENOUGH, METHODS, Directions, decode_edits
from glowlite.latent.directions_file import save_directions, weights_fingerprint
from glowlite.terminal import say, shortened

MAX_ALPHA = 1000
LOWER_ALPHA = "lower --alpha"


def alpha_range(text: str) -> tuple[float, ...]:
    """An argparse type: both ends of a range A..B, or a single number."""
    first, dots, last = text.partition("..")
    try:
        ends = (float(first), float(last)) if dots else (float(first),)
    except ValueError:
        ends = (math.nan,)
    if not all(abs(end) <= MAX_ALPHA for end in ends):
        raise argparse.ArgumentTypeError(
            f"expected a number or a range such as -1..1, from -{MAX_ALPHA} to {MAX_ALPHA}, got"
            f" {shortened(text, 30)!r}"
        )
    return ends


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "edit",
        "Change attributes of images by moving along directions in the latent space of a flow.",
    )
    parser.usage = "%(prog)s [RUN] IMAGE ... --attribute NAME[,NAME] [options]"
    add = parser.add_argument
    add(
        "words",
        nargs="*",
        metavar="[RUN] IMAGE",
        help="the model (as for sample), then images: files, or indices of held-out images",
    )
    add(
        "--attribute",
        action="append",
        default=[],
        metavar="NAME,NAME",
        help="attributes to change, all together; repeatable",
    )
    add(
        "--alpha", type=alpha_range, default=(-ENOUGH, ENOUGH), metavar="A..B",
        help=
            "how far: a strip from A to B, or before and after at A; a negative value removes"
            " the attribute; with --method held, 1 is usually enough; default"
            f" -{ENOUGH:g}..{ENOUGH:g}",
    )  # fmt: skip
    add("--steps", type=at_least(2, int, 1000), default=7, help="number of images in a strip")
    add(
        "--method",
        choices=METHODS,
        default="held",
        help="held: keep the other attributes; mean: the paper's direction alone",
    )
    add("--list", action="store_true", help="list the attributes and exit")
    add("--out", type=Path, default=Path("edit.png"), help="the PNG to write, one row per image")
    add(
        "--save",
        type=Path,
        metavar="FILE",
        help="compute the directions from the data again and write them to this file",
    )
    add_model_options(parser)
    add_place_of_data(parser)
    words = list(sys.argv[1:] if arguments is None else arguments)
    # "-1..1" looks like an option to argparse, but is a value
    for i in range(len(words) - 1, 0, -1):
        if words[i - 1] == "--alpha":
            words[i - 1 : i + 1] = [f"--alpha={words[i]}"]
    return parser.parse_args(words)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    which, words = model_and_images(options.words)
    names = list(
        dict.fromkeys(name for group in options.attribute for name in group.split(",") if name)
    )
    if options.save:
        check_output("--save", options.save, DIRECTIONS_FILE)
    elif not options.list:
        if not (names and words):
            raise GlowliteError(
                "give one or more images and --attribute; --list shows the attributes"
            )
        check_output("--out", options.out, PNG)
    if words and (options.save or options.list):
        option = "--save" if options.save else "--list"
        raise GlowliteError(
            f"{words[0]}: not a run folder, a model file or a pretrained model, and {option}"
            " takes no images; leave it out"
        )
    loaded = load_model(which, options)
    if options.save:
        data = with_attributes(loaded.data())
        directions = Directions.from_images(
            loaded.of_one_class, data.train[:], data.attributes, data.attribute_names
        )
        save_directions(
            directions,
            output_path("--save", options.save, DIRECTIONS_FILE),
            weights_fingerprint(loaded.model),
            data.source,
        )
        say(f"{options.save}: {len(directions.names)} attributes of {directions.images} images")
        return
    directions = loaded.directions()
    if options.list:
        for name, count in zip(directions.names, directions.counts, strict=True):
            say(f"{name:<24}{count:6} of {directions.images} images")
        return
    for name in names:
        directions.index(name)
    first, last = options.alpha[0], options.alpha[-1]
    alphas = (
        np.linspace(first, last, options.steps)
        if len(options.alpha) == 2
        else np.array([0.0, last])
    )
    images = decode_edits(
        loaded.of_one_class, directions, loaded.images(words), names, alphas, options.method
    )
    flat = images.reshape(-1, *images.shape[2:])
    warn_nonfinite(flat, "edited images", LOWER_ALPHA)
    save_png(options.out, enlarged(tile(to_rgb(flat, loaded.n_bits), len(alphas))))
    shown = ", ".join(f"{alpha:g}" for alpha in alphas.round(2))
    say(
        f"{options.out}: {', '.join(names)} of {', '.join(words)} at alpha {shown}, by"
        f" {loaded.name}"
    )
