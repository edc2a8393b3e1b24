"""Figure 3: the invertible 1x1 convolution compared with a fixed shuffle and with reversing, for
both couplings.

The paper's claim: for both couplings, the negative log-likelihood with the 1x1 convolution is lower
than with a fixed shuffle, which is lower than with reversed channels. Runs with the same seed have
the same data in the same order and the same noise, so that they can be compared in pairs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glowlite.drawing.plots import figure_at
from glowlite.reproduce.claims import Mean, differences, verdict
from glowlite.reproduce.experiment import ExperimentSettings
from glowlite.reproduce.planned_run import PlannedRun
from glowlite.reproduce.report import Report, Table

COUPLINGS = ("additive", "affine")
PERMUTATIONS = {"reverse": "#d55e00", "shuffle": "#e69f00", "conv1x1": "#0072b2"}
NAMES = {"reverse": "reverse", "shuffle": "fixed shuffle", "conv1x1": "1x1 convolution"}
CLAIMS = (("shuffle", "conv1x1"), ("reverse", "shuffle"), ("reverse", "conv1x1"))  # worse, better
Curves = dict[tuple[str, str], list[list[tuple[float, float]]]]


def plan(settings: ExperimentSettings) -> list[PlannedRun]:
    """Return 3 permutations x 2 couplings x seeds, seed by seed, so that an interrupted sweep can
    still be compared.
    """
    return [
        settings.run(
            f"{coupling}-{permutation}-{seed}",
            coupling=coupling,
            permutation=permutation,
            seed=seed,
        )
        for seed in range(settings.seeds)
        for coupling in COUPLINGS
        for permutation in PERMUTATIONS
    ]


def curves(runs: list[PlannedRun]) -> Curves:
    """Return the curves of all seeds, by coupling and permutation."""
    found: Curves = {}
    for run in runs:
        key = str(run.options["coupling"]), str(run.options["permutation"])
        found.setdefault(key, []).append(run.curve())
    return found


def report(settings: ExperimentSettings, runs: list[PlannedRun]) -> Report:
    found = curves(runs)
    picture = settings.folder / "figure3.png"
    draw(found, picture)
    last = {key: [curve[-1][1] for curve in each] for key, each in found.items()}
    means = [
        [coupling, NAMES[permutation], str(Mean.of(last[coupling, permutation]))]
        for coupling in COUPLINGS
        for permutation in PERMUTATIONS
    ]
    claims = []
    for coupling in COUPLINGS:
        for worse, better in CLAIMS:
            difference = differences(last[coupling, better], last[coupling, worse])
            claims.append(
                [
                    coupling,
                    f"{NAMES[better]} below {NAMES[worse]}",
                    str(difference),
                    f"± {difference.half_width:.4f}",
                    verdict(difference),
                ]
            )
    return Report(
        f"Figure 3: permutations, on {settings.data}",
        [
            f"{settings.seeds} seeds of {settings.steps} steps each; means and their standard"
            " errors over seeds. Differences are computed per seed, and a claim holds if the 95%"
            " interval of Student's distribution lies above 0."
        ],
        [
            Table("Held-out bits/dim at the end", ["coupling", "permutation", "bits/dim"], means),
            Table(
                "Claims",
                ["coupling", "claim", "difference, bits/dim", "95%", "verdict"],
                claims,
            ),
        ],
        [picture],
        [run.command for run in runs],
    )


def draw(found: Curves, path: Path) -> None:
    """Plot the mean of bits/dim against epochs, with a band from the lowest to the highest seed."""
    with figure_at(path, 9, 3.8) as figure:
        axes = figure.subplots(1, len(COUPLINGS), sharey=True)
        for axis, coupling in zip(axes, COUPLINGS, strict=True):
            for permutation, color in PERMUTATIONS.items():
                each = found[coupling, permutation]
                epochs = np.array([epoch for epoch, _ in each[0]])
                bits = np.array([[value for _, value in curve] for curve in each])
                axis.plot(epochs, bits.mean(axis=0), color=color, label=NAMES[permutation])
                axis.fill_between(
                    epochs, bits.min(axis=0), bits.max(axis=0), color=color, alpha=0.2, lw=0
                )
            axis.set_title(coupling)
            axis.set_xlabel("epoch")
        best = min(curve[-1][1] for each in found.values() for curve in each)
        start = max(curve[len(curve) // 4][1] for each in found.values() for curve in each)
        axes[0].set_ylim(best - 0.05 * (start - best), start)
        axes[0].set_ylabel("held-out bits/dim")
        axes[0].legend(frameon=False)
