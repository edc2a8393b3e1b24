"""Three other RealNVPs: what their tensors are here, statistics included.

    authors   tensorflow/models, research/real_nvp (Apache-2.0)
    chute     github.com/chrischute/real-nvp (MIT)
    fmu2      github.com/fmu2/realNVP (MIT)

A network there says first all shifts and then all log-scales, or the reverse; here they alternate.
The latents there are one array, of the shape of x: `joined` makes it of the list of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, namespace, to_device, to_host
from glowlite.arrays.parameters import Constant, Parameter, leaves, parameters_of
from glowlite.bijectors.squeeze import Squeeze
from glowlite.errors import GlowliteError
from glowlite.interop.layouts import (
    OIHW,
    SAME,
    SCALE_THEN_SHIFT,
    SHIFT_THEN_SCALE,
    Layout,
    vector,
)
from glowlite.interop.rules import Rule, Tensors
from glowlite.models.realnvp_config import RealNVPConfig

Leaves = tuple[tuple[str, str, Layout], ...]  # a name here, a name there, the layout

# kernels (dy, dx, in, out) as (dy dx, in, out)
TAPS = Layout(
    lambda t: t.reshape(-1, *t.shape[2:]),
    lambda g: g.reshape(*[3 if len(g) == 9 else 1] * 2, *g.shape[1:]),
)
MEAN, VARIANCE = "statistics/mean", "statistics/variance"


@dataclass(frozen=True)
class SignedLength(Rule):
    """g v / |v| of two tensors g and v, each of one entry a channel: v gives the sign alone."""

    def load(self, tensors: Tensors) -> np.ndarray:
        g, v = (self.layout.load(tensors[name]) for name in self.theirs)
        return g * np.sign(v)

    def gradients(self, grad: np.ndarray, tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
        g, v = self.theirs
        yield g, self.layout.back(grad * np.sign(self.layout.load(tensors[v])))
        yield v, self.layout.back(0 * grad)


@dataclass(frozen=True)
class RealNVPKind:
    """Another code's names and habits.

    `config`: makes a RealNVPConfig with its options. `coupling_at`: the prefix of a coupling, from
    its kind, `pixels` or `channels`, level and number. `parts`: the prefixes of the parts of its
    network, by ours. `conv`, `norm`: what such parts hold. `output`: the order of the last
    convolution's channels. `factors`: a and b of the scale, by the kind of coupling. `norm_at`: the
    prefix of the batch normalisation behind a coupling. `idle`: the ends of names of tensors that
    a model does not need.
    """

    name: str
    channels_last: bool
    config: Callable[..., RealNVPConfig]
    coupling_at: Callable[[str, int, int], str]
    parts: Mapping[str, str]
    conv: Leaves
    norm: Leaves
    output: Layout
    factors: Callable[[str], tuple[Rule, ...]]
    norm_at: str | None
    idle: tuple[str, ...]

    def rules(self, config: RealNVPConfig) -> Iterator[Rule]:
        """A rule for every parameter and statistic that such a model may have: some have no gain,
        some no g.
        """
        for level, kind, k in config.couplings():
            ours, theirs = f"level{level}/{kind}{k}", self.coupling_at(kind, level, k)
            for rule in self.coupling_rules(kind, config.blocks):
                yield rule.under(ours, theirs)

    def coupling_rules(self, kind: str, blocks: int) -> Iterator[Rule]:
        network = "/net/raw/image/" if kind == "pixels" else "/net/raw/"
        for ours, theirs in self.parts.items():
            for i in range(blocks if "{i}" in ours else 1):
                part, tensors = network + ours.format(i=i) + "/", theirs.format(i=i)
                for name, tensor, layout in self.norm if "norm" in ours else self.conv:
                    layout = layout >> self.output if ours == "conv_out" else layout
                    yield Rule(part + name, (tensors + tensor,), layout)
        yield from self.factors(kind)
        if self.norm_at is not None:
            for name, tensor, layout in self.norm:
                if name in (MEAN, VARIANCE):
                    yield Rule(f"_norm/{name}", (self.norm_at + tensor,), layout)

    def images(self, tensor: np.ndarray) -> np.ndarray:
        """(N, H, W, C), of an array of images there."""
        return np.ascontiguousarray(tensor if self.channels_last else tensor.transpose(0, 2, 3, 1))


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
    name="authors",
    channels_last=True,
    config=RealNVPConfig.authors,
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
    idle=("/step",),
)
CHUTE = RealNVPKind(
    name="chute",
    channels_last=False,
    config=RealNVPConfig.chute,
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
    idle=(".num_batches_tracked", "data_constraint"),
)
FMU2 = RealNVPKind(
    name="fmu2",
    channels_last=False,
    config=RealNVPConfig.fmu2,
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
    idle=(".num_batches_tracked",),
)
KINDS = {kind.name: kind for kind in (AUTHORS, CHUTE, FMU2)}


def config_from(
    kind: RealNVPKind, tensors: Tensors, image_size: tuple[int, int], **options: Any
) -> RealNVPConfig:
    """The configuration of a model with these tensors, of images (H, W).

    `options`: of `kind.config`, for what tensors do not say: `coupling_bn` of fmu2. Raises
    GlowliteError for tensors of another code.
    """
    first = kind.coupling_at("pixels", 0, 0)
    conv_in, conv_out = (kind.parts[part] for part in ("conv_in", "conv_out"))
    v, layout = next((tensor, layout) for name, tensor, layout in kind.conv if name == "v")

    def width(prefix: str) -> int:
        name = prefix + conv_in + v
        if name not in tensors or tensors[name].ndim != 4:
            raise GlowliteError(f"RealNVP of kind {kind.name}: no tensor {name} with four axes")
        return layout.load(tensors[name]).shape[-1]

    levels = 1
    while any(name.startswith(kind.coupling_at("pixels", levels, 0)) for name in tensors):
        levels += 1
    block = re.escape(first + kind.parts["blocks/{i}/conv1"]).replace(r"\{i\}", r"(\d+)")
    blocks = {match[1] for name in tensors if (match := re.match(block, name))}
    outputs = first + conv_out + v
    channels = layout.load(tensors[outputs]).shape[-1] // 2 if outputs in tensors else 0
    read: dict[str, Any] = {"levels": levels, "width": width(first), "blocks": len(blocks)}
    if levels > 1 and width(kind.coupling_at("channels", 0, 0)) == read["width"]:
        read["widths"] = "constant"
    if kind is AUTHORS:
        read["batch_norm"] = any("/bn_in/" in name for name in tensors)
    return kind.config((*image_size, channels), **{**read, **options})


def fill(part: Any, kind: RealNVPKind, config: RealNVPConfig, tensors: Tensors) -> None:
    """Set every parameter and statistic of `part`, such as `realnvp_layers(config)`.

    Raises GlowliteError, naming a tensor, if one is missing, surplus, misshapen or not finite.
    """
    where, holders = f"RealNVP of kind {kind.name}", _holders(part)
    used: set[str] = set()
    values: dict[str, np.ndarray] = {}
    for rule in _rules(part, kind, config):
        for name in rule.theirs:
            shape = rule.their_shape(holders[rule.ours].value.shape)
            if name not in tensors:
                raise GlowliteError(f"{where}: the tensor {name}, {shape}, is missing")
            if tensors[name].shape != shape or not np.isfinite(tensors[name]).all():
                raise GlowliteError(
                    f"{where}: {name} must be finite numbers {shape}, got {tensors[name].shape}"
                )
        used.update(rule.theirs)
        values[rule.ours] = rule.load(tensors)
    if unset := sorted(set(holders) - set(values)):
        raise GlowliteError(f"{where}: nothing there is {unset[0]} here")
    possible = {name for rule in kind.rules(config) for name in rule.theirs}
    for name in sorted(set(tensors) - used):
        is_fixed = name in possible and (tensors[name] == 1).all()  # a g that is not trained
        is_norm = kind.norm_at is not None and kind.norm_at in name  # of couplings that have none
        if not (is_fixed or is_norm or name.endswith(kind.idle)):
            raise GlowliteError(f"{where}: there is no place for {name}, {tensors[name].shape}")
    for name, value in values.items():
        place = holders[name].value
        place[...] = to_device(np.asarray(value, place.dtype), namespace(place))


def their_gradients(
    part: Any, kind: RealNVPKind, config: RealNVPConfig, tensors: Tensors
) -> dict[str, np.ndarray]:
    """The gradients in `part` under the names and in the layouts there, float64."""
    parameters = parameters_of(part)
    gradients: dict[str, np.ndarray] = {}
    for rule in _rules(part, kind, config):
        if rule.ours in parameters:
            grad = to_host(parameters[rule.ours].grad).astype(np.float64)
            gradients.update(rule.gradients(grad, tensors))
    return gradients


def their_statistics(part: Any, kind: RealNVPKind, config: RealNVPConfig) -> dict[str, np.ndarray]:
    """The running statistics of `part` under the names there."""
    constants = dict(leaves(part, Constant))
    return {
        rule.theirs[0]: rule.layout.back(to_host(constants[rule.ours].value))
        for rule in _rules(part, kind, config)
        if rule.ours in constants
    }


def joined(latents: list[Array]) -> Array:
    """One array (N, H, W, C) of the latents of all levels, as those codes have it."""
    z, corners = latents[-1], Squeeze("corners")
    for eps in reversed(latents[:-1]):
        z = corners.inverse(namespace(z).concatenate((z, eps), axis=-1))
    return z


def parted(z: Array, levels: int) -> list[Array]:
    """The inverse of `joined`."""
    latents = []
    for _ in range(levels - 1):
        z, _ = Squeeze("corners").forward(z)
        half = z.shape[-1] // 2
        z, eps = z[..., :half], z[..., half:]
        latents.append(eps)
    return [*latents, z]


def _holders(part: Any) -> dict[str, Parameter | Constant]:
    return {**parameters_of(part), **dict(leaves(part, Constant))}


def _rules(part: Any, kind: RealNVPKind, config: RealNVPConfig) -> list[Rule]:
    """Those of what `part` has."""
    holders = _holders(part)
    return [rule for rule in kind.rules(config) if rule.ours in holders]
