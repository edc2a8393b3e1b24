"""What a command does before anything else, even its imports: open its streams and handle signals.

A signal that arrives while Python itself starts, before the first line of glowlite runs, is handled
by Python. So this file imports almost nothing before it installs its handlers.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if hasattr(signal, "SIGHUP"):
    SIGNALS[signal.SIGHUP] = "hung up"
_answered: list[int] = []  # the signal that has been reported, if any


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or another signal that asks the program to end. It is raised in the main thread, at
    whatever point that has reached.
    """

    def __init__(self, number: int) -> None:
        super().__init__(SIGNALS[signal.Signals(number)])
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 plus the signal number, as in shells: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


def is_command() -> bool:
    """Whether Python is about to run a module of this package, as in `python -m glowlite.train`."""
    words = getattr(sys, "orig_argv", [])
    after = words[words.index("-m") + 1 :] if "-m" in words else []
    return (
        sys.argv[:1] == ["-m"]
        and bool(after)
        and after[0].partition(".")[0] == __name__.partition(".")[0]
    )


def open_streams() -> None:
    """Make sure that the three standard streams are open. Otherwise the next file opened would take
    the number of a closed stream.

    Whatever the program or a library then writes to stderr would go into that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            errors = "backslashreplace"
            stream = open(number, "w", encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def end_on_signals() -> None:
    """From here on, a signal ends the program immediately, with one line, since nothing can be lost
    yet.
    """
    _answer_by(_end)


def raise_on_signals() -> None:
    """From here on, the first signal raises Interrupted in the main thread, and a second one ends
    the program immediately.
    """
    _answer_by(_raise)


def raise_again(error: Interrupted) -> None:
    """Raise again, a little later, an interrupt that Python ignored, as it does in a destructor."""
    import threading

    signal.signal(error.number, _raise)
    later = threading.Timer(0.01, os.kill, (os.getpid(), error.number))
    later.daemon = True
    later.start()


def _answer_by(handler: object) -> None:
    """Install a handler. A signal that was ignored at the start, as under nohup, stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, handler)  # type: ignore[arg-type]


def _end(number: int, frame: FrameType | None) -> None:
    _say_why(number)
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> None:
    for other in SIGNALS:
        if signal.getsignal(other) is _raise:
            signal.signal(other, _end)
    _say_why(number)
    raise Interrupted(number)


def _say_why(number: int) -> None:
    """Say once why the program ends.

    It bypasses Python's buffers, which may contain half a line. Among several processes, which
    usually receive the signal together, only rank 0 says it.
    """
    import contextlib

    from glowlite.distributed.launcher import is_first

    if not _answered and is_first():
        _answered.append(number)
        with contextlib.suppress(OSError):  # a progress bar may be where the line should begin
            os.write(2, b"\n" * os.isatty(2) + f"{SIGNALS[signal.Signals(number)]}\n".encode())


if is_command():
    open_streams()
    end_on_signals()
