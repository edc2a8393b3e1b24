"""What config.json and the .jsonl files of a run may contain, and how they are read.

Each line is checked before it is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

from glowlite.errors import GlowliteError
from glowlite.files.header import COUNT
from glowlite.files.inputs import read_bytes
from glowlite.files.schema import (
    STEPS,
    Form,
    checked,
    either,
    list_of,
    maybe,
    names_to,
    number,
    plain,
    read_json,
    record,
    scalar,
    whole,
)
from glowlite.files.schema import text as text_of
from glowlite.files.storage import write_text
from glowlite.training.metrics import Metrics, Timing

CONFIG, BEST, METRICS, TIMING = "config.json", "best.safetensors", "metrics.jsonl", "timing.jsonl"
# in config.json: whether the run has written a checkpoint; runs of the first version do not record
# it
SAVED = "saved"
MAX_CONFIG_BYTES, MAX_LINES_BYTES = 1 << 24, 1 << 30  # bytes
OPTIONS = record(
    {"data": text_of(), "n_bits": whole(1, 8), "steps": either(whole(1, STEPS), text_of(40))},
    others=scalar,
)
CONFIG_FORM = record(
    {
        "options": OPTIONS,
        "data": text_of(),
        "images": list_of(whole(1, STEPS), least=2, most=2),
        "versions": names_to(text_of()),
    },
    others=plain,
)
OF_A_TYPE = {"int": COUNT, "float": number(), "float | None": maybe(number())}


def line_of(kind: type[Metrics | Timing]) -> Form:
    """Return the form of a line: it must have every field of the class without a default, and only
    numbers.
    """
    needed = [field for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    return record(
        {field.name: OF_A_TYPE[str(field.type)] for field in needed}, others=maybe(number())
    )


def read_config(run: Path) -> dict[str, Any]:
    """Return the configuration that the run in a folder was begun with.

    Raises GlowliteError that names the wrong field.
    """
    path = run / CONFIG
    try:
        content = read_bytes(path, MAX_CONFIG_BYTES)
    except FileNotFoundError:
        raise GlowliteError(f"{run}: no {CONFIG} here; name the folder of a run") from None
    except OSError as error:
        raise GlowliteError(
            f"{path}: cannot be read: {error.strerror}; check its permissions"
        ) from None
    config: dict[str, Any] = checked(CONFIG_FORM, read_json(content, str(path)), str(path))
    return config


def write_config(run: Path, config: dict[str, Any]) -> None:
    """Write the configuration of a run into its folder atomically."""
    write_text(run / CONFIG, json.dumps(config, indent=2) + "\n")


def read_lines(path: Path, kind: type[Metrics | Timing]) -> list[dict[str, Any]]:
    """Return the checked lines of a .jsonl file; empty if the file does not exist. An incomplete
    last line is left out.

    Raises GlowliteError that names the line and the field.
    """
    try:
        content = read_bytes(path, MAX_LINES_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GlowliteError(
            f"{path}: cannot be read: {error.strerror}; check its permissions"
        ) from None
    form, found = line_of(kind), []
    *whole_lines, rest = content.split(b"\n")
    for i, line in enumerate(whole_lines):
        where = f"{path}, line {i + 1}"
        found.append(checked(form, read_json(line, where), where))
    if rest:
        with contextlib.suppress(GlowliteError):  # the line is incomplete
            found.append(checked(form, read_json(rest, ""), ""))
    return found
