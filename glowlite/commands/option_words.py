"""Turn training options, given by name, into the words of a command line, to be checked or
printed.
"""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glowlite.commands.presets import MODEL_DEFAULTS
from glowlite.commands.program import Parser
from glowlite.commands.shell_words import typed
from glowlite.commands.train_options import make_parser
from glowlite.data import READERS
from glowlite.errors import GlowliteError
from glowlite.terminal import shortened

# never allowed in a file or a run
TYPED_ONLY = ("help", "config", "preset", "print_config", "out", "overwrite", "resume")


def as_words(parser: Parser, values: Mapping[str, Any], source: str) -> list[str]:
    """Return options, given by name, as words of a command line. Each is checked; None means the
    default.

    Errors name `source`.
    """
    actions = {action.dest: action for action in parser._actions if action.dest not in TYPED_ONLY}
    words: list[str] = []
    for name, value in values.items():
        if name not in actions:
            raise GlowliteError(
                f"{source}: unknown option {shortened(name)!r}; expected {one_of(name, actions)}"
            )
        option = "--" + name.replace("_", "-")
        if value is None:
            continue
        is_switch = isinstance(actions[name], argparse.BooleanOptionalAction)
        if is_switch != isinstance(value, bool) or not isinstance(value, (bool, int, float, str)):
            expected = "true or false" if is_switch else "a number or a text"
            raise GlowliteError(f"{source}: {name}: expected {expected}, got {shortened(value)}")
        if isinstance(value, str) and not _could_be_typed(value):
            raise GlowliteError(
                f"{source}: {name}: {shortened(value)!r} contains characters that no file name"
                " can contain have"
            )
        if is_switch:
            words.append(option if value else "--no-" + option[2:])
        else:
            words.append(f"{option}={value}")
    with parser.blaming(source):
        parser.parse_args(words)
    return words


def _could_be_typed(text: str) -> bool:
    """Whether a command line can contain this word: it has no zero bytes, and only characters that
    the system can encode.
    """
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def one_of(name: str, names: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"{close[0]}?"
    return f"one of {', '.join(names)}" if len(names) < 20 else "one of those that --help lists"


def training_command(options: dict[str, Any]) -> str:
    """Return the command line of a training run with these options. Options at their defaults are
    left out.
    """
    defaults = vars(make_parser().parse_args([]))
    defaults |= MODEL_DEFAULTS.get(options.get("model", "glow"), {})
    words = ["python -m glowlite.train"]
    for name, value in options.items():
        if value is None or value == defaults.get(name, value):
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words.append(typed(name, value))
    return " ".join(words)


def without_folders(options: dict[str, Any]) -> dict[str, Any]:
    """Return training options with only the data's name, so that a model file reveals no folder
    names.
    """
    if "data" not in options:
        return options
    name, colon, path = options["data"].partition(":")
    reader = name + colon if colon and name in READERS else ""
    return {**options, "data": reader + Path(path if reader else options["data"]).name}
