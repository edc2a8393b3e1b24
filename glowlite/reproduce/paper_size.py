"""The same experiments with the published settings: the commands and their cost, which is computed
from the sizes of the models (glowlite.bench.plan), not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from glowlite.bench.plan import CARDS, Card, expected, parameter_count, whole_bytes
from glowlite.bench.preset_jobs import preset_job
from glowlite.bench.work import forward_flops
from glowlite.models.config import GlowConfig
from glowlite.reproduce.report import Report, Table

PASSES = 4  # passes of matrix products in a training step that keeps nothing
CARD = CARDS[-1]


@dataclass(frozen=True)
class PaperRun:
    """A preset for the data, changes to its model, and the number of training images."""

    preset: str
    changes: Mapping[str, str | int]
    images: int  # images of the training set
    epochs: int
    seed: int = 0

    @property
    def config(self) -> GlowConfig:
        config, _ = preset_job(self.preset)
        changes: dict[str, Any] = dict(self.changes)
        return replace(config, **changes)

    @property
    def command(self) -> str:
        options = [f"--{name} {value}" for name, value in self.changes.items()]
        return " ".join(
            [
                "python -m glowlite.train --data DATA",
                f"--preset {self.preset}",
                *options,
                f"--steps {self.epochs}ep --seed {self.seed} --device gpu",
            ]
        )

    def row(self, card: Card) -> list[str]:
        config, (_, options) = self.config, preset_job(self.preset)
        batch = int(options.batch)
        updates = self.epochs * (self.images // batch)
        flops = PASSES * forward_flops(config, 1) * self.epochs * self.images
        average = bool(options.average)
        step = expected(config, average, batch, card, tf32=True)
        images_at_once = batch // step.parts
        gigabytes = whole_bytes(config, average, max(1, images_at_once)) / 1e9
        return [
            ", ".join(f"{name} {value}" for name, value in self.changes.items()) or self.preset,
            f"{parameter_count(config):,}",
            f"{flops / 1e18:.3g}",
            f"{updates:,}",
            f"{gigabytes:.1f}",
            f"{updates * step.seconds / 3600:.1f}",
        ]


CIFAR, EPOCHS = 50_000, 250


def figure3() -> Report:
    """CIFAR-10, K=32, L=3, width 512; three seeds, as in the paper."""
    return _report(
        "Figure 3 at the paper's size",
        [
            PaperRun(
                "cifar10", {"coupling": coupling, "permutation": permutation}, CIFAR, EPOCHS, seed
            )
            for seed in range(3)
            for coupling in ("additive", "affine")
            for permutation in ("reverse", "shuffle", "conv1x1")
        ],
    )


def figure9() -> Report:
    """Faces at 256x256, K=32, with 4 and with 6 levels."""
    return _report(
        "Figure 9 at the paper's size",
        [PaperRun("celebahq256", {"L": L}, 27_000, 100) for L in (4, 6)],
    )


def table2() -> Report:
    return _report(
        "Table 2 at the paper's size",
        [
            PaperRun("cifar10", {}, CIFAR, EPOCHS),
            PaperRun("imagenet32", {}, 1_281_149, 20),
            PaperRun("imagenet64", {}, 1_281_149, 20),
            PaperRun("lsun64", {}, 3_033_042, 10),
        ],
    )


def _report(title: str, runs: list[PaperRun]) -> Report:
    header = ["run", "parameters", "EFLOP", "updates", "GB", f"hours, {CARD.name}"]
    rows = list({tuple(run.row(CARD)): None for run in runs})  # all seeds cost the same
    return Report(
        title,
        [
            f"{len(runs)} runs; each row stands for all seeds of a run. Computed, not measured:"
            " docs/gpu.md has the assumptions. EFLOP: 10^18 floating-point operations of all"
            " matrix products; GB: GPU memory with --memory 0; hours: on one GPU, with TF32."
        ],
        [Table("Each run", header, rows)],
        [],
        [run.command for run in runs],
    )
