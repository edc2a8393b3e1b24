"""Convert a layer to another dtype."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from glowlite.testing.comparison import DoesNotApply
from glowlite.testing.parameters import parameters_of
from glowlite.testing.unnamed import constants


def cast(layer: Any, dtype: type) -> Any:
    """Return a new layer with the same values in `dtype`: `layer.cast(dtype)` or, for a layer
    without that method, a copy whose parameters' `value` and `grad`, and constants' `value`, are
    converted.

    Raises DoesNotApply if they cannot be converted.
    """
    if callable(getattr(layer, "cast", None)):
        return layer.cast(dtype)
    try:
        new = copy.deepcopy(layer)
    except Exception as error:  # any failure
        raise DoesNotApply(f"it cannot be copied: {type(error).__name__}: {error}") from error
    try:
        for p in parameters_of(new).values():
            value: np.ndarray = np.asarray(p.value).astype(dtype)
            grad: np.ndarray = np.asarray(p.grad).astype(dtype)
            if callable(getattr(p, "bind", None)):
                p.bind(value, grad)
            else:
                p.value, p.grad = value, grad
        for constant in constants(new):
            if np.issubdtype(np.asarray(constant.value).dtype, np.floating):
                constant.value = np.asarray(constant.value).astype(dtype)
    except (AttributeError, TypeError) as error:
        raise DoesNotApply(f"it cannot be converted to {np.dtype(dtype)}: {error}") from error
    if any(p.value.dtype != dtype for p in parameters_of(new).values()):
        raise DoesNotApply(
            f"it cannot be converted to {np.dtype(dtype)}: parameters keep their dtype"
        )
    return new
