"""python -m glowlite.interop check FILE...: hold imported models against golden files."""

from __future__ import annotations

from glowlite.command_line import Parser, run
from glowlite.interop.check import check, tolerance


def main() -> int:
    parser = Parser("interop", "Compare models imported from other Glow codes with what those codes computed.")
    parser.add_argument("action", choices=("check",), help="what to do")
    parser.add_argument("files", nargs="+", metavar="FILE", help="golden files, safetensors")
    failed = 0
    for path in parser.parse_args().files:
        kind, errors = check(path)
        print(f"{path} (kind {kind})")
        for part, of_part in errors.items():
            name, worst = max(of_part.items(), key=lambda item: item[1])
            within = worst <= tolerance(kind, part)
            failed += not within
            verdict = "ok" if within else "TOO LARGE"
            print(
                f"  {part:15} {worst:8.1e} of {tolerance(kind, part):.0e} allowed, {len(of_part):3} tensors, worst {name}: {verdict}"
            )
    print("all within tolerance" if not failed else f"{failed} above tolerance")
    return 1 if failed else 0


if __name__ == "__main__":
    run(main, "interop")
