r"""RealNVP built from its layers (figure 4): levels of couplings over checkerboards, then over
channels.

    a level:   x -> checkerboard -> 3 couplings of pixels -> image
                 -> squeeze -> 3 couplings of channels -> unsqueeze -> squeeze by corners -> split
    the last:  x -> checkerboard -> 4 couplings of pixels -> image

The split separates the even pixels, which go on, from the odd ones, which become a latent. The
prior of every latent is N(0, I).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from glowlite.arrays.randomness import generator
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.batch_norm import BatchNorm
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.checkerboard import Checkerboard
from glowlite.bijectors.memory import Memory
from glowlite.bijectors.reversed import Reversed
from glowlite.bijectors.split import Split
from glowlite.bijectors.squeeze import Squeeze
from glowlite.conditioners.checkerboard_network import CheckerboardNetwork
from glowlite.conditioners.residual_network import ResidualNetwork
from glowlite.conditioners.tanh_scale import TanhScale
from glowlite.models.level import Level
from glowlite.models.multiscale import Multiscale
from glowlite.models.realnvp_config import RealNVPConfig


def realnvp_layers(
    config: RealNVPConfig, seed: int = 0, memory: Memory | None = None
) -> Multiscale:
    """Make the levels of a RealNVP, with random weights from `seed`. x (N, H, W, C) is an image
    after the logit.
    """
    rng, levels = generator(seed, "weights"), []
    for i in range(config.levels):
        channels, is_last = config.image_shape[2] << i, i == config.levels - 1
        layers: dict[str, Any] = {"checkerboard": Checkerboard()}
        layers |= couplings(config, i, "pixels", rng)
        layers["image"] = Reversed(Checkerboard())
        if not is_last:
            layers["squeeze"] = Squeeze()
            layers |= couplings(config, i, "channels", rng)
            layers["unsqueeze"] = Reversed(Squeeze())
            layers["corners"] = Squeeze("corners")
        split = None if is_last else Split(4 * channels, None)
        levels.append(Level(Chain(layers), split, squeeze=False))
    return Multiscale(levels, None, memory)


def couplings(
    config: RealNVPConfig, level: int, kind: str, rng: np.random.Generator
) -> Iterator[tuple[str, Any]]:
    """Make the couplings of `pixels` or of `channels` of a level. They change the two halves
    alternately, and each has its batch normalisation.
    """
    half = config.image_shape[2] << (level + (kind == "channels"))
    begins = config.pixels == "even" if kind == "pixels" else config.channels == "first"
    for k in [k for i, of, k in config.couplings() if (i, of) == (level, kind)]:
        changed = "first" if begins == (k % 2 == 0) else "second"
        net = network(config, kind, changed, half, level, rng)
        yield f"{kind}{k}", AffineCoupling(2 * half, net, changed, "exp", config.shift)
        if config.coupling_norm != "none":
            yield f"{kind}{k}_norm", coupling_norm(config, kind, changed, half)


def network(
    config: RealNVPConfig,
    kind: str,
    changed: str,
    half: int,
    level: int,
    rng: np.random.Generator,
) -> TanhScale:
    """Make the network of a coupling: a residual network with a tanh; for checkerboard couplings it
    sees an image.
    """
    is_pixels = kind == "pixels"
    mask = is_pixels and config.mask
    raw: Any = ResidualNetwork(
        half + mask,
        2 * half,
        config.width_of(level, kind),
        config.blocks,
        rng,
        mask=mask,
        doubled=is_pixels and config.doubled,
        batch_norm=config.batch_norm,
        gain=config.gain,
        eps=config.eps,
        unbiased=config.unbiased,
        trains_g=config.trains_g,
        start=config.start,
    )
    if is_pixels:
        raw = CheckerboardNetwork(raw, "odd" if changed == "first" else "even", mask)
    a = config.a_pixels if is_pixels else config.a_channels
    return TanhScale(raw, half if config.factor == "channel" else None, a, config.offset)


def coupling_norm(config: RealNVPConfig, kind: str, changed: str, half: int) -> BatchNorm:
    counted = config.coupling_norm
    if counted == "whole":
        changed, counted = "all", "both" if kind == "pixels" else "changed"
    elif kind == "channels":
        counted = "changed"
    return BatchNorm(2 * half, changed, counted, config.eps, config.unbiased)
