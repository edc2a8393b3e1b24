"""The data sets that come with glowlite: `faces`, 8000 x 16x16x3, CC0, and `fashion`, 12000 x 16x16x1, MIT; see NOTICE."""

from __future__ import annotations

from importlib import resources

from glowlite.data.arrays import read_npz
from glowlite.data.dataset import Reading

NAMES = ("faces", "fashion")


def read_embedded(name: str) -> Reading:
    """The images of `name`, uint8 (N, H, W, C), and the attributes of faces."""
    with resources.as_file(resources.files("glowlite.data") / "files" / f"{name}.npz") as path:
        return read_npz(path)
