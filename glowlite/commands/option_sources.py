"""Where the options of training come from: presets, a YAML or JSON file, a run that is resumed, and the command line.

All become words of one command line, the later ones winning over the earlier: run, preset, file, and what was typed. So
every value goes through the same checks, and an error names where it came from. What a preset or a file says of a run that
is resumed counts as if it were typed.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glowlite.commands.config_file import read_config_file
from glowlite.commands.presets import PRESETS
from glowlite.commands.program import Parser
from glowlite.commands.train_options import make_parser
from glowlite.data import is_there
from glowlite.data.embedded import check_meaning
from glowlite.errors import GlowliteError
from glowlite.terminal import shortened
from glowlite.training.run_folder import read_config

TYPED_ONLY = ("help", "config", "preset", "print_config", "out", "overwrite", "resume")  # never of a file or a run
# of the others, those that a resumed run may change: the curve then bends, but the checkpoint still fits
# (--data may name another place, where the same images are: see train.py)
MAY_CHANGE = (
    "steps", "lr", "warmup", "decay", "clip", "log_every", "evaluate_every", "evaluate_images", "checkpoint_every", "keep",
    "picture_every", "on_bad_step", "memory", "device", "threads", "tensorboard", "accumulate",
    "gpu_exchange", "mpi_timeout", "gpu_memory",
)  # fmt: skip


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Every option, from all of its places. Raises GlowliteError, or exits with 2, for one that is not allowed."""
    parser = make_parser()
    typed = parser.parse_args(arguments)
    words: list[str] = []
    given: dict[str, Any] = {}
    from_file = read_config_file(typed.config) if typed.config else {}
    preset_of_file = from_file.pop("preset", None)
    presets = typed.preset or preset_of_file
    for name in str(presets).split(",") if presets else []:
        if name not in PRESETS:
            raise GlowliteError(f"--preset {shortened(name)!r}: no such preset; expected {_one_of(name, PRESETS)}")
        words += as_words(parser, PRESETS[name], f"preset {name}")
        given |= PRESETS[name]
    words += as_words(parser, from_file, typed.config)
    for data in (from_file.get("data"), _typed_data(parser, arguments)):
        check_meaning(str(data))  # of what a person named; never of a default, nor of a run
    given |= from_file
    if typed.resume and typed.overwrite:
        raise GlowliteError("--resume goes on with the run in --out, and --overwrite replaces it; give one of them")
    if typed.resume and typed.out is None:
        raise GlowliteError("--resume needs --out, the folder of the run to go on with")
    if typed.out == "":
        raise GlowliteError("--out is empty; name a folder")
    begun = _options_of_run(Path(typed.out)) if typed.resume else {}
    kept = {name: value for name, value in begun.items() if given.get(name, value) is not None}  # None: its default again
    words = as_words(parser, kept, f"{typed.out}/config.json") + words
    options = parser.parse_args([*words, *_typed_words(arguments)])
    if begun and not is_there(options.data):
        raise GlowliteError(f"{typed.out}: its data, {options.data}, are not there; say where they are now with --data")
    changed = [name for name in begun if name not in (*MAY_CHANGE, "data") and getattr(options, name) != begun[name]]
    if changed:
        name = changed[0]
        raise GlowliteError(
            f"--{name.replace('_', '-')} was {shortened(repr(begun[name]))} when {typed.out} began, and cannot become"
            f" {shortened(repr(getattr(options, name)))} in a run that is resumed; leave it out, or begin a new run"
        )
    return options


def _typed_data(parser: Parser, arguments: list[str] | None) -> str | None:
    """--data as it was typed; None where it was not."""
    data: str | None = parser.parse_args(_typed_words(arguments), argparse.Namespace(data=None)).data
    return data


def _typed_words(arguments: list[str] | None) -> list[str]:
    return sys.argv[1:] if arguments is None else arguments


def _options_of_run(run: Path) -> dict[str, Any]:
    """What a run was begun with; nothing for one that has not begun."""
    if not (run / "config.json").exists():
        return {}
    options: dict[str, Any] = read_config(run)["options"]
    return options


def as_words(parser: Parser, values: Mapping[str, Any], source: str) -> list[str]:
    """Options by name as words of a command line, each checked; None stands for a default. Errors name `source`."""
    actions = {action.dest: action for action in parser._actions if action.dest not in TYPED_ONLY}
    words: list[str] = []
    for name, value in values.items():
        if name not in actions:
            raise GlowliteError(f"{source}: unknown option {shortened(name)!r}; expected {_one_of(name, actions)}")
        option = "--" + name.replace("_", "-")
        if value is None:
            continue
        is_switch = isinstance(actions[name], argparse.BooleanOptionalAction)
        if is_switch != isinstance(value, bool) or not isinstance(value, (bool, int, float, str)):
            expected = "true or false" if is_switch else "a number or a text"
            raise GlowliteError(f"{source}: {name}: expected {expected}, got {shortened(value)}")
        if isinstance(value, str) and not _could_be_typed(value):
            raise GlowliteError(f"{source}: {name}: {shortened(value)!r} holds characters that no file's name can have")
        if is_switch:
            words.append(option if value else "--no-" + option[2:])
        else:
            words.append(f"{option}={value}")
    with parser.blaming(source):
        parser.parse_args(words)
    return words


def _could_be_typed(text: str) -> bool:
    """Whether the system could hand over such a word: without zero bytes, and of characters that it can write."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _one_of(name: str, names: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"{close[0]}?"
    return f"one of {', '.join(names)}" if len(names) < 20 else "one that --help lists"


def effective(options: argparse.Namespace) -> dict[str, Any]:
    """Every option that a file or a run may hold, by name."""
    return {name: value for name, value in vars(options).items() if name not in TYPED_ONLY}


def as_yaml(options: argparse.Namespace) -> str:
    import yaml

    text: str = yaml.safe_dump(effective(options), sort_keys=False)
    return text
