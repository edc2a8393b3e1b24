"""Memory policies: what a chain keeps from forward to backward. One flag, `--memory`.

    reversible    nothing: every layer rebuilds its input from its output    4 forward passes a step
    anchored:k    the input of every k-th layer; the rebuilt one is
                  measured against it, then replaced by it                   4
    stored        every layer's input and hidden activations                 3

Under each, the last step of a level, where backward begins, keeps what it needs if that is little
(`glowlite.fast.last_step`).
"""

from __future__ import annotations

from dataclasses import dataclass

from glowlite.errors import GlowliteError
from glowlite.terminal import shortened


@dataclass(frozen=True)
class Memory:
    """`kind` is `reversible`, `anchored` or `stored`; `every` is k for `anchored`."""

    kind: str = "reversible"
    every: int = 0

    def __post_init__(self) -> None:
        every = self.every
        is_whole = isinstance(every, int) and not isinstance(every, bool)
        is_sound = is_whole and (every > 0 if self.kind == "anchored" else every == 0)
        if self.kind not in ("reversible", "anchored", "stored") or not is_sound:
            raise GlowliteError(
                "Memory: expected 'reversible', 'stored', or 'anchored' and a whole number, as in"
                f" Memory('anchored', 4); got {shortened(repr(self.kind))} and"
                f" {shortened(repr(every))}"
            )

    @classmethod
    def parse(cls, text: str) -> Memory:
        """From `reversible`, `anchored:k` or `stored`; else a GlowliteError that says so."""
        kind, _, every = text.partition(":")
        if text in ("reversible", "stored"):
            return cls(kind)
        if kind == "anchored" and every.isdecimal() and len(every) < 10 and int(every) > 0:
            return cls(kind, int(every))
        raise GlowliteError(
            f"memory {shortened(text)!r}: expected reversible, stored or anchored:k, such as"
            " anchored:4"
        )

    def anchors(self, index: int) -> bool:
        """Whether the input of layer `index` of a chain is kept as an anchor."""
        return self.kind == "anchored" and index % self.every == 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.every}" if self.kind == "anchored" else self.kind
