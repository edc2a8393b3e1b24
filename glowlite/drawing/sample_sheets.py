"""Sheets of samples: a row at each of several temperatures, as in figure 8 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glowlite.drawing.sheets import enlarged, tile, titled, to_rgb, warn_nonfinite
from glowlite.training.scoring import sample_images

if TYPE_CHECKING:
    from glowlite.flow import Flow

SWEEP = (0.0, 0.25, 0.6, 0.7, 0.8, 0.9, 1.0)  # the temperatures of figure 8
GRID, ROW = 64, 8  # samples by default: of a grid, and of each temperature of a sweep
LOWER_TEMPERATURE = "lower --temperature"  # advice where samples are not finite


def temperature_sheet(
    model: Flow, n_bits: int, n: int, temperatures: Sequence[float], seed: int
) -> np.ndarray:
    """Draw a row of n samples at each temperature, from the same noise: a sheet, uint8 (h, w, 3).

    Samples that are not finite are crossed out, and said on stderr. Cost: n inverse passes per row.
    """
    rows = {}
    for temperature in temperatures:
        images = sample_images(model, n, temperature, seed)
        warn_nonfinite(images, f"samples at temperature {temperature:g}", LOWER_TEMPERATURE)
        rows[f"T = {temperature:g}"] = tile(to_rgb(images, n_bits), n)
    return titled({title: enlarged(sheet) for title, sheet in rows.items()})
