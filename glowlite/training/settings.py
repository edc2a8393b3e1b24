"""How to train, and where a training is: what the command line asks for, and what a checkpoint has
to hold beside arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from glowlite.data.batches import Augmentation
from glowlite.errors import GlowliteError
from glowlite.objective import check_n_bits
from glowlite.training.optimizers import DECAYS, OPTIMIZERS


@dataclass(frozen=True)
class Settings:
    """How to train; `python -m glowlite.train --help` says what each means. Durations are in steps.

    n_bits: None for data that are no images of pixels, and are trained on as they are.
    label_weight: of the classifier's bits in the loss, for a model of classes. scale_penalty: of
    the sum of squares of what a model has `penalized`, in bits/dim. epsilon: of the optimiser, in
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
                f"accumulate must be 1 to the batch of {self.batch}, got {self.accumulate}"
            )


def check_parts(settings: Settings, ranks: int) -> None:
    """Raise GlowliteError unless every rank gets an image for each of its parts."""
    shards, batch = settings.shards, settings.batch
    if shards and (
        shards & (shards - 1) or shards > batch or shards % ranks or settings.accumulate > 1
    ):
        raise GlowliteError(
            f"shards must be a power of two, at most the batch of {batch}, a multiple of the"
            f" {ranks} ranks, and without --accumulate, whose work it does; got {shards}"
        )
    if batch // ranks < settings.accumulate:
        raise GlowliteError(
            f"a batch of {batch} over {ranks} ranks leaves {batch // ranks} images for one, fewer"
            f" than the {settings.accumulate} parts they are taken in; raise --batch"
        )


@dataclass
class State:
    """Where a training is.

    `losses`: of the steps since the last line of metrics; `skipped`: bad steps passed over.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    held_out: float | None = None
    best: float | None = None
    best_step: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0
