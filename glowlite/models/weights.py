"""The weights in a file by their names, and the averaged ones beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.backend import to_host
from glowlite.errors import GlowliteError
from glowlite.parameters import ParameterStore

STATE = "training/"  # arrays of the training run, which are no part of the model
AVERAGE = STATE + "average_sum"  # as AveragedWeights holds it, with the bias of its start


def named_arrays(store: ParameterStore) -> dict[str, np.ndarray]:
    """Every parameter and constant on the host."""
    return {name: to_host(value) for name, value in store.named_values().items()}


def weights_in(
    arrays: dict[str, np.ndarray], header: dict[str, Any], weights: str, path: Path
) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of the model among `arrays`, `raw` or `averaged` where there is an average, and the dtype of the model.

    That is their floating type, and float32 for those in float16.
    """
    if weights not in ("raw", "averaged"):
        raise GlowliteError(f"weights must be 'raw' or 'averaged', got {weights!r}")
    model = {name: array for name, array in arrays.items() if not name.startswith(STATE)}
    floats = {array.dtype.name for array in model.values() if array.dtype.kind == "f"}
    if len(floats) != 1:
        raise GlowliteError(f"{path}: expected weights of one floating type, got {sorted(floats)}")
    if weights == "averaged" and AVERAGE in arrays:
        average = arrays[AVERAGE] / (1 - header["average"]["decay"] ** header["average"]["updates"])
        start = 0
        for name in header["parameters"]:  # in the order of the flat vector
            stop = start + model[name].size
            model[name] = average[start:stop].reshape(model[name].shape)
            start = stop
    return model, floats.pop().replace("float16", "float32")


def rounded(arrays: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """The floating arrays in another floating type. Raises GlowliteError, naming one, where that has no room for a value."""
    if dtype not in ("float16", "float32", "float64"):
        raise GlowliteError(f"dtype of saved weights must be float16, float32 or float64, got {dtype!r}")
    found = {}
    for name, array in arrays.items():
        with np.errstate(over="ignore"):  # what is lost is said below
            found[name] = array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
        if found[name] is not array and np.isinf(found[name]).any() and np.isfinite(array).all():
            raise GlowliteError(f"{name} has values up to {abs(array).max():.1e}, too large for {dtype}; save in float32")
    return found


def check_weights(store: ParameterStore, arrays: dict[str, np.ndarray], path: Path) -> None:
    """Raise GlowliteError unless `arrays` has every parameter and constant, and nothing else."""
    expected = {name: value.shape for name, value in store.named_values().items()}
    wrong = set(expected) ^ set(arrays)
    wrong |= {name for name in set(expected) & set(arrays) if expected[name] != arrays[name].shape}
    if wrong:
        raise GlowliteError(f"{path}: {len(wrong)} arrays are missing, surplus or misshapen, such as {min(wrong)}")
