"""What the command lines share: one plain line for a user's mistake, exit code 2, and no traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from glowlite.errors import GlowliteError


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
    """Exit with what `main` returns; print a GlowliteError as one line and exit with 2. Ctrl-C exits with 130."""
    try:
        sys.exit(main())
    except GlowliteError as error:
        print(f"python -m glowlite.{program}: error: {error}", file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:  # NumPy's says how many bytes were wanted, and for what
        print(
            f"python -m glowlite.{program}: error: out of memory: {error or 'no details'}; lower --batch, --tile or --width,"
            " or use --memory reversible",
            file=sys.stderr,
        )
        sys.exit(2)
    except OSError as error:
        if error.strerror is None:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"python -m glowlite.{program}: error: {where}{error.strerror}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
