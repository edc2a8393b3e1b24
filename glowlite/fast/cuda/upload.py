"""Uploading batches to a GPU: one copy each, from page-locked memory, on a separate stream.

While the GPU computes step s, batch s + 1 is copied. There are two buffers for batches, used
alternately: on the GPU, a copy into a buffer waits until the last step that reads it has finished,
and the host waits only for the copy before last. So the host runs at most two batches ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, Namespace

PLACES = 2
ALIGNMENT = 16  # bytes


class Staging:
    """Copies host arrays to the device `xp`.

    Cost: two batches of page-locked memory, and two on the device.
    """

    def __init__(self, xp: Namespace) -> None:
        self.xp = xp
        self.stream = xp.cuda.Stream(non_blocking=True)
        self._places: list[_Place | None] = [None] * PLACES
        self._next = 0

    def upload(self, *arrays: np.ndarray) -> list[Array]:
        """Return the arrays on the device, in the order of its current stream. They are views that
        the call after next overwrites.

        After launching everything that reads them, call `release`.
        """
        starts = np.cumsum([0, *(-(-a.nbytes // ALIGNMENT) * ALIGNMENT for a in arrays)])
        place = self._places[self._next]
        if place is None or place.host.size < starts[-1]:
            place = self._places[self._next] = _Place(self.xp, int(starts[-1]))
        if place.copied is not None:
            place.copied.synchronize()  # two batches ago
            self.stream.wait_event(place.read)
        used = slice(0, int(starts[-1]))
        for start, array in zip(starts, arrays, strict=False):
            place.host[start : start + array.nbytes].view(array.dtype)[:] = array.ravel()
        place.device[used].set(place.host[used], stream=self.stream)
        place.copied = self.stream.record()
        self.xp.cuda.get_current_stream().wait_event(place.copied)
        return [
            place.device[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
            for start, array in zip(starts, arrays, strict=False)
        ]

    def release(self) -> None:
        """Declare that everything that reads the last upload has been launched."""
        place = self._places[self._next]
        assert place is not None
        place.read = self.xp.cuda.get_current_stream().record()
        self._next = (self._next + 1) % PLACES


class _Place:
    """Memory for a batch on the host and on the device; `copied`, `read`: events of its
    last use.
    """

    def __init__(self, xp: Namespace, size: int) -> None:
        self.host = np.frombuffer(xp.cuda.alloc_pinned_memory(size), np.uint8, size)
        self.device = xp.empty(size, np.uint8)
        # the memory may belong to something still in use: wait once
        xp.cuda.get_current_stream().synchronize()
        self.copied: Any = None
        self.read: Any = None
