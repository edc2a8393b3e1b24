"""Kinds of RealNVP codes: their rules, by the parts of a coupling, and the configuration that their
tensors imply.

A network there outputs first all shifts and then all log-scales, or the reverse; here they are
interleaved. The latents there are one array with the shape of x; `joined` makes it from our list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import mode
from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.bijectors.squeeze import Squeeze
from glowlite.errors import GlowliteError
from glowlite.interop.layouts import Layout
from glowlite.interop.rules import Kind, Rule, Tensors
from glowlite.models.realnvp_config import RealNVPConfig

Leaves = tuple[tuple[str, str, Layout], ...]  # a name here, a name there, the layout

MEAN, VARIANCE = "statistics/mean", "statistics/variance"


@dataclass(frozen=True)
class SignedLength(Rule):
    """g v / |v| of two tensors g and v, each with one entry per channel: v gives only the sign."""

    def load(self, tensors: Tensors) -> np.ndarray:
        g, v = (self.layout.load(tensors[name]) for name in self.theirs)
        return g * np.sign(v)

    def gradients(self, grad: np.ndarray, tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
        g, v = self.theirs
        yield g, self.layout.back(grad * np.sign(self.layout.load(tensors[v])))
        yield v, self.layout.back(0 * grad)


@dataclass(frozen=True, kw_only=True)
class RealNVPKind(Kind):
    """Another RealNVP code.

    `options`: makes a RealNVPConfig with its conventions. `chosen`: fields that no tensor
    determines. `coupling_at`: the prefix of a coupling, from its kind, `pixels` or `channels`,
    level and number. `parts`: the prefixes of the parts of its network, by ours. `conv`, `norm`:
    the tensors of such parts. `output`: the order of the last convolution's channels. `factors`: a
    and b of the scale, by the kind of coupling. `norm_at`: the prefix of the batch normalisation
    after a coupling. `counter`: the batch counter beside each pair of running statistics. `idle`:
    tensors of the whole model with the value that they must have. `white`: the value of a white
    pixel in its data.
    """

    options: Callable[..., RealNVPConfig]
    chosen: tuple[str, ...] = ()
    coupling_at: Callable[[str, int, int], str]
    parts: Mapping[str, str]
    conv: Leaves
    norm: Leaves
    output: Layout
    factors: Callable[[str], tuple[Rule, ...]]
    norm_at: str | None
    counter: str
    idle: dict[str, np.ndarray | None] = field(default_factory=dict)
    white: int = 1

    def is_of(self, names: Iterable[str]) -> bool:
        return any(name.startswith(self.coupling_at("pixels", 0, 0)) for name in names)

    def rules(self, config: RealNVPConfig) -> list[Rule]:
        """Return a rule for every parameter and statistic that such a model may have; some have no
        gain, some no g.
        """
        rules = []
        for level, kind, k in config.couplings():
            ours, theirs = f"level{level}/{kind}{k}", self.coupling_at(kind, level, k)
            rules += [rule.under(ours, theirs) for rule in self.coupling_rules(kind, config.blocks)]
        return rules

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

    def counters(self, config: RealNVPConfig) -> dict[str, str]:
        mean = next(tensor for name, tensor, _ in self.norm if name == MEAN)
        return {
            rule.theirs[0].removesuffix(mean) + self.counter: rule.ours
            for rule in self.rules(config)
            if rule.ours.endswith(MEAN)
        }

    def idle_tensors(self, config: RealNVPConfig) -> dict[str, np.ndarray | None]:
        """A g that is not trained is 1; statistics after couplings may be unused."""
        values: dict[str, np.ndarray | None] = {**self.idle, **dict.fromkeys(self.counters(config))}
        for rule in self.rules(config):
            if rule.ours.endswith("/g"):
                values[rule.theirs[0]] = np.array(1.0)
            elif "_norm/" in rule.ours:
                values[rule.theirs[0]] = None
        return values

    def options_in(self, metadata: Mapping[str, str]) -> dict[str, Any]:
        without = "coupling_norm" in self.chosen and metadata.get("coupling_bn", "").strip() == "0"
        return {"coupling_norm": "none"} if without else {}

    def config_from(
        self, tensors: Tensors, image_size: tuple[int, int] | None, overrides: dict[str, Any]
    ) -> RealNVPConfig:
        self.check_overrides(overrides, self.chosen)
        levels = 1
        while any(name.startswith(self.coupling_at("pixels", levels, 0)) for name in tensors):
            levels += 1
        first = self.coupling_at("pixels", 0, 0)
        block = re.escape(first + self.parts["blocks/{i}/conv1"]).replace(r"\{i\}", r"(\d+)")
        blocks = {match[1] for name in tensors if (match := re.match(block, name))}
        read: dict[str, Any] = {"levels": levels, "blocks": len(blocks)}
        read["width"] = self._outputs(tensors, "pixels", "conv_in")
        if levels > 1 and self._outputs(tensors, "channels", "conv_in") == read["width"]:
            read["widths"] = "constant"
        read["batch_norm"] = any(self.parts["norm_in"] in name for name in tensors)
        channels = self._outputs(tensors, "pixels", "conv_out") // 2
        return self.options((*self.sides(image_size), channels), **{**read, **overrides})

    def _outputs(self, tensors: Tensors, kind: str, part: str) -> int:
        """Return the output channels of a convolution, as in most couplings of the first level."""
        v, layout = next((tensor, layout) for name, tensor, layout in self.conv if name == "v")
        names = [self.coupling_at(kind, 0, k) + self.parts[part] + v for k in range(3)]
        kernels = [tensors[name] for name in names if name in tensors and tensors[name].ndim == 4]
        if not kernels:
            raise GlowliteError(f"{self.where}: no tensor {names[0]} with four axes")
        return mode(layout.load(kernel).shape[-1] for kernel in kernels)

    @staticmethod
    def joined(latents: list[Array]) -> Array:
        """Return the latents of all levels as one array (N, H, W, C), as in those codes."""
        z, corners = latents[-1], Squeeze("corners")
        for eps in reversed(latents[:-1]):
            z = corners.inverse(namespace(z).concatenate((z, eps), axis=-1))
        return z

    @staticmethod
    def parted(z: Array, config: RealNVPConfig) -> list[Array]:
        """The inverse of `joined`."""
        latents = []
        for _ in range(config.levels - 1):
            z, _ = Squeeze("corners").forward(z)
            half = z.shape[-1] // 2
            z, eps = z[..., :half], z[..., half:]
            latents.append(eps)
        return [*latents, z]
