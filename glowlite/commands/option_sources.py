"""Where training options come from: presets, a YAML or JSON file, a run that is resumed, and the
command line.

All of them become words of one command line, in the order run, preset, file, typed words, and later
words override earlier ones. So every value goes through the same checks, and an error names its
source. For a resumed run, options from a preset or a file count as if they were typed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from glowlite.commands.config_file import read_options_file
from glowlite.commands.option_words import TYPED_ONLY, as_words, one_of
from glowlite.commands.presets import MODEL_DEFAULTS, PRESETS
from glowlite.commands.program import Parser
from glowlite.commands.train_options import CONFIGS, make_parser, options_of, options_of_others
from glowlite.data import is_there
from glowlite.data.embedded import check_meaning
from glowlite.errors import GlowliteError
from glowlite.terminal import shortened
from glowlite.training.run_files import read_config

# options that a resumed run may change: the loss curve then bends, but the checkpoint still fits
# (--data may name a different place with the same images, see train.py)
MAY_CHANGE = (
    "steps", "lr", "warmup", "decay", "clip", "log_every", "evaluate_every", "evaluate_images",
    "checkpoint_every", "keep", "picture_every", "on_bad_step", "memory", "device", "threads",
    "plain", "tensorboard", "accumulate", "gpu_exchange", "mpi_timeout", "gpu_memory",
    "label_weight",
)  # fmt: skip


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return every option, from all sources.

    Raises GlowliteError, or exits with code 2, for an option that is not allowed.
    """
    parser = make_parser()
    typed = parser.parse_args(arguments)
    words: list[str] = []
    given: dict[str, Any] = {}
    from_file = read_options_file(typed.config) if typed.config else {}
    preset_of_file = from_file.pop("preset", None)
    presets = typed.preset or preset_of_file
    for name in str(presets).split(",") if presets else []:
        if name not in PRESETS:
            raise GlowliteError(
                f"--preset {shortened(name)!r}: no such preset; expected {one_of(name, PRESETS)}"
            )
        words += as_words(parser, PRESETS[name], f"preset {name}")
        given |= PRESETS[name]
    words += as_words(parser, from_file, typed.config)
    for data in (from_file.get("data"), _typed_data(parser, arguments)):
        # the source that the user named; never a default or an option of a run
        check_meaning(str(data))
    given |= from_file
    if typed.resume and typed.overwrite:
        raise GlowliteError(
            "--resume continues the run in --out, and --overwrite replaces it; give only one of"
            " them"
        )
    if typed.resume and typed.out is None:
        raise GlowliteError("--resume needs --out, the folder of the run to continue")
    if typed.out == "":
        raise GlowliteError("--out is empty; name a folder")
    begun = _options_of_run(Path(typed.out)) if typed.resume else {}
    # None resets it to its default
    kept = {name: value for name, value in begun.items() if given.get(name, value) is not None}
    words = as_words(parser, kept, f"{typed.out}/config.json") + words
    model = parser.parse_args([*words, *_typed_words(arguments)]).model
    words = as_words(parser, MODEL_DEFAULTS[model], f"--model {model}") + words
    options = parser.parse_args([*words, *_typed_words(arguments)])
    by_hand = _typed_values(parser, arguments)
    _check_model(model, {**from_file, **by_hand})
    for name in ("class_map", "label_weight"):  # a config file contains them in any case
        if name in by_hand and options.condition is None and not typed.resume:
            raise GlowliteError(
                f"--{name.replace('_', '-')} needs a model with classes; give --condition, or"
                " leave it out"
            )
    if begun and not is_there(options.data):
        raise GlowliteError(
            f"{typed.out}: its data, {options.data}, are missing; say where they are now with"
            " --data"
        )
    changed = [
        name
        for name in begun
        if name not in (*MAY_CHANGE, "data") and getattr(options, name) != begun[name]
    ]
    if changed:
        name = changed[0]
        raise GlowliteError(
            f"--{name.replace('_', '-')} was {shortened(repr(begun[name]))} when {typed.out}"
            f" began, and cannot become {shortened(repr(getattr(options, name)))} in a resumed"
            " run; leave it out, or begin a new run"
        )
    return options


def _typed_data(parser: Parser, arguments: list[str] | None) -> str | None:
    """Return --data as it was typed, or None."""
    data: str | None = _typed_values(parser, arguments).get("data")
    return data


def _typed_values(parser: Parser, arguments: list[str] | None) -> dict[str, Any]:
    """Return the options that were typed, by name."""
    absent = object()
    names = [action.dest for action in parser._actions]
    blank = argparse.Namespace(**dict.fromkeys(names, absent))
    found = vars(parser.parse_args(_typed_words(arguments), blank))
    return {name: value for name, value in found.items() if value is not absent}


def _check_model(model: str, given: dict[str, Any]) -> None:
    """Raise GlowliteError for an option that the model does not have."""
    for name in sorted(options_of_others(model) & set(given)):
        whose = " and ".join(other for other in CONFIGS if name in options_of(other))
        raise GlowliteError(
            f"--{name.replace('_', '-')} is an option of {whose}, not of {model}; leave it out,"
            " or give --model"
        )


def _typed_words(arguments: list[str] | None) -> list[str]:
    return sys.argv[1:] if arguments is None else arguments


def _options_of_run(run: Path) -> dict[str, Any]:
    """Return the options that a run was begun with, or {} if it has not begun."""
    if not (run / "config.json").exists():
        return {}
    options: dict[str, Any] = read_config(run)["options"]
    return {"model": "glow", **options}  # the first versions had no other model


def effective(options: argparse.Namespace) -> dict[str, Any]:
    """Return every option that a file or a run may contain, by name, without the options of other
    models.
    """
    left_out = {*TYPED_ONLY, *options_of_others(options.model)}
    return {name: value for name, value in vars(options).items() if name not in left_out}


def as_yaml(options: argparse.Namespace) -> str:
    import yaml

    text: str = yaml.safe_dump(effective(options), sort_keys=False)
    return text
