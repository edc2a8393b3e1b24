"""C: the variables of the original code, github.com/openai/glow (MIT), TensorFlow, under their own
names.

It is exactly the preset `GlowConfig.openai`, so almost everything differs only in layout. Its 1x1
convolution is y = x W, and the border channel is the last input of its 3x3 kernels.
"""

from __future__ import annotations

from glowlite.interop.glow import GlowKind
from glowlite.interop.layouts import GATHERED, INDICES, POINTWISE, SCATTERED, TRANSPOSED, vector
from glowlite.interop.rules import Rule

CHANNELS = vector(1, 1, 1, -1)


def actnorm(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        Rule(ours + "bias", (theirs + "actnorm_center/b",), CHANNELS),
        Rule(ours + "logs", (theirs + "actnorm_scale/logs",), CHANNELS),
    )


def zero_conv(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        Rule(ours + "weight", (theirs + "W",), SCATTERED),
        Rule(ours + "bias", (theirs + "b",), CHANNELS),
        Rule(ours + "logs", (theirs + "logs",), vector(1, -1)),
    )


def step(coupling: str) -> tuple[Rule, ...]:
    net = "coupling/net/"
    return (
        *actnorm("actnorm/", ""),
        Rule(net + "conv1/weight", ("f1/l_1/W",), GATHERED),
        *actnorm(net + "conv1/", "f1/l_1/"),
        Rule(net + "conv2/weight", ("f1/l_2/W",), POINTWISE),
        *actnorm(net + "conv2/", "f1/l_2/"),
        *zero_conv(net + "conv3/", "f1/l_last/"),
    )


KIND = GlowKind(
    name="C",
    aliases=("openai", "openai/glow"),
    channels_last=True,
    options={"actnorm": "openai", "hidden_actnorm": True, "border": "all"},
    step_at="model/{level}/{step}/",
    split_at="model/pool{level}/conv/",
    top_at="model/prior/p/",
    step=step,
    permutations={
        "conv1x1": (Rule("permutation/weight", ("invconv/W",), TRANSPOSED),),
        "shuffle": (Rule("permutation/indices", ("shuffle/indices",), INDICES),),
    },
    split=zero_conv("prior/conv/", ""),
    top=zero_conv("prior/conv/", ""),
    idle={"shuffle/indices_inverse": None},
)
