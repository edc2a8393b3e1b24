"""The correspondence of a Glow here with its tensors in another code: one list of rules, used in
both directions.

    our parameter  =  product over `theirs` of layout.load(tensor)         one tensor, nearly always
    their gradient =  sum over the rules of layout.back(our gradient * the other factors)

A `Kind` is one other code: the options of `GlowConfig` that stand for its habits, and the rules of
a step of flow, of a split and of the top prior, each under the name that this part has there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Self

import numpy as np

from glowlite.interop.layouts import Layout
from glowlite.models.config import GlowConfig

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Rule:
    """`ours`: the path of a parameter or constant.

    `theirs`: the names of the tensors whose product it is.
    """

    ours: str
    theirs: tuple[str, ...]
    layout: Layout

    def under(self, ours: str, theirs: str) -> Self:
        """The same rule for a part of the model, with the names the part has here and there."""
        names = tuple(theirs + name for name in self.theirs)
        return dataclasses.replace(self, ours=ours + self.ours, theirs=names)

    def load(self, tensors: Tensors) -> np.ndarray:
        return reduce(np.multiply, [self.layout.load(tensors[name]) for name in self.theirs])

    def gradients(self, grad: np.ndarray, tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
        """What `grad`, of our parameter, adds to the gradient of each of their tensors."""
        for name in self.theirs:
            others = [self.layout.load(tensors[other]) for other in self.theirs if other != name]
            yield name, self.layout.back(reduce(np.multiply, others, grad))

    def their_shape(self, our_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layout.back(np.zeros(our_shape)).shape


@dataclass(frozen=True)
class Kind:
    """Another code's names and habits. Names of parts are patterns of {level}, {step} and {layer}.

    `layer` counts as in one flat list of squeeze, steps and split, level after level. `step` and
    `split` depend on the kind of coupling and on nothing else. `idle`: tensors of a step that the
    others determine, as functions of the channels, or None for one that need not be looked at.
    `top_input`: the zeros that the top prior sees, (1, 2C, h, w).
    """

    name: str
    aliases: tuple[str, ...]
    channels_last: bool
    options: dict[str, Any]  # of GlowConfig, the same for every model of this kind
    step_at: str
    split_at: str
    top_at: str
    step: Callable[[str], tuple[Rule, ...]]  # by the kind of coupling
    permutations: dict[str, tuple[Rule, ...]]  # those that leave tensors
    split: tuple[Rule, ...]
    top: tuple[Rule, ...]
    idle: dict[str, Callable[[int], np.ndarray] | None] = field(default_factory=dict)
    top_input: str | None = None
    float32_log_det: bool = False  # whether log|det W| of a plain 1x1 convolution is rounded there

    def step_prefix(self, level: int, step: int, K: int) -> str:
        return self.step_at.format(level=level, step=step, layer=level * (K + 2) + 1 + step)

    def split_prefix(self, level: int, K: int) -> str:
        return self.split_at.format(level=level, layer=level * (K + 2) + 1 + K)

    def rules(self, config: GlowConfig) -> list[Rule]:
        """Every parameter and every constant of a Glow of `config`, once."""
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
        """Tensors that may be there and hold nothing to carry over: name -> the value they must
        have, or None.
        """
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
