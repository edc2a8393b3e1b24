"""python -m glowlite.evaluate RUN: mean bits/dim over a whole held-out set with its standard error,
and the log-likelihood in nats.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np

from glowlite.commands.data_options import add_data_options, preparation_of
from glowlite.commands.loaded_model import (
    DEFAULT,
    MODEL_HELP,
    LoadedModel,
    add_model_options,
    load_model,
)
from glowlite.commands.program import MAX_SEED, Parser, at_least
from glowlite.data import Dataset, load
from glowlite.data.embedded import check_meaning
from glowlite.data.labels import LABELS, conditioned
from glowlite.data.own_images import load_fitted
from glowlite.data.preparation import Preparation
from glowlite.distributed.communicator import Communicator
from glowlite.distributed.launcher import is_first
from glowlite.distributed.mpi_processes import make_communicator
from glowlite.distributed.timeouts import PATIENCE, TIMEOUT_HELP
from glowlite.drawing.run_pictures import save_histograms
from glowlite.errors import DataError, GlowliteError
from glowlite.files.outputs import CSV, CSV_HEAD, PNG, check_output, output
from glowlite.models.image_model import ImageModel
from glowlite.objective import nats
from glowlite.terminal import say, warn
from glowlite.training.agreement import check_same, checksum, facts_of_data, facts_of_options
from glowlite.training.class_scoring import ClassScores, class_scores
from glowlite.training.scoring import scores, some_rows

OTHERS = 1000  # images of --ood, at most


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "evaluate", "Report bits/dim and nats of a trained flow over a whole held-out set."
    )
    add = parser.add_argument
    add("run", nargs="?", default=DEFAULT, help=MODEL_HELP)
    add("--data", help="as for train; default: the data of the run, prepared as in training")
    add_data_options(parser)
    add(
        "--train-set",
        action="store_true",
        help="evaluate the training images instead of the held-out images",
    )
    add(
        "--dequantisation-samples",
        type=at_least(1, int, 10_000),
        default=1,
        help="number of noise draws per image; more draws give a tighter bound",
    )
    add("--seed", type=at_least(0, int, MAX_SEED), default=0, help="seed of the noise")
    add(
        "--batch",
        type=at_least(1),
        default=64,
        help="images per pass; it changes results only by rounding",
    )
    add(
        "--csv",
        metavar="FILE",
        type=Path,
        help="write the bits/dim of every image to this CSV file",
    )
    add(
        "--ood",
        metavar="DATA",
        help="compare with these data, converted to the model's size and channels",
    )
    add(
        "--histogram",
        metavar="FILE",
        type=Path,
        default=Path("ood.png"),
        help="with --ood: a PNG with histograms of both",
    )
    add("--mpi-timeout", type=at_least(1, float), default=PATIENCE, help=TIMEOUT_HELP)
    add_model_options(parser)
    return parser.parse_args(arguments)


def data_of(options: argparse.Namespace, loaded: LoadedModel, processes: int) -> Dataset:
    """Return the requested data, or the data of the run, prepared as in training."""
    if options.data is not None:
        if loaded.fingerprint is not None and preparation_of(options) == Preparation():
            # the data of the run may have moved; prepare them as in training
            with contextlib.suppress(GlowliteError):
                return loaded.data(processes)
        return load(options.data, preparation_of(options), processes)
    if preparation_of(options) != Preparation():
        raise GlowliteError(
            "without --data, the images are prepared as in training; leave out the preparation"
            " options"
        )
    return loaded.data(processes)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    for spec in (options.data, options.ood):
        check_meaning(spec or "")
    ranks = make_communicator(options.mpi_timeout)
    evaluate_over(ranks, options)
    ranks.finish()


def evaluate_over(ranks: Communicator, options: argparse.Namespace) -> None:
    """Evaluate as the options say. Every process runs this, and rank 0 prints."""
    if ranks.is_root and options.csv is not None:
        check_output("--csv", options.csv, CSV)
    if ranks.is_root and options.ood is not None:
        check_output("--histogram", options.histogram, PNG)
    loaded = load_model(options.run, options, ranks.local_rank, ranks.cores())
    model, n_bits, draws = loaded.model, loaded.n_bits, options.dequantisation_samples
    data = labelled(data_of(options, loaded, ranks.local_size), loaded)
    if ranks.size > 1:
        weights = {"the checksum of the weights": checksum(model.store.theta)}
        check_same(
            ranks,
            {
                "the command": "evaluate",
                **facts_of_options(options),
                **facts_of_data(data),
                **weights,
            },
        )
    images, which = (data.train, "training") if options.train_set else (data.held_out, "held-out")
    if images.shape != model.config.image_shape:
        raise GlowliteError(
            f"{data.source}: images are {images.shape}, but {loaded.name} is for"
            f" {model.config.image_shape}; prepare them with --resize, --crop or --grey"
        )
    classified = None
    if data.condition is None:
        results = scores(
            model, images, n_bits, options.batch, options.seed, draws=draws, ranks=ranks
        )
    else:
        labels = data.labels if options.train_set else data.held_out_labels
        classified = class_scores(
            model, images, labels, n_bits, options.batch, options.seed, draws=draws, ranks=ranks
        )
        results = classified.given_labels()
    others = None if options.ood is None else score_others(options, loaded, ranks)
    if not ranks.is_root:
        return
    step, many = model.facts.get("step", "?"), "s" if draws > 1 else ""
    which_images = f"{which} images{said_of_labels(model, classified)}"
    log_prob = nats(results, model.dimensions, n_bits).mean()
    say(
        f"{data.name}: {mean_and_error(results)} at {n_bits} bits,"
        f" {log_prob:.2f} nats of pixels in [0, 1], over {len(results)}"
        f" {which_images}{not_finite(results)}; {loaded.weights} weights of step {step},"
        f" {draws} draw{many} of the {'learned ' if model.variational else ''}dequantisation noise"
    )
    if classified is not None:
        say(
            "Bayes' rule, with p(image | class), finds the class of"
            f" {100 * classified.bayes_accuracy:.1f}% of them, the classifier that of"
            f" {100 * classified.classifier_accuracy:.1f}%; as a mixture of all classes they have"
            f" {classified.mixture().mean():.4f} bits/dim"
        )
    if options.csv is not None:
        write_csv(options.csv, results)
    if others is not None:  # their classes are not known
        own = results if classified is None else classified.mixture()
        compare(options, n_bits, {f"{data.name}, {which}": own, options.ood: others})


def labelled(data: Dataset, loaded: LoadedModel) -> Dataset:
    """For a model with classes, return the data with the labels it was trained on. If the data have
    no such labels, warn, and report bits/dim of the mixture of all classes.
    """
    model = loaded.model
    if not model.classes or data.condition is not None:
        return data
    try:
        found = conditioned(data, loaded.options.get("condition") or LABELS)
        count = len(found.class_names)
        if count > model.classes:
            raise DataError(
                f"{data.source}: labels have {count} classes, but {loaded.name} has {model.classes}"
            )
        return found
    except DataError as error:
        if is_first():
            warn(f"{error}; bits/dim are those of the mixture of all {model.classes} classes")
        return data


def said_of_labels(model: ImageModel, classified: ClassScores | None) -> str:
    if not model.classes:
        return ""
    return " of any class" if classified is None else ", given their labels"


def not_finite(results: np.ndarray) -> str:
    nonfinite = int((~np.isfinite(results)).sum())
    return f"; {nonfinite} of them not finite" if nonfinite else ""


def mean_and_error(results: np.ndarray) -> str:
    mean = f"{results.mean():.4f}"
    if len(results) == 1:
        return f"{mean} bits/dim (of a single image: no standard error)"
    error = results.std(ddof=1) / np.sqrt(len(results))
    return f"{mean} +- {error:.4f} bits/dim (mean and its standard error)"


def score_others(
    options: argparse.Namespace, loaded: LoadedModel, ranks: Communicator
) -> np.ndarray:
    """Return bits/dim (N,) of at most OTHERS images of --ood.

    How the images were converted to fit is reported on stderr.
    """
    model = loaded.model
    images, source, notes = load_fitted(options.ood, model.config.image_shape)
    if notes and ranks.is_root:
        warn(f"{source}: {', '.join(notes)} (shown for the first image; the others likewise)")
    rows, draws = some_rows(len(images), OTHERS), options.dequantisation_samples
    return scores(model, images, loaded.n_bits, options.batch, options.seed, rows, draws, ranks)


def compare(options: argparse.Namespace, n_bits: int, results: dict[str, np.ndarray]) -> None:
    """Compare the bits/dim of other data with those of the model's own data, and plot both."""
    own, others = results.values()
    say(
        f"{options.ood}: {mean_and_error(others)} at {n_bits} bits over {len(others)}"
        f" images{not_finite(others)}"
    )
    found = auc(own, others)
    say(
        f"an image of {options.ood} needs more bits than one of the model's own images in"
        f" {100 * found:.1f}% of pairs"
    )
    save_histograms(options.histogram, results, n_bits)
    say(f"{options.histogram}: histograms of both")


def auc(own: np.ndarray, others: np.ndarray) -> float:
    """Return the fraction of pairs in which the other image needs more bits: the area under the ROC
    curve.

    It is 1/2 if the two cannot be distinguished.
    """
    below = np.searchsorted(np.sort(own), others, "left") + np.searchsorted(
        np.sort(own), others, "right"
    )
    return float(below.mean() / (2 * len(own)))


def write_csv(path: Path, results: np.ndarray) -> None:
    """Write one line per image: its index in the set and its bits/dim."""
    rows = [f"{i},{bits:.6f}" for i, bits in enumerate(results)]
    with output("--csv", path, CSV) as file:
        file.write("\r\n".join([CSV_HEAD, *rows, ""]).encode())
