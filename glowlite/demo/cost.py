"""The cost of a pass of a model in a browser: its multiply-adds, from the description of its
layers.

Only matrix products are counted. A browser computes their terms one after the other, without vector
instructions.
"""

from __future__ import annotations

from typing import Any

# multiply-adds per second on one core of a desktop computer; a phone takes two to four times as
# long
MULTIPLY_ADDS = 1.0e9
Shape = tuple[int, int]


def seconds(layers: dict[str, Any], image_shape: tuple[int, ...]) -> float:
    """Estimate the seconds of one pass of one picture."""
    return multiply_adds(layers, image_shape[:2])[0] / MULTIPLY_ADDS


def multiply_adds(node: Any, shape: Any) -> tuple[int, Shape]:
    """Return the multiply-adds of a layer for an image of `shape`, (H, W), and the shape of its
    output.
    """
    height, width = shape
    if isinstance(node, list):  # layers in sequence
        total = 0
        for part in node:
            work, shape = multiply_adds(part, shape)
            total += work
        return total, shape
    kind = node.get("layer") if isinstance(node, dict) else None
    if kind == "Squeeze":
        return 0, (height // 2, width // 2)
    if kind == "Checkerboard":
        return 0, (height, width // 2)
    if kind == "Reversed":
        inner = node["of"]["layer"]
        return 0, (2 * height if inner == "Squeeze" else height, 2 * width)
    if kind == "Flatten":
        return 0, (1, 1)
    if kind == "Multiscale":
        parts = [part for level in node["levels"] for part in level.values()]
        return multiply_adds([*parts, node["top"]], shape)
    if kind == "Chain":
        return multiply_adds(node["layers"], shape)
    if kind == "Preprocessed":
        return multiply_adds([node["before"], node["flow"]], shape)
    if kind == "Invertible1x1ConvLU":
        return height * width * node["log_s"]["count"] ** 2, shape
    if kind == "Whitening":
        return 2 * node["rotation"]["count"], shape
    return height * width * _matrices(node), shape


def _matrices(node: Any) -> int:
    """Return the number of entries of a layer's matrices: each is used once per pixel."""
    if isinstance(node, list):
        return sum(map(_matrices, node))
    if not isinstance(node, dict):
        return 0
    if node.get("layer") == "CheckerboardNetwork":  # its network sees twice as many pixels
        return 2 * _matrices(node["image"])
    if node.get("layer") == "MLP":
        return sum(int(weight["count"]) for weight in node["weights"])
    own = sum(int(node[name]["count"]) for name in ("weight", "v") if node.get(name))
    return own + sum(_matrices(part) for part in node.values())
