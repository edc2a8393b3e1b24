"""The weights in a file, by name, and the averaged weights beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, to_host
from glowlite.arrays.parameters import ParameterStore
from glowlite.errors import GlowliteError

STATE = "training/"  # arrays of the training run, which are not part of the model
AVERAGE = STATE + "average_sum"  # as in AveragedWeights, before bias correction


def named_arrays(store: ParameterStore) -> dict[str, np.ndarray]:
    """Return every parameter and constant as host arrays."""
    return {name: to_host(value) for name, value in store.named_values().items()}


def weights_in(arrays: dict[str, np.ndarray], path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Return the arrays of the model among `arrays`, and the model's dtype: their floating-point
    type, with float32 for float16.
    """
    model = {name: array for name, array in arrays.items() if not name.startswith(STATE)}
    floats = {array.dtype.name for array in model.values() if array.dtype.kind == "f"}
    if len(floats) != 1:
        raise GlowliteError(f"{path}: expected weights of one floating type, got {sorted(floats)}")
    return model, floats.pop().replace("float16", "float32")


def averaged(
    store: ParameterStore, arrays: dict[str, np.ndarray], header: dict[str, Any], path: Path
) -> np.ndarray | None:
    """Return the averaged weights and statistics in a file, (P + S,) on the host, in the order of
    `store`.

    Return None if the file has no average. Raises GlowliteError if the file's average does not fit
    the model.
    """
    average = header.get("average")
    if average is None or average["updates"] == 0:  # there is no average before the first update
        return None
    if header.get("parameters") != list(store.parameters):
        raise GlowliteError(
            f"{path}: header: the parameters differ from those of the model, or in their order"
        )
    check_vector(store.state(), arrays, AVERAGE, path)
    state: np.ndarray = arrays[AVERAGE] / (1 - average["decay"] ** average["updates"])
    return state


def check_vector(expected: Array, arrays: Mapping[str, np.ndarray], name: str, path: Path) -> None:
    """Raise GlowliteError unless `arrays[name]` is a vector such as `expected`, all of it
    finite.
    """
    array = arrays.get(name)
    if array is None:
        raise GlowliteError(f"{path}: the array {name} is missing")
    if array.shape != expected.shape or array.dtype != expected.dtype:
        raise GlowliteError(
            f"{path}: {name} must be {expected.dtype} {expected.shape}, got {array.dtype}"
            f" {array.shape}"
        )
    if not np.isfinite(array).all():
        raise GlowliteError(f"{path}: {name} contains numbers that are not finite")


def rounded(arrays: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """Convert the floating-point arrays to another floating-point type.

    Raises GlowliteError that names an array with a value too large for that type.
    """
    if dtype not in ("float16", "float32", "float64"):
        raise GlowliteError(
            f"dtype of saved weights must be float16, float32 or float64, got {dtype!r}"
        )
    found = {}
    for name, array in arrays.items():
        with np.errstate(over="ignore"):  # overflow is reported below
            found[name] = array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
        if found[name] is not array and np.isinf(found[name]).any() and np.isfinite(array).all():
            raise GlowliteError(
                f"{name} has values up to {abs(array).max():.1e}, too large for {dtype}; save in"
                " float32"
            )
    return found


def check_arrays(store: ParameterStore, arrays: dict[str, np.ndarray], path: Path) -> None:
    """Raise GlowliteError unless `arrays` has every parameter and constant, each of its shape and
    kind, and nothing else, and every constant is finite.
    """
    expected = {
        name: (value.shape, value.dtype.kind) for name, value in store.named_values().items()
    }
    there = {name: (array.shape, array.dtype.kind) for name, array in arrays.items()}
    wrong = {name for name in {*expected, *there} if expected.get(name) != there.get(name)}
    if wrong:
        raise GlowliteError(
            f"{path}: {len(wrong)} arrays are missing, unexpected, or of the wrong shape or type,"
            f" such as {min(wrong)}"
        )
    for name in store.constants:
        if not np.isfinite(arrays[name]).all():
            raise GlowliteError(f"{path}: {name} contains numbers that are not finite")


def check_permutations(store: ParameterStore, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise GlowliteError unless every constant of whole numbers is a permutation."""
    for name in store.constants:
        array = arrays[name]
        if array.dtype.kind != "f" and not np.array_equal(np.sort(array), np.arange(array.size)):
            raise GlowliteError(
                f"{path}: {name} must be a permutation, each of 0 to {array.size - 1} once"
            )


def check_signs(store: ParameterStore, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise GlowliteError unless every constant of floating type holds signs, as in a Glow."""
    for name in store.constants:
        array = arrays[name]
        if array.dtype.kind == "f" and not (abs(array) == 1).all():
            raise GlowliteError(f"{path}: {name} must contain signs, 1 and -1")


def check_statistics(store: ParameterStore, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise GlowliteError unless every running variance is at least 0."""
    for name in store.constants:
        if name.endswith("/variance") and (arrays[name] < 0).any():
            raise GlowliteError(f"{path}: {name} contains a variance below 0")
