"""Table 2: bits/dim as published, and of the given runs."""

from __future__ import annotations

import argparse

from glowlite.commands.loaded_model import load_model
from glowlite.commands.option_words import training_command, without_folders
from glowlite.errors import GlowliteError
from glowlite.reproduce.experiment import ExperimentSettings
from glowlite.reproduce.planned_run import PlannedRun
from glowlite.reproduce.report import Report, Table
from glowlite.training.class_scoring import given_held_out
from glowlite.training.scoring import scores

PUBLISHED = (  # RealNVP, Glow; all at 8 bits; LSUN is the paper's 64x64
    ("CIFAR-10", "3.49", "3.35"),
    ("ImageNet 32x32", "4.28", "4.09"),
    ("ImageNet 64x64", "3.98", "3.81"),
    ("LSUN bedroom 64x64", "2.72", "2.38"),
    ("LSUN tower 64x64", "2.81", "2.46"),
    ("LSUN church outdoor 64x64", "3.08", "2.67"),
)
BATCH = 64


def plan(settings: ExperimentSettings) -> list[PlannedRun]:
    """Plan no runs, since this experiment uses the named runs."""
    if not settings.given:
        raise GlowliteError("table2: name run folders or pretrained models to report")
    return []


def report(settings: ExperimentSettings, runs: list[PlannedRun]) -> Report:
    options = argparse.Namespace(
        checkpoint="last", weights="averaged", device="cpu", threads=None, data=None
    )
    rows, commands = [], []
    for name in settings.given:
        loaded = load_model(name, options)
        data = loaded.data()
        bits = scores(
            given_held_out(loaded.model, data), data.held_out, loaded.n_bits, BATCH, seed=0
        )
        command = training_command(without_folders(loaded.options))
        error = bits.std(ddof=1) / len(bits) ** 0.5 if len(bits) > 1 else float("nan")
        rows.append(
            [
                loaded.name,
                type(loaded.model).__name__,
                f"{bits.mean():.4f} ± {error:.4f}",
                str(loaded.n_bits),
                f"{len(data.held_out):,} of {len(data.held_out) + len(data.train):,}"
                f" {'x'.join(map(str, data.image_shape))}",
                command,
            ]
        )
        commands.append(command)
    return Report(
        "Table 2: bits/dim",
        [
            "Numbers for different data, bits or splits cannot be compared. ±: the standard"
            " error over held-out images, each with one draw of the noise."
        ],
        [
            Table("As published", ["data", "RealNVP", "Glow"], PUBLISHED),
            Table(
                "Here",
                ["run", "model", "held-out bits/dim", "bits", "held out", "command"],
                rows,
            ),
        ],
        [],
        commands,
    )
