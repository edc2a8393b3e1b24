"""Samples of a model of classes, in rows: which class each is of, and what the rows are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glowlite.flow import Flow

MOST_ROWS = 64


def row_labels(classes: int, columns: int) -> np.ndarray:
    """The classes of images in rows of so many columns, a row for each class, (rows * columns,).

    Of more than MOST_ROWS classes the first ones.
    """
    return np.repeat(np.arange(min(classes, MOST_ROWS)), columns)


def row_names(model: Flow) -> list[str]:
    """The names of the rows of `row_labels`; none for a model without classes."""
    rows = min(model.classes, MOST_ROWS)
    return list(names_of_classes(model))[:rows]


def names_of_classes(model: Flow) -> tuple[str, ...]:
    """A name for every class: its number, where nobody has named it."""
    return model.class_names or tuple(map(str, range(model.classes)))


def in_turn(model: Flow, n: int) -> Flow:
    """The model of n samples whose classes take turns; one without classes, or that was given
    some, as it is.
    """
    is_open = model.classes and model.labels is None
    return model.given(np.arange(n) % model.classes) if is_open else model
