"""Pictures of a run: samples, learning curves, latents, reconstructions.

Matplotlib is imported when a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.backend import to_host
from glowlite.data.images import Images
from glowlite.distributed.communicator import Communicator
from glowlite.drawing.class_rows import row_labels, row_names
from glowlite.drawing.plots import add_legend, figure_at, shortened
from glowlite.drawing.sheets import columns_of, tile, to_rgb
from glowlite.latent.walks import finite
from glowlite.objective import (
    Base,
    Logistic,
    Normal,
    as_continuous,
    dequantization_noise,
    to_pixels,
)
from glowlite.training.scoring import sample_images

if TYPE_CHECKING:
    from glowlite.flow import Flow

TEMPERATURES = (0.5, 0.7, 0.9)
SAMPLES = 64  # samples at each temperature
# width of a grid of samples, and its largest ratio of height to width
GRID_INCHES, TALLEST = 4.2, 3.0
# latents are drawn up to where their density vanishes, but no further than the widest
NOTHING, WIDEST = 1e-5, 20


def samples_at_temperatures(model: Flow, ranks: Communicator) -> dict[float, np.ndarray]:
    """Return SAMPLES images (n, H, W, C) at each of TEMPERATURES, drawn by all ranks. For a model
    with classes, as many as fit, class by class.
    """
    count, given = SAMPLES, model
    if model.classes:
        labels = row_labels(model.classes, max(1, SAMPLES // model.classes))
        count, given = len(labels), model.given(labels)
    return {
        temperature: sample_images(given, count, temperature, model.seed, ranks)
        for temperature in TEMPERATURES
    }


def save_pictures(
    path: Path,
    model: Flow,
    samples: Mapping[float, np.ndarray],
    held_out: Images,
    n_bits: int,
    step: int,
    labels: np.ndarray | None = None,
) -> None:
    """Write samples-STEP.png (of `samples`, by temperature), latents.png and reconstruction.png to
    the folder `path`.

    `labels`: those of the held-out images, for a model with classes.
    """
    grids = {}
    for temperature, images in samples.items():
        whole = int(finite(images).sum())
        missing = (
            "" if whole == len(images) else f" ({len(images) - whole} of {len(images)} not finite)"
        )
        grids[f"T = {temperature}{missing}"] = to_rgb(images, n_bits)
    save_sample_grids(path / f"samples-{step:06d}.png", grids, row_names(model))

    shown = held_out[: min(len(held_out), 32)]
    noise = dequantization_noise(0, "pictures", 0, 0, shown.shape, model.dtype.name)
    x = as_continuous(shown, n_bits, noise, model.dtype, model.xp, model.variational)
    x = model.dequantized(x, n_bits)
    model = model if labels is None else model.given(labels[: len(shown)])
    latents = model.encode(x)
    save_latents(path / "latents.png", [to_host(eps) for eps in latents], model.base)
    save_reconstruction(
        path / "reconstruction.png", to_host(x)[:8], to_host(model.decode(latents))[:8], n_bits
    )


def save_sample_grids(
    path: Path, grids: Mapping[str, np.ndarray], rows: Sequence[str] = ()
) -> None:
    """Write a PNG of the uint8 images (N, H, W, C) of each entry, side by side under their titles,
    with square pixels.

    Each grid has one row per name in `rows` or, without them, the number of columns that makes it
    nearest to a square. It is at most TALLEST times as tall as wide.
    """
    sheets = {
        title: tile(images, len(images) // len(rows) if rows else columns_of(*images.shape[:3]))
        for title, images in grids.items()
    }
    aspect = min(TALLEST, max(sheet.shape[0] / sheet.shape[1] for sheet in sheets.values()))
    with figure_at(path, GRID_INCHES * len(sheets), GRID_INCHES * aspect + 0.4) as figure:
        all_axes = figure.subplots(1, len(sheets), squeeze=False)[0]
        for axes, (title, sheet) in zip(all_axes, sheets.items(), strict=True):
            axes.imshow(sheet, interpolation="nearest")
            axes.set_title(title)
            axes.axis("off")
        for i, name in enumerate(rows):
            height = next(iter(sheets.values())).shape[0]
            all_axes[0].text(
                -2, height * (i + 0.5) / len(rows), shortened(name), ha="right", va="center"
            )


def save_latents(path: Path, latents: Sequence[np.ndarray], base: Base) -> None:
    """Write a PNG of the latents of held-out images, one histogram per level, with the model's
    density for each component.
    """
    values = np.arange(1.0, WIDEST)
    beyond = values[base.log_prob([values[:, None]]) < np.log(NOTHING)]
    limit = beyond[0] if len(beyond) else WIDEST
    edges = np.linspace(-limit, limit, 101)
    density = np.exp(base.log_prob([edges[:, None]]))
    name = {Normal: "N(0, 1)", Logistic: "logistic"}.get(type(base), "the model's")
    with figure_at(path, 3.2 * len(latents), 3.0) as figure:
        for level, (axes, eps) in enumerate(
            zip(figure.subplots(1, len(latents), squeeze=False)[0], latents, strict=True)
        ):
            inside = np.clip(eps.ravel(), -limit, limit)
            axes.hist(inside, edges, density=True, label=f"level {level}")
            axes.plot(edges, density, lw=1.5, label=name)
            axes.set(xlabel=f"eps: mean {eps.mean():.2f}, std {eps.std():.2f}", yticks=[])
            axes.legend(loc="upper left", fontsize="small")


def save_reconstruction(path: Path, x: np.ndarray, rebuilt: np.ndarray, n_bits: int) -> None:
    """Write a PNG of images x (N, H, W, C), of decode(encode(x)), and of the difference, scaled to
    its largest value.
    """
    error = np.abs(rebuilt - x)
    largest = float(error.max())
    shown = (255 * error / (largest or 1)).astype(np.uint8)
    rows = {
        "held-out images": to_pixels(x, n_bits),
        "decode(encode(x))": to_pixels(rebuilt, n_bits),
        f"difference; white: {256 * largest:.1e} grey levels": shown,
    }
    with figure_at(path, 6.4, 3.6) as figure:
        for axes, (title, images) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
            axes.imshow(tile(images, len(images)), interpolation="nearest")
            axes.set_title(title, fontsize="small")
            axes.axis("off")


def save_histograms(path: Path, results: Mapping[str, np.ndarray], n_bits: int) -> None:
    """Write a PNG of the bits/dim (N,) of the images of several data sets, as densities.

    Non-finite values are left out. This is the output of --histogram. Raises OutputError.
    """
    shown = {name: bits[np.isfinite(bits)] for name, bits in results.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(shown.values())), 100).tolist()
    with figure_at(path, 6.4, 3.6, option="--histogram") as figure:
        axes, names = figure.subplots(), []
        for name, bits in shown.items():
            axes.hist(bits, edges, density=True, alpha=0.6, label="shown")
            names.append(
                f"{shortened(name)}: {bits.mean():.2f} bits/dim" if len(bits) else shortened(name)
            )
        axes.set(xlabel=f"bits/dim at {n_bits} bits", yticks=[])
        add_legend(axes, names)


def save_learning_curve(
    path: Path, metrics: Sequence[Mapping[str, Any]], n_bits: int | None
) -> None:
    """Write a PNG of training and held-out bits/dim over steps, from the objects of
    `metrics.jsonl`.
    """
    labels = {
        "train_bits_per_dim": ("-", "training"),
        "held_out_raw_bits_per_dim": (".-", "held out, raw weights"),
        "held_out_bits_per_dim": ("o-", "held out"),
    }
    with figure_at(path, 6.4, 4.0) as figure:
        axes = figure.subplots()
        for name, (style, label) in labels.items():
            points = [(m["step"], m[name]) for m in metrics if m[name] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), style, lw=1, ms=3, label=label)
        # the first steps are far above the rest: show from the 95th percentile down
        values = sorted(
            m["train_bits_per_dim"] for m in metrics if m["train_bits_per_dim"] is not None
        )
        if values:
            axes.set_ylim(
                top=values[int(0.95 * (len(values) - 1))] + 0.1 * (values[-1] - values[0] or 1)
            )
        unit = "bits/dim" + ("" if n_bits is None else f" at {n_bits} bits")
        axes.set(xlabel="step", ylabel=unit)
        axes.grid(alpha=0.3)
        axes.legend()
