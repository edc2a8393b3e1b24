"""python -m glowlite.report RUN: write one HTML page about a run, with its pictures inside, that
works offline.
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
    parser = Parser("report", "Write one HTML page about a run, which works offline.")
    parser.add_argument("run", help="folder of a run")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the HTML page to write; default: report.html in the run folder",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    run_folder = Path(options.run)
    out = Path(options.out) if options.out else run_folder / "report.html"
    read_config(run_folder)  # first report a folder that is not a run
    check_output("--out", out, HTML)
    text = page(run_folder).encode()
    with output("--out", out, HTML) as file:
        file.write(text)
    say(f"{out}: {len(text) / 1e6:.1f} MB, self-contained")
