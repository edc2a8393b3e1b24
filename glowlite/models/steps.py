"""A step of flow as a GlowConfig describes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.base import Bijector
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.bijectors.flow_step import FlowStep
from glowlite.bijectors.invertible_conv import Invertible1x1Conv, Invertible1x1ConvLU
from glowlite.bijectors.permutation import Permutation
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.models.config import GlowConfig


def flow_step(config: GlowConfig, channels: int, level: int, rng: np.random.Generator) -> FlowStep:
    """Make one step of flow: ActNorm, a permutation of the channels, a coupling."""
    permutations: dict[str, Callable[[], Bijector]] = {
        "conv1x1": lambda: Invertible1x1Conv(channels, rng),
        "lu": lambda: Invertible1x1ConvLU(channels, rng),
        "shuffle": lambda: Permutation.shuffle(channels, rng),
        "reverse": lambda: Permutation.reverse(channels),
    }
    half, affine = channels // 2, config.coupling == "affine"
    permutation = permutations[config.permutation_of(level)]()
    net = CouplingNetwork(
        half,
        channels if affine else half,
        config.width,
        rng,
        config.hidden_actnorm,
        config.border,
        config.output_scale,
    )
    coupling = (
        AffineCoupling(channels, net, config.changed, config.scale, config.shift, config.bound)
        if affine
        else AdditiveCoupling(channels, net, config.changed)
    )
    return FlowStep(ActNorm(channels, config.actnorm), permutation, coupling)
