"""python -m glowlite.inpaint [RUN] IMAGE ... --mask NAME: fill in hidden pixels, or remove noise,
by gradient ascent on log p(x).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from glowlite.arrays.backend import to_device, to_host
from glowlite.arrays.randomness import normal
from glowlite.commands.loaded_model import (
    LoadedModel,
    add_model_options,
    add_place_of_data,
    load_model,
    model_and_images,
)
from glowlite.commands.program import MAX_SEED, Parser, at_least
from glowlite.data.own_images import read_own
from glowlite.drawing.sheets import enlarged, save_png, tile, to_rgb, warn_nonfinite
from glowlite.errors import GlowliteError
from glowlite.files.outputs import PNG, check_output
from glowlite.latent.ascent import Known, Noisy, ascend, mean_start, nearest_samples
from glowlite.latent.masks import NAMES, RANDOM, check_hidden, hidden_pixels
from glowlite.latent.walks import finite
from glowlite.models.image_model import ImageModel
from glowlite.objective import dequantize_midpoint, to_pixels
from glowlite.terminal import bar, say

GREY_LEVELS = 256  # levels of an 8-bit image over the range of x
WHITE = 0.5  # the value of x that a hidden pixel is shown with
ON_THE_WAY = 4  # columns between the known pixels and the result, including the start
LOWER_STEP = "lower --step"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "inpaint",
        "Fill in hidden pixels, or remove noise, by gradient ascent on log p(x) of a flow.",
    )
    parser.usage = "%(prog)s [RUN] IMAGE ... [options]"
    add = parser.add_argument
    model = "the model, as for sample (default: the pretrained faces model)"
    what = f"{model}, then images: files, or indices of held-out images"
    add("words", nargs="+", metavar="[RUN] IMAGE", help=what)
    add(
        "--mask",
        metavar="NAME",
        help=f"what is hidden: {', '.join(NAMES)}, {RANDOM}0.5 (that fraction of the pixels), or a"
        " picture of the image size, white where the pixels are known; default: bottom",
    )
    add(
        "--denoise",
        type=at_least(0.1, float, 1000),
        metavar="SIGMA",
        help="instead of a mask: add Gaussian noise with this standard deviation, in grey levels,"
        " and remove it",
    )
    add(
        "--label",
        help="for a model with labels: the class of the images, by name or by index from 0",
    )
    add(
        "--noisy", action="store_true", help="with --denoise: the images already contain that noise"
    )
    add(
        "--start",
        choices=("sample", "mean", "itself"),
        help="where to start. sample: the nearest of several samples of the model; mean: the mean"
        " of the known pixels; itself (with --denoise): the noisy image. Default: sample, or"
        " itself with --denoise",
    )
    add("--steps", type=at_least(1, int, 100_000), default=200, help=
        "number of steps, each a forward and a backward pass of all images")  # fmt: skip
    add(
        "--step",
        type=at_least(0, float, 100),
        default=0.5,
        help="length of the first step; 1 is Newton's step on average; step i is 100 / (100 + i)"
        " times as long",
    )
    add(
        "--noise",
        type=at_least(0, float, 100),
        help="temperature of the noise in the first step; it falls to 0. Default: 1, or 0 (no"
        " noise) with --denoise",
    )
    add("--seed", type=at_least(0, int, MAX_SEED), default=0, help="seed of all random draws")
    add(
        "--out",
        type=Path,
        default=Path("inpainting.png"),
        help="the PNG to write, one row per image: the image, the known pixels, the start,"
        " intermediate steps, the result",
    )
    add_model_options(parser)
    add_place_of_data(parser)
    return parser.parse_args(arguments)


def mask_of(word: str, height: int, width: int, seed: int) -> np.ndarray:
    """Return bool (H, W), true where a pixel is known, from a mask's name or a picture. Raises
    GlowliteError.
    """
    if word in NAMES or word.startswith(RANDOM):
        return ~hidden_pixels(word, height, width, seed)
    if not Path(word).is_file():
        raise GlowliteError(
            f"--mask {word}: no such picture, and not one of {', '.join(NAMES)}, {RANDOM}0.5"
        )
    picture, _ = read_own(Path(word))
    if picture.shape[:2] != (height, width):
        raise GlowliteError(
            f"--mask {word}: has {picture.shape[1]}x{picture.shape[0]} pixels, but the images of"
            f" this model have {width}x{height}"
        )
    known = np.asarray((picture >= GREY_LEVELS // 2).all(axis=2))
    check_hidden(f"--mask {word}", ~known)
    return known


def check_options(options: argparse.Namespace) -> None:
    if options.denoise is None:
        if options.noisy:
            raise GlowliteError("--noisy: needs --denoise SIGMA, the noise level of the images")
        if options.start == "itself":
            raise GlowliteError("--start itself: needs --denoise; hidden pixels have no value")
    elif options.mask is not None:
        raise GlowliteError("--denoise and --mask: give one of the two")
    check_output("--out", options.out, PNG)


def known_of(loaded: LoadedModel, x: np.ndarray, options: argparse.Namespace) -> Known | Noisy:
    """Return what is known about the images x (N, H, W, C), given on the host, as arrays of the
    model's backend.
    """
    xp = loaded.model.xp
    if options.denoise is None:
        height, width, _ = loaded.model.config.image_shape
        mask = mask_of(options.mask or "bottom", height, width, options.seed)
        level = 2.0**-loaded.n_bits
        return Known(to_device(x, xp), to_device(mask[None, :, :, None], xp), level)
    sigma = options.denoise / GREY_LEVELS
    added = 0.0 if options.noisy else sigma
    noise = normal(options.seed, "noise to be taken away", 0, x.shape, x.dtype.name)
    return Noisy(to_device((x + added * noise).astype(x.dtype), xp), sigma)


def climbed(
    model: ImageModel, known: Known | Noisy, options: argparse.Namespace
) -> list[np.ndarray]:
    """Return images on the host: the start, some intermediate steps, and the end."""
    seed, count, noise = options.seed, options.steps, options.noise
    start = options.start or ("sample" if isinstance(known, Known) else "itself")
    starts = {
        "sample": lambda: nearest_samples(model, known, seed),
        "mean": lambda: mean_start(known),
        "itself": lambda: known.values,
    }
    if noise is None:
        noise = 1.0 if isinstance(known, Known) else 0.0
    below = float(np.nextafter(model.dtype.type(0.5), model.dtype.type(0)))
    bounds = -0.5, below
    steps = ascend(model, starts[start](), known, count, options.step, noise, seed, bounds)
    shown = {count * i // ON_THE_WAY for i in range(ON_THE_WAY + 1)}
    return [to_host(x) for i, x in enumerate(bar(steps, "steps", count + 1)) if i in shown]


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    check_options(options)
    which, words = model_and_images(options.words)
    if not words:
        raise GlowliteError(
            f"{which} is a model; also name images: files, or indices of held-out images"
        )
    loaded = load_model(which, options).of_class(options.label)
    if loaded.model.classes and loaded.model.labels is None:
        raise GlowliteError(
            f"{loaded.name}: has classes; give the class of the images with --label"
        )
    model, n_bits = loaded.model, loaded.n_bits
    x = dequantize_midpoint(loaded.images(words), n_bits, model.dtype.name)
    known = known_of(loaded, x, options)
    way = climbed(model, known, options)
    warn_nonfinite(way[-1], "results", LOWER_STEP)
    if isinstance(known, Known):
        hidden = ~np.broadcast_to(to_host(known.mask), x.shape)
        way = [np.where(hidden, between, x) for between in way]
        given = np.where(hidden, x.dtype.type(WHITE), x)
    else:
        hidden, given = np.ones(x.shape, bool), to_host(known.values)
    for line in judged(model, n_bits, words, x, hidden, way):
        say(line)
    columns = np.stack([x, given, *way], axis=1)
    sheet = to_rgb(columns.reshape(-1, *x.shape[1:]), n_bits)
    save_png(options.out, enlarged(tile(sheet, columns.shape[1])))
    say(
        f"{options.out}: images, their known pixels, the start, {len(way) - 2} intermediate"
        f" steps, and the result of {options.steps} steps, by {loaded.name}"
    )


def judged(
    model: ImageModel,
    n_bits: int,
    words: list[str],
    x: np.ndarray,
    hidden: np.ndarray,
    way: list[np.ndarray],
) -> list[str]:
    """Yield one line per image with a finite result: bits/dim, and the root mean square error of
    the start and of the result over the `hidden` pixels. At known pixels both equal the image.
    """
    whole = finite(way[-1])
    x, hidden = x[whole], hidden[whole]
    columns = []
    for images in (x, way[0][whole], way[-1][whole]):
        middle = dequantize_midpoint(to_pixels(images, n_bits), n_bits, model.dtype.name, model.xp)
        squares = np.square(images - x, dtype=np.float64).sum(axis=(1, 2, 3))
        columns += [
            to_host(model.bits_per_dim(middle, n_bits)),
            GREY_LEVELS * np.sqrt(squares / hidden.sum(axis=(1, 2, 3))),
        ]
    named = [word for word, sound in zip(words, whole, strict=True) if sound]
    return [
        f"{word}: bits/dim {own:.3f}; start {start:.3f}, {off:.1f} grey levels away; result"
        f" {result:.3f}, {still:.1f} away"
        for word, own, _, start, off, result, still in zip(named, *columns, strict=True)
    ]
