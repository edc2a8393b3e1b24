"""The weights in a file by their names, and the averaged ones beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, to_host
from glowlite.arrays.parameters import ParameterStore
from glowlite.errors import GlowliteError

STATE = "training/"  # arrays of the training run, which are not part of the model
AVERAGE = STATE + "average_sum"  # as AveragedWeights holds it, with the bias of its start


def named_arrays(store: ParameterStore) -> dict[str, np.ndarray]:
    """Every parameter and constant on the host."""
    return {name: to_host(value) for name, value in store.named_values().items()}


def weights_in(arrays: dict[str, np.ndarray], path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of the model among `arrays`, and the dtype of the model: their floating type,
    float32 for float16.
    """
    model = {name: array for name, array in arrays.items() if not name.startswith(STATE)}
    floats = {array.dtype.name for array in model.values() if array.dtype.kind == "f"}
    if len(floats) != 1:
        raise GlowliteError(f"{path}: expected weights of one floating type, got {sorted(floats)}")
    return model, floats.pop().replace("float16", "float32")


def averaged(
    store: ParameterStore, arrays: dict[str, np.ndarray], header: dict[str, Any], path: Path
) -> np.ndarray | None:
    """The averaged weights and statistics in a file, (P + S,) on the host, of `store`.

    It is None where it holds no average. Raises GlowliteError where what the file says of its
    average does not fit the model.
    """
    average = header.get("average")
    if average is None or average["updates"] == 0:  # there is none before the first update
        return None
    if header.get("parameters") != list(store.parameters):
        raise GlowliteError(
            f"{path}: header: parameters are not those of the model, in their order"
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
        raise GlowliteError(f"{path}: {name} holds numbers that are not finite")


def rounded(arrays: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """The floating arrays in another floating type.

    Raises GlowliteError, naming one, where that has no room for a value.
    """
    if dtype not in ("float16", "float32", "float64"):
        raise GlowliteError(
            f"dtype of saved weights must be float16, float32 or float64, got {dtype!r}"
        )
    found = {}
    for name, array in arrays.items():
        with np.errstate(over="ignore"):  # what is lost is said below
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
            f"{path}: {len(wrong)} arrays are missing, surplus, misshapen or of another type, such"
            f" as {min(wrong)}"
        )
    for name in store.constants:
        if not np.isfinite(arrays[name]).all():
            raise GlowliteError(f"{path}: {name} holds numbers that are not finite")


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
            raise GlowliteError(f"{path}: {name} must hold signs, 1 and -1")


def check_statistics(store: ParameterStore, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise GlowliteError unless every running variance is at least 0."""
    for name in store.constants:
        if name.endswith("/variance") and (arrays[name] < 0).any():
            raise GlowliteError(f"{path}: {name} holds a variance below 0")
