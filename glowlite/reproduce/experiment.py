"""An experiment: the runs that it needs, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glowlite.reproduce.planned_run import Option, PlannedRun
from glowlite.reproduce.report import Report


@dataclass(frozen=True)
class ExperimentSettings:
    """What was asked for. `model`: options of the train command that all runs share, those that
    were named. `given`: runs that were named, for an experiment that takes some.
    """

    folder: Path
    data: str
    seeds: int
    steps: int
    model: Mapping[str, Option] = field(default_factory=dict)
    given: tuple[str, ...] = ()

    def run(self, name: str, **options: Option) -> PlannedRun:
        """A run called `name`: the data, the steps, what all runs share, and these options.

        It is evaluated a dozen times, and draws no pictures on the way.
        """
        every = max(1, self.steps // 12)
        common: dict[str, Option] = {
            "data": self.data,
            "steps": self.steps,
            "evaluate_every": every,
            "checkpoint_every": every,
            "picture_every": 10**8,
        }
        return PlannedRun(self.folder / name, {**common, **self.model, **options})


@dataclass(frozen=True)
class Experiment:
    """`what`: in a line. `takes`: how long, with its defaults, on two cores. `defaults`: of data,
    seeds, steps, and options of the model.

    `plan` gives the runs, `report` makes figure and tables of them.
    """

    name: str
    what: str
    takes: str
    defaults: Mapping[str, Any]
    plan: Callable[[ExperimentSettings], list[PlannedRun]]
    report: Callable[[ExperimentSettings, list[PlannedRun]], Report]
    paper_size: Callable[[], Report] | None = None
