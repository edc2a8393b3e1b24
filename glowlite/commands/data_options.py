"""How pictures become images, on the command lines of train, evaluate and data."""

from __future__ import annotations

import argparse
import dataclasses

from glowlite.commands.program import Parser, at_least
from glowlite.data.preparation import Preparation
from glowlite.models.image_config import MAX_SIDE


def add_data_options(parser: Parser) -> None:
    """--resize, --crop, --random-crop, --grey and --skip-corrupt, in the order in which they are
    applied.
    """
    add = parser.add_argument_group("preparation of the images").add_argument
    switch = argparse.BooleanOptionalAction
    add("--grey", action=switch, default=False, help="turn colours to one channel")
    side = at_least(1, int, MAX_SIDE)
    add(
        "--resize",
        type=side,
        metavar="SIDE",
        help="shrink or enlarge until the shorter side has so many pixels",
    )
    add("--crop", type=side, metavar="SIDE", help="cut a square of so many pixels from the middle")
    add("--random-crop", action=switch, default=False, help="in training, cut it from anywhere")
    add(
        "--skip-corrupt",
        action=switch,
        default=False,
        help="pass over images that cannot be read, and count them",
    )


def preparation_of(options: argparse.Namespace) -> Preparation:
    """Return the preparation that these options ask for.

    Raises DataError for random crops without a size.
    """
    names = [field.name for field in dataclasses.fields(Preparation)]
    return Preparation(**{name: getattr(options, name) for name in names})
