"""What a JSON text may contain: the type and the bounds of every field, checked completely before
anything is made from it.

    POINT = record({"x": number(0, 1), "y": number(0, 1)}, optional={"name": text()})
    point = checked(POINT, read_json(content, where), where)

A form is a function of a value and the name of its field, which raises Mismatch if the value does
not have that form.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from glowlite.errors import GlowliteError

Form = Callable[[Any, str], None]

DIGITS = 40  # most digits of a number: float64 has 17 significant digits, and a seed has 20
DEPTH = 16  # deepest nesting of lists and objects
TEXT = 1 << 16  # longest text, in characters
MANY = 1 << 20  # most entries of a list or an object
STEPS = 10**12  # largest number of steps
# the codes in between represent bytes of a name that is not UTF-8
SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class Mismatch(Exception):
    """A value that does not have its form: which field, what was expected, and what was found."""


def checked(form: Form, value: Any, where: str, error: type[GlowliteError] = GlowliteError) -> Any:
    """Return the value if it has this form; otherwise raise `error`, in one line that begins with
    `where`.
    """
    try:
        form(value, "")
    except Mismatch as mismatch:
        raise error(
            f"{where}: {mismatch}; was it damaged, or written by another version of glowlite?"
        ) from None
    return value


def read_json(content: bytes | str, where: str, error: type[GlowliteError] = GlowliteError) -> Any:
    """Parse a JSON text in UTF-8.

    Raises `error` for any other text, in one line that begins with `where`. NaN, Infinity,
    duplicate names, numbers with more than DIGITS digits and surrogate characters are also refused.
    """
    try:
        text = content.decode() if isinstance(content, bytes) else content
        return json.loads(
            text,
            parse_constant=_refuse,
            parse_int=_integer,
            parse_float=_finite,
            object_pairs_hook=_without_doubles,
        )
    except UnicodeDecodeError:
        reason = "it is not text in UTF-8"
    except (json.JSONDecodeError, Mismatch) as found:
        reason = str(found)
    except RecursionError:
        reason = "lists and objects are nested too deeply"
    raise error(f"{where}: is not valid JSON: {reason}")


def _refuse(name: str) -> float:
    raise Mismatch(f"it contains {name}, which is not a number")


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise Mismatch(f"it contains a number with {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if len(digits) > DIGITS or not math.isfinite(value):
        raise Mismatch(
            f"it contains the number {reprlib.repr(digits)}, which has too many digits or is too"
            " large"
        )
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Mismatch("a name appears twice in one object")
    return found


def _leaf(expected: str, holds: Callable[[Any], bool]) -> Form:
    def check(value: Any, field: str) -> None:
        if not holds(value):
            raise Mismatch(
                f"{field or 'the whole'}: expected {expected}, got {reprlib.repr(value)}"
            )

    return check


def whole(least: int, most: int) -> Form:
    """A whole number between the two bounds, inclusive. True and 1.0 are refused."""
    return _leaf(
        f"a whole number from {least} to {most}", lambda v: type(v) is int and least <= v <= most
    )


def number(least: float = -math.inf, most: float = math.inf) -> Form:
    """A finite number between the two bounds, inclusive."""
    bounds = "" if math.isinf(least) and math.isinf(most) else f" from {least:g} to {most:g}"
    return _leaf(f"a finite number{bounds}", lambda v: _is_finite(v) and least <= v <= most)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def text(most: int = TEXT) -> Form:
    """A text that can be part of a file name: without zero bytes and surrogate characters."""
    return _leaf(
        f"a text of at most {most} characters",
        lambda v: isinstance(v, str) and len(v) <= most and _sound(v),
    )


def _sound(string: str) -> bool:
    return "\0" not in string and not SURROGATE.search(string)


def one_of(*values: str) -> Form:
    return _leaf(f"one of {', '.join(values)}", lambda v: isinstance(v, str) and v in values)


def either(*forms: Form) -> Form:
    """A value of one of these forms; the error is that of the last."""

    def check(value: Any, field: str) -> None:
        for form in forms[:-1]:
            try:
                return form(value, field)
            except Mismatch:
                continue
        forms[-1](value, field)

    return check


flag = _leaf("true or false", lambda v: isinstance(v, bool))
nothing = _leaf("null", lambda v: v is None)


def maybe(form: Form) -> Form:
    """null, or a value of this form."""
    return either(nothing, form)


def list_of(form: Form, least: int = 0, most: int = MANY) -> Form:
    """A list of `least` to `most` values of one form."""
    is_list = _leaf(
        f"a list of {least} to {most} entries",
        lambda v: isinstance(v, list) and least <= len(v) <= most,
    )

    def check(value: Any, field: str) -> None:
        is_list(value, field)
        for i, entry in enumerate(value):
            form(entry, f"{field}[{i}]")

    return check


def record(
    required: Mapping[str, Form] | None = None,
    optional: Mapping[str, Form] | None = None,
    others: Form | None = None,
) -> Form:
    """An object with these fields.

    Other fields must have the form `others`; without it, they are refused.
    """
    required = required or {}
    known = {**required, **(optional or {})}
    is_record = _leaf("an object", lambda v: isinstance(v, dict) and len(v) <= MANY)

    def check(value: Any, field: str) -> None:
        is_record(value, field)
        prefix = f"{field}." if field else ""
        for name in required:
            if name not in value:
                raise Mismatch(f"{prefix}{name} is missing")
        for name, entry in value.items():
            form = known.get(name, others)
            if form is None or not _sound(name):
                raise Mismatch(f"{prefix}{reprlib.repr(name)} is an unknown field")
            form(entry, f"{prefix}{name[:40]}")

    return check


def names_to(form: Form) -> Form:
    """An object with any names, whose values all have one form."""
    return record(others=form)


scalar = _leaf(
    "a finite number, a text, true, false or null",
    lambda v: (
        v is None
        or isinstance(v, bool)
        or _is_finite(v)
        or (isinstance(v, str) and len(v) <= TEXT and _sound(v))
    ),
)


def plain(value: Any, field: str, depth: int = DEPTH) -> None:
    """A form: any JSON value without NaN, nested at most DEPTH deep."""
    if depth == 0:
        raise Mismatch(f"{field}: lists and objects are nested too deeply")

    def below(entry: Any, name: str) -> None:
        plain(entry, name, depth - 1)

    form = (
        list_of(below)
        if isinstance(value, list)
        else names_to(below)
        if isinstance(value, dict)
        else scalar
    )
    form(value, field)
