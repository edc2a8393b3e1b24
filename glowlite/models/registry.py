"""The models by their names in `--model` and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.backend import Namespace
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError
from glowlite.flow import read_model
from glowlite.models.glow import Glow
from glowlite.models.image_model import ImageModel, kind_in
from glowlite.models.nice import NICE
from glowlite.models.realnvp import RealNVP

MODELS: dict[str, type[ImageModel]] = {model.kind: model for model in (Glow, NICE, RealNVP)}


def load_image_model(
    path: str | Path,
    weights: str = "averaged",
    memory: Memory | None = None,
    workers: Any = None,
    xp: Namespace = np,
    plain: bool = False,
) -> ImageModel:
    """Load the model of a file, of the kind that the file names: see `ImageModel.load`."""
    place, arrays, header = read_model(path, weights)
    kind = kind_in(header) if isinstance(header, dict) else None
    if kind is not None and (not isinstance(kind, str) or kind not in MODELS):
        raise GlowliteError(
            f"{place}: contains a kind of model that this glowlite does not know, {shown(kind)};"
            f" it knows {', '.join(MODELS)}"
        )
    model = MODELS.get(kind or Glow.kind, Glow)
    return model.from_file(place, arrays, header, weights, memory, workers, xp, plain)
