"""The jobs of the presets: a preset says how a Glow is made and trained; this table adds the size
of its images.
"""

from __future__ import annotations

import argparse

from glowlite.commands.option_words import as_words
from glowlite.commands.presets import PRESETS
from glowlite.commands.train_options import config_of, make_parser
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig

SHAPES = {
    "faces": (16, 16, 3), "fashion": (16, 16, 1), "mnist": (28, 28, 1), "cifar10": (32, 32, 3),
    "imagenet32": (32, 32, 3), "imagenet64": (64, 64, 3), "lsun64": (64, 64, 3),
    "lsun96": (96, 96, 3), "celebahq256": (256, 256, 3),
}  # fmt: skip


def preset_job(name: str) -> tuple[GlowConfig, argparse.Namespace]:
    """Return the model that `python -m glowlite.train --preset NAME` trains, and its options.

    Raises GlowliteError for another name.
    """
    if name not in SHAPES:
        raise GlowliteError(
            f"--preset {name!r}: expected one with a fixed image size: {', '.join(SHAPES)}"
        )
    parser = make_parser()
    options = parser.parse_args(as_words(parser, PRESETS[name], f"preset {name}"))
    return config_of(options, SHAPES[name]), options


def images_at_once(options: argparse.Namespace) -> int:
    """Return how many images of a batch are in memory at a time, with --accumulate."""
    return max(1, int(options.batch) // int(options.accumulate))
