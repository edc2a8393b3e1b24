"""Train any flow on an array, in one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.labels import NO_LABELS, check_labels
from glowlite.data.array_data import array_dataset
from glowlite.data.dataset import Dataset
from glowlite.data.labels import LABELS, conditioned
from glowlite.errors import GlowliteError
from glowlite.files.storage import checkpoints_of
from glowlite.flow import Flow
from glowlite.training.loop import Observer, train
from glowlite.training.metrics import Metrics, StepResult, Timing
from glowlite.training.run import Training
from glowlite.training.run_files import SAVED
from glowlite.training.run_folder import RunFolder, restore_newest
from glowlite.training.settings import Settings


class _History:
    """An Observer of the trainer that keeps the lines of metrics."""

    def __init__(self) -> None:
        self.lines: list[Metrics] = []

    def on_step(self, step: int, result: StepResult | None) -> None:
        pass

    def on_metrics(self, metrics: Metrics, timing: Timing) -> None:
        self.lines.append(metrics)

    def on_checkpoint(self, training: Training) -> None:
        pass

    def after_step(self, training: Training) -> None:
        pass

    def close(self) -> None:
        pass


def fit(
    flow: Flow,
    x: np.ndarray,
    held_out: np.ndarray | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    keep: int = 3,
    observers: Sequence[Observer] = (),
    labels: np.ndarray | None = None,
    held_out_labels: np.ndarray | None = None,
    **settings: Any,
) -> list[Metrics]:
    """Train `flow` on x by maximum likelihood; return the lines of metrics, one every `log_every`
    steps.

    x: vectors (N, D) or other floating-point numbers (N, ...), used as they are; or uint8 images
    (N, H, W, C), which are dequantised from `n_bits` bits. held_out: data for evaluation; by
    default a tenth of x, which is then not trained on. labels (N,): the class of each x, for a
    model with classes; with held_out, also held_out_labels. settings: fields of `Settings` by name,
    such as steps, batch, lr, average, seed.

    folder: where metrics.jsonl and the newest `keep` checkpoints are written. With `resume`,
    training continues from the newest checkpoint and reaches bitwise the same weights as without a
    break.

    Afterwards the flow has the averaged weights, if `average` is not 0. These are the ones that
    were evaluated and that `load` returns. Raises GlowliteError for input that cannot be trained
    on, and for a step that goes wrong.
    """
    n_bits = settings.pop("n_bits", Settings.n_bits if x.dtype == "uint8" else None)
    known = [field.name for field in dataclasses.fields(Settings)]
    if unknown := [name for name in settings if name not in known]:
        raise GlowliteError(
            f"fit: unknown setting {unknown[0]}; the settings are {', '.join(known)}"
        )
    if not isinstance(flow, Flow):
        raise GlowliteError(f"fit: expected a Flow, as Flow(bijector) makes one, got {shown(flow)}")
    data = _data(flow, x, held_out, labels, held_out_labels)
    training, history = Training(flow, Settings(n_bits=n_bits, **settings)), _History()
    watching: list[Observer] = [history, *observers]
    if folder is not None:
        path = _place(Path(folder), resume)
        if resume:
            restore_newest(training, path)
        watching.append(RunFolder(path, training, data, {SAVED: True}, keep))
    try:
        if training.state.step < training.settings.steps:
            train(training, data, watching)
    finally:
        for observer in watching:
            observer.close()
    flow.n_bits = n_bits
    if training.average is not None and training.average.updates:
        flow.store.set_state(training.average.value())
    return history.lines


def _data(
    flow: Flow,
    x: np.ndarray,
    held_out: np.ndarray | None,
    labels: np.ndarray | None,
    held_out_labels: np.ndarray | None,
) -> Dataset:
    """Return the data set of these arrays, with labels if the flow has classes. Raises
    GlowliteError for labels without classes, or classes without labels.
    """
    if not flow.classes and labels is None:
        return array_dataset(x, held_out)
    if labels is None or not flow.classes or (held_out is None) != (held_out_labels is None):
        raise GlowliteError(
            f"fit: a model with {flow.classes} classes; only a model with classes takes labels,"
            " and it needs them, also for held_out"
        )
    ours = check_labels("fit, labels", labels, flow.classes, len(x))
    others = NO_LABELS
    if held_out is not None:
        others = check_labels("fit, held_out_labels", held_out_labels, flow.classes, len(held_out))
    data = array_dataset(x, held_out, labels=ours, held_out_labels=others)
    names = flow.class_names or tuple(map(str, range(flow.classes)))
    return conditioned(dataclasses.replace(data, class_names=names), LABELS)


def _place(folder: Path, resume: bool) -> Path:
    """Make the folder of a run. Raises GlowliteError if it already contains another run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GlowliteError(f"{folder}: cannot make the folder: {error.strerror}") from None
    if not resume and checkpoints_of(folder):
        raise GlowliteError(
            f"{folder} already contains a run: name another folder, or give resume=True to"
            " continue it"
        )
    return folder
