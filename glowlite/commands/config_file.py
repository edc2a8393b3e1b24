"""Options by name from a YAML or JSON file: plain values alone, each as it stands there, and none
taken without a word.

YAML is read event by event, and no values are made but true, false, null and text: so a number is
read as if it were typed, a date is refused, and reading ends at the first list or alias, however
much it stands for.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from glowlite.distributed.launcher import launched_as
from glowlite.errors import GlowliteError
from glowlite.files.inputs import read_bytes
from glowlite.files.schema import read_json
from glowlite.terminal import shortened

MAX_BYTES = 1 << 16  # of the file; one with every option has 1,500
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
AS_IT_STANDS = ("str", "int", "float")  # tags of YAML


def read_options_file(word: str) -> dict[str, Any]:
    """Options by name: true, false, None for a default, text and numbers, those of YAML as text.

    `-` is standard input. Raises GlowliteError, in one line, for a file that is missing, damaged,
    too large, not regular, or no mapping of names to plain values.
    """
    where = f"--config {word}"
    try:
        content = _standard_input(where) if word == "-" else read_bytes(Path(word), MAX_BYTES)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise GlowliteError(f"{where}: cannot be read: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise GlowliteError(
            f"{where}: cannot be read: it is not text in UTF-8; save it as such"
        ) from None
    pairs = (
        _json_pairs(text, where)
        if Path(word).suffix.lower() == ".json"
        else _yaml_pairs(text, where)
    )
    values: dict[str, Any] = {}
    for name, value in pairs:
        option = name.replace("-", "_")
        if option in values:
            raise GlowliteError(f"{where}: {shortened(name)} comes twice; keep one of them")
        values[option] = value
    return values


def _standard_input(where: str) -> bytes:
    if launched_as() is not None:
        raise GlowliteError(
            f"{where}: only one of several ranks could read standard input; name a file"
        )
    content = sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin is not None else b""
    if len(content) > MAX_BYTES:
        raise GlowliteError(
            f"{where}: is larger than the {MAX_BYTES} bytes that a configuration may have"
        )
    return content


def _json_pairs(text: str, where: str) -> list[tuple[str, Any]]:
    values = read_json(text, where)
    if not isinstance(values, dict):
        raise _no_mapping(where)
    return list(values.items())


def _yaml_pairs(text: str, where: str) -> list[tuple[str, Any]]:
    import yaml

    pairs = []
    try:
        loader = yaml.SafeLoader(text)
        loader.get_event(), loader.get_event()  # the stream and the document begin
        if not loader.check_event(yaml.MappingStartEvent):
            raise _no_mapping(where)
        loader.get_event()
        while not loader.check_event(yaml.MappingEndEvent):
            key = loader.get_event()
            if not isinstance(key, yaml.ScalarEvent) or _kind(loader, key) != "str":
                raise _no_mapping(where)
            pairs.append(
                (key.value, _plain(loader, loader.get_event(), f"{where}: {shortened(key.value)}"))
            )
        loader.get_event(), loader.get_event()  # the mapping and the document end
        if not loader.check_event(yaml.StreamEndEvent):
            raise GlowliteError(f"{where}: holds more than one document; keep one of them")
    except yaml.YAMLError as error:
        raise GlowliteError(f"{where}: is not valid YAML: {_reason(error)}; fix it there") from None
    return pairs


def _no_mapping(where: str) -> GlowliteError:
    return GlowliteError(f"{where}: expected lines `option: value`, as --print-config writes them")


def _reason(error: Exception) -> str:
    """Say what is wrong, and in which line: PyYAML's own words take five lines."""
    mark, problem = (
        getattr(error, "problem_mark", None),
        getattr(error, "problem", None) or getattr(error, "reason", None),
    )
    line = "" if mark is None else f"line {mark.line + 1}: "
    return shortened(f"{line}{problem or error}", 100)


def _kind(loader: Any, scalar: Any) -> str:
    """`str`, `int`, `float`, `bool`, `null`, `timestamp`, ..., or a tag that is not YAML's own."""
    import yaml

    tag = (
        scalar.tag
        if scalar.tag not in (None, "!")
        else loader.resolve(yaml.ScalarNode, scalar.value, scalar.implicit)
    )
    return str(tag.removeprefix("tag:yaml.org,2002:"))


def _plain(loader: Any, event: Any, where: str) -> Any:
    """The value of a scalar.

    Raises GlowliteError for a list, a mapping or an alias, and for a scalar of another kind.
    """
    text = getattr(event, "value", None)
    if text is None:
        raise GlowliteError(
            f"{where}: expected a number or a text, got a list, a mapping or an alias"
        )
    kind = _kind(loader, event)
    if kind in AS_IT_STANDS:
        return text
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in BOOLEANS:
        return BOOLEANS[text.lower()]
    got = f"{shortened(text)}, a {shortened(kind)}"
    raise GlowliteError(f"{where}: expected a number or a text, got {got}; put it in quotes")
