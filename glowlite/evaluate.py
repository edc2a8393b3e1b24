"""python -m glowlite.evaluate RUN: bits/dim over a whole held-out set, with its standard error."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from glowlite.backend import device_namespace
from glowlite.command_line import Parser, at_least, run
from glowlite.communicator import communicator
from glowlite.data import Dataset, load
from glowlite.data.preparation import Preparation
from glowlite.data_options import add_data_options, preparation_of
from glowlite.errors import GlowliteError
from glowlite.evaluation import scores
from glowlite.models.glow import Glow
from glowlite.options import make_parser
from glowlite.run_folder import BEST, read_config
from glowlite.storage import atomic_path, read_header, resolve
from glowlite.workers import Workers


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("evaluate", "bits/dim of a trained Glow over a whole held-out set.")
    add = parser.add_argument
    add("run", help="folder of a run, or a checkpoint")
    add("--data", help="as for train; default: what the run was trained on, with its preparation")
    add_data_options(parser)
    add("--train-set", action="store_true", help="evaluate the training images in place of the held-out ones")
    add("--checkpoint", choices=("last", "best"), default="last", help="which of a run's")
    add("--weights", choices=("averaged", "raw"), default="averaged", help="averaged ones, where the run has averaged")
    add("--dequantisation-samples", type=at_least(1), default=1, help="draws of the noise; more give a tighter bound")
    add("--seed", type=at_least(0), default=0, help="of the noise")
    add("--batch", type=at_least(1), default=64, help="images a pass; of no influence on the result")
    add("--csv", metavar="FILE", help="write bits/dim of every image there")
    add("--device", default="cpu", help="cpu, gpu or gpu:k")
    add("--threads", type=at_least(1), help="default: every core this process may use")
    return parser.parse_args(arguments)


def data_of(options: argparse.Namespace, run_folder: Path, processes: int) -> Dataset:
    """The data asked for, or those of the run, as they were prepared for training."""
    if options.data is not None:
        return load(options.data, preparation_of(options), processes)
    if not run_folder.is_dir():
        raise GlowliteError(f"{run_folder} is a checkpoint without its run; say what to evaluate it on with --data")
    if preparation_of(options) != Preparation():
        raise GlowliteError("without --data the images are prepared as in training; leave such options out")
    trained = make_parser().parse_args([])
    vars(trained).update(read_config(run_folder)["options"])
    return load(trained.data, preparation_of(trained), processes)


def main() -> None:
    options = parse_arguments()
    path = Path(options.run)
    best = path / BEST
    file = best if path.is_dir() and options.checkpoint == "best" and best.exists() else resolve(path)
    ranks = communicator()
    workers = Workers(options.threads or ranks.cores())
    xp = device_namespace(options.device, ranks.local_rank)
    model = Glow.load(file, options.weights, workers=workers, xp=xp)
    header = read_header(file)
    if "n_bits" not in header:
        raise GlowliteError(f"{file}: holds a model, but not how it was trained (n_bits); evaluate the folder of a run")
    data = data_of(options, path, ranks.local_size)
    images, which = (data.train, "training") if options.train_set else (data.held_out, "held-out")
    if images.shape != model.config.image_shape:
        raise GlowliteError(
            f"{data.source}: images are {images.shape}, and {file} is for {model.config.image_shape};"
            " prepare them with --resize, --crop or --grey"
        )
    n_bits, draws = header["n_bits"], options.dequantisation_samples
    results = scores(model, images, n_bits, options.batch, options.seed, draws=draws, ranks=ranks)
    if not ranks.leads:
        return
    if options.csv is not None:
        write_csv(Path(options.csv), results)
    error = "bits/dim (of a single image: no standard error)"
    if len(results) > 1:
        error = f"+- {results.std(ddof=1) / np.sqrt(len(results)):.4f} bits/dim (mean and its standard error)"
    averaged = options.weights if header.get("average") else "raw"
    print(
        f"{data.name}: {results.mean():.4f} {error} at {n_bits} bits over"
        f" {len(results)} {which} images; {averaged} weights of step {header.get('step', '?')}, {draws} draw"
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
