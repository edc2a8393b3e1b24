"""Ctrl-C and SIGTERM: the first asks training to finish its step, save and end; the second ends it at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

from glowlite.launcher import is_first


class Interrupts:
    """Inside `with Interrupts() as interrupts:` these signals only set `interrupts.signal`, which `bool` asks for."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in self.SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGTERM)  # another rank may have had it

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            _say("stopped at once; the newest checkpoint is whole")
            os._exit(128 + number)  # threads that are in the middle of a product are not waited for
        self.signal = number
        _say("finishing this step, then saving; once more to stop at once")


def _say(text: str) -> None:
    """To stderr, past Python's buffers, which a signal may have interrupted half-way. Of several ranks, the first does."""
    if is_first():
        os.write(2, f"\n{text}\n".encode())
