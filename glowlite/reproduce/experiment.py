"""An experiment: the runs that it needs, and the report made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glowlite.reproduce.planned_run import Option, PlannedRun
from glowlite.reproduce.report import Report


@dataclass(frozen=True)
class ExperimentSettings:
    """The requested settings. `model`: options of the train command that all runs share, if they
    were given. `given`: the named runs, for an experiment that takes runs.
    """

    folder: Path
    data: str
    seeds: int
    steps: int
    model: Mapping[str, Option] = field(default_factory=dict)
    given: tuple[str, ...] = ()

    def run(self, name: str, **options: Option) -> PlannedRun:
        """Return a run called `name`, with the data, the steps, the shared options, and these
        options.

        It is evaluated a dozen times, and draws no pictures during training.
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
    """`what`: a one-line description. `takes`: its duration with the defaults on two cores.
    `defaults`: data, seeds, steps, and options of the model.

    `plan` returns the runs, `report` makes the figure and tables from them.
    """

    name: str
    what: str
    takes: str
    defaults: Mapping[str, Any]
    plan: Callable[[ExperimentSettings], list[PlannedRun]]
    report: Callable[[ExperimentSettings, list[PlannedRun]], Report]
    paper_size: Callable[[], Report] | None = None
