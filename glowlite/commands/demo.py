"""python -m glowlite.demo [RUN]: write a trained model as one HTML page, for any browser."""

from __future__ import annotations

import argparse
import math
import webbrowser
from pathlib import Path

import numpy as np

from glowlite.arrays.backend import to_host
from glowlite.commands.loaded_model import (
    DEFAULT,
    MODEL_HELP,
    LoadedModel,
    add_model_options,
    add_place_of_data,
    load_model,
)
from glowlite.commands.option_words import training_command, without_folders
from glowlite.commands.program import Parser, at_least
from glowlite.data.labels import with_attributes
from glowlite.demo.cost import seconds
from glowlite.demo.page import page
from glowlite.demo.page_model import TEMPERATURE, Seen, page_model
from glowlite.errors import GlowliteError
from glowlite.files.outputs import DEMO, check_output, output
from glowlite.files.saved_weights import named_arrays, rounded
from glowlite.latent.directions import Directions
from glowlite.latent.walks import finite
from glowlite.models.image_model import ImageModel
from glowlite.objective import to_pixels
from glowlite.terminal import say, warn
from glowlite.training.scoring import HALF_A_LEVEL, reconstruction_error, scores

SLOW = 1.0  # seconds per pass above which the page cannot follow a moving slider
MEASURED = 1000  # number of held-out images behind the means and standard deviations on the page
MAX_PICTURES = 200
RECONSTRUCTED = 16  # number of pictures that are encoded and decoded with the 16-bit weights


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("demo", "Write one HTML page with a trained model that runs in any browser.")
    add = parser.add_argument
    add("run", nargs="?", default=DEFAULT, help=MODEL_HELP)
    add("--out", type=Path, default=Path("demo.html"), help="the HTML page to write")
    add("--open", action="store_true", help="open the page in the browser")
    add(
        "--pictures",
        type=at_least(0, int, MAX_PICTURES),
        default=12,
        help="number of held-out images in the page; anyone who has the page can see them",
    )
    add_model_options(parser)
    add_place_of_data(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    check_output("--out", options.out, DEMO)
    loaded = load_model(options.run, options, plain=True)
    directions = directions_of(loaded)  # computed with the original weights
    round_parameters(loaded.model)
    seen = images_seen(loaded)
    check_inverse(loaded, seen)
    made = page_model(
        loaded.model, page_name(loaded), about(loaded), directions, seen, options.pictures
    )
    pass_takes = seconds(made.facts["layers"], loaded.model.config.image_shape)
    if pass_takes > SLOW:
        warn(
            f"{loaded.name}: a picture will take about {pass_takes:.1f} s in a desktop browser,"
            " too long to follow a slider; the page will work, but slowly"
        )
    text = page(made).encode()
    with output("--out", options.out, DEMO) as file:
        file.write(text)
    say(
        f"{options.out}: {loaded.name} in {len(text) / 1e6:.1f} MB, self-contained; a picture"
        f" takes {milliseconds(pass_takes)} in a desktop browser"
    )
    if options.open:
        webbrowser.open(options.out.resolve().as_uri())


def milliseconds(seconds: float) -> str:
    """Write an estimate in words. Below 10 ms, costs that it leaves out dominate."""
    return f"about {1000 * seconds:.0f} ms" if seconds >= 0.01 else "less than 10 ms"


def page_name(loaded: LoadedModel) -> str:
    """Return the name that the page gives the model. It reveals no folder names."""
    path = Path(loaded.run)
    return (path.resolve() if path.is_dir() else path).name if path.exists() else loaded.name


def directions_of(loaded: LoadedModel) -> Directions | None:
    """Return the directions of the attributes of its data, or None if there are no attributes or no
    data.
    """
    try:
        return loaded.directions()
    except GlowliteError as error:
        warn(f"{error}; the page will have no sliders for attributes")
        return None


def round_parameters(model: ImageModel) -> None:
    """Round every parameter to the 16 bits of the page; constants stay as they are."""
    arrays = named_arrays(model.store)
    parameters = {name: arrays[name] for name in model.store.parameters}
    model.store.assign({**arrays, **rounded(parameters, "float16")})


def images_seen(loaded: LoadedModel) -> Seen | None:
    """Return held-out images with their figures, computed with the current weights; None if the
    data are missing.
    """
    try:
        data = with_attributes(loaded.data())
    except GlowliteError as error:
        if loaded.place is not None:  # --data was given
            raise
        warn(f"{error}; the page will have no real pictures to compare with")
        return None
    images = data.held_out[:MEASURED]
    bits = scores(loaded.model, data.held_out, loaded.n_bits, 64, 0, rows=np.arange(len(images)))
    attributes = data.held_out_attributes
    known = len(attributes) == len(data.held_out) and attributes.size > 0
    return Seen(images, bits, attributes[: len(images)] if known else None)


def check_inverse(loaded: LoadedModel, seen: Seen | None) -> None:
    """Raise GlowliteError unless encoding and decoding gives the same pictures with the current
    weights. The pictures are held-out images, or samples if the data are missing.
    """
    model = loaded.of_one_class
    if seen is None:
        samples = to_host(model.sample(RECONSTRUCTED, TEMPERATURE))
        images = to_pixels(samples[finite(samples)], loaded.n_bits)
    else:
        images = seen.images[:RECONSTRUCTED]
    off = reconstruction_error(model, images, loaded.n_bits) if len(images) else math.inf
    if not off < HALF_A_LEVEL:
        raise GlowliteError(
            f"{loaded.name}: with 16-bit weights, as the page stores them, the inverse is off by"
            f" {off:.1f} grey levels"
        )


def about(loaded: LoadedModel) -> dict[str, str]:
    """Return what the page says about the model."""
    model, facts = loaded.model, loaded.model.facts
    found = {
        "Model": f"{type(model).__name__} with {len(model.store):,} parameters",
        "Images": "{} by {} pixels, {} channels, {} bits".format(
            *model.config.image_shape, loaded.n_bits
        ),
    }
    if loaded.options:
        found["Trained on"] = str(without_folders(loaded.options).get("data", "unknown"))
        found["Trained by"] = training_command(without_folders(loaded.options))
    if "step" in facts:
        found["Steps"] = f"{facts['step']:,}"
    return {**found, "Page made by": "python -m glowlite.demo"}
