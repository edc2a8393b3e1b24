"""The models by the names that `--model` and files give them."""

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
    """The model of a file, of whichever kind the file says it is: see `ImageModel.load`."""
    place, arrays, header = read_model(path, weights)
    kind = kind_in(header) if isinstance(header, dict) else None
    if kind is not None and (not isinstance(kind, str) or kind not in MODELS):
        raise GlowliteError(
            f"{place}: is of a model that this glowlite does not know, {shown(kind)}; it knows"
            f" {', '.join(MODELS)}"
        )
    model = MODELS.get(kind or Glow.kind, Glow)
    return model.from_file(place, arrays, header, weights, memory, workers, xp, plain)
