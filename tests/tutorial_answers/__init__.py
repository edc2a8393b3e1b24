"""Answers to the exercises of the notebooks, one module per notebook.

A check has to accept the right ones, and to answer each of the usual wrong ones with its hint.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Answers:
    """right: code that stands in place of the solution. wrong: (code, a part of the hint)."""

    right: list[str]
    wrong: list[tuple[str, str]]


def answers_of(notebook: str) -> list[Answers]:
    """Those of a notebook's three exercises, in order; `notebook` is its number, such as 09a."""
    return import_module(f"tutorial_answers.notebook_{notebook}").ANSWERS
