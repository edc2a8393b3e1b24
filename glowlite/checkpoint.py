"""Models on disk: safetensors for the numbers, JSON in its header for the rest. No pickle.

A file is written beside its place under a temporary name, flushed to the disk, and renamed: whoever reads the place
finds the old file or the new one, never half of one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.backend import Namespace, to_host
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow
from glowlite.workers import Workers

FORMAT = "glowlite-model-1"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what was written there takes the place of `path` if the block succeeds."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_model(model: Glow, path: str | Path, **extra: Any) -> None:
    """Write the parameters and constants of `model` under their names, its configuration and `extra` (JSON values)."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = {name: p.value for name, p in model.store.parameters.items()}
    arrays |= {name: c.value for name, c in model.store.constants.items()}
    header = {"config": model.config.to_dict(), "seed": model.seed, "initialized": model.initialized, **extra}
    # safetensors stores the memory of an array as it lies, so it has to be contiguous
    tensors = {name: np.ascontiguousarray(to_host(value)) for name, value in arrays.items()}
    try:
        with atomic_path(Path(path)) as temporary:
            save_file(tensors, str(temporary), {"format": FORMAT, "glowlite": json.dumps(header)})
    except (OSError, SafetensorError) as error:
        raise GlowliteError(f"cannot write the model {path}: {error}; what was there before is still there") from None


def load_model(
    path: str | Path, memory: Memory | None = None, workers: Workers | None = None, xp: Namespace | None = None
) -> tuple[Glow, dict[str, Any]]:
    """The model that `save_model` wrote, in its dtype, and its header. Raises GlowliteError for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"{error}".splitlines()[0]
        raise GlowliteError(f"cannot read the model {path}: {reason}") from None
    if metadata.get("format") != FORMAT:
        raise GlowliteError(f"{path} is no glowlite model (format {metadata.get('format')!r}); expected {FORMAT!r}")
    header = json.loads(metadata["glowlite"])
    floats = {t.dtype.name for t in tensors.values() if t.dtype.kind == "f"}
    if len(floats) != 1:
        raise GlowliteError(f"{path}: expected weights of one floating type, got {sorted(floats)}")
    model = Glow(
        GlowConfig.from_dict(header["config"]), header["seed"], floats.pop(), memory, workers, np if xp is None else xp
    )
    expected: dict[str, Any] = {**model.store.parameters, **model.store.constants}
    wrong = set(expected) ^ set(tensors)
    wrong |= {name for name in set(expected) & set(tensors) if expected[name].value.shape != tensors[name].shape}
    if wrong:
        raise GlowliteError(f"{path}: {len(wrong)} arrays are missing, surplus or misshapen, such as {min(wrong)}")
    for name, holder in expected.items():
        holder.value[...] = model.xp.asarray(tensors[name])
    model.initialized = header["initialized"]
    return model, header
