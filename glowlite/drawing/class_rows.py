"""Samples of a model with classes, in rows: the class of each sample, and the names of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glowlite.flow import Flow

MOST_ROWS = 64


def row_labels(classes: int, columns: int) -> np.ndarray:
    """Return the classes of images in rows of `columns` images, one row per class, (rows *
    columns,).

    If there are more than MOST_ROWS classes, use the first ones.
    """
    return np.repeat(np.arange(min(classes, MOST_ROWS)), columns)


def row_names(model: Flow) -> list[str]:
    """Return the names of the rows of `row_labels`; empty for a model without classes."""
    rows = min(model.classes, MOST_ROWS)
    return list(names_of_classes(model))[:rows]


def names_of_classes(model: Flow) -> tuple[str, ...]:
    """Return a name for every class: its number if it has no name."""
    return model.class_names or tuple(map(str, range(model.classes)))


def in_turn(model: Flow, n: int) -> Flow:
    """Return the model for n samples whose classes alternate. A model without classes, or already
    given labels, is returned unchanged.
    """
    is_open = model.classes and model.labels is None
    return model.given(np.arange(n) % model.classes) if is_open else model
