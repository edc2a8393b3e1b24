"""What the command lines share: one plain line for a user's mistake, exit code 2, no traceback."""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from glowlite.commands.start_up import (
    Interrupted,
    end_on_signals,
    open_streams,
    raise_again,
    raise_on_signals,
)
from glowlite.distributed.failure import end_all_ranks, message_prefix
from glowlite.distributed.launcher import is_first, rank
from glowlite.distributed.mpi import is_started
from glowlite.errors import GlowliteError
from glowlite.terminal import printable, say, shortened, warn

# seconds for ranks to come together that a signal ends; most often it ends all of them anyway
JOINING = 3.0
LONGEST = 400  # characters of an error, which is less unless a name in it is long
MAX_SEED = 2**64 - 1
LONGEST_WORD = 60  # of what was typed, where it is not a name of a file


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and whose help shows every default."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(
            f"python -m glowlite.{program}",
            description=description,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            allow_abbrev=False,
        )
        self._source = ""
        self.color = False  # newer Pythons colour the help

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """A word, or the value of an option, that begins with ~ means a home folder, quoted for the
        shell or not.
        """
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._at_home(word) for word in words], namespace)

    def _at_home(self, word: str) -> str:
        found = re.fullmatch(r"(--[\w-]+=|)([a-z0-9]+:|)(~.*)", word, re.DOTALL)
        if found is None:
            return word
        path = os.path.expanduser(found[3])
        if path.startswith("~"):
            self.error(
                f"{found[3]}: no such home folder; write ./{found[3]} for a name that begins with ~"
            )
        return f"{found[1]}{found[2]}{path}"

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and is_first():  # all ranks are given the same words
            for line in message.splitlines():
                (warn if file is sys.stderr else say)(line)

    def error(self, message: str) -> NoReturn:
        said = re.sub(
            rf"\S{{{LONGEST_WORD + 1},}}",
            lambda word: shortened(word[0], LONGEST_WORD),
            printable(message),
        )
        if self._source:  # nothing that was typed: the command that reads it says so
            raise GlowliteError(shortened(f"{self._source}{said}", LONGEST))
        self.exit(2, shortened(f"{self.prog}: error: {said}; {self._advice()}", LONGEST) + "\n")

    def _advice(self) -> str:
        """Say what to do about an error: how the command is called, if words that are not options
        belong to it.
        """
        words = [_shown_word(action) for action in self._actions if not action.option_strings]
        if not words:
            return "see --help"
        usual = f"%(prog)s {' '.join(words)} [options]"
        return "usage: " + (self.usage or usual) % {"prog": self.prog}

    @contextmanager
    def blaming(self, source: str) -> Iterator[None]:
        """Inside, errors are GlowliteErrors that begin with the name of the file or the like that
        the words come from.
        """
        self._source = f"{source}: "
        try:
            yield
        finally:
            self._source = ""


def _shown_word(action: argparse.Action) -> str:
    word = str(action.metavar or action.dest.upper())
    return f"[{word}]" if action.nargs == "?" else word


def at_least(minimum: float, kind: type = int, most: float = 10**9) -> Callable[[str], float]:
    """A type for argparse: a number of `kind`, finite, from `minimum` to `most`."""
    name = "number" if kind is float else "whole number"
    allowed = f"must be at least {minimum:,} and at most {most:,}"

    def parse(text: str) -> float:
        try:
            # thousands of digits are not even read
            value: float = kind(text if len(text) <= LONGEST_WORD else "")
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{shortened(text)!r} is not a {name}: {allowed}"
            ) from None
        if not minimum <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not allowed: {allowed}")
        return value

    return parse


def run(main: Callable[[], int | None], program: str = "") -> NoReturn:
    """Exit with what `main` returns; print a mistake as one line and exit with 2.

    `program`: glowlite's module that is run. Ctrl-C and SIGTERM undo what is half done, such as
    temporary files, say one line, and exit with 130 and 143. One of several ranks that fails says
    so, and ends all of them: the others would wait for it for ever.
    """
    try:
        _prepare()
        code, failed = _outcome(main, program)
        end_on_signals()
    # of --help; or of a rank in the middle of its work, which ends them all
    except SystemExit as error:
        end_on_signals()
        end_all_ranks(
            error.code if isinstance(error.code, int) and error.code else 1, started_only=True
        )
        raise
    except KeyboardInterrupt as error:
        code = error.exit_code if isinstance(error, Interrupted) else 130
        if not is_first() and is_started():
            # most often rank 0 has the signal, too, says so, and ends this one
            time.sleep(JOINING / 3)
            warn(f"rank {rank()}: {error or 'interrupted'}")
        end_all_ranks(code, seconds=JOINING)
        os._exit(code)  # threads that are in the middle of something are not waited for
    if failed:
        end_all_ranks(code)
    sys.exit(code)


def _outcome(main: Callable[[], int | None], program: str) -> tuple[int, bool]:
    """The exit code, and whether that is of an error, which has been said."""
    try:
        return main() or 0, False
    except (GlowliteError, MemoryError, OSError) as error:
        message = describe(error)
        if message is None:
            raise_in_turn(error)
            return 1, True
        if (rank := message_prefix()) is not None:
            name = f"python -m glowlite.{program}".removesuffix(".")
            warn(shortened(f"{name}: error: {rank}{message}", LONGEST))
        return 2, True
    except Exception as error:
        raise_in_turn(error)
        return 1, True


def _prepare() -> None:
    """Have whatever is said from now on, by a library or on a signal, be one line."""
    open_streams()
    # the commands say what is not finite
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    warnings.showwarning = _show_warning
    if threading.current_thread() is threading.main_thread():
        raise_on_signals()
        sys.unraisablehook = _show_ignored


def _show_warning(message: Warning | str, *place: Any, **more: Any) -> None:
    warn(f"warning: {shortened(message, LONGEST)}")


def _show_ignored(ignored: Any) -> None:
    """An exception where none can be raised, as in a destructor."""
    if isinstance(ignored.exc_value, Interrupted):
        raise_again(ignored.exc_value)
    else:
        warn(f"warning: {ignored.exc_type.__name__}: {shortened(ignored.exc_value, LONGEST)}")


def describe(error: Exception) -> str | None:
    """A user's mistake in one line; None for any other error."""
    if isinstance(error, MemoryError):  # NumPy's says how many bytes were wanted, and for what
        advice = "lower --batch, --tile or --width, or give less --memory"
        return f"out of memory: {error or 'no details'}; {advice}"
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        return None if error.strerror is None else f"{where}{error.strerror}"
    return str(error)


def raise_in_turn(error: Exception) -> None:
    """Print the traceback of an error that is a mistake of glowlite's own."""
    rank = message_prefix()
    if rank is not None:
        lines = "".join(traceback.format_exception(error)).splitlines()
        for line in [f"{rank}{lines[0]}", *lines[1:]]:
            warn(line)
