"""The labels that a model is conditioned on: the classes of a data set, or its attributes
by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.labels import MAX_CLASSES, check_labels
from glowlite.data.dataset import LEFT_OUT, Dataset
from glowlite.errors import DataError

LABELS = "labels"  # the data set's own
MOST_CLASSES = 40  # so many classes at most are also used as attributes


def conditioned(data: Dataset, condition: str) -> Dataset:
    """Return `data` with the labels that `condition` names, after checking each of them.

    `labels`: the data set's own classes. `A`, the name of an attribute: class 1 for images that
    have it, 0 for the others. `A,B`: one class per combination of attributes. Raises DataError, in
    one line, if there are no labels or they are not classes.
    """
    own = condition == LABELS
    found = _own_labels(data) if own else _of_attributes(data, condition.split(","))
    names, train, held_out = found
    return replace(
        data, class_names=names, labels=train, held_out_labels=held_out, condition=condition
    )


def with_attributes(data: Dataset) -> Dataset:
    """Return `data`. If it has classes and no attributes, each class becomes an attribute of the
    images in it.

    `data` is unchanged if a model is conditioned on the classes, if there are more than
    MOST_CLASSES of them, or if the labels are not classes.
    """
    if data.attribute_names or data.condition is not None or not len(data.labels):
        return data
    try:
        names, train, held_out = _own_labels(data)
    except DataError:
        return data
    if len(names) > MOST_CLASSES:
        return data
    classes = np.arange(len(names))
    return replace(
        data,
        attribute_names=names,
        attributes=train[:, None] == classes,
        held_out_attributes=held_out[:, None] == classes,
    )


def _own_labels(data: Dataset) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    parts = [np.asarray(labels) for labels in (data.labels, data.held_out_labels)]
    if not any(map(len, parts)):
        raise DataError(f"{data.source}: {_why_none(data)}")
    names = data.class_names
    most = max(_largest(labels) for labels in parts) + 1
    count = len(names) or most
    if not 2 <= count <= MAX_CLASSES:
        raise DataError(f"{data.source}: labels have {count} classes, expected 2 to {MAX_CLASSES}")
    train, held_out = (
        check_labels(f"{data.source}, {which}", labels, count, len(images))
        for which, labels, images in (
            ("training images", parts[0], data.train),
            ("held-out images", parts[1], data.held_out),
        )
    )
    names = names or tuple(map(str, range(count)))
    _check_names(data.source, names)
    return names, train, held_out


def _why_none(data: Dataset) -> str:
    for note in data.decided:
        if note.startswith(LEFT_OUT):
            return note
    others = ", ".join(data.attribute_names[:9])
    return "has no labels" + (f", but attributes; name one, such as {others}" if others else "")


def _largest(labels: np.ndarray) -> int:
    """Return the largest label; 1 for labels that `check_labels` will refuse later."""
    is_whole = labels.dtype.kind in "iu" and labels.size > 0
    return int(labels.max()) if is_whole else 1


def _of_attributes(
    data: Dataset, names: Sequence[str]
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return labels whose bits say which attributes an image has; the first attribute is the lowest
    bit.
    """
    missing = [name for name in names if name not in data.attribute_names]
    if missing or len(set(names)) < len(names):
        there = ", ".join(data.attribute_names[:40])
        has = f"; it has {there}" if there else ", nor any other"
        raise DataError(
            f"{data.source}: has no attribute {shown(missing[0])}{has}"
            if missing
            else f"{data.source}: an attribute is named twice in {','.join(names)}"
        )
    if 2 ** len(names) > MAX_CLASSES:
        raise DataError(
            f"{data.source}: {len(names)} attributes make more than {MAX_CLASSES} classes; name"
            " fewer"
        )
    columns = [data.attribute_names.index(name) for name in names]
    bits = 2 ** np.arange(len(names))
    train, held_out = (
        attributes[:, columns] @ bits for attributes in (data.attributes, data.held_out_attributes)
    )
    return _combinations(names), train, held_out


def _combinations(names: Sequence[str]) -> tuple[str, ...]:
    """`no hat`, `hat`; or `no hat or beard`, `hat`, `beard`, `hat+beard`."""
    found = []
    for held in product((False, True), repeat=len(names)):
        holding = [name for name, holds in zip(names, reversed(held), strict=True) if holds]
        found.append("+".join(holding) or f"no {' or '.join(names)}")
    return tuple(found)


def _check_names(source: str, names: tuple[str, ...]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(
            f"{source}: two classes have the name {shown(twice[0])}; give them different names"
        )
