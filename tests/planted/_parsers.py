"""The commands of glowlite, and the parser of each."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

from glowlite.commands.program import Parser

PACKAGE = Path(__file__).parents[2] / "glowlite"
COMMANDS = sorted(
    {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r'\bParser\("([\w.]+)"', path.read_text())
    }
)


def module_of(command: str) -> ModuleType:
    """What `python -m glowlite.COMMAND` runs."""
    inside = PACKAGE.joinpath(*command.split("."))
    return importlib.import_module(f"glowlite.{command}" + (".__main__" if inside.is_dir() else ""))


def parser_of(command: str) -> Parser:
    """The parser that a command makes before it does anything else."""

    class Found(Exception):
        pass

    def found(parser: Parser, *_: object, **__: object) -> argparse.Namespace:
        raise Found(parser)

    with mock.patch.object(sys, "argv", [command]), mock.patch.object(Parser, "parse_args", found):
        try:
            module_of(command).main()
        except Found as stopped:
            return stopped.args[0]
    raise AssertionError(f"{command} parses nothing")
