"""python -m glowlite.demo [RUN]: a trained model in one HTML page, which runs in any browser."""

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

SLOW = 1.0  # seconds a pass, from which a page no longer answers while one moves a slider
MEASURED = 1000  # held-out images, of whose figures the page tells means and deviations
MAX_PICTURES = 200
RECONSTRUCTED = 16  # pictures that are encoded and decoded by the weights of 16 bits


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("demo", "Write one HTML page with a trained model that runs in any browser.")
    add = parser.add_argument
    add("run", nargs="?", default=DEFAULT, help=MODEL_HELP)
    add("--out", type=Path, default=Path("demo.html"), help="the page")
    add("--open", action="store_true", help="show it in the browser")
    add(
        "--pictures",
        type=at_least(0, int, MAX_PICTURES),
        default=12,
        help="held-out images that the page shows; they are in it for whoever has it",
    )
    add_model_options(parser)
    add_place_of_data(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    check_output("--out", options.out, DEMO)
    loaded = load_model(options.run, options, plain=True)
    directions = directions_of(loaded)  # of the weights as they are
    round_parameters(loaded.model)
    seen = images_seen(loaded)
    check_inverse(loaded, seen)
    made = page_model(
        loaded.model, page_name(loaded), about(loaded), directions, seen, options.pictures
    )
    pass_takes = seconds(made.facts["layers"], loaded.model.config.image_shape)
    if pass_takes > SLOW:
        warn(
            f"{loaded.name}: a picture will take about {pass_takes:.1f} s in a browser on a desk,"
            " too long to follow a slider; the page will work, and be slow"
        )
    text = page(made).encode()
    with output("--out", options.out, DEMO) as file:
        file.write(text)
    say(
        f"{options.out}: {loaded.name} in {len(text) / 1e6:.1f} MB, complete in itself; a picture"
        f" takes {milliseconds(pass_takes)} in a browser on a desk"
    )
    if options.open:
        webbrowser.open(options.out.resolve().as_uri())


def milliseconds(seconds: float) -> str:
    """An estimate in words; below ten what it leaves out is most of it."""
    return f"about {1000 * seconds:.0f} ms" if seconds >= 0.01 else "less than 10 ms"


def page_name(loaded: LoadedModel) -> str:
    """What the page calls the model: no folder of a person is told."""
    path = Path(loaded.run)
    return (path.resolve() if path.is_dir() else path).name if path.exists() else loaded.name


def directions_of(loaded: LoadedModel) -> Directions | None:
    """Those of the attributes of its data; None where there are none, or the data are missing."""
    try:
        return loaded.directions()
    except GlowliteError as error:
        warn(f"{error}; the page will have no sliders for attributes")
        return None


def round_parameters(model: ImageModel) -> None:
    """Give every parameter the value that it has in the 16 bits of a page; constants stay."""
    arrays = named_arrays(model.store)
    parameters = {name: arrays[name] for name in model.store.parameters}
    model.store.assign({**arrays, **rounded(parameters, "float16")})


def images_seen(loaded: LoadedModel) -> Seen | None:
    """Held-out images with their figures, by the weights as they are now; None where the data are
    missing.
    """
    try:
        data = with_attributes(loaded.data())
    except GlowliteError as error:
        if loaded.place is not None:  # it was said where they are
            raise
        warn(f"{error}; the page will have no real pictures, and nothing to compare with")
        return None
    images = data.held_out[:MEASURED]
    bits = scores(loaded.model, data.held_out, loaded.n_bits, 64, 0, rows=np.arange(len(images)))
    attributes = data.held_out_attributes
    known = len(attributes) == len(data.held_out) and attributes.size > 0
    return Seen(images, bits, attributes[: len(images)] if known else None)


def check_inverse(loaded: LoadedModel, seen: Seen | None) -> None:
    """Raise GlowliteError unless pictures that are encoded come back, by the weights as they are
    now: held-out ones, or samples where the data are missing.
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
            f"{loaded.name}: with weights in 16 bits, as a page holds them, the inverse is off by"
            f" {off:.1f} grey levels"
        )


def about(loaded: LoadedModel) -> dict[str, str]:
    """What the page says of the model."""
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
