"""An option that is dropped on its way: parsed, and then its default is taken instead, at any place that reads it.

The table is made from the source itself: wherever a command reads `options.NAME`, training a setting, or the model a field
of its configuration, there is a bug that puts the default there. What is read for a message only, or to be checked only,
is no bug of this kind; NO_DIFFERENCE has the others that are none.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from glowlite.data.preparation import Preparation
from glowlite.models.config import GlowConfig
from glowlite.settings import Settings

from . import Bug
from ._parsers import PACKAGE, parser_of

LAW = "every option acts"

# the files that read options, and the command whose tests look at what they do
READ_BY = {
    "train.py": "train", "options.py": "train", "option_sources.py": "train", "trained.py": "sample",
    "evaluate.py": "evaluate", "sample.py": "sample", "interpolate.py": "interpolate", "reconstruct.py": "reconstruct",
    "edit.py": "edit", "figures.py": "figures", "export.py": "export", "report.py": "report",
    "data/__main__.py": "data", "bench/__main__.py": "bench", "training.py": "train", "trainer.py": "train",
    "models/steps.py": "train", "models/glow.py": "train",
}  # fmt: skip
ALL_OF_THEM = {  # places that hand on every field of a dataclass: the text before which one is set back, and its names
    "options.py": [
        ("    return Settings(**values", 'values["{name}"] = Settings().{name}', Settings),
        ("    return GlowConfig(image_shape", 'setattr(options, "{name}", GlowConfig((8, 8, 3)).{name})', GlowConfig),
    ],
    "data_options.py": [("    return Preparation(**", 'setattr(options, "{name}", Preparation().{name})', Preparation)],
}
NO_OPTIONS = ("augmentation", "image_shape")  # fields that are none

# Places where the default makes no difference that could be seen, with the reason
NO_DIFFERENCE: dict[tuple[str, str], str] = {}


def bugs() -> Iterator[Bug]:
    for file, places in ALL_OF_THEM.items():
        for before, line, kind in places:
            for name in (field.name for field in dataclasses.fields(kind) if field.name not in NO_OPTIONS):
                yield row(file, name, f"{name} of {kind.__name__}", before, f"    {line.format(name=name)}\n{before}")
    for file in READ_BY:
        yield from dropped_in(file)


def row(file: str, name: str, what: str, old: str, new: str) -> Bug:
    option = "--" + name.replace("_", "-")
    test = f"tests/test_options_act.py::test_an_option_acts[{READ_BY.get(file, 'train')} {option}]"
    return Bug(LAW, f"{what} dropped in {file}", file, old, new, (test,))


def dropped_in(file: str) -> Iterator[Bug]:
    """A bug for every place of a file that reads an option."""
    source = (PACKAGE / file).read_text()
    lines = source.splitlines(keepends=True)
    defaults = {
        "options": {action.dest: action for action in parser_of(READ_BY[file])._actions if action.option_strings},
        "settings": dataclasses.asdict(Settings()),
        "config": dataclasses.asdict(GlowConfig((8, 8, 3))),
    }
    defaults["options"] = {name: action.default for name, action in defaults["options"].items()}
    owners = {**defaults, "typed": defaults["options"], "s": defaults["settings"]}
    for node in reads(ast.parse(source)):
        owner, name = ast.unparse(node.value).removeprefix("self."), node.attr
        text = lines[node.lineno - 1].strip()
        if name not in owners.get(owner, {}) or name in NO_OPTIONS or (file, text) in NO_DIFFERENCE:
            continue
        if name == "help" or node.lineno != node.end_lineno:
            continue
        default = literal(owners[owner][name])
        line = lines[node.lineno - 1].encode()
        changed = (line[: node.col_offset] + default.encode() + line[node.end_col_offset :]).decode()
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
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("check_"):
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node
        yield from reads(node)


BUGS = list(bugs())
