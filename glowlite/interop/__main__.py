"""python -m glowlite.interop check FILE...: compare imported models with golden files."""

from __future__ import annotations

from pathlib import Path

from glowlite.commands.program import Parser, run
from glowlite.interop.golden import check
from glowlite.models.config import PERMUTATIONS
from glowlite.terminal import say


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(
        "interop", "Compare models imported from other codes with what those codes computed."
    )
    parser.add_argument("action", choices=("check",), help="the action")
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="golden files, in safetensors format"
    )
    parser.add_argument(
        "--permutation",
        metavar="NAME",
        help=f"permutation of Glows: {', '.join(PERMUTATIONS)}, or one per level, separated by"
        " commas (default: as each file says)",
    )
    options, above = parser.parse_args(arguments), 0
    for path in options.files:
        report = check(path, options.permutation)
        say(f"{path}: kind {report.kind.name}{report.note}")
        for quantity, errors in report.errors.items():
            name, error = max(errors.items(), key=lambda item: item[1])
            limit = report.limits[quantity]
            above += error > limit
            verdict = "ok" if error <= limit else "ABOVE"
            say(
                f"  {quantity:14} {error:7.1e} of {limit:.0e}, {len(errors):3} tensors, largest in"
                f" {name}: {verdict}"
            )
    say("all within tolerance" if not above else f"{above} above tolerance")
    return 1 if above else 0


if __name__ == "__main__":
    run(main, "interop")
