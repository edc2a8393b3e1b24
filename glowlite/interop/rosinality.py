"""B: the state dict of a PyTorch Glow, github.com/rosinality/glow-pytorch (MIT).

ActNorm is scale * (x + loc), and only at the start of a step; hidden convolutions have a bias
instead. The output of a network has two blocks of channels: the log-scale and then the shift in a
coupling, the mean and then the log-scale in a prior. Zero convolutions pad their input with ones.
The last level also has a prior, of C channels of zeros.
"""

from __future__ import annotations

import numpy as np

from glowlite.interop.glow import GlowKind
from glowlite.interop.layouts import (
    GATHERED,
    HALF_OF_THE_ZEROS,
    OIHW,
    ONES_PADDED,
    PERMUTATION_MATRIX,
    PIXEL_MATRIX,
    POINTWISE,
    SAME,
    SCALE_THEN_SHIFT,
    SCATTERED,
    SHIFT_THEN_SCALE,
    SIGNS,
    Layout,
    vector,
)
from glowlite.interop.rules import Rule

CHANNELS = vector(1, -1, 1, 1)


def zero_conv(ours: str, theirs: str, outputs: Layout, inputs: Layout = SAME) -> tuple[Rule, ...]:
    return (
        Rule(
            ours + "weight",
            (theirs + "conv.weight",),
            OIHW >> SCATTERED >> ONES_PADDED >> inputs >> outputs,
        ),
        Rule(ours + "bias", (theirs + "conv.bias",), outputs),
        Rule(ours + "logs", (theirs + "scale",), CHANNELS >> outputs),
    )


def step(coupling: str) -> tuple[Rule, ...]:
    net = "coupling/net/"
    return (
        Rule("actnorm/scale", ("actnorm.scale",), CHANNELS),
        # scale (x + loc) = scale x + scale loc
        Rule("actnorm/bias", ("actnorm.scale", "actnorm.loc"), CHANNELS),
        Rule(net + "conv1/weight", ("coupling.net.0.weight",), OIHW >> GATHERED),
        Rule(net + "conv1/bias", ("coupling.net.0.bias",), SAME),
        Rule(net + "conv2/weight", ("coupling.net.2.weight",), OIHW >> POINTWISE),
        Rule(net + "conv2/bias", ("coupling.net.2.bias",), SAME),
        *zero_conv(
            net + "conv3/", "coupling.net.4.", SCALE_THEN_SHIFT if coupling == "affine" else SAME
        ),
    )


KIND = GlowKind(
    name="B",
    aliases=("rosinality", "rosinality/glow-pytorch"),
    channels_last=False,
    options={"actnorm": "paper", "hidden_actnorm": False, "border": "last", "top_prior": "learned"},
    step_at="blocks.{level}.flows.{step}.",
    split_at="blocks.{level}.prior.",
    top_at="blocks.{level}.prior.",
    step=step,
    permutations={
        "conv1x1": (Rule("permutation/weight", ("invconv.weight",), PIXEL_MATRIX),),
        "lu": (
            Rule("permutation/rows", ("invconv.w_p",), PERMUTATION_MATRIX),
            Rule("permutation/sign_s", ("invconv.s_sign",), SIGNS),
            Rule("permutation/lower", ("invconv.w_l",), SAME),
            Rule("permutation/upper", ("invconv.w_u",), SAME),
            Rule("permutation/log_s", ("invconv.w_s",), SAME),
        ),
    },
    split=zero_conv("prior/conv/", "", SHIFT_THEN_SCALE),
    top=zero_conv("prior/conv/", "", SAME, HALF_OF_THE_ZEROS),
    idle={
        "actnorm.initialized": lambda channels: np.array(1),  # 0: its ActNorm has not seen data
        "invconv.l_mask": lambda channels: np.tril(np.ones((channels, channels)), -1),
        "invconv.u_mask": lambda channels: np.triu(np.ones((channels, channels)), 1),
        "invconv.l_eye": np.eye,
    },
    float32_log_det=True,
)
