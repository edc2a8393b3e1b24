"""A run that an experiment needs: an ordinary run of the train command, in its own folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glowlite.commands.shell_words import typed
from glowlite.data import located
from glowlite.errors import GlowliteError
from glowlite.files.storage import checkpoint_name, checkpoints_of
from glowlite.training.metrics import Metrics
from glowlite.training.run_files import CONFIG, METRICS, read_config, read_lines

Option = str | int | float | bool


@dataclass(frozen=True)
class PlannedRun:
    """`options`: those of `python -m glowlite.train`, by name, including `steps`."""

    folder: Path
    options: Mapping[str, Option]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def words(self) -> list[str]:
        """Return the options as command-line words."""
        found = []
        for name, value in {**self.options, "out": self.folder}.items():
            option = name.replace("_", "-")
            if isinstance(value, bool):
                found.append(f"--{option}" if value else f"--no-{option}")
            else:
                found.append(f"--{option}={value}")
        return found

    @property
    def command(self) -> str:
        """Return the command as one would type it."""
        words = [
            typed(name, value)
            if not isinstance(value, bool)
            else f"--{'' if value else 'no-'}{name.replace('_', '-')}"
            for name, value in {**self.options, "out": self.folder}.items()
        ]
        return " ".join(["python -m glowlite.train", *words])

    def is_begun(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return (self.folder / CONFIG).exists() and bool(checkpoints_of(self.folder))

    def is_done(self) -> bool:
        """Whether it has all of its steps.

        Raises GlowliteError if the folder contains a run with other options, which is left alone.
        """
        if not (self.folder / CONFIG).exists():
            return False
        begun_with = read_config(self.folder)["options"]
        for name, value in self.options.items():
            meant = located(str(value)) if name == "data" else value
            if name in begun_with and begun_with[name] != meant:
                raise GlowliteError(
                    f"{self.folder}: contains a run with {name} {begun_with[name]}, not {value};"
                    " name another folder with --out, or remove it"
                )
        last = checkpoints_of(self.folder)[-1:]
        return bool(last) and last[0].name >= checkpoint_name(int(self.options["steps"]))

    def curve(self) -> list[tuple[float, float]]:
        """Return epochs and held-out bits/dim of every evaluation."""
        lines: list[dict[str, Any]] = read_lines(self.folder / METRICS, Metrics)
        return [
            (line["epoch"], line["held_out_bits_per_dim"])
            for line in lines
            if line["held_out_bits_per_dim"] is not None
        ]
