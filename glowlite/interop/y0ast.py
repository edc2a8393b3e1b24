"""A: the state dict of a PyTorch Glow, github.com/y0ast/Glow-PyTorch (MIT).

It is the original code without its border channel. The log-scale of an ActNorm is not multiplied by
3. A fixed shuffle is not part of its state dict: add each `shuffle.indices` to the tensors, under
the name of its step.
"""

from __future__ import annotations

from glowlite.interop.glow import GlowKind
from glowlite.interop.layouts import (
    GATHERED,
    INDICES,
    OIHW,
    PERMUTATION_MATRIX,
    POINTWISE,
    SAME,
    SCATTERED,
    SIGNS,
    times,
    vector,
)
from glowlite.interop.rules import Rule

CHANNELS = vector(1, -1, 1, 1)


def actnorm(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        Rule(ours + "bias", (theirs + "bias",), CHANNELS),
        # exp(logs) there, exp(3 logs) here
        Rule(ours + "logs", (theirs + "logs",), CHANNELS >> times(1 / 3)),
    )


def zero_conv(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        Rule(ours + "weight", (theirs + "conv.weight",), OIHW >> SCATTERED),
        Rule(ours + "bias", (theirs + "conv.bias",), SAME),
        Rule(ours + "logs", (theirs + "logs",), vector(-1, 1, 1)),
    )


def step(coupling: str) -> tuple[Rule, ...]:
    net = "coupling/net/"
    return (
        *actnorm("actnorm/", "actnorm."),
        Rule(net + "conv1/weight", ("block.0.conv.weight",), OIHW >> GATHERED),
        *actnorm(net + "conv1/", "block.0.actnorm."),
        Rule(net + "conv2/weight", ("block.2.conv.weight",), OIHW >> POINTWISE),
        *actnorm(net + "conv2/", "block.2.actnorm."),
        *zero_conv(net + "conv3/", "block.4."),
    )


KIND = GlowKind(
    name="A",
    aliases=("y0ast", "y0ast/Glow-PyTorch"),
    channels_last=False,
    options={"actnorm": "openai", "hidden_actnorm": True, "border": "none"},
    step_at="flow.layers.{layer}.",
    split_at="flow.layers.{layer}.conv.",
    top_at="learn_top_fn.",
    step=step,
    permutations={
        "conv1x1": (Rule("permutation/weight", ("invconv.weight",), SAME),),
        "lu": (
            Rule("permutation/rows", ("invconv.p",), PERMUTATION_MATRIX),
            Rule("permutation/sign_s", ("invconv.sign_s",), SIGNS),
            Rule("permutation/lower", ("invconv.lower",), SAME),
            Rule("permutation/upper", ("invconv.upper",), SAME),
            Rule("permutation/log_s", ("invconv.log_s",), SAME),
        ),
        "shuffle": (Rule("permutation/indices", ("shuffle.indices",), INDICES),),
    },
    split=zero_conv("prior/conv/", ""),
    top=zero_conv("prior/conv/", ""),
    top_input="prior_h",
)
