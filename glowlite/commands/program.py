"""What all commands share: a user's mistake gives one plain line and exit code 2, without a
traceback.
"""

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

# seconds that processes ended by a signal wait for each other; most often the signal ends all of
# them anyway
JOINING = 3.0
LONGEST = 400  # longest error message, in characters; only long names make one this long
MAX_SEED = 2**64 - 1
LONGEST_WORD = 60  # longest typed word in a message, in characters, unless it is a file name


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that shows every default, except where there is none: its text then says what holds."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line and whose help shows the defaults."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(
            f"python -m glowlite.{program}",
            description=description,
            formatter_class=Help,
            allow_abbrev=False,
        )
        self._source = ""
        self.color = False  # newer Python versions colour the help

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the words. A word or an option's value that begins with ~ means a home folder, even
        if it was quoted in the shell.
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
        if message and is_first():  # all processes are given the same words
            for line in message.splitlines():
                (warn if file is sys.stderr else say)(line)

    def error(self, message: str) -> NoReturn:
        said = re.sub(
            rf"\S{{{LONGEST_WORD + 1},}}",
            lambda word: shortened(word[0], LONGEST_WORD),
            printable(message),
        )
        if self._source:  # the words were not typed: the command that reads them reports the error
            raise GlowliteError(shortened(f"{self._source}{said}", LONGEST))
        self.exit(2, shortened(f"{self.prog}: error: {said}; {self._advice()}", LONGEST) + "\n")

    def _advice(self) -> str:
        """Say what to do about an error: show the usage if the command takes positional
        arguments.
        """
        words = [_shown_word(action) for action in self._actions if not action.option_strings]
        if not words:
            return "see --help"
        usual = f"%(prog)s {' '.join(words)} [options]"
        return "usage: " + (self.usage or usual) % {"prog": self.prog}

    @contextmanager
    def blaming(self, source: str) -> Iterator[None]:
        """Inside this context, parsing errors are GlowliteErrors that begin with the source of the
        words, such as a file name.
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
    """Return an argparse type: a finite number of `kind`, from `minimum` to `most`."""
    name = "number" if kind is float else "whole number"
    allowed = f"must be at least {minimum:,} and at most {most:,}"

    def parse(text: str) -> float:
        try:
            # numbers with thousands of digits are not even parsed
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

    `program`: the glowlite module that is run. Ctrl-C and SIGTERM remove what is half done, such as
    temporary files, print one line, and exit with 130 and 143. If one of several processes fails,
    it says so and ends all of them, since the others would wait for it for ever.
    """
    try:
        _prepare()
        code, failed = _outcome(main, program)
        end_on_signals()
    # from --help, or from a process in the middle of its work, which ends all processes
    except SystemExit as error:
        end_on_signals()
        end_all_ranks(
            error.code if isinstance(error.code, int) and error.code else 1, started_only=True
        )
        raise
    except KeyboardInterrupt as error:
        code = error.exit_code if isinstance(error, Interrupted) else 130
        if not is_first() and is_started():
            # most often rank 0 has received the signal too, reports it, and ends this process
            time.sleep(JOINING / 3)
            warn(f"rank {rank()}: {error or 'interrupted'}")
        end_all_ranks(code, seconds=JOINING)
        os._exit(code)  # do not wait for threads that are in the middle of something
    if failed:
        end_all_ranks(code)
    sys.exit(code)


def _outcome(main: Callable[[], int | None], program: str) -> tuple[int, bool]:
    """Return the exit code, and whether it is that of an error, which has then been reported."""
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
    """Make every message from now on, from a library or after a signal, one line."""
    open_streams()
    # the commands report values that are not finite themselves
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    warnings.showwarning = _show_warning
    if threading.current_thread() is threading.main_thread():
        raise_on_signals()
        sys.unraisablehook = _show_ignored


def _show_warning(message: Warning | str, *place: Any, **more: Any) -> None:
    warn(f"warning: {shortened(message, LONGEST)}")


def _show_ignored(ignored: Any) -> None:
    """Handle an exception that cannot be raised, as in a destructor."""
    if isinstance(ignored.exc_value, Interrupted):
        raise_again(ignored.exc_value)
    else:
        warn(f"warning: {ignored.exc_type.__name__}: {shortened(ignored.exc_value, LONGEST)}")


def describe(error: Exception) -> str | None:
    """Describe a user's mistake in one line; return None for any other error."""
    # NumPy's message says how many bytes were needed and for what
    if isinstance(error, MemoryError):
        advice = "lower --batch, --tile or --width, or give a smaller --memory"
        return f"out of memory: {error or 'no details'}; {advice}"
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        return None if error.strerror is None else f"{where}{error.strerror}"
    return str(error)


def raise_in_turn(error: Exception) -> None:
    """Print the traceback of an error that is a bug of glowlite."""
    rank = message_prefix()
    if rank is not None:
        lines = "".join(traceback.format_exception(error)).splitlines()
        for line in [f"{rank}{lines[0]}", *lines[1:]]:
            warn(line)
