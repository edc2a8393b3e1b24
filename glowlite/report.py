"""python -m glowlite.report RUN: one HTML page of a run, with its pictures inside, that needs no network."""

from __future__ import annotations

import argparse
import base64
import html
import json
from pathlib import Path
from typing import Any

from glowlite.command_line import Parser, run
from glowlite.errors import GlowliteError
from glowlite.run_folder import METRICS, TIMING, read_config
from glowlite.storage import checkpoints_of, write_text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 0.9rem; } td, th { padding: 0.15rem 0.8rem 0.15rem 0; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } img { max-width: 100%; } h2 { margin-top: 2.5rem; }
tr { border-bottom: 1px solid #ddd; } .figures td { font-size: 1.1rem; } summary { cursor: pointer; }
"""
COLUMNS = {
    "step": "step", "epoch": "epoch", "train_bits_per_dim": "training", "held_out_bits_per_dim": "held out",
    "held_out_raw_bits_per_dim": "held out, raw weights", "learning_rate": "learning rate", "grad_norm": "gradient norm",
    "drift": "drift", "condition": "condition of W", "reconstruction_error": "reconstruction error", "skipped": "skipped",
}  # fmt: skip
ROWS = 200  # of the table: evaluations beyond are thinned out


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("report", "Write one HTML page of a run, which works without a network.")
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--out", metavar="FILE", help="default: report.html in the folder of the run")
    return parser.parse_args(arguments)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl; a last line that is still being written is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    try:
        return [json.loads(line) for line in lines[:-1]] + ([json.loads(lines[-1])] if lines and _whole(lines[-1]) else [])
    except ValueError as error:
        raise GlowliteError(f"{path}: is damaged: {error}; remove the line") from None


def _whole(line: str) -> bool:
    return line.endswith("}")


def page(run_folder: Path) -> str:
    """The whole page. Raises GlowliteError for a folder that holds no run, or one that has logged nothing yet."""
    config = read_config(run_folder)
    metrics, timing = lines_of(run_folder / METRICS), lines_of(run_folder / TIMING)
    evaluated = [line for line in metrics if line["held_out_bits_per_dim"] is not None]
    if not metrics:
        raise GlowliteError(f"{run_folder}: the run has not written a line of metrics yet; come back later")
    samples = max(run_folder.glob("samples-*.png"), default=run_folder / "samples.png")
    pictures = [
        ("Learning curve", run_folder / "learning-curve.png", "Mean bits/dim of training batches, and of held-out images."),
        ("Samples", samples, "Drawn at three temperatures, from the same noise at every step."),
        ("Latents", run_folder / "latents.png", "Of held-out images, a level each; under the model they are N(0, 1)."),
        ("Reconstruction", run_folder / "reconstruction.png", "A flow is invertible: what is left is rounding."),
    ]
    options = config["options"]
    parts = [
        f"<h1>{_text(run_folder.resolve().name)}</h1>",
        f"<p>A Glow trained on {_text(config['data'])} at {options['n_bits']} bits.</p>",
        _table(_key_figures(options, metrics, evaluated, timing), "figures"),
        *(_picture(*picture) for picture in pictures if picture[1].exists()),
        "<h2>Evaluations</h2>",
        _evaluations(evaluated),
        "<h2>Options</h2>",
        _table({name: json.dumps(value) for name, value in options.items()}),
        "<h2>Made with</h2>",
        _table({**config["versions"], "checkpoints": ", ".join(path.name for path in checkpoints_of(run_folder)) or "none"}),
    ]
    title = _text(f"{run_folder.resolve().name} - glowlite")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>\n'
        "<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _key_figures(
    options: dict[str, Any], metrics: list[dict[str, Any]], evaluated: list[dict[str, Any]], timing: list[dict[str, Any]]
) -> dict[str, str]:
    figures = {"steps": f"{metrics[-1]['step']:,} of {options['steps']}"}
    if evaluated:
        best = min(evaluated, key=lambda line: line["held_out_bits_per_dim"])
        figures["last held-out bits/dim"] = f"{evaluated[-1]['held_out_bits_per_dim']:.4f}"
        figures["best held-out bits/dim"] = f"{best['held_out_bits_per_dim']:.4f}, at step {best['step']:,}"
    if timing:
        rates = sorted(line["images_per_second"] for line in timing)
        waits = sorted(line["waiting"] for line in timing)
        figures["training time"] = f"{timing[-1]['seconds']:,.0f} s"
        figures["images/s (median)"] = f"{rates[len(rates) // 2]:,.0f}"
        figures["waiting for images (median)"] = f"{100 * waits[len(waits) // 2]:.1f}% of the time"
    figures["skipped steps"] = str(metrics[-1]["skipped"])
    return figures


def _evaluations(lines: list[dict[str, Any]]) -> str:
    lines = lines[:: -(-len(lines) // ROWS)] if lines else []
    columns = [name for name in COLUMNS if any(line[name] is not None for line in lines)]
    head = "".join(f"<th>{COLUMNS[name]}</th>" for name in columns)
    rows = ("".join(f'<td class="number">{_number(line[name])}</td>' for name in columns) for line in lines)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1000 else f"{value:.2e}"


def _picture(title: str, path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<h2>{title}</h2>\n<p>{caption}</p>\n<img alt="{title}" src="data:image/png;base64,{data}">'


def _table(values: dict[str, str], kind: str = "") -> str:
    rows = "".join(f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>" for name, value in values.items())
    return f'<table class="{kind}">{rows}</table>'


def _text(value: object) -> str:
    return html.escape(str(value))


def main() -> None:
    options = parse_arguments()
    run_folder = Path(options.run)
    out = Path(options.out) if options.out else run_folder / "report.html"
    if out.is_dir():
        raise GlowliteError(f"--out {out} is a folder; name a file")
    text = page(run_folder)
    write_text(out, text)
    print(f"{out}: {len(text) / 1e6:.1f} MB, complete in itself")


if __name__ == "__main__":
    run(main, "report")
