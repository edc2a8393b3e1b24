"""The trained models that come with glowlite, by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from glowlite.arrays.arguments import shown
from glowlite.errors import GlowliteError

NAMES = {"faces": "faces-glow.safetensors"}  # written by `python -m glowlite.export`
# and by `python -m glowlite.edit faces --save`
DIRECTIONS = {"faces": "faces-directions.safetensors"}


@contextmanager
def pretrained_file(name: str) -> Iterator[Path]:
    """Yield the file of the model with this name. Raises GlowliteError for an unknown name."""
    if not isinstance(name, str):
        raise GlowliteError(
            f"pretrained model {shown(name)}: expected a name; there are: {', '.join(NAMES)}"
        )
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, 1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        raise GlowliteError(
            f"pretrained model {name!r}: no such name{meant}; there are: {', '.join(NAMES)}"
        )
    with resources.as_file(resources.files("glowlite.data") / "files" / NAMES[name]) as path:
        yield path


@contextmanager
def directions_file(name: str) -> Iterator[Path]:
    """Yield the file of the attribute directions that come with a model, by the model's name."""
    with resources.as_file(resources.files("glowlite.data") / "files" / DIRECTIONS[name]) as path:
        yield path
