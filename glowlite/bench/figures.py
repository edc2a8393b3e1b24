"""What a report says of times and memory, and its tables: the same for the CPU and a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glowlite.terminal import warn

if TYPE_CHECKING:
    from glowlite.bench.rounds import Times


def rate(name: str, times: Times) -> float:
    """GFLOP/s of a candidate `sgemm:n`."""
    return float(2 * int(name.partition(":")[2]) ** 3 / times.median / 1e9)


def figures(times: Times, reference: Times, limit: float, images: int) -> dict[str, float]:
    return {
        "median_s": times.median,
        "min_s": min(times.seconds),
        "max_s": max(times.seconds),
        "images_per_s": images / times.median,
        "of_limit": limit / times.median,
        "ratio_to_reversible": times.ratio_to(reference),
        "reversible_by_this": reference.ratio_to(times),
    }


def step_lines(report: dict[str, Any]) -> list[str]:
    heads = ("median s", "min", "max", "images/s", "of limit", "to rev.", "rev. to it")
    lines = [f"{'a training step':22}" + "".join(f"{head:>11}" for head in heads)]
    for name, f in report["steps"].items():
        lines.append(
            f"{name:22}{f['median_s']:11.4f}{f['min_s']:11.4f}{f['max_s']:11.4f}"
            f"{f['images_per_s']:11.1f}{100 * f['of_limit']:10.1f}%"
            f"{f['ratio_to_reversible']:11.3f}{f['reversible_by_this']:11.3f}"
        )
    return lines


def share_line(report: dict[str, Any]) -> str:
    shares = (f"{name} {100 * share:.1f}%" for name, share in report["shares"].items())
    return "shares of a reversible step: " + ", ".join(shares)


def memory_lines(report: dict[str, Any], whole: str) -> list[str]:
    """`whole`: what `resident` is the memory of."""
    if not report["memory"]:
        return []
    lines = [
        "",
        f"peak memory of a step beyond parameters, gradients and optimiser, MiB ({whole}, MiB):",
    ]
    for policy, points in report["memory"].items():
        shown = ", ".join(
            f"K={K}: {p['step'] / 2**20:.1f} ({p['resident'] / 2**20:.0f})"
            for K, p in points.items()
        )
        lines.append(f"  {policy:12} {shown}")
    return lines


def progress(text: str) -> None:
    warn(text)
