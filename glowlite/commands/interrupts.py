"""Ctrl-C and SIGTERM: the first signal asks training to finish its step, save and stop.

A second one stops training immediately. SIGHUP, sent when a terminal or connection closes, also
asks training to save and stop. It can arrive more than once, so it never stops training
immediately.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from glowlite.distributed.launcher import is_first


class Interrupts:
    """Inside `with Interrupts() as interrupts:` these signals only set `interrupts.signal`.
    `bool(interrupts)` tells whether one arrived.
    """

    AT_ONCE = (signal.SIGINT, signal.SIGTERM)  # if it arrives twice
    SIGNALS = (*AT_ONCE, signal.SIGHUP) if hasattr(signal, "SIGHUP") else AT_ONCE

    def __init__(self) -> None:
        self.signal: int | None = None
        self._asked = False  # whether one of AT_ONCE has arrived
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> Self:
        """Install the handlers. A signal that was ignored at the start, as under nohup, stays
        ignored.

        Only the main thread receives signals.
        """
        if threading.current_thread() is threading.main_thread():
            heard = [
                number
                for number in self.SIGNALS
                if signal.getsignal(number) not in (signal.SIG_IGN, None)
            ]
            self._before = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 plus the signal number, as in shells: 130 for Ctrl-C, 143 for SIGTERM, 129 for
        SIGHUP.
        """
        return 128 + (self.signal or signal.SIGTERM)  # another process may have received it

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number in self.AT_ONCE:
            _say("stopped immediately; the newest checkpoint is complete")
            os._exit(128 + number)  # do not wait for threads in the middle of a matrix product
        self._asked = self._asked or number in self.AT_ONCE
        if self.signal is not None:
            return
        self.signal = number
        _say("finishing this step, then saving; a second signal stops immediately")


def _say(text: str) -> None:
    """Write to stderr directly, since a signal may have interrupted Python's buffers.

    The terminal may be gone. Among several processes, only rank 0 writes.
    """
    if not is_first():
        return
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}\n".encode())
