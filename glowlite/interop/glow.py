"""Kinds of Glow codes: their rules, by the parts of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glowlite.interop.reading import config_from, parts_named
from glowlite.interop.rules import Kind, Rule, Tensors
from glowlite.models.config import GlowConfig


@dataclass(frozen=True, kw_only=True)
class GlowKind(Kind):
    """Another Glow code. Names of parts are patterns of {level}, {step} and {layer}.

    `options`: fields of GlowConfig, the same for every model of this kind. `layer` counts through
    one flat list of squeeze, steps and split, level after level. `step` depends only on the kind of
    coupling, and `split` on nothing. `permutations`: those that are stored as tensors. `idle`:
    tensors of a step that the others determine, as functions of the channels, or None for one that
    need not be checked. `top_input`: the zeros that the top prior sees, (1, 2C, h, w).
    `float32_log_det`: whether that code rounds log|det W| of a plain 1x1 convolution to float32.
    """

    options: dict[str, Any]
    step_at: str
    split_at: str
    top_at: str
    step: Callable[[str], tuple[Rule, ...]]
    permutations: dict[str, tuple[Rule, ...]]
    split: tuple[Rule, ...]
    top: tuple[Rule, ...]
    idle: dict[str, Callable[[int], np.ndarray] | None] = field(default_factory=dict)
    top_input: str | None = None
    float32_log_det: bool = False

    def is_of(self, names: Iterable[str]) -> bool:
        return bool(parts_named(names, self.step_at, self.step("affine")))

    def config_from(
        self, tensors: Tensors, image_size: tuple[int, int] | None, overrides: dict[str, Any]
    ) -> GlowConfig:
        return config_from(self, tensors, image_size, overrides)

    def options_in(self, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Return a reversal if the metadata name it; other permutations are recognised by their
        tensors.
        """
        said = metadata.get("permutation", "").strip().lower()
        is_reversal = (
            said in ("reverse", "0") or metadata.get("flow_permutation", "").strip() == "0"
        )
        return {"permutation": "reverse"} if is_reversal else {}

    def described(self, config: GlowConfig) -> str:
        return (
            f"K={config.K}, L={config.L}, width={config.width}, images {config.image_shape},"
            f" {config.coupling}, {config.permutation}, top prior {config.top_prior}"
        )

    def step_prefix(self, level: int, step: int, K: int) -> str:
        return self.step_at.format(level=level, step=step, layer=level * (K + 2) + 1 + step)

    def split_prefix(self, level: int, K: int) -> str:
        return self.split_at.format(level=level, layer=level * (K + 2) + 1 + K)

    def rules(self, config: GlowConfig) -> list[Rule]:
        """Return rules for every parameter and every constant of a Glow of `config`, once each."""
        rules = []
        for level in range(config.L):
            step_rules = self.step(config.coupling) + self.permutations.get(
                config.permutation_of(level), ()
            )
            for step in range(config.K):
                prefixes = f"level{level}/step{step}/", self.step_prefix(level, step, config.K)
                rules += [rule.under(*prefixes) for rule in step_rules]
            if level < config.L - 1:
                rules += [
                    rule.under(f"level{level}/split/", self.split_prefix(level, config.K))
                    for rule in self.split
                ]
        if config.top_prior == "learned":
            rules += [
                rule.under("top/", self.top_at.format(level=config.L - 1)) for rule in self.top
            ]
        return rules

    def idle_tensors(self, config: GlowConfig) -> dict[str, np.ndarray | None]:
        values: dict[str, np.ndarray | None] = {}
        for level in range(config.L):
            channels = config.image_shape[2] << (level + 2)
            for step in range(config.K):
                prefix = self.step_prefix(level, step, config.K)
                values |= {
                    prefix + name: value and value(channels) for name, value in self.idle.items()
                }
        if self.top_input is not None:
            height, width, channels = config.latent_shapes()[-1]
            values[self.top_input] = np.zeros((1, 2 * channels, height, width))
        return values
