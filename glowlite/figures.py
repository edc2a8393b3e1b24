"""Pictures of a run: grids of samples and learning curves. Matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.checkpoint import atomic_path


def tile(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """uint8 images (N, H, W, C), C 1 or 3 -> one image (rows (H + gap) + gap, columns (W + gap) + gap, 3), white between."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (h + gap) + gap, (i % columns) * (w + gap) + gap
        sheet[y : y + h, x : x + w] = image if c == 3 else image[..., :1]
    return sheet


def save_sample_grids(path: Path, grids: Mapping[str, np.ndarray], columns: int = 8) -> None:
    """A PNG of the uint8 images (N, H, W, C) of each entry, side by side under their titles, pixels kept square."""
    from matplotlib.figure import Figure

    sheets = {title: tile(images, columns) for title, images in grids.items()}
    aspect = max(sheet.shape[0] / sheet.shape[1] for sheet in sheets.values())
    figure = Figure(figsize=(4.2 * len(sheets), 4.2 * aspect + 0.4), layout="constrained")
    for axes, (title, sheet) in zip(figure.subplots(1, len(sheets), squeeze=False)[0], sheets.items(), strict=True):
        axes.imshow(sheet, interpolation="nearest")
        axes.set_title(title)
        axes.axis("off")
    _save(figure, path)


def save_learning_curve(path: Path, metrics: Sequence[Mapping[str, Any]], n_bits: int) -> None:
    """A PNG of training and held-out bits/dim over steps, from the objects of `metrics.jsonl`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot([m["step"] for m in metrics], [m["train_bits_per_dim"] for m in metrics], lw=1, label="training")
    held_out = [(m["step"], m["held_out_bits_per_dim"]) for m in metrics if m["held_out_bits_per_dim"] is not None]
    axes.plot(*zip(*held_out, strict=True), "o-", ms=3, label="held out")
    # the first steps are far above the rest: show from the 90th percentile down
    values = sorted(m["train_bits_per_dim"] for m in metrics)
    axes.set_ylim(top=values[int(0.95 * (len(values) - 1))] + 0.1 * (values[-1] - values[0] or 1))
    axes.set(xlabel="step", ylabel=f"bits/dim at {n_bits} bits")
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
