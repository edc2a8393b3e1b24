"""The weights of a page: concatenated arrays, as text."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from glowlite.files.saved_weights import rounded


class Weights:
    """Arrays in one block of bytes, float16 or float32."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0  # bytes

    def add(self, name: str, array: np.ndarray, dtype: str = "float16") -> dict[str, Any]:
        """Add an array of any shape, flattened, and return its place: `at` (the byte offset), its
        type and `count`.

        Raises GlowliteError, with `name`, if a number is too large for the type.
        """
        content = rounded({name: array}, dtype)[name].astype(np.dtype(dtype).newbyteorder("<"))
        place = {"at": self.size, "count": array.size, "type": dtype}
        self._parts.append(content.tobytes())
        self.size += content.nbytes
        return place

    def text(self) -> str:
        """Return all bytes in base64."""
        return base64.b64encode(b"".join(self._parts)).decode()
