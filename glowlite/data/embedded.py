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
PREFIX = "embedded:"  # `embedded:faces` is never a folder of that name


def embedded_name(spec: str) -> str | None:
    """The name of an embedded data set that is meant by `faces` or `embedded:faces`.

    It is None for any other words. Raises DataError for a name after `embedded:` that there is not.
    """
    name = spec.removeprefix(PREFIX)
    if spec.startswith(PREFIX) and name not in NAMES:
        raise DataError(f"{spec}: no such embedded data set; expected {' or '.join(NAMES)}")
    return name if name in NAMES else None


def check_meaning(spec: str) -> None:
    """Raise DataError where `faces` could mean the embedded set or a folder of that name here."""
    if spec in NAMES and Path(spec).exists():
        raise DataError(
            f"{spec}: is an embedded data set, and there is a {spec} here; say {PREFIX}{spec} or"
            f" ./{spec}"
        )


def read_embedded(name: str) -> Reading:
    """The images of `name`, uint8 (N, H, W, C), and the attributes of faces."""
    with resources.as_file(resources.files("glowlite.data") / "files" / f"{name}.npz") as path:
        return read_npz(path)
