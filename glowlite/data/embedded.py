"""The data sets that come with glowlite: `faces`, 8000 x 16x16x3, CC0, and `fashion`, 12000 x 16x16x1, MIT; see NOTICE."""

from __future__ import annotations

from importlib import resources

import numpy as np

NAMES = ("faces", "fashion")


def read_embedded(name: str) -> np.ndarray:
    """The images of `name`, uint8 (N, H, W, C)."""
    with resources.as_file(resources.files("glowlite.data") / "files" / f"{name}.npz") as path, np.load(path) as arrays:
        return np.asarray(arrays["images"])
