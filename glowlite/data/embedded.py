"""The data sets that come with glowlite: `faces`, 8000 x 16x16x3, CC0, and `fashion`, 12000 x
16x16x1, MIT; see NOTICE.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from glowlite.data.dataset import Reading
from glowlite.data.readers.arrays import read_npz
from glowlite.errors import DataError

NAMES = ("faces", "fashion")
PREFIX = "embedded:"  # `embedded:faces` never means a folder of that name


def embedded_name(spec: str) -> str | None:
    """Return the name of the embedded data set that `faces` or `embedded:faces` means.

    Return None for any other text. Raises DataError for an unknown name after `embedded:`.
    """
    name = spec.removeprefix(PREFIX)
    if spec.startswith(PREFIX) and name not in NAMES:
        raise DataError(f"{spec}: no such embedded data set; expected {' or '.join(NAMES)}")
    return name if name in NAMES else None


def check_meaning(spec: str) -> None:
    """Raise DataError if `faces` could mean the embedded set or a folder of that name here."""
    if spec in NAMES and Path(spec).exists():
        raise DataError(
            f"{spec}: is an embedded data set, but there is also a {spec} here; give"
            f" {PREFIX}{spec} or ./{spec}"
        )


def read_embedded(name: str) -> Reading:
    """Read the images of `name`, uint8 (N, H, W, C), and, for faces, the attributes."""
    with resources.as_file(resources.files("glowlite.data") / "files" / f"{name}.npz") as path:
        return read_npz(path)
