"""python -m glowlite.edit [RUN] IMAGE ... --attribute NAME: add or remove an attribute of a face (figure 6)."""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from pathlib import Path

import numpy as np

from glowlite.arrays.backend import to_host
from glowlite.commands.loaded_model import LoadedModel, add_model_options, add_place_of_data, load_model, model_and_images
from glowlite.commands.program import Parser, at_least
from glowlite.drawing.sheets import enlarged, nonfinite_message, save_png, tile, to_rgb
from glowlite.errors import GlowliteError, OutputError
from glowlite.files.outputs import DIRECTIONS as DIRECTIONS_FILE
from glowlite.files.outputs import PNG, check_output, output_path
from glowlite.files.schema import STEPS, checked, list_of, record, text, whole
from glowlite.files.storage import read_arrays, write_arrays
from glowlite.latent.directions import MAX_HELD, METHODS, Directions
from glowlite.models.glow import Glow
from glowlite.models.pretrained import NAMES, directions_file
from glowlite.terminal import say, shortened, warn

DIRECTIONS = "directions.safetensors"
MAX_ALPHA = 1000
HEADER = record({"names": list_of(text(), least=1), "images": whole(1, STEPS), "weights": text(), "data": text()})
SIZES = (("mean", 1), ("reader", 0))  # the arrays whose axes say how long a latent is, and how many pixels are read
DEFAULT_ALPHA = 1.0  # enough for 9 of 10 faces by method held, see docs/editing.md
ADVICE = "lower --alpha"


def alpha_range(text: str) -> tuple[float, ...]:
    """A type for argparse: the ends of A..B, or a number alone."""
    first, dots, last = text.partition("..")
    try:
        ends = (float(first), float(last)) if dots else (float(first),)
    except ValueError:
        ends = (math.nan,)
    if not all(abs(end) <= MAX_ALPHA for end in ends):
        raise argparse.ArgumentTypeError(
            f"expected a number or a range such as -1..1, from -{MAX_ALPHA} to {MAX_ALPHA}, got {shortened(text, 30)!r}"
        )
    return ends


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("edit", "Change attributes of images along directions in the latent space of a Glow.")
    parser.usage = "%(prog)s [RUN] IMAGE ... --attribute NAME[,NAME] [options]"
    add = parser.add_argument
    add("words", nargs="*", metavar="[RUN] IMAGE", help="the model, as for sample, and files, or numbers of held-out images")
    add("--attribute", action="append", default=[], metavar="NAME,NAME", help="what to change, all at once; repeatable")
    add(
        "--alpha", type=alpha_range, default=(-DEFAULT_ALPHA, DEFAULT_ALPHA), metavar="A..B",
        help="how far: a strip from A to B, or before and after at A; negative takes away; 1 is enough by method held;"
        f" default -{DEFAULT_ALPHA:g}..{DEFAULT_ALPHA:g}",
    )  # fmt: skip
    add("--steps", type=at_least(2, int, 1000), default=7, help="images in a strip")
    add(
        "--method",
        choices=METHODS,
        default="held",
        help="held: keep the other attributes; mean: the paper's direction alone",
    )
    add("--list", action="store_true", help="show the attributes and end")
    add("--out", type=Path, default=Path("edit.png"), help="a PNG: a row an image")
    add("--save", type=Path, metavar="FILE", help="take the directions from the data again, and write them there")
    add_model_options(parser)
    add_place_of_data(parser)
    words = list(sys.argv[1:] if arguments is None else arguments)
    for i in range(len(words) - 1, 0, -1):  # "-1..1" is no option, though it looks like one to argparse
        if words[i - 1] == "--alpha":
            words[i - 1 : i + 1] = [f"--alpha={words[i]}"]
    return parser.parse_args(words)


def directions_of(trained: LoadedModel) -> Directions:
    """Those that lie with the model if they are of these weights; else from its data, and left in the folder of the run."""
    weights, run = fingerprint(trained.model), trained.run
    place = Path(run) / DIRECTIONS if Path(run).is_dir() and run not in NAMES else None
    if run in NAMES:
        with directions_file(run) as path:
            return load_directions(path, weights)
    if place is not None and place.is_file():
        try:
            return load_directions(place, weights)
        except GlowliteError as error:
            warn(f"{error}; taken again")
    data = trained.data()
    found = Directions.from_images(trained.model, data.train[:], data.attributes, data.attribute_names)
    if place is not None:
        try:
            save_directions(found, output_path("directions", place, DIRECTIONS_FILE), weights, data.source)
        except OutputError as error:
            warn(f"{error}; directions are taken again each time")
    return found


def fingerprint(model: Glow) -> str:
    """The SHA-256 of the weights: directions of other weights mean nothing."""
    return hashlib.sha256(np.ascontiguousarray(to_host(model.store.theta)).data).hexdigest()


def save_directions(directions: Directions, path: Path, weights: str, source: str) -> None:
    """One file, float16, with what they are directions of."""
    arrays = {name: getattr(directions, name).astype(np.float16) for name in ("mean", "given")}
    arrays |= {"reach": directions.reach, "reader": directions.reader, "counts": directions.counts.astype(np.int64)}
    write_arrays(
        path, arrays, {"names": list(directions.names), "images": directions.images, "weights": weights, "data": source}
    )


def load_directions(path: Path, weights: str) -> Directions:
    """Directions of a model of that fingerprint. Raises GlowliteError for another, or a damaged file."""
    arrays, header = read_arrays(path)
    if header.get("weights") != weights:
        raise GlowliteError(f"{path}: directions of other weights")
    checked(HEADER, header, f"{path}: header")
    check_directions(arrays, len(header["names"]), path)
    mean, given = (arrays[name].astype(np.float32) for name in ("mean", "given"))
    return Directions(
        tuple(header["names"]), mean, given, arrays["reach"], arrays["reader"], arrays["counts"], header["images"]
    )


def check_directions(arrays: dict[str, np.ndarray], attributes: int, path: Path) -> None:
    """Raise GlowliteError unless the arrays have the shapes that Directions says, for so many attributes, and are finite."""
    latent, pixels = (arrays[name].shape[axis] if name in arrays and arrays[name].ndim == 2 else 0 for name, axis in SIZES)
    pairs = attributes if attributes <= MAX_HELD else 0
    shapes = {
        "mean": (attributes, latent), "given": (attributes, 2, pairs, latent), "reach": (attributes,),
        "reader": (pixels, attributes), "counts": (attributes,),
    }  # fmt: skip
    for name, shape in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype.kind not in "fi" or not np.isfinite(array).all():
            raise GlowliteError(f"{path}: {name} must hold finite numbers {shape}")


def strips(
    model: Glow, directions: Directions, images: np.ndarray, names: list[str], alphas: np.ndarray, method: str
) -> np.ndarray:
    """Floating images (N, steps, H, W, C) on the host: uint8 images (N, H, W, C), edited by each of `alphas`."""
    latents, states = model.encode(images), directions.states(images)
    columns = [
        to_host(model.decode(directions.edit(latents, states, dict.fromkeys(names, float(alpha)), method)))
        for alpha in alphas
    ]
    return np.stack(columns, axis=1)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    which, words = model_and_images(options.words)
    names = list(dict.fromkeys(name for group in options.attribute for name in group.split(",") if name))
    if options.save:
        check_output("--save", options.save, DIRECTIONS_FILE)
    elif not options.list:
        if not (names and words):
            raise GlowliteError("name one image or more, and --attribute; --list shows the attributes")
        check_output("--out", options.out, PNG)
    if words and (options.save or options.list):
        option = "--save" if options.save else "--list"
        raise GlowliteError(
            f"{words[0]}: no folder of a run, model file or pretrained model, and {option} takes no images; leave it out"
        )
    trained = load_model(which, options)
    if options.save:
        data = trained.data()
        directions = Directions.from_images(trained.model, data.train[:], data.attributes, data.attribute_names)
        save_directions(
            directions, output_path("--save", options.save, DIRECTIONS_FILE), fingerprint(trained.model), data.source
        )
        say(f"{options.save}: {len(directions.names)} attributes of {directions.images} images")
        return
    directions = directions_of(trained)
    if options.list:
        for name, count in zip(directions.names, directions.counts, strict=True):
            say(f"{name:<24}{count:6} of {directions.images} images")
        return
    for name in names:
        directions.index(name)
    first, last = options.alpha[0], options.alpha[-1]
    alphas = np.linspace(first, last, options.steps) if len(options.alpha) == 2 else np.array([0.0, last])
    images = strips(trained.model, directions, trained.images(words), names, alphas, options.method)
    flat = images.reshape(-1, *images.shape[2:])
    line = nonfinite_message(flat, "edited images", ADVICE)
    if line is not None:
        warn(line)
    save_png(options.out, enlarged(tile(to_rgb(flat, trained.n_bits), len(alphas))))
    shown = ", ".join(f"{alpha:g}" for alpha in alphas.round(2))
    say(f"{options.out}: {', '.join(names)} of {', '.join(words)} at alpha {shown}, by {trained.name}")
