"""Figure 9: depth. Models with an increasing number of levels, with the same number of steps of
flow in each.

In the paper, samples of a model with 4 levels lack long-range structure, and those of a model with
6 levels do not: the last levels see the whole picture.
"""

from __future__ import annotations

import numpy as np

from glowlite.data import load
from glowlite.drawing.sheets import enlarged, save_png, tile, titled, to_rgb
from glowlite.models.glow import Glow
from glowlite.reproduce.claims import Mean, differences, verdict
from glowlite.reproduce.experiment import ExperimentSettings
from glowlite.reproduce.planned_run import PlannedRun
from glowlite.reproduce.report import Report, Table
from glowlite.training.scoring import sample_images

ROW, TEMPERATURE = 12, 0.7


def depths(settings: ExperimentSettings) -> list[int]:
    """Return 1, 2, ... levels: as many as the sides can be halved, and at most four."""
    height, width, _ = load(settings.data).image_shape
    sides = height | width
    return [L for L in range(1, 5) if sides % (1 << L) == 0 and min(height, width) >> L >= 1]


def plan(settings: ExperimentSettings) -> list[PlannedRun]:
    return [
        settings.run(f"levels-{L}-{seed}", L=L, seed=seed)
        for seed in range(settings.seeds)
        for L in depths(settings)
    ]


def report(settings: ExperimentSettings, runs: list[PlannedRun]) -> Report:
    by_depth: dict[int, list[PlannedRun]] = {}
    for run in runs:
        by_depth.setdefault(int(run.options["L"]), []).append(run)
    last = {L: [run.curve()[-1][1] for run in each] for L, each in by_depth.items()}
    rows, sheets = [], {}
    for L, each in by_depth.items():
        model = Glow.load(each[0].folder)
        images = sample_images(model, ROW, TEMPERATURE, 0)
        sheets[f"L = {L}: {np.mean(last[L]):.3f} bits/dim"] = enlarged(
            tile(to_rgb(images, int(model.n_bits or 8)), ROW)
        )
        deeper = differences(last[L], last[L - 1]) if L - 1 in last else None
        rows.append(
            [
                str(L),
                f"{model.parameter_count():,}",
                str(Mean.of(last[L])),
                "" if deeper is None else f"{deeper}, 95% ± {deeper.half_width:.4f}",
                "" if deeper is None else verdict(deeper),
            ]
        )
    picture = settings.folder / "figure9.png"
    save_png(picture, titled(sheets))
    return Report(
        f"Figure 9: depth, on {settings.data}",
        [
            f"Samples at temperature {TEMPERATURE}, from the same seed. {settings.seeds} seeds of"
            f" {settings.steps} steps each. The claim of a row is that it is better than the one"
            " above."
        ],
        [
            Table(
                "Levels",
                ["L", "parameters", "held-out bits/dim", "gain over one level less", "verdict"],
                rows,
            )
        ],
        [picture],
        [run.command for run in runs],
    )
