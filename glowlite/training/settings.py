"""The settings of training, and its state: what the command line asks for, and what a checkpoint
contains besides arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from glowlite.data.batches import Augmentation
from glowlite.errors import GlowliteError
from glowlite.objective import check_n_bits
from glowlite.training.optimizers import DECAYS, OPTIMIZERS


@dataclass(frozen=True)
class Settings:
    """The settings of training; `python -m glowlite.train --help` explains each. Durations are in
    steps.

    n_bits: None for data other than images, which are used as they are. label_weight: weight of the
    classifier's bits in the loss, for a model with classes. scale_penalty: penalty on the sum of
    squares of a model's `penalized` parameters, in bits/dim. epsilon: that of the optimiser, in
    bits/dim per unit of a parameter.
    """

    steps: int = 1600
    batch: int = 32
    accumulate: int = 1
    shards: int = 0
    optimizer: str = "adam"
    lr: float = 8e-3
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    warmup: int = 100
    decay: str = "linear"
    clip: float = 0.0
    scale_penalty: float = 0.0
    average: float = 0.98
    n_bits: int | None = 5
    label_weight: float = 0.05
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    log_every: int = 10
    evaluate_every: int = 400
    evaluate_images: int = 1000
    checkpoint_every: int = 100
    on_bad_step: str = "stop"

    def __post_init__(self) -> None:
        if self.n_bits is not None:
            check_n_bits(self.n_bits)
        for name, allowed in {
            "optimizer": OPTIMIZERS,
            "decay": DECAYS,
            "on_bad_step": ("stop", "skip"),
        }.items():
            if getattr(self, name) not in allowed:
                raise GlowliteError(
                    f"Settings: {name} must be one of {', '.join(allowed)}, got"
                    f" {getattr(self, name)!r}"
                )
        if not 1 <= self.accumulate <= self.batch:
            raise GlowliteError(
                f"accumulate must be from 1 to the batch size {self.batch}, got {self.accumulate}"
            )


def check_parts(settings: Settings, ranks: int) -> None:
    """Raise GlowliteError unless every rank gets an image for each of its parts."""
    shards, batch = settings.shards, settings.batch
    if shards and (
        shards & (shards - 1) or shards > batch or shards % ranks or settings.accumulate > 1
    ):
        raise GlowliteError(
            f"shards must be a power of two, at most the batch size {batch}, a multiple of the"
            f" {ranks} processes, and used without --accumulate, which it replaces; got {shards}"
        )
    if batch // ranks < settings.accumulate:
        raise GlowliteError(
            f"a batch of {batch} over {ranks} processes leaves {batch // ranks} images for one of"
            f" them, fewer than the {settings.accumulate} parts of --accumulate; raise --batch"
        )


@dataclass
class State:
    """The state of a training run.

    `losses`: those of the steps since the last line of metrics; `skipped`: number of bad steps
    skipped.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    held_out: float | None = None
    best: float | None = None
    best_step: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0
