"""python -m glowlite.report RUN: one HTML page of a run, with its pictures inside, that needs no
network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glowlite.commands.program import Parser
from glowlite.drawing.html_report import page
from glowlite.files.outputs import HTML, check_output, output
from glowlite.terminal import say
from glowlite.training.run_files import read_config


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("report", "Write one HTML page of a run, which works without a network.")
    parser.add_argument("run", help="folder of a run")
    parser.add_argument(
        "--out", metavar="FILE", help="default: report.html in the folder of the run"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    run_folder = Path(options.run)
    out = Path(options.out) if options.out else run_folder / "report.html"
    read_config(run_folder)  # what is not a run is said first
    check_output("--out", out, HTML)
    text = page(run_folder).encode()
    with output("--out", out, HTML) as file:
        file.write(text)
    say(f"{out}: {len(text) / 1e6:.1f} MB, complete in itself")
