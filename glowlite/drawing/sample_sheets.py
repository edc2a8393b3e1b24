"""Sheets of samples: one row per temperature, as in figure 8 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glowlite.drawing.class_rows import in_turn, row_labels, row_names
from glowlite.drawing.sheets import enlarged, tile, titled, to_rgb, warn_nonfinite
from glowlite.training.scoring import sample_images

if TYPE_CHECKING:
    from glowlite.flow import Flow

SWEEP = (0.0, 0.25, 0.6, 0.7, 0.8, 0.9, 1.0)  # the temperatures of figure 8
GRID, ROW = 64, 8  # default numbers of samples: in a grid, and per temperature of a sweep
LOWER_TEMPERATURE = "lower --temperature"  # advice if samples are not finite


def temperature_sheet(
    model: Flow, n_bits: int, n: int, temperatures: Sequence[float], seed: int
) -> np.ndarray:
    """Draw a row of n samples at each temperature, from the same noise: a sheet, uint8 (h, w, 3).

    For a model with classes, the classes alternate. Non-finite samples are crossed out and reported
    on stderr. Cost: n inverse passes per row.
    """
    rows, model = {}, in_turn(model, n)
    for temperature in temperatures:
        images = sample_images(model, n, temperature, seed)
        warn_nonfinite(images, f"samples at temperature {temperature:g}", LOWER_TEMPERATURE)
        rows[f"T = {temperature:g}"] = tile(to_rgb(images, n_bits), n)
    return titled({title: enlarged(sheet) for title, sheet in rows.items()})


def class_sheet(model: Flow, n_bits: int, n: int, temperature: float, seed: int) -> np.ndarray:
    """Draw a row of n samples per class, beside its name: a sheet, uint8 (h, w, 3).

    Cost: n inverse passes per row.
    """
    images = sample_images(
        model.given(row_labels(model.classes, n)),
        n * len(row_names(model)),
        temperature,
        seed,
    )
    warn_nonfinite(images, "samples", LOWER_TEMPERATURE)
    shown = to_rgb(images, n_bits).reshape(-1, n, *images.shape[1:3], 3)
    names = zip(row_names(model), shown, strict=True)
    return titled({name: enlarged(tile(row, n)) for name, row in names})
