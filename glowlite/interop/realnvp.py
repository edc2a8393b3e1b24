"""Three other RealNVP codes: how their tensors, including statistics, correspond to ours.

    realnvp-authors   tensorflow/models, research/real_nvp (Apache-2.0)
    realnvp-chute     github.com/chrischute/real-nvp (MIT)
    realnvp-fmu2      github.com/fmu2/realNVP (MIT)

No tensor determines whether fmu2 normalises after its couplings, since it stores those statistics
in either case. We assume that it does, unless `coupling_norm="none"` is given.
"""

from __future__ import annotations

import numpy as np

from glowlite.interop.layouts import (
    OIHW,
    SAME,
    SCALE_THEN_SHIFT,
    SHIFT_THEN_SCALE,
    TAPS,
    vector,
)
from glowlite.interop.realnvp_kind import MEAN, VARIANCE, RealNVPKind, SignedLength
from glowlite.interop.rules import Rule
from glowlite.models.realnvp_config import RealNVPConfig

TORCH_CONV = (
    ("v", "weight_v", OIHW >> TAPS),
    ("g", "weight_g", vector(-1, 1, 1, 1)),
    ("bias", "bias", SAME),
)
TORCH_NORM = (
    ("gain", "weight", SAME),
    ("bias", "bias", SAME),
    (MEAN, "running_mean", SAME),
    (VARIANCE, "running_var", SAME),
)

AUTHORS = RealNVPKind(
    name="realnvp-authors",
    aliases=("tensorflow/models",),
    channels_last=True,
    options=RealNVPConfig.authors,
    coupling_at=lambda kind, level, k: f"scale_{level}/coupling_{k + 4 * (kind == 'channels')}/",
    parts={
        "norm_in": "bn_in/",
        "conv_in": "resnet/h_in/",
        "skip_in": "resnet/skip_in/",
        "blocks/{i}/norm1": "resnet/block_{i}/bn_in/",
        "blocks/{i}/conv1": "resnet/block_{i}/h_0/",
        "blocks/{i}/norm2": "resnet/block_{i}/bn_0/",
        "blocks/{i}/conv2": "resnet/block_{i}/out/",
        "blocks/{i}/skip": "resnet/skip_{i}/",
        "norm_out": "resnet/bn_pre_out/",
        "conv_out": "resnet/out/",
    },
    conv=(("v", "weights", TAPS), ("g", "magnitude", SAME), ("bias", "biases", SAME)),
    norm=(("bias", "beta", SAME), (MEAN, "mean", SAME), (VARIANCE, "var", SAME)),
    output=SHIFT_THEN_SCALE,
    factors=lambda kind: (
        Rule("/net/a", ("rescaling_scale" if kind == "pixels" else "scale",), vector()),
        Rule("/net/b", ("scale_shift",), vector()),
    ),
    norm_at="bn_out/",
    counter="step",
    white=255,
)
CHUTE = RealNVPKind(
    name="realnvp-chute",
    aliases=("chrischute/real-nvp",),
    channels_last=False,
    options=RealNVPConfig.chute,
    coupling_at=lambda kind, level, k: (
        f"flows.{'next_block.' * level}{'in' if kind == 'pixels' else 'out'}_couplings.{k}."
    ),
    parts={
        "norm_in": "st_net.in_norm.",
        "conv_in": "st_net.in_conv.conv.",
        "skip_in": "st_net.in_skip.conv.",
        "blocks/{i}/norm1": "st_net.blocks.{i}.in_norm.",
        "blocks/{i}/conv1": "st_net.blocks.{i}.in_conv.conv.",
        "blocks/{i}/norm2": "st_net.blocks.{i}.out_norm.",
        "blocks/{i}/conv2": "st_net.blocks.{i}.out_conv.conv.",
        "blocks/{i}/skip": "st_net.skips.{i}.conv.",
        "norm_out": "st_net.out_norm.",
        "conv_out": "st_net.out_conv.conv.",
    },
    conv=TORCH_CONV,
    norm=TORCH_NORM,
    output=SCALE_THEN_SHIFT,
    factors=lambda kind: (
        SignedLength("/net/a", ("rescale.weight_g", "rescale.weight_v"), vector(-1, 1, 1)),
    ),
    norm_at=None,
    counter="num_batches_tracked",
    # 0.9 of the pixel range comes before the logit
    idle={"data_constraint": np.array(0.9)},
)
FMU2 = RealNVPKind(
    name="realnvp-fmu2",
    aliases=("fmu2/realNVP",),
    channels_last=False,
    options=RealNVPConfig.fmu2,
    coupling_at=lambda kind, level, k: (
        f"s{level + 1}_{'ckbd' if kind == 'pixels' else 'chan'}.{k}.coupling."
    ),
    parts={
        "norm_in": "in_bn.",
        "conv_in": "block.1.in_block.conv.",
        "skip_in": "block.1.in_skip.conv.",
        "blocks/{i}/norm1": "block.1.core_block.{i}.in_block.0.",
        "blocks/{i}/conv1": "block.1.core_block.{i}.res_block.0.conv.",
        "blocks/{i}/norm2": "block.1.core_block.{i}.res_block.1.",
        "blocks/{i}/conv2": "block.1.core_block.{i}.res_block.3.conv.",
        "blocks/{i}/skip": "block.1.core_skips.{i}.conv.",
        "norm_out": "block.1.out_block.0.",
        "conv_out": "block.1.out_block.2.conv.",
    },
    conv=TORCH_CONV,
    norm=TORCH_NORM,
    output=SHIFT_THEN_SCALE,
    factors=lambda kind: (
        Rule("/net/a", ("scale",), SAME),
        Rule("/net/b", ("scale_shift",), SAME),
    ),
    norm_at="out_bn.",
    counter="num_batches_tracked",
    chosen=("coupling_norm",),
)
