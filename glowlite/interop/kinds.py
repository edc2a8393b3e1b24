"""Every other code that is supported, by its names."""

from __future__ import annotations

from collections.abc import Iterable

from glowlite.errors import GlowliteError
from glowlite.interop.nice import DAKSH, FMU2_NICE
from glowlite.interop.openai import KIND as OPENAI
from glowlite.interop.realnvp import AUTHORS, CHUTE, FMU2
from glowlite.interop.rosinality import KIND as ROSINALITY
from glowlite.interop.rules import Kind
from glowlite.interop.y0ast import KIND as Y0AST

KINDS: tuple[Kind, ...] = (Y0AST, ROSINALITY, OPENAI, AUTHORS, CHUTE, FMU2, FMU2_NICE, DAKSH)


def kind_called(name: str) -> Kind:
    """Return the kind with this name or alias, ignoring case."""
    for kind in KINDS:
        if str(name).lower() in {alias.lower() for alias in (kind.name, *kind.aliases)}:
            return kind
    known = "; ".join(", ".join((kind.name, *kind.aliases)) for kind in KINDS)
    raise GlowliteError(f"from_weights: unknown kind {name!r}; expected one of {known}")


def kind_of(names: Iterable[str]) -> Kind:
    """Return the kind with these tensor names."""
    names = list(names)
    found = [kind for kind in KINDS if kind.is_of(names)]
    if len(found) != 1:
        raise GlowliteError("these tensors belong to no known kind: " + ", ".join(names[:3]))
    return found[0]
