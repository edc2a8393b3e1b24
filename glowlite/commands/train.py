"""python -m glowlite.train: train a flow of images, by default a small Glow on the pixel faces."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.backend import Namespace
from glowlite.arrays.device import device_namespace
from glowlite.arrays.sizes import memory_of
from glowlite.bijectors.memory import Memory
from glowlite.commands.data_options import preparation_of
from glowlite.commands.interrupts import Interrupts
from glowlite.commands.option_sources import as_yaml, effective, parse_arguments
from glowlite.commands.shell_words import typed
from glowlite.commands.train_options import config_of, settings_of, steps_in
from glowlite.data import Dataset, load, located
from glowlite.data.fingerprint import fingerprint
from glowlite.data.labels import conditioned
from glowlite.distributed.allreduce import make_allreduce
from glowlite.distributed.communicator import Communicator
from glowlite.distributed.launcher import is_first
from glowlite.distributed.mpi_processes import make_communicator
from glowlite.drawing.observers import RunPictures, WorkerObserver
from glowlite.errors import GlowliteError
from glowlite.fast.threads import Workers
from glowlite.files.outputs import PNG, check_folder
from glowlite.files.storage import checkpoints_of
from glowlite.models.registry import MODELS
from glowlite.terminal import bar, say, warn
from glowlite.training.agreement import check_same, facts_of_data, facts_of_options
from glowlite.training.checkpoint import versions
from glowlite.training.loop import Observer, check_memory, check_settings, train
from glowlite.training.metrics import Metrics, StepResult, Timing
from glowlite.training.run import Training
from glowlite.training.run_files import CONFIG, SAVED, read_config
from glowlite.training.run_folder import RunFolder, restore_newest
from glowlite.training.run_place import (
    RUNS,
    alone_in,
    begin,
    check_nothing_to_restore,
    check_run_folder,
    make_run_folder,
)
from glowlite.training.tensorboard import TensorBoard, writer_class


class Progress:
    """A progress bar on a terminal; elsewhere a plain line at every evaluation."""

    def __init__(self, training: Training) -> None:
        self.settings = training.settings
        steps, done = self.settings.steps, training.state.step
        self.loss = ""
        self.bar = bar(total=steps, initial=done, unit="step", dynamic_ncols=True)

    def on_step(self, step: int, result: StepResult | None) -> None:
        if not self.bar.disable:
            rate = self.bar.format_dict["rate"] or 0.0
            if result is None or result.known:  # the bar does not wait for a GPU
                self.loss = "skipped" if result is None else f"{result.bits_per_dim:.3f} bits/dim"
            self.bar.set_postfix_str(
                f"{self.loss}, {rate * self.settings.batch:.0f} images/s", False
            )
            self.bar.update()

    def on_metrics(self, metrics: Metrics, timing: Timing) -> None:
        if metrics.train_bits_per_dim is not None:
            self.loss = f"{metrics.train_bits_per_dim:.3f} bits/dim"
        if metrics.held_out_bits_per_dim is None:
            return
        left = timing.seconds / metrics.step * (self.settings.steps - metrics.step)
        trained = "-" if metrics.train_bits_per_dim is None else f"{metrics.train_bits_per_dim:.3f}"
        raw, right = metrics.held_out_raw_bits_per_dim, metrics.held_out_accuracy
        classified = (
            ""
            if right is None
            else f" classifier correct on {100 * right:.1f}%, Bayes' rule on"
            f" {100 * (metrics.held_out_bayes_accuracy or 0):.1f}%,"
        )
        warn(
            f"step {metrics.step}/{self.settings.steps}: {trained} bits/dim in training,"
            f" {metrics.held_out_bits_per_dim:.3f} held"
            f" out{'' if raw is None else f' ({raw:.3f} with raw weights)'},{classified}"
            f" {timing.images_per_second:.0f} images/s, {duration(timing.seconds)},"
            f" {duration(left)} to go"
        )

    def on_checkpoint(self, training: Training) -> None:
        pass

    def after_step(self, training: Training) -> None:
        pass

    def close(self) -> None:
        self.bar.close()


def duration(seconds: float) -> str:
    """Write a duration as 42 s, 3:07 min or 5:20 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return (
        f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
        if minutes < 60
        else f"{minutes // 60}:{minutes % 60:02d} h"
    )


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if options.print_config:
        if is_first():
            for line in as_yaml(options).splitlines():
                say(line)
        return 0
    ranks = make_communicator(options.mpi_timeout)
    code = train_over(ranks, options)
    ranks.finish()
    return code


def train_over(ranks: Communicator, options: argparse.Namespace) -> int:
    """Train as the options say, and return the exit code. Every process runs this."""
    if options.tensorboard:
        writer_class()
    if ranks.is_root:  # before any work
        check_place(options)
    training, data = make_training(options, ranks)
    if ranks.size > 1:
        check_same(
            ranks, {"the command": "train", **facts_of_options(options), **facts(training, data)}
        )
    made = str(make_run_folder(options.out, data.name)) if ranks.is_root else ""
    path = Path(ranks.broadcast(made))
    with alone_in(path) if ranks.is_root else nullcontext():
        source = take_up(training, data, options, path)
        if training.state.step < training.settings.steps:
            with Interrupts() as interrupts:
                _train(
                    training,
                    data,
                    make_observers(training, data, options, source, path),
                    interrupts,
                    path,
                )
            if training.state.step < training.settings.steps:
                if ranks.is_root:
                    warn(
                        f"stopped after step {training.state.step}, which is saved; continue with"
                        f" {going_on(path)}"
                    )
                return interrupts.exit_code
    if ranks.is_root:
        for line in data.skipped[:3]:
            warn(f"skipped: {line}")
        if data.skipped:
            warn(f"{len(data.skipped)} images were damaged and skipped")
        say(outcome(training, path))
    return 0


def check_place(options: argparse.Namespace) -> None:
    """Raise GlowliteError unless the run can be written to the folder that these options name."""
    if options.out is None:
        check_folder("--out", Path(RUNS), PNG, lambda name: False)
    else:
        check_run_folder(options.out, options.overwrite, options.resume)


def going_on(path: Path) -> str:
    """Return the command that continues the run in a folder, as it is typed."""
    return f"python -m glowlite.train --resume {typed('out', path)}"


def outcome(training: Training, path: Path) -> str:
    """Say how the run ended, in one line.

    It may have gone further than --steps, or stopped before its first evaluation.
    """
    state, steps = training.state, training.settings.steps
    past = (
        f"the run is already at step {state.step}, and --steps is {steps}; "
        if state.step > steps
        else ""
    )
    if state.held_out is None:
        return f"{past}not evaluated yet"
    numbers = [
        int(m[1])
        for there in os.listdir(path)
        if (m := re.fullmatch(r"samples-(\d{6,})\.png", there))
    ]
    newest = max((number for number in numbers if number <= state.step), default=None)
    samples = "" if newest is None else f"; samples in {path}/samples-{newest:06d}.png"
    return (
        f"{past}held-out bits/dim {state.held_out:.3f} at {training.settings.n_bits} bits{samples}"
    )


def make_training(options: argparse.Namespace, ranks: Communicator) -> tuple[Training, Dataset]:
    """Return the untrained model, ready to train, and the data that the options ask for.

    Raises GlowliteError for options that cannot be satisfied.
    """
    xp = device_namespace(options.device, ranks.local_rank, options.tf32, options.gpu_memory)
    memory = memory_in(options.memory, ranks, xp)
    options.memory = str(memory)  # a share of the free memory is a fixed size from now on
    if not options.data:
        which = f" of --preset {options.preset}" if options.preset else ""
        raise GlowliteError(
            f"give --data: the images{which} are not part of glowlite; name their folder or file"
        )
    data = load(options.data, preparation_of(options), ranks.local_size)
    if options.condition is not None:
        data = conditioned(data, options.condition)
    settings = settings_of(options, steps_per_epoch(options, data))
    check_settings(settings, data)
    classes = () if data.condition is None else data.class_names
    config = config_of(options, data.image_shape, len(classes))
    for name in ("L", "levels"):
        setattr(options, name, getattr(config, name, None))  # as in config.json
    workers = Workers(options.threads or ranks.cores(), options.tile, options.blas)
    model = MODELS[options.model](
        config,
        settings.seed,
        options.dtype,
        memory,
        workers,
        xp,
        options.plain,
    )
    model.class_names = classes
    training = Training(model, settings, make_allreduce(options.gpu_exchange, ranks, xp))
    check_memory(model, training.images_at_once(), len(data.train))
    if not options.resume:
        line = model.check_start(settings.batch)
        if line is not None and ranks.is_root:
            warn(line)
    return training, data


def memory_in(text: str, ranks: Communicator, xp: Namespace) -> Memory:
    """Return the budget that an option asks for; for `auto`, the smallest that any process could
    have.

    The processes on one machine share its free memory.
    """
    free, there = memory_of(xp)
    share = ranks.local_size if xp is np else 1
    memory = Memory.parse(text, lambda: (free / share, there))
    if text.startswith("auto:") and ranks.size > 1:
        least = ranks.allgather_numbers(np.array([memory.bytes]), "the memory of --memory").min()
        memory = replace(memory, budget=float(least))
    return memory


def facts(training: Training, data: Dataset) -> dict[str, Any]:
    """Return what all processes must have in common, besides their options."""
    store, libraries = training.model.store, versions()
    return {
        **facts_of_data(data),
        "the number of parameters": len(store),
        "the type of the parameters": str(store.theta.dtype),
        "the kind of device": training.model.xp.__name__,
        **{f"the version of {name}": libraries.get(name) for name in ("glowlite", "numpy")},
    }


def steps_per_epoch(options: argparse.Namespace, data: Dataset) -> int:
    return max(1, len(data.train) // options.batch)


def take_up(
    training: Training, data: Dataset, options: argparse.Namespace, path: Path
) -> dict[str, Any]:
    """Restore the run in the folder `path`, or begin a new one there. Return the contents of its
    config.json.
    """
    ranks, images = training.ranks, [len(data.train), len(data.held_out)]
    source: dict[str, Any] = {
        "options": {**effective(options), "data": located(options.data)},
        "data": data.source,
        "images": images,
        "versions": versions(),
    }
    if ranks.is_root:
        # another process may have written here in the meantime
        check_run_folder(str(path), options.overwrite, options.resume)
        source["fingerprint"] = fingerprint(data)
        if options.resume and (path / CONFIG).exists():
            check_same_data(source, read_config(path), path)
    resumed = restore_newest(training, path) if options.resume else None
    if ranks.is_root:
        if resumed is None and options.resume:
            check_nothing_to_restore(path)
        source[SAVED] = resumed is not None
        if resumed is None or training.state.step < training.settings.steps:
            begin(path, source, fresh=resumed is None)  # last, so that a mistake replaces nothing
        over = (
            ""
            if ranks.size == 1
            else f" over {ranks.size} processes with {training.model.workers.threads} threads each;"
        )
        where = "writing to" if resumed is None else f"continuing from {resumed} in"
        warn(
            f"{data.name}: {images[0]} training and {images[1]} held-out images {data.image_shape};"
            f" {len(training.model.store):,} parameters;{over} {where} {path}"
        )
        if (kept := training.model.kept(training.images_at_once())) is not None:
            warn(str(kept))
        for note in data.notes:
            warn(f"{data.name}: {note}")
    return source


def check_same_data(source: dict[str, Any], begun: dict[str, Any], path: Path) -> None:
    """Raise GlowliteError unless a run has the images that it began with, in the same order."""
    if source["images"] != begun["images"]:
        raise GlowliteError(
            f"{source['data']} has {source['images'][0]} training and {source['images'][1]}"
            f" held-out images, but {path} began with {' and '.join(map(str, begun['images']))};"
            " use the same data, or begin a new run"
        )
    if "fingerprint" not in begun:  # written by the first version: only the place can be compared
        place, before = source["options"]["data"], located(begun["options"]["data"])
        if place != before:
            raise GlowliteError(
                f"--data was {before} when {path} began, without a fingerprint, and cannot become"
                f" {place}; put the data back"
            )
    elif source["fingerprint"] != begun["fingerprint"]:
        raise GlowliteError(
            f"{source['data']} has as many images as {path} began with, but different ones or in"
            " a different order; use the same data, or begin a new run"
        )


def make_observers(
    training: Training,
    data: Dataset,
    options: argparse.Namespace,
    source: dict[str, Any],
    path: Path,
) -> list[Observer]:
    """Make the observers of this process: on rank 0 the progress bar and the files, elsewhere a
    helper.
    """
    picture_every = steps_in(options.picture_every, steps_per_epoch(options, data))
    if not training.ranks.is_root:
        return [WorkerObserver(training, picture_every)]
    observers: list[Observer] = [Progress(training)]
    folder = RunFolder(path, training, data, source, options.keep)
    labels = None if data.condition is None else data.held_out_labels
    observers += [folder, RunPictures(folder, training, data.held_out, picture_every, labels)]
    return [*observers, TensorBoard(path)] if options.tensorboard else observers


def _train(
    training: Training, data: Dataset, observers: list[Observer], interrupts: Interrupts, path: Path
) -> None:
    """Train. However training ends, the observers are closed, and an error says where to continue
    from.
    """
    try:
        train(training, data, observers, stop=lambda: bool(interrupts))
    except (GlowliteError, OSError) as error:
        said = (
            str(error)
            if isinstance(error, GlowliteError)
            else f"{error.filename or path}: {error.strerror}"
        )
        good: list[Path] = []
        with contextlib.suppress(GlowliteError):
            good = checkpoints_of(path)
        kept = (
            f"; the last good checkpoint is {good[-1]}: continue from it with --resume"
            f" {typed('out', path)}"
            if good
            else ""
        )
        raise GlowliteError(f"{said}{kept}") from None
    finally:
        for observer in observers:
            observer.close()
