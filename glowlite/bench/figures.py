"""The parts of a report about times and memory, and its tables: the same for CPU and GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glowlite.bijectors.memory import Memory
from glowlite.terminal import warn

if TYPE_CHECKING:
    from glowlite.bench.rounds import Times
    from glowlite.bijectors.memory import Kept


def name_of(memory: Memory) -> str:
    """Return the name of the candidate that is a step under this budget: `memory 256MB`."""
    return f"memory {memory}"


REFERENCE = name_of(Memory())  # the step that all others are compared with


def rate(name: str, times: Times) -> float:
    """Return the GFLOP/s of a candidate `sgemm:n`."""
    return float(2 * int(name.partition(":")[2]) ** 3 / times.median / 1e9)


def counts(kept: Kept) -> list[int]:
    """Return how many steps of each level are kept."""
    return [len(plan.kept) for plan in kept.plans]


def figures(
    times: Times, reference: Times, a_pass: float, passes: float, images: int
) -> dict[str, float]:
    """`a_pass`: seconds of a forward pass at the best rate; `passes` such passes are the limit."""
    return {
        "median_s": times.median,
        "min_s": min(times.seconds),
        "max_s": max(times.seconds),
        "images_per_s": images / times.median,
        "passes": passes,
        "limit_s": passes * a_pass,
        "of_limit": passes * a_pass / times.median,
        "ratio_to_default": times.ratio_to(reference),
        "default_by_this": reference.ratio_to(times),
    }


def kept_figures(kept: Kept) -> dict[str, Any]:
    """Return how many steps are kept, out of how many per level, and the line that says so."""
    return {
        "steps": counts(kept),
        "of": [len(costs) for costs in kept.costs],
        "bytes": kept.size,
        "line": str(kept),
    }


def step_lines(report: dict[str, Any]) -> list[str]:
    heads = ("median s", "min", "max", "images/s", "passes", "of limit", "/default", "default/")
    lines = [f"{'a training step':24}" + "".join(f"{head:>9}" for head in heads)]
    for name, f in report["steps"].items():
        lines.append(
            f"{name:24}{f['median_s']:9.4f}{f['min_s']:9.4f}{f['max_s']:9.4f}"
            f"{f['images_per_s']:9.1f}{f['passes']:9.2f}{100 * f['of_limit']:8.1f}%"
            f"{f['ratio_to_default']:9.3f}{f['default_by_this']:9.3f}"
        )
    lines.append("")
    for name, kept in report["kept"].items():
        lines.append(kept["line"] if name.startswith("memory ") else f"{name}: {kept['line']}")
    return lines


def limit_line(report: dict[str, Any]) -> str:
    return (
        f"a forward pass is {report['forward_gflop']:.2f} GFLOP, {report['pass_s']:.4f} s at the"
        f" best rate; limit of a step: the passes it makes, {report['limit_s']:.4f} s of"
        f" {REFERENCE}"
    )


def share_line(report: dict[str, Any]) -> str:
    shares = (f"{name} {100 * share:.1f}%" for name, share in report["shares"].items())
    return f"shares of a step, {REFERENCE}: " + ", ".join(shares)


def memory_lines(report: dict[str, Any], whole: str) -> list[str]:
    """`whole`: a text that says what `resident` measures."""
    if not report["memory"]:
        return []
    lines = [
        "",
        f"peak memory of a step beyond parameters, gradients and optimiser, MiB ({whole}, MiB):",
    ]
    for name, points in report["memory"].items():
        shown = ", ".join(
            f"K={K}: {p['step'] / 2**20:.1f} ({p['resident'] / 2**20:.0f})"
            for K, p in points.items()
        )
        lines.append(f"  {name:24}{shown}")
    return lines


def progress(text: str) -> None:
    warn(text)
