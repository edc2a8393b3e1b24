"""Observers that draw: the pictures in the folder of a run, and the share of the samples on the
other ranks.

Pictures are drawn after the checkpoint of their step is written, so a picture that fails loses no
work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from glowlite.data.images import Images
from glowlite.drawing.run_pictures import (
    samples_at_temperatures,
    save_learning_curve,
    save_pictures,
)
from glowlite.errors import PictureError
from glowlite.terminal import warn

if TYPE_CHECKING:
    from glowlite.training.metrics import Metrics, StepResult, Timing
    from glowlite.training.run import Training
    from glowlite.training.run_folder import RunFolder


class WorkerObserver:
    """Makes this rank's share of the samples while rank 0 writes the folder.

    An Observer of the trainer.
    """

    def __init__(self, training: Training, picture_every: int) -> None:
        self.training, self.picture_every = training, picture_every

    def on_step(self, step: int, result: StepResult | None) -> None:
        pass

    def on_metrics(self, metrics: Metrics, timing: Timing) -> None:
        pass

    def on_checkpoint(self, training: Training) -> None:
        pass

    def after_step(self, training: Training) -> None:
        if _pictures_are_due(training, self.picture_every):
            training.synchronize()
            with training.averaged():
                samples_at_temperatures(training.model, training.ranks)

    def close(self) -> None:
        pass


def _pictures_are_due(training: Training, every: int) -> bool:
    return training.state.step % every == 0 or training.state.step == training.settings.steps


class RunPictures(WorkerObserver):
    """Draws the learning curve after an evaluation, and samples, latents and reconstructions every
    `picture_every` steps.
    """

    def __init__(
        self,
        folder: RunFolder,
        training: Training,
        held_out: Images,
        picture_every: int,
        labels: np.ndarray | None = None,
    ) -> None:
        super().__init__(training, picture_every)
        self.folder, self.held_out, self.labels = folder, held_out, labels
        self.failed = False

    def after_step(self, training: Training) -> None:
        """Draw what is due. A picture that cannot be drawn is reported once, and the run
        continues.
        """
        step, n_bits = training.state.step, training.settings.n_bits
        last = self.folder.history[-1] if self.folder.history else None
        if last is not None and last["step"] == step and last["held_out_bits_per_dim"] is not None:
            with self._drawing():
                save_learning_curve(
                    self.folder.path / "learning-curve.png", self.folder.history, n_bits
                )
        if n_bits is not None and _pictures_are_due(training, self.picture_every):
            training.synchronize()
            with training.averaged():
                samples = samples_at_temperatures(training.model, training.ranks)
                with self._drawing():
                    save_pictures(
                        self.folder.path, training.model, samples, self.held_out, n_bits, step,
                        self.labels,
                    )  # fmt: skip

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        try:
            yield
        except PictureError as error:
            if not self.failed:
                warn(f"{error}; the run continues")
            self.failed = True
