"""A trained model, found by folder, file or name, and its data, for the commands that use a
flow.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.checks import check_initialized
from glowlite.arrays.device import device_namespace
from glowlite.arrays.labels import number_of_class
from glowlite.commands.data_options import preparation_of
from glowlite.commands.option_words import as_words
from glowlite.commands.program import Parser, at_least
from glowlite.commands.train_options import make_parser
from glowlite.data import Dataset, is_there, load
from glowlite.data.fingerprint import fingerprint
from glowlite.data.images import Images
from glowlite.data.labels import conditioned, with_attributes
from glowlite.data.own_images import own_image
from glowlite.drawing.class_rows import names_of_classes
from glowlite.errors import GlowliteError, OutputError
from glowlite.fast.threads import MAX_THREADS, Workers
from glowlite.files.outputs import DIRECTIONS, output_path
from glowlite.files.storage import resolve
from glowlite.latent.directions import Directions
from glowlite.latent.directions_file import load_directions, save_directions, weights_fingerprint
from glowlite.models.image_model import ImageModel
from glowlite.models.pretrained import NAMES, directions_file, pretrained_file
from glowlite.models.registry import load_image_model
from glowlite.terminal import shortened, warn
from glowlite.training.guards import condition
from glowlite.training.run_files import BEST, CONFIG, read_config

DIRECTIONS_NAME = "directions.safetensors"  # in the folder of a run
DEFAULT = next(iter(NAMES))
MODEL_HELP = f"a run folder, a model file, or the name of a pretrained model: {', '.join(NAMES)}"


@dataclass(frozen=True)
class LoadedModel:
    """A model, the bits of its images, its name in messages, and the options of its training ({} if
    unknown).

    `weights`: `averaged` or `raw`. `run`: the word on the command line that named it.
    `fingerprint`: that of its data, if known. `place`: the present place of its data, if --data
    gave one.
    """

    model: ImageModel
    n_bits: int
    name: str
    options: dict[str, Any]
    weights: str
    run: str
    fingerprint: str | None = None
    place: str | None = None

    def of_class(self, label: str | None) -> LoadedModel:
        """Return the same model, for the class that --label names, if any. Raises GlowliteError."""
        model = self.model
        if label is None:
            return self
        if not model.classes:
            said = shortened(label)
            raise GlowliteError(f"--label {said}: {self.name} was trained without labels")
        number = number_of_class("--label", label, names_of_classes(model))
        return replace(self, model=model.given(number))

    @property
    def of_one_class(self) -> ImageModel:
        """Return the model or, if it has classes, the model of its first class, for walks, edits
        and reconstructions. For one latent, different classes give different eps, which are affine
        functions of each other. So a straight line for one class is a straight line, through the
        same images, for every class.
        """
        return self.model.given(0) if self.model.classes else self.model

    @cached_property
    def held_out(self) -> Images:
        """Its held-out images, read only once."""
        return self.data().held_out

    def data(self, processes: int = 1) -> Dataset:
        """Return the data that it was trained on, prepared as in training.

        Raises GlowliteError if the data are unknown, are missing, or have changed.
        """
        if not self.options:
            raise GlowliteError(
                f"{self.name}: does not say what it was trained on; name the folder of a run, or"
                " give --data"
            )
        parser = make_parser()
        options = parser.parse_args(as_words(parser, self.options, f"options of {self.name}"))
        place = self.place or options.data
        if not is_there(place):
            raise GlowliteError(
                f"{self.name}: its data, {place}, are missing; say where they are now with --data"
            )
        data = load(place, preparation_of(options), processes)
        if options.condition is not None:
            data = conditioned(data, options.condition)
        if self.fingerprint is not None and fingerprint(data) != self.fingerprint:
            raise GlowliteError(
                f"{data.source}: not the images that {self.name} was trained on, or in a"
                " different order; say with --data where those are"
            )
        return data

    def directions(self) -> Directions:
        """Return the directions stored beside the model if they belong to these weights; else
        compute them from its data.

        Computed directions are saved in the run folder. Raises GlowliteError.
        """
        weights, run = weights_fingerprint(self.model), self.run
        place = Path(run) / DIRECTIONS_NAME if Path(run).is_dir() and run not in NAMES else None
        if run in NAMES:
            with directions_file(run) as path:
                return load_directions(path, weights)
        if place is not None and place.is_file():
            try:
                return load_directions(place, weights)
            except GlowliteError as error:
                warn(f"{error}; computing the directions again")
        data = with_attributes(self.data())
        found = Directions.from_images(
            self.of_one_class, data.train[:], data.attributes, data.attribute_names
        )
        if place is not None:
            try:
                save_directions(
                    found, output_path("directions", place, DIRECTIONS), weights, data.source
                )
            except OutputError as error:
                warn(f"{error}; the directions will be computed again each time")
        return found

    def images(self, words: Sequence[str]) -> np.ndarray:
        """Return the images that `words` name, uint8 (N, H, W, C): files, or indices of held-out
        images, from 0.

        How a file was converted to fit the model is reported on stderr. Raises GlowliteError.
        """
        return np.stack(
            [self._held_out_image(w) if w.isdecimal() else self._own_image(Path(w)) for w in words]
        )

    def _held_out_image(self, word: str) -> np.ndarray:
        count = len(self.held_out)
        # Python refuses to parse numbers with thousands of digits
        if len(word) > 18 or int(word) >= count:
            raise GlowliteError(
                f"image {word[:20]}: {self.name} has {count} held-out images, counted from 0"
            )
        return self.held_out.read(np.array([int(word)]))[0]

    def _own_image(self, path: Path) -> np.ndarray:
        image, notes = own_image(path, self.model.config.image_shape)
        if notes:
            warn(f"{path}: {', '.join(notes)}")
        return image


def add_model_options(parser: Parser) -> None:
    """Add --checkpoint, --weights, --device and --threads."""
    add = parser.add_argument_group("the model").add_argument
    add(
        "--checkpoint",
        choices=("last", "best"),
        default="last",
        help="which checkpoint of a run to use",
    )
    add(
        "--weights",
        choices=("averaged", "raw"),
        default="averaged",
        help="which weights to use; averaged: if the run has averaged its weights",
    )
    add("--device", default="cpu", help="cpu, gpu, or gpu:k for one of several GPUs")
    add(
        "--threads",
        type=at_least(1, int, MAX_THREADS),
        help="CPU threads; default: every core that this process may use",
    )


def add_place_of_data(parser: Parser) -> None:
    """Add --data, for a command that reads the data of a run."""
    parser.add_argument("--data", help="where the training images are now, if they have moved")


def load_model(
    run: str,
    options: argparse.Namespace,
    local_rank: int = 0,
    cores: int | None = None,
    plain: bool = False,
) -> LoadedModel:
    """Return the model that `run` names, according to the options of `add_model_options`.

    `plain`: do not use fast forms. A pretrained model's name takes precedence; ./NAME means a
    folder of that name. Raises GlowliteError.
    """
    xp = device_namespace(options.device, local_rank)
    with model_file(run, options.checkpoint) as file:
        model = load_image_model(
            file, options.weights, workers=Workers(options.threads or cores), xp=xp, plain=plain
        )
    if model.n_bits is None:
        raise GlowliteError(
            f"{run}: contains a model, but not how it was trained (n_bits); name the folder of a"
            " run"
        )
    check_initialized(run, model.initialized)
    # a singular matrix or non-finite weights are reported here in one line
    condition(model)
    known = model.facts.get("run", {})
    if (Path(run) / CONFIG).exists() and run not in NAMES:
        known = read_config(Path(run))
    weights = model.facts.get("weights") or (
        options.weights if model.facts.get("average") else "raw"
    )
    name, place = f"pretrained {run}" if run in NAMES else run, getattr(options, "data", None)
    return LoadedModel(
        model,
        model.n_bits,
        name,
        known.get("options", {}),
        weights,
        run,
        known.get("fingerprint"),
        place,
    )


@contextmanager
def model_file(run: str, checkpoint: str = "last") -> Iterator[Path]:
    """Yield the file of the model that `run` names.

    Raises GlowliteError for a folder without a model, or for an unknown name.
    """
    if run in NAMES:
        with pretrained_file(run) as path:
            yield path
        return
    path = Path(run)
    if not path.exists() and path.parent == Path() and not path.suffix:
        raise GlowliteError(
            f"{run}: no such file, folder or pretrained model; the pretrained models are:"
            f" {', '.join(NAMES)}"
        )
    best = path / BEST
    yield best if path.is_dir() and checkpoint == "best" and best.exists() else resolve(path)


def model_and_images(words: Sequence[str]) -> tuple[str, list[str]]:
    """Split the words [RUN] IMAGE... of a command line into the model and the images.

    The first word is the model if it is a folder, a .safetensors file, or a pretrained model's
    name. Otherwise the model is DEFAULT.
    """
    first = words[0] if words else ""
    named = first in NAMES or first.endswith(".safetensors") or Path(first or "-").is_dir()
    return (first, list(words[1:])) if named else (DEFAULT, list(words))
