"""Options of train, evaluate and data that prepare the images."""

from __future__ import annotations

import argparse
import dataclasses

from glowlite.commands.program import Parser, at_least
from glowlite.data.preparation import Preparation
from glowlite.models.image_config import MAX_SIDE


def add_data_options(parser: Parser) -> None:
    """Add --resize, --crop, --random-crop, --grey and --skip-corrupt, in the order in which they
    are applied.
    """
    add = parser.add_argument_group("preparation of the images").add_argument
    switch = argparse.BooleanOptionalAction
    add("--grey", action=switch, default=False, help="convert colour images to one grey channel")
    side = at_least(1, int, MAX_SIDE)
    add(
        "--resize",
        type=side,
        metavar="SIDE",
        help="resize so that the shorter side has this many pixels",
    )
    add(
        "--crop",
        type=side,
        metavar="SIDE",
        help="crop a square with this side, in pixels, from the centre",
    )
    add(
        "--random-crop",
        action=switch,
        default=False,
        help="during training, crop at a random place",
    )
    add(
        "--skip-corrupt",
        action=switch,
        default=False,
        help="skip images that cannot be read, and count them",
    )


def preparation_of(options: argparse.Namespace) -> Preparation:
    """Return the preparation that these options ask for.

    Raises DataError for random crops without a size.
    """
    names = [field.name for field in dataclasses.fields(Preparation)]
    return Preparation(**{name: getattr(options, name) for name in names})
