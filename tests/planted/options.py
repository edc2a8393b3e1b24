"""An option that is dropped on its way: parsed, and then its default is taken instead, at any place that reads it.

The table is made from the source itself: wherever a command reads `options.NAME`, training a setting, or the model a field
of its configuration, there is a bug that puts the default there. What is read for a message only, or to be checked only,
is not a bug of this kind; NO_DIFFERENCE has the others that are none.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from glowlite.data.preparation import Preparation
from glowlite.models.config import GlowConfig
from glowlite.training.settings import Settings

from . import Bug
from ._parsers import PACKAGE, parser_of

LAW = "every option has an effect"

# the files that read options, and the command whose tests look at what they do
READ_BY = {
    "commands/train.py": "train", "commands/train_options.py": "train", "commands/option_sources.py": "train", "commands/loaded_model.py": "evaluate",
    "commands/evaluate.py": "evaluate", "commands/sample.py": "sample", "commands/interpolate.py": "interpolate", "commands/reconstruct.py": "reconstruct",
    "commands/edit.py": "edit", "commands/inpaint.py": "inpaint", "commands/figures.py": "figures", "commands/export.py": "export", "commands/report.py": "report",
    "commands/data.py": "data", "bench/__main__.py": "bench", "training/run.py": "train", "training/loop.py": "train",
    "models/steps.py": "train", "models/glow.py": "train",
}  # fmt: skip
ALL_OF_THEM = {  # places that hand on every field of a dataclass: the text before which one is set back, and its names
    "commands/train_options.py": [
        ("    return Settings(**values", 'values["{name}"] = Settings().{name}', Settings),
        (
            "    values = {name: getattr(options, name) for name in options_of(options.model)}",
            'setattr(options, "{name}", GlowConfig((8, 8, 3)).{name})',
            GlowConfig,
        ),
    ],
    "commands/data_options.py": [
        (
            "    return Preparation(**",
            'setattr(options, "{name}", Preparation().{name})',
            Preparation,
        )
    ],
}
NO_OPTIONS = ("augmentation", "image_shape", "classes")  # fields that are none

# Reads whose default makes no difference to what these tests see, by file, name and how the line begins; with the reason
GPU, RANKS = "on a GPU only", "over several ranks only"
NO_DIFFERENCE = {
    ("commands/train.py", "steps", "steps, done = "): "of the bar on a terminal",
    ("commands/train.py", "steps", "left = "): "of a line on stderr",
    (
        "commands/train.py",
        "tensorboard",
        "if options.tensorboard:",
    ): "only looks whether its library is there",
    ("training/run.py", "on_bad_step", "right_away = settings.on_bad_step"): GPU,
    ("training/run.py", "shards", "right_away = settings.on_bad_step"): GPU,
    ("training/run.py", "shards", "flow.initialize(x, this_process if"): RANKS,
    (
        "training/run.py",
        "shards",
        "self.parts(), settings.batch, self.allreduce, settings.shards",
    ): RANKS,
    ("training/run.py", "batch", "share = ranks.share(settings.batch)"): RANKS,
    ("training/loop.py", "batch", "share = training.ranks.share(settings.batch)"): RANKS,
    ("training/loop.py", "shards", "share = None if settings.shards"): RANKS,
    (
        "training/loop.py",
        "batch",
        "data.held_out, settings.n_bits, settings.batch",
    ): "of rounding only",
}
# Tests that look closer than at a difference
NUMBERS = "tests/test_written_numbers.py"
ALSO = {
    ("commands/sample.py", "grid"): (
        "tests/test_pictures_show.py::test_a_grid_of_samples_is_the_samples_in_their_order",
    ),
    ("commands/interpolate.py", "steps"): (
        "tests/test_pictures_show.py::test_a_walk_goes_from_the_first_image_to_the_second",
    ),
    ("commands/interpolate.py", "out"): (
        "tests/test_pictures_show.py::test_an_animation_has_the_frames_of_the_walk_there_and_back",
    ),
    ("commands/option_sources.py", "config"): (
        "tests/test_options.py::test_a_value_that_is_not_allowed_names_the_file",
    ),
    ("commands/train.py", "resume"): (
        "tests/test_start.py::test_a_start_from_few_values_is_said_in_a_line",
    ),
    ("commands/evaluate.py", "data"): (
        "tests/test_evaluate.py::test_raw_weights_more_draws_other_data_and_the_training_set",
    ),
    ("commands/export.py", "dtype"): (
        "tests/test_evaluate.py"
        "::test_an_exported_model_has_the_type_that_was_asked_for_and_the_bits_of_its_weights",
    ),
    ("commands/option_sources.py", "out"): (
        "tests/test_options_act.py::test_an_option_acts[train --resume]",
    ),
    ("training/run.py", "n_bits"): (
        f"{NUMBERS}::test_training_bits_per_dim_are_the_mean_since_the_line_before",
    ),
    ("training/run.py", "batch"): (
        f"{NUMBERS}::test_training_bits_per_dim_are_the_mean_since_the_line_before",
    ),
    ("training/loop.py", "n_bits"): (
        f"{NUMBERS}::test_held_out_bits_per_dim_are_of_the_averaged_and_of_the_raw_weights",
        f"{NUMBERS}::test_norm_drift_condition_and_reconstruction_are_of_the_last_step",
    ),
    ("training/loop.py", "batch"): (
        f"{NUMBERS}::test_seconds_go_on_over_a_resume_and_images_per_second_are_those_of_training",
    ),
    ("bench/__main__.py", "side"): ("tests/test_bench.py::test_the_command_on_the_stand_in",),
    ("bench/__main__.py", "scaling"): (
        "tests/test_bench.py::test_scaling_begins_with_a_small_job_and_what_is_typed_wins",
        "tests/test_bench.py::test_scaling_is_a_table_of_its_own",
    ),
    ("commands/evaluate.py", "ood"): (
        "tests/test_pictures_show.py::test_a_comparison_draws_its_own_data_and_the_others",
    ),
}
for _name in ("K", "L", "width", "coupling", "scale"):
    ALSO["bench/__main__.py", _name] = (
        "tests/test_bench.py::test_a_preset_is_the_job_that_is_trained_and_what_is_typed_wins",
    )


def bugs() -> Iterator[Bug]:
    for file, places in ALL_OF_THEM.items():
        for before, line, kind in places:
            for name in (
                field.name for field in dataclasses.fields(kind) if field.name not in NO_OPTIONS
            ):
                yield row(
                    file,
                    name,
                    f"{name} of {kind.__name__}",
                    before,
                    f"    {line.format(name=name)}\n{before}",
                )
    for file in READ_BY:
        yield from dropped_in(file)


def row(file: str, name: str, what: str, old: str, new: str) -> Bug:
    option = "--" + name.replace("_", "-")
    test = f"tests/test_options_act.py::test_an_option_acts[{READ_BY.get(file, 'train')} {option}]"
    tests = (test, *ALSO.get((file, name), ()))
    return Bug(LAW, f"{what} dropped in {file}", file, old, new, tests)


def dropped_in(file: str) -> Iterator[Bug]:
    """A bug for every place of a file that reads an option."""
    source = (PACKAGE / file).read_text()
    lines = source.splitlines(keepends=True)
    defaults = {
        "options": {
            action.dest: action
            for action in parser_of(READ_BY[file])._actions
            if action.option_strings
        },
        "settings": dataclasses.asdict(Settings()),
        "config": dataclasses.asdict(GlowConfig((8, 8, 3))),
    }
    defaults["options"] = {name: action.default for name, action in defaults["options"].items()}
    owners = {**defaults, "typed": defaults["options"], "s": defaults["settings"]}
    for node in reads(ast.parse(source)):
        owner, name = ast.unparse(node.value).removeprefix("self."), node.attr
        text = lines[node.lineno - 1].strip()
        if name not in owners.get(owner, {}) or name in NO_OPTIONS:
            continue
        if any((file, name) == key[:2] and text.startswith(key[2]) for key in NO_DIFFERENCE):
            continue
        if name == "help" or node.lineno != node.end_lineno:
            continue
        default = literal(owners[owner][name])
        line = lines[node.lineno - 1].encode()
        changed = (
            line[: node.col_offset] + default.encode() + line[node.end_col_offset :]
        ).decode()
        first = node.lineno - 1  # lines before it, until there is no other such place
        while source.count("".join(lines[first : node.lineno])) > 1:
            first -= 1
        old = "".join(lines[first : node.lineno])
        new = "".join(lines[first : node.lineno - 1]) + changed
        yield row(file, name, f"{ast.unparse(node)} at {node.lineno}:{node.col_offset}", old, new)


def literal(value: Any) -> str:
    """Python text of a default."""
    return f"Path({str(value)!r})" if isinstance(value, PurePath) else repr(value)


def reads(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Every attribute that is read, but not for a message, an error or a check."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.JoinedStr | ast.Raise):
            continue
        if is_a_check(node):
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node
        yield from reads(node)


def is_a_check(node: ast.AST) -> bool:
    """Something named check_..., a call of it, or a statement under which there are only such calls and errors."""
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("check_")
    if isinstance(node, ast.If | ast.For):
        return all(
            isinstance(lines[-1], ast.Raise) or all(map(is_a_check, lines))
            for lines in (node.body, node.orelse)
            if lines
        )
    call = node.value if isinstance(node, ast.Expr) else node
    return isinstance(call, ast.Call) and ast.unparse(call.func).startswith("check_")


BUGS = list(bugs())
