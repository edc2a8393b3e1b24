"""Ctrl-C and SIGTERM: the first asks training to finish its step, save and end.

The second ends it at once. SIGHUP, of a terminal or a connection that is closed, asks for the same.
It comes more than once, so it never ends at once.
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
    """Inside `with Interrupts() as interrupts:` these signals only set `interrupts.signal`, which
    `bool` asks for.
    """

    AT_ONCE = (signal.SIGINT, signal.SIGTERM)  # if it comes twice
    SIGNALS = (*AT_ONCE, signal.SIGHUP) if hasattr(signal, "SIGHUP") else AT_ONCE

    def __init__(self) -> None:
        self.signal: int | None = None
        self._asked = False  # by one of AT_ONCE
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> Self:
        """A signal that the program was started to ignore, as by nohup, stays ignored.

        Only the main thread has signals.
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
        """128 and the number of the signal, as shells have it: 130 for Ctrl-C, 143 for SIGTERM, 129
        for SIGHUP.
        """
        return 128 + (self.signal or signal.SIGTERM)  # another rank may have had it

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number in self.AT_ONCE:
            _say("stopped at once; the newest checkpoint is whole")
            os._exit(128 + number)  # threads that are in the middle of a product are not waited for
        self._asked = self._asked or number in self.AT_ONCE
        if self.signal is not None:
            return
        self.signal = number
        _say("finishing this step, then saving; once more to stop at once")


def _say(text: str) -> None:
    """Write to stderr, past Python's buffers, which a signal may have interrupted.

    A terminal may be gone. Among several ranks, only the first does.
    """
    if not is_first():
        return
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}\n".encode())
