"""Checkpoints: the model, the averaged weights, the optimiser and the state of the run in one file.
A model can also be loaded from it.
"""

from __future__ import annotations

import dataclasses
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glowlite.arrays.backend import to_device, to_host
from glowlite.errors import GlowliteError
from glowlite.files.saved_weights import AVERAGE, STATE, check_vector, weights_in
from glowlite.files.storage import read_arrays
from glowlite.training.guards import check_weights
from glowlite.training.settings import State

if TYPE_CHECKING:
    from glowlite.training.run import Training

MOMENTS = {"m": STATE + "optimizer_m", "v": STATE + "optimizer_v"}


def save(training: Training, path: Path, steps_per_epoch: int, **header: Any) -> None:
    """Write everything that `restore` needs for a bitwise identical continuation. Raises
    GlowliteError, and then leaves an existing file unchanged.

    Header: step, epoch and position (the next batch of the epoch), settings, seed, versions of
    libraries. Size: four vectors of the parameters' size, or three without averaging.
    """
    model, state, average = training.model, training.state, training.average
    check_weights(model)
    arrays = {name: to_host(getattr(training.optimizer, part)) for part, name in MOMENTS.items()}
    if average is not None:
        arrays[AVERAGE] = to_host(average.sum)
    epoch, position = divmod(state.step, steps_per_epoch)
    model.save(
        path,
        arrays,
        step=state.step,
        epoch=epoch,
        position=position,
        state=dataclasses.asdict(state),
        settings=dataclasses.asdict(training.settings),
        n_bits=training.settings.n_bits,
        optimizer={"name": training.settings.optimizer, "steps": training.optimizer.steps},
        average=None if average is None else {"decay": average.decay, "updates": average.updates},
        parameters=list(model.store.parameters),
        versions=versions(),
        **header,
    )


def restore(training: Training, path: Path) -> None:
    """Restore `training`, which was made with the configuration of the run, to the saved state.

    Raises GlowliteError.
    """
    model = training.model
    arrays, header = read_arrays(path)
    model.check_header(header, path, checkpoint=True)
    if header["parameters"] != list(model.store.parameters):
        raise GlowliteError(
            f"{path}: belongs to another model: its parameters have different names or a"
            " different order"
        )
    if header["optimizer"]["name"] != training.settings.optimizer:
        raise GlowliteError(
            f"{path}: was trained with --optimizer {header['optimizer']['name']}; continue with"
            " the same"
        )
    values, _ = weights_in(arrays, path)
    model.check_arrays(values, path)
    if {array.dtype for array in values.values() if array.dtype.kind == "f"} != {model.dtype}:
        raise GlowliteError(
            f"{path}: is not in {model.dtype}; continue with the --dtype that it was trained with"
        )
    xp, optimizer, average = model.xp, training.optimizer, training.average
    if (average is None) != (header["average"] is None):
        raise GlowliteError(
            f"{path}: header: average must be {'null' if average is None else 'an object'} in this"
            " run"
        )
    for name in MOMENTS.values():
        check_vector(model.store.theta, arrays, name, path)
    if average is not None:
        check_vector(average.sum, arrays, AVERAGE, path)
    model.store.assign(values)
    model.take_header(header)
    for part, name in MOMENTS.items():
        getattr(optimizer, part)[...] = to_device(arrays[name], xp)
    optimizer.steps = header["optimizer"]["steps"]
    if average is not None:
        average.sum[...] = to_device(arrays[AVERAGE], xp)
        average.updates = header["average"]["updates"]
    training.state = State(**header["state"])


def tell(training: Training, found: Path | None) -> Path | None:
    """Send every rank what rank 0 has `found` and restored; do nothing if that is None."""
    ranks, optimizer, average = training.ranks, training.optimizer, training.average
    where: str | None = ranks.broadcast(None if found is None else str(found))
    if where is None or ranks.size == 1:
        return found
    state, optimizer.steps, updates, header = ranks.broadcast(
        [
            dataclasses.asdict(training.state),
            optimizer.steps,
            0 if average is None else average.updates,
            training.model.header(),
        ]
    )
    training.state = State(**state)
    training.model.take_header(header)
    store = training.model.store
    vectors = [
        store.theta,
        optimizer.m,
        optimizer.v,
        *(constant.value for constant in store.constants.values()),
    ]
    if average is not None:
        average.updates = updates
        vectors.append(average.sum)
    for vector in vectors:
        host = to_host(vector)
        ranks.broadcast_array(host)
        if host is not vector:
            vector[...] = to_device(host, training.model.xp)
    return Path(where)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries whose rounding and files a run
    depends on.
    """
    found = {"python": platform.python_version()}
    for name in ("glowlite", "numpy", "scipy", "safetensors", "pillow", "cupy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
