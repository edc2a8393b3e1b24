"""A run as one HTML page, with its pictures inside, that works offline."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glowlite.errors import GlowliteError
from glowlite.files.inputs import read_bytes
from glowlite.files.pages import plain_page
from glowlite.files.storage import checkpoints_of
from glowlite.terminal import printable, warn
from glowlite.training.metrics import Metrics, Timing
from glowlite.training.run_files import METRICS, TIMING, read_config, read_lines

COLUMNS = {
    "step": "step", "epoch": "epoch", "train_bits_per_dim": "training",
    "held_out_bits_per_dim": "held out", "held_out_raw_bits_per_dim": "held out, raw weights",
    "learning_rate": "learning rate", "grad_norm": "gradient norm", "drift": "drift",
    "condition": "condition number of W", "reconstruction_error": "reconstruction error",
    "held_out_accuracy": "classifier right", "held_out_bayes_accuracy": "Bayes right",
    "skipped": "skipped",
}  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_PICTURE = 1 << 26  # bytes
ROWS = 200  # rows of the table: more evaluations are thinned out


def page(run_folder: Path) -> str:
    """Return the whole page. Raises GlowliteError for a folder without a run, or a run that has
    logged nothing yet.
    """
    config = read_config(run_folder)
    metrics, timing = (
        read_lines(run_folder / METRICS, Metrics),
        read_lines(run_folder / TIMING, Timing),
    )
    evaluated = [line for line in metrics if line["held_out_bits_per_dim"] is not None]
    if not metrics:
        raise GlowliteError(
            f"{run_folder}: the run has not written a line of metrics yet; try again later"
        )
    options = config["options"]
    columns, rows = _evaluations(evaluated)
    return plain_page(
        "glowlite.drawing",
        "report.html",
        title=printable(run_folder.resolve().name),
        data=printable(config["data"]),
        n_bits=options["n_bits"],
        key_figures=_key_figures(options, metrics, evaluated, timing),
        pictures=list(_pictures(run_folder)),
        columns=columns,
        rows=rows,
        options={printable(name): json.dumps(value) for name, value in options.items()},
        made_with={
            **{printable(name): printable(value) for name, value in config["versions"].items()},
            "checkpoints": ", ".join(path.name for path in checkpoints_of(run_folder)) or "none",
        },
    )


def _pictures(run_folder: Path) -> Iterator[dict[str, str]]:
    """Yield the existing pictures of a run, with their titles."""
    samples = max(
        run_folder.glob("samples-" + "[0-9]" * 6 + "*.png"),
        default=run_folder / "samples.png",
        key=lambda p: p.name,
    )
    for title, path, caption in (
        (
            "Learning curve",
            run_folder / "learning-curve.png",
            "Mean bits/dim of training batches, and of held-out images.",
        ),
        ("Samples", samples, "Samples at three temperatures, from the same noise at every step."),
        (
            "Latents",
            run_folder / "latents.png",
            "Latents of held-out images, one plot per level, with the model's density for them.",
        ),
        (
            "Reconstruction",
            run_folder / "reconstruction.png",
            "A flow is invertible, so the differences are rounding errors.",
        ),
    ):
        if os.path.lexists(path):
            content = _png(path)
            if content is None:
                warn(f"{path}: is not a PNG file of this run, so it is left out of the report")
            else:
                yield {
                    "title": title,
                    "caption": caption,
                    "content": base64.b64encode(content).decode(),
                }


def _png(path: Path) -> bytes | None:
    """Return the bytes of a regular file that begins like a PNG, and None for anything else.

    A run can come from someone else, and a link in it could point to any file of the user.
    """
    if path.is_symlink():
        return None
    try:
        content = read_bytes(path, LARGEST_PICTURE)
    except (GlowliteError, OSError):
        return None
    return content if content.startswith(PNG) else None


def _key_figures(
    options: dict[str, Any],
    metrics: list[dict[str, Any]],
    evaluated: list[dict[str, Any]],
    timing: list[dict[str, Any]],
) -> dict[str, str]:
    figures = {"steps": f"{metrics[-1]['step']:,} of {options['steps']}"}
    if evaluated:
        best = min(evaluated, key=lambda line: line["held_out_bits_per_dim"])
        figures["last held-out bits/dim"] = f"{evaluated[-1]['held_out_bits_per_dim']:.4f}"
        figures["best held-out bits/dim"] = (
            f"{best['held_out_bits_per_dim']:.4f}, at step {best['step']:,}"
        )
    if timing:
        rates = sorted(line["images_per_second"] for line in timing)
        waits = sorted(line["waiting"] for line in timing)
        figures["training time"] = f"{timing[-1]['seconds']:,.0f} s"
        figures["images/s (median)"] = f"{rates[len(rates) // 2]:,.0f}"
        figures["waiting for images (median)"] = f"{100 * waits[len(waits) // 2]:.1f}% of the time"
    figures["skipped steps"] = str(metrics[-1]["skipped"])
    return figures


def _evaluations(lines: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns that are not empty, and their numbers, row by row."""
    lines = lines[:: -(-len(lines) // ROWS)] if lines else []
    columns = [name for name in COLUMNS if any(line.get(name) is not None for line in lines)]
    return [COLUMNS[name] for name in columns], [
        [_number(line.get(name)) for name in columns] for line in lines
    ]


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1000 else f"{value:.2e}"
