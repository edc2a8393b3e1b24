"""How long a process waits for another: a clock that can be polled, and a guard for calls that
cannot be polled.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

PATIENCE = 600.0  # seconds that ranks wait for one that does not respond
TIMEOUT_HELP = (
    "seconds that the processes wait for one that does not respond, before all of them stop"
)
LOOK = 0.1  # seconds between two checks of a guard
GAP = 1.0  # longest time between two checks that counts as waiting, in seconds


class Patience:
    """A limit of `seconds` of waiting, counted only while this process itself runs.

    The time during which a whole job is suspended does not count as waiting.
    """

    def __init__(self, seconds: float) -> None:
        self.left, self._looked = seconds, time.monotonic()

    def is_over(self) -> bool:
        """Whether the seconds have passed.

        Call it often: at most GAP seconds are counted since the last call.
        """
        now = time.monotonic()
        self.left -= min(now - self._looked, GAP)
        self._looked = now
        return self.left <= 0


@contextlib.contextmanager
def guard(look: Callable[[], object]) -> Iterator[None]:
    """Call `look` from time to time, from another thread, while the body runs. The body must
    release Python's global lock.

    Use it for a library call that does not return while another process does not respond. Cost: a
    thread, 0.1 ms.
    """
    left = threading.Event()

    def watch() -> None:
        while not left.wait(LOOK):
            look()

    # no thread can be started, as at Python's exit: then run unguarded
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=watch, name="glowlite-guard", daemon=True).start()
    try:
        yield
    finally:
        left.set()
