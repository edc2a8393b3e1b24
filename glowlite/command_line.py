"""What the command lines share: one plain line for a user's mistake, exit code 2, and no traceback."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from glowlite.communicator import end_all_ranks, turn_to_speak
from glowlite.errors import GlowliteError
from glowlite.launcher import is_first


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

    def _print_message(self, message: str, file: Any = None) -> None:
        if is_first():  # all ranks are given the same words
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {self._source}{message}; see --help\n")

    @contextmanager
    def blaming(self, source: str) -> Iterator[None]:
        """Inside, errors begin with the name of the file or the like that the words come from."""
        self._source = f"{source}: "
        yield
        self._source = ""


def at_least(minimum: float, kind: type = int) -> Callable[[str], float]:
    """A type for argparse: a number of `kind`, finite, and no smaller than `minimum`."""

    def parse(text: str) -> float:
        value: float = kind(text)
        if not minimum <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not allowed: must be at least {minimum}")
        return value

    parse.__name__ = "number" if kind is float else "whole number"  # argparse names it in "invalid ... value"
    return parse


def run(main: Callable[[], int | None], program: str) -> NoReturn:
    """Exit with what `main` returns; print a mistake as one line and exit with 2. Ctrl-C exits with 130.

    One of several ranks that fails says so, and ends all of them: the others would wait for it for ever.
    """
    try:
        code = main() or 0
    except SystemExit as error:  # of --help; or of a rank in the middle of its work, which ends them all
        end_all_ranks(error.code if isinstance(error.code, int) else 1, started_only=True)
        raise
    except (GlowliteError, MemoryError, OSError) as error:
        message, code = describe(error), 2
        if message is None:
            raise_in_turn(error)
            code = 1
        elif (rank := turn_to_speak()) is not None:
            print(f"python -m glowlite.{program}: error: {rank}{message}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    except Exception as error:
        raise_in_turn(error)
        code = 1
    else:
        sys.exit(code)
    end_all_ranks(code)
    sys.exit(code)


def describe(error: Exception) -> str | None:
    """A user's mistake in one line; None for an error that is no such thing."""
    if isinstance(error, MemoryError):  # NumPy's says how many bytes were wanted, and for what
        return f"out of memory: {error or 'no details'}; lower --batch, --tile or --width, or use --memory reversible"
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        return None if error.strerror is None else f"{where}{error.strerror}"
    return str(error)


def raise_in_turn(error: Exception) -> None:
    """Print the traceback of an error that is nobody's mistake but ours."""
    rank = turn_to_speak()
    if rank is not None:
        print(rank, end="", file=sys.stderr)
        traceback.print_exception(error)
