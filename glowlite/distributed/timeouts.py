"""How long a process waits for another: a clock that can be asked, and a guard over what gives no
chance to ask.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

PATIENCE = 600.0  # seconds that ranks wait for one that does not come
TIMEOUT_HELP = (
    "seconds that the processes wait for one that does not respond, before all of them stop"
)
LOOK = 0.1  # seconds between two looks of a guard
GAP = 1.0  # seconds between two looks, at most, that count as waiting


class Patience:
    """`seconds` of waiting, counted while this process itself runs.

    A job that is suspended as a whole, and goes on an hour later, has waited for nobody in that
    hour.
    """

    def __init__(self, seconds: float) -> None:
        self.left, self._looked = seconds, time.monotonic()

    def is_over(self) -> bool:
        """Whether the seconds have passed.

        Ask often: of the time since the last question at most GAP is counted.
        """
        now = time.monotonic()
        self.left -= min(now - self._looked, GAP)
        self._looked = now
        return self.left <= 0


@contextlib.contextmanager
def guard(look: Callable[[], object]) -> Iterator[None]:
    """Call `look` now and then, from another thread, while the body runs, which must let go of
    Python's lock.

    For a call of a library that does not return while another process does not come. Cost: a
    thread, 0.1 ms.
    """
    left = threading.Event()

    def watch() -> None:
        while not left.wait(LOOK):
            look()

    # no thread to be had, as while Python ends: then unguarded
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=watch, name="glowlite-guard", daemon=True).start()
    try:
        yield
    finally:
        left.set()
