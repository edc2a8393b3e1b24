"""Read options by name from a YAML or JSON file. Only plain values are allowed, and an unknown
option is an error.

YAML is read event by event, and only true, false, null and text become values. So a number is read
as if it had been typed, a date is refused, and reading stops at the first list or alias, however
large it is.
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

MAX_BYTES = 1 << 16  # size limit of the file; one with every option has 1,500 bytes
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
AS_IT_STANDS = ("str", "int", "float")  # YAML tags


def read_options_file(word: str) -> dict[str, Any]:
    """Return the options by name: true, false, None (meaning the default), text and numbers.
    Numbers from YAML stay text.

    `-` is standard input. Raises GlowliteError, in one line, if the file is missing, damaged, too
    large, not a regular file, or not a mapping of names to plain values.
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
            raise GlowliteError(f"{where}: {shortened(name)} appears twice; keep one of them")
        values[option] = value
    return values


def _standard_input(where: str) -> bytes:
    if launched_as() is not None:
        raise GlowliteError(
            f"{where}: standard input cannot be shared by several processes; name a file"
        )
    content = sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin is not None else b""
    if len(content) > MAX_BYTES:
        raise GlowliteError(
            f"{where}: is larger than {MAX_BYTES} bytes, the limit for a configuration"
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
            raise GlowliteError(f"{where}: contains more than one document; keep one of them")
    except yaml.YAMLError as error:
        raise GlowliteError(f"{where}: is not valid YAML: {_reason(error)}; fix it there") from None
    return pairs


def _no_mapping(where: str) -> GlowliteError:
    return GlowliteError(
        f"{where}: expected lines of the form `option: value`, as --print-config writes them"
    )


def _reason(error: Exception) -> str:
    """Say what is wrong and in which line. PyYAML's own message takes five lines."""
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
    """Return the value of a scalar.

    Raises GlowliteError for a list, a mapping, an alias, or a scalar of any other kind.
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
