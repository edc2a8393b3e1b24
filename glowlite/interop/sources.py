"""Three Glow codes: what their arrays are called, how they are laid out, and which of our options they stand for.

    A  PyTorch, names `flow.layers.*` (y0ast/Glow-PyTorch)         B  PyTorch, names `blocks.*` (rosinality/glow-pytorch)
    C  TensorFlow, names `model/*` (openai/glow)

Each source is one function that reads a configuration off the names and shapes and lists, for our every parameter, whence
it comes. Nothing here computes with a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from glowlite.errors import GlowliteError
from glowlite.interop.maps import (
    Linear,
    border_of_ones,
    gather_weight,
    hwio_from_oihw,
    outputs_in_order,
    same,
    scaled,
    scatter_weight,
    transposed,
)

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Rule:
    """Our parameter or constant `ours` is `map` applied to their tensor `theirs`."""

    ours: str
    theirs: str
    map: Linear


@dataclass(frozen=True)
class ShiftThenScale:
    """B's ActNorm, scale * (x + loc), is our scale * x + bias with bias = scale * loc: the one map that is not linear."""

    ours: str
    theirs: str


@dataclass(frozen=True)
class Source:
    """The fields of GlowConfig that the tensors fix, and a rule for every parameter."""

    options: dict[str, Any]
    rules: list[Rule | ShiftThenScale]


def _level_shapes(widths: list[list[int]], kind: str) -> dict[str, Any]:
    """K, L and C from the channels of every step of every level."""
    counts = {len(level) for level in widths}
    if len(counts) != 1 or not widths[0]:
        raise GlowliteError(f"weights of kind {kind}: expected as many steps in every level, got {[len(w) for w in widths]}")
    return {"K": len(widths[0]), "L": len(widths), "channels": widths[0][0] // 4}


def _interleaved(channels: int, first: str) -> np.ndarray:
    """Our outputs 0::2, 1::2 from halves that come one after the other; `first`: which of the two is their first half."""
    half = np.arange(channels // 2)
    order = np.empty(channels, np.int64)
    order[0::2], order[1::2] = (half, half + channels // 2) if first == "even" else (half + channels // 2, half)
    return order


def _from_permutation_matrix() -> Linear:
    """P with (P M)[i] = M[rows[i]] -> rows."""
    return Linear(lambda theirs: theirs.argmax(axis=1), lambda g, shape: g)


def _of_weights(tensors: Tensors, name: str) -> np.ndarray:
    if name not in tensors:
        raise GlowliteError(f"weights: the tensor {name} is missing")
    return tensors[name]


def source_a(tensors: Tensors) -> Source:
    """A: hidden ActNorms whose logs are not multiplied by 3; the rest as in the original, without the border channel."""
    numbers = sorted({int(m[1]) for name in tensors if (m := re.match(r"flow\.layers\.(\d+)\.", name))})
    levels: list[list[int]] = [[]]
    splits: list[int] = []
    for i in numbers:
        if f"flow.layers.{i}.actnorm.bias" in tensors:
            levels[-1].append(i)
        else:
            splits.append(i)
            levels.append([])
    conv = hwio_from_oihw().then(scatter_weight())
    rules: list[Rule | ShiftThenScale] = []
    options: dict[str, Any] = {}
    for level, steps in enumerate(levels):
        for k, i in enumerate(steps):
            ours, theirs = f"level{level}/step{k}", f"flow.layers.{i}"
            net, block = f"{ours}/coupling/net", f"{theirs}.block"
            rules += [
                Rule(f"{ours}/actnorm/bias", f"{theirs}.actnorm.bias", scaled(1.0)),
                Rule(f"{ours}/actnorm/logs", f"{theirs}.actnorm.logs", scaled(1 / 3)),
            ]
            options["permutation"] = _permutation_rules(tensors, rules, ours, theirs)
            for conv_name, j in (("conv1", 0), ("conv2", 2)):
                rules += [
                    Rule(f"{net}/{conv_name}/weight", f"{block}.{j}.conv.weight", hwio_from_oihw().then(gather_weight())),
                    Rule(f"{net}/{conv_name}/bias", f"{block}.{j}.actnorm.bias", scaled(1.0)),
                    Rule(f"{net}/{conv_name}/logs", f"{block}.{j}.actnorm.logs", scaled(1 / 3)),
                ]
            rules += _zero_conv(f"{net}/conv3", f"{block}.4.conv.weight", f"{block}.4.conv.bias", f"{block}.4.logs", conv)
    for level, i in enumerate(splits):
        theirs = f"flow.layers.{i}.conv"
        names = (f"{theirs}.conv.weight", f"{theirs}.conv.bias", f"{theirs}.logs")
        rules += _zero_conv(f"level{level}/split/prior/conv", *names, conv)
    if "learn_top_fn.conv.weight" in tensors:
        names = ("learn_top_fn.conv.weight", "learn_top_fn.conv.bias", "learn_top_fn.logs")
        rules += _zero_conv("top/prior/conv", *names, conv)
    channels = [[_of_weights(tensors, f"flow.layers.{i}.actnorm.bias").size for i in steps] for steps in levels]
    first = f"flow.layers.{levels[0][0]}.block" if levels[0] else "flow.layers.1.block"
    options |= _level_shapes(channels, "A") | _net_options(
        tensors, f"{first}.0.conv.weight", f"{first}.4.conv.weight", channels[0][0], 0
    )
    options |= {"border": "none", "top_prior": "learned" if "learn_top_fn.conv.weight" in tensors else "unit"}
    return Source(options, rules)


def source_b(tensors: Tensors) -> Source:
    """B: no ActNorm but a bias in the hidden layers; zero convolutions padded with ones; halves in chunks; LU at the top."""
    L = 1 + max((int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d+)\.", name))), default=-1)
    K = 1 + max((int(m[1]) for name in tensors if (m := re.match(r"blocks\.0\.flows\.(\d+)\.", name))), default=-1)
    if not L or not K:
        raise GlowliteError("weights of kind B: no tensor is named blocks.N.flows.N.*")
    rules: list[Rule | ShiftThenScale] = []
    permutations, widths = [], []
    for level in range(L):
        widths.append([_of_weights(tensors, f"blocks.{level}.flows.{k}.actnorm.scale").size for k in range(K)])
        channels, permutation = widths[-1][0], ""
        for k in range(K):
            ours, theirs = f"level{level}/step{k}", f"blocks.{level}.flows.{k}"
            net, block = f"{ours}/coupling/net", f"{theirs}.coupling.net"
            rules.append(ShiftThenScale(f"{ours}/actnorm", f"{theirs}.actnorm"))
            permutation = _permutation_rules(tensors, rules, ours, theirs)
            for conv_name, j in (("conv1", 0), ("conv2", 2)):
                rules += [
                    Rule(f"{net}/{conv_name}/weight", f"{block}.{j}.weight", hwio_from_oihw().then(gather_weight())),
                    Rule(f"{net}/{conv_name}/bias", f"{block}.{j}.bias", same()),
                ]
            hidden = _of_weights(tensors, f"{block}.2.weight").shape[0]
            outputs = _of_weights(tensors, f"{block}.4.conv.weight").shape[0]
            order = _interleaved(channels, "odd") if outputs == channels else np.arange(outputs)  # log s, then t
            rules += _ones_conv(f"{net}/conv3", f"{block}.4", hidden, order)
        permutations.append(permutation)
        if level < L - 1:
            order = _interleaved(channels, "even")  # mean, then logs
            rules += _ones_conv(f"level{level}/split/prior/conv", f"blocks.{level}.prior", channels // 2, order)
        else:
            rules += _ones_conv("top/prior/conv", f"blocks.{level}.prior", 2 * channels, np.arange(2 * channels))
    net = "blocks.0.flows.0.coupling.net"
    options = _level_shapes(widths, "B") | _net_options(tensors, f"{net}.0.weight", f"{net}.4.conv.weight", widths[0][0], 0)
    options |= {"permutation": ",".join(permutations), "actnorm": "paper", "hidden_actnorm": False, "border": "last"}
    return Source(options, rules)


def source_c(tensors: Tensors) -> Source:
    """C: the original, under the names of its TensorFlow variables. y = x W there, W x here."""
    L = 1 + max((int(m[1]) for name in tensors if (m := re.match(r"model/(\d+)/", name))), default=-1)
    K = 1 + max((int(m[1]) for name in tensors if (m := re.match(r"model/0/(\d+)/", name))), default=-1)
    if not L or not K:
        raise GlowliteError("weights of kind C: no tensor is named model/N/N/*")
    rules: list[Rule | ShiftThenScale] = []
    permutation = "reverse"
    widths = [[_of_weights(tensors, f"model/{level}/{k}/actnorm_center/b").size for k in range(K)] for level in range(L)]
    for level in range(L):
        for k in range(K):
            ours, theirs = f"level{level}/step{k}", f"model/{level}/{k}"
            net = f"{ours}/coupling/net"
            rules += _actnorm_c(f"{ours}/actnorm", theirs)
            if f"{theirs}/invconv/W" in tensors:
                permutation = "conv1x1"
                rules.append(Rule(f"{ours}/permutation/weight", f"{theirs}/invconv/W", transposed()))
            elif f"{theirs}/shuffle/indices" in tensors:
                permutation = "shuffle"
                rules.append(Rule(f"{ours}/permutation/indices", f"{theirs}/shuffle/indices", same()))
            for conv_name, layer in (("conv1", "l_1"), ("conv2", "l_2")):
                rules.append(Rule(f"{net}/{conv_name}/weight", f"{theirs}/f1/{layer}/W", gather_weight()))
                rules += _actnorm_c(f"{net}/{conv_name}", f"{theirs}/f1/{layer}")
            names = (f"{theirs}/f1/l_last/W", f"{theirs}/f1/l_last/b", f"{theirs}/f1/l_last/logs")
            rules += _zero_conv(f"{net}/conv3", *names, scatter_weight())
        prior = f"model/pool{level}/conv" if level < L - 1 else "model/prior/p"
        if level < L - 1 or f"{prior}/W" in tensors:
            ours = f"level{level}/split/prior/conv" if level < L - 1 else "top/prior/conv"
            rules += _zero_conv(ours, f"{prior}/W", f"{prior}/b", f"{prior}/logs", scatter_weight())
    options = _level_shapes(widths, "C") | _net_options(
        tensors, "model/0/0/f1/l_1/W", "model/0/0/f1/l_last/W", widths[0][0], -1
    )
    options |= {"permutation": permutation, "top_prior": "learned" if "model/prior/p/W" in tensors else "unit"}
    return Source(options, rules)


def _net_options(tensors: Tensors, conv1: str, conv3: str, channels: int, axis: int) -> dict[str, Any]:
    """Width and kind of coupling from the output channels, axis `axis`, of the first and last convolution of a net."""
    affine = _of_weights(tensors, conv3).shape[axis] == channels
    return {"width": _of_weights(tensors, conv1).shape[axis], "coupling": "affine" if affine else "additive"}


def _zero_conv(ours: str, weight: str, bias: str, logs: str, layout: Linear) -> list[Rule]:
    return [
        Rule(f"{ours}/weight", weight, layout),
        Rule(f"{ours}/bias", bias, scaled(1.0)),
        Rule(f"{ours}/logs", logs, scaled(1.0)),
    ]


def _ones_conv(ours: str, theirs: str, rows: int, order: np.ndarray) -> list[Rule]:
    layout = hwio_from_oihw().then(scatter_weight()).then(border_of_ones(rows)).then(outputs_in_order(order))
    return [
        Rule(f"{ours}/weight", f"{theirs}.conv.weight", layout),
        Rule(f"{ours}/bias", f"{theirs}.conv.bias", scaled(1.0).then(outputs_in_order(order))),
        Rule(f"{ours}/logs", f"{theirs}.scale", scaled(1.0).then(outputs_in_order(order))),
    ]


def _actnorm_c(ours: str, theirs: str) -> list[Rule]:
    return [
        Rule(f"{ours}/bias", f"{theirs}/actnorm_center/b", scaled(1.0)),
        Rule(f"{ours}/logs", f"{theirs}/actnorm_scale/logs", scaled(1.0)),
    ]


# the names of an LU permutation after the common part, in A and in B: P, strict L, strict U, log|s|, sign of s
LU_NAMES = {
    "p": ("p", "lower", "upper", "log_s", "sign_s"),
    "w_p": ("w_p", "w_l", "w_u", "w_s", "s_sign"),
}


def _permutation_rules(tensors: Tensors, rules: list[Rule | ShiftThenScale], ours: str, theirs: str) -> str:
    """Add the rules of one PyTorch permutation; returns its name in GlowConfig."""
    here = f"{ours}/permutation"
    for first, names in LU_NAMES.items():
        if f"{theirs}.invconv.{first}" in tensors:
            p, lower, upper, log_s, sign_s = (f"{theirs}.invconv.{name}" for name in names)
            rules += [
                Rule(f"{here}/rows", p, _from_permutation_matrix()),
                Rule(f"{here}/sign_s", sign_s, same()),
                Rule(f"{here}/lower", lower, _strict(np.tril, -1)),
                Rule(f"{here}/upper", upper, _strict(np.triu, 1)),
                Rule(f"{here}/log_s", log_s, same()),
            ]
            return "lu"
    if f"{theirs}.invconv.weight" in tensors:
        square = Linear(lambda W: W.reshape(W.shape[0], W.shape[1]), lambda g, shape: g.reshape(shape))
        rules.append(Rule(f"{here}/weight", f"{theirs}.invconv.weight", square))
        return "conv1x1"
    for name in ("shuffle", "reverse"):
        if f"{theirs}.{name}.indices" in tensors:
            rules.append(Rule(f"{here}/indices", f"{theirs}.{name}.indices", same()))
            return name
    return "reverse"


def _strict(triangle: Callable[..., np.ndarray], k: int) -> Linear:
    return Linear(lambda theirs: triangle(theirs, k), lambda g, shape: triangle(g, k))


SOURCES: dict[str, Callable[[Tensors], Source]] = {"A": source_a, "B": source_b, "C": source_c}
NAMES = {"y0ast": "A", "rosinality": "B", "openai": "C"}
