"""python -m glowlite.evaluate RUN: bits/dim over a whole held-out set, with its standard error."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from glowlite.command_line import Parser, at_least, run
from glowlite.communicator import communicator
from glowlite.data import Dataset, load
from glowlite.data.preparation import Preparation
from glowlite.data_options import add_data_options, preparation_of
from glowlite.errors import GlowliteError
from glowlite.evaluation import scores
from glowlite.storage import atomic_path
from glowlite.trained import DEFAULT, MODEL_HELP, Trained, add_model_options, load_trained


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("evaluate", "bits/dim of a trained Glow over a whole held-out set.")
    add = parser.add_argument
    add("run", nargs="?", default=DEFAULT, help=MODEL_HELP)
    add("--data", help="as for train; default: what the run was trained on, with its preparation")
    add_data_options(parser)
    add("--train-set", action="store_true", help="evaluate the training images in place of the held-out ones")
    add("--dequantisation-samples", type=at_least(1), default=1, help="draws of the noise; more give a tighter bound")
    add("--seed", type=at_least(0), default=0, help="of the noise")
    add("--batch", type=at_least(1), default=64, help="images a pass; of no influence on the result")
    add("--csv", metavar="FILE", help="write bits/dim of every image there")
    add_model_options(parser)
    return parser.parse_args(arguments)


def data_of(options: argparse.Namespace, trained: Trained, processes: int) -> Dataset:
    """The data asked for, or those of the run, as they were prepared for training."""
    if options.data is not None:
        return load(options.data, preparation_of(options), processes)
    if preparation_of(options) != Preparation():
        raise GlowliteError("without --data the images are prepared as in training; leave such options out")
    return trained.data(processes)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    ranks = communicator()
    trained = load_trained(options.run, options, ranks.local_rank, ranks.cores())
    model, n_bits, draws = trained.model, trained.n_bits, options.dequantisation_samples
    data = data_of(options, trained, ranks.local_size)
    images, which = (data.train, "training") if options.train_set else (data.held_out, "held-out")
    if images.shape != model.config.image_shape:
        raise GlowliteError(
            f"{data.source}: images are {images.shape}, and {trained.name} is for {model.config.image_shape};"
            " prepare them with --resize, --crop or --grey"
        )
    results = scores(model, images, n_bits, options.batch, options.seed, draws=draws, ranks=ranks)
    if not ranks.leads:
        return
    if options.csv is not None:
        write_csv(Path(options.csv), results)
    error = "bits/dim (of a single image: no standard error)"
    if len(results) > 1:
        error = f"+- {results.std(ddof=1) / np.sqrt(len(results)):.4f} bits/dim (mean and its standard error)"
    print(
        f"{data.name}: {results.mean():.4f} {error} at {n_bits} bits over"
        f" {len(results)} {which} images; {trained.weights} weights of step {model.facts.get('step', '?')}, {draws} draw"
        f"{'s' if draws > 1 else ''} of the dequantisation noise"
    )


def write_csv(path: Path, results: np.ndarray) -> None:
    """One line an image: its place in the set, and its bits/dim."""
    if path.is_dir():
        raise GlowliteError(f"--csv {path} is a folder; name a file")
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "bits_per_dim"])
        rows.writerows([i, f"{bits:.6f}"] for i, bits in enumerate(results))


if __name__ == "__main__":
    run(main, "evaluate")
