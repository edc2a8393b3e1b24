"""python -m glowlite.reconstruct [RUN] IMAGE...: encode, decode, and report the reconstruction
error.

A flow loses no information.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from glowlite.arrays.backend import to_host
from glowlite.commands.loaded_model import (
    add_model_options,
    add_place_of_data,
    load_model,
    model_and_images,
)
from glowlite.commands.program import Parser
from glowlite.drawing.sheets import enlarged, save_png, tile, titled, to_rgb, warn_nonfinite
from glowlite.errors import GlowliteError
from glowlite.files.outputs import PNG, check_output
from glowlite.latent.walks import finite
from glowlite.models.image_model import ImageModel
from glowlite.objective import dequantize_midpoint, to_pixels
from glowlite.terminal import say


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "reconstruct",
        "Encode images and decode them again: an invertible model recovers every pixel.",
    )
    parser.usage = "%(prog)s [RUN] IMAGE [IMAGE ...] [options]"
    add = parser.add_argument
    model = "the model, as for sample (default: the pretrained faces model)"
    what = f"{model}, then images: files, or indices of held-out images"
    add("words", nargs="+", metavar="[RUN] IMAGE", help=what)
    add(
        "--out",
        type=Path,
        default=Path("reconstruction.png"),
        help="the PNG to write: originals, reconstructions and their differences",
    )
    add_model_options(parser)
    add_place_of_data(parser)
    return parser.parse_args(arguments)


def rebuilt(model: ImageModel, images: np.ndarray, n_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and decode(encode(x)) of uint8 images, in floating point, on the host.

    Cost: a forward and an inverse pass.
    """
    x = dequantize_midpoint(images, n_bits, model.dtype.name, model.xp)
    return to_host(x), to_host(model.decode(model.encode(x)))


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    check_output("--out", options.out, PNG)
    which, words = model_and_images(options.words)
    if not words:
        raise GlowliteError(
            f"{which} is a model; also name images: files, or indices of held-out images"
        )
    loaded = load_model(which, options)
    n_bits = loaded.n_bits
    x, y = rebuilt(loaded.of_one_class, loaded.images(words), n_bits)
    whole = finite(y)
    warn_nonfinite(
        y,
        "reconstructions",
        "the weights are damaged, or the images are far from the training images",
    )
    for word, one, other, sound in zip(words, x, y, whole):
        if sound:
            wrong = int((to_pixels(one, n_bits) != to_pixels(other, n_bits)).sum())
            off = 256 * abs(other - one).max()
            say(
                f"{word}: {wrong} of {one.size} values differ at {n_bits} bits; off by at most"
                f" {off:.1e} grey levels"
            )
    error = abs(y - x)
    largest = float(error[whole].max()) if whole.any() else 0.0
    stretched = np.where(whole[:, None, None, None], error / (largest or 1) - 0.5, np.nan)
    rows = {"original": to_rgb(x, n_bits), "decode(encode(x))": to_rgb(y, n_bits)}
    rows[f"difference; white: {256 * largest:.1e}"] = to_rgb(stretched, 8)
    save_png(
        options.out,
        titled({title: enlarged(tile(images, len(images))) for title, images in rows.items()}),
    )
    say(
        f"{options.out}: originals, reconstructions by {loaded.name}, and differences, in grey"
        " levels of 8 bits"
    )
