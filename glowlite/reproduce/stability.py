"""Which scale of an affine coupling keeps samples finite: the table of docs/stability.md.

The inverse of a coupling divides by its scale. The table has, for 1,000 samples at each
temperature, the fraction that is finite, and the fraction with every pixel in [-0.75, 0.75]; images
lie in [-0.5, 0.5].
"""

from __future__ import annotations

import numpy as np

from glowlite.latent.walks import finite
from glowlite.models.glow import Glow
from glowlite.reproduce.claims import Mean
from glowlite.reproduce.experiment import ExperimentSettings
from glowlite.reproduce.planned_run import Option, PlannedRun
from glowlite.reproduce.report import Report, Table

SCALES: dict[str, dict[str, Option]] = {
    "sigmoid (of the original code)": {"scale": "sigmoid"},
    "exp (of the paper)": {"scale": "exp"},
    "bounded, c = 2": {"scale": "bounded", "bound": 2.0},
    "bounded, c = 1": {"scale": "bounded", "bound": 1.0},
    "bounded, c = 4": {"scale": "bounded", "bound": 4.0},
    "additive": {"coupling": "additive"},
}
TEMPERATURES = (0.7, 0.9, 1.0)
SAMPLES, AT_ONCE, INSIDE = 1000, 250, 0.75


def plan(settings: ExperimentSettings) -> list[PlannedRun]:
    return [
        settings.run(f"{name.split(' (')[0].replace(', c = ', '-')}-{seed}", seed=seed, **options)
        for seed in range(settings.seeds)
        for name, options in SCALES.items()
    ]


def report(settings: ExperimentSettings, runs: list[PlannedRun]) -> Report:
    rows = []
    for i, name in enumerate(SCALES):
        same = runs[i :: len(SCALES)]
        bits = Mean.of([run.curve()[-1][1] for run in same])
        parts = np.mean([parts_of(run) for run in same], axis=0)
        rows.append([name, str(bits), *(f"{100 * part:.1f}%" for part in parts.ravel())])
    header = ["scale", "bits/dim"]
    for temperature in TEMPERATURES:
        header += [f"T = {temperature}: finite", "inside"]
    return Report(
        f"Stability of samples, on {settings.data}",
        [
            f"{SAMPLES} samples at each temperature and seed; inside: every pixel is in"
            f" [-{INSIDE}, {INSIDE}]. {settings.seeds} seeds of {settings.steps} steps each."
        ],
        [Table("Samples", header, rows)],
        [],
        [run.command for run in runs],
    )


def parts_of(run: PlannedRun) -> np.ndarray:
    """Return the fractions finite and inside, at each temperature: (temperatures, 2)."""
    model = Glow.load(run.folder)
    seeds = range(SAMPLES // AT_ONCE)
    found = []
    for temperature in TEMPERATURES:
        x = np.concatenate([model.sample(AT_ONCE, temperature, seed=seed) for seed in seeds])
        with np.errstate(invalid="ignore"):
            inside = (abs(x) <= INSIDE).all(axis=(1, 2, 3))
        found.append([finite(x).mean(), inside.mean()])
    return np.array(found)
