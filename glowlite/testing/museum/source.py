"""The code of an exhibit as shown to a reader who is to find the mistake."""

from __future__ import annotations

import ast
import inspect
import re
from textwrap import dedent, indent
from types import ModuleType

OF_THE_EXHIBIT = ("LAW", "SHAPE", "CONDITION_SHAPE")


def source_of(exhibit: ModuleType, kind: str = "Broken") -> str:
    """Return the layer of an exhibit as one class `Layer`, with its constants, without the story
    and without types.

    kind: "Broken" or "Clean". In a broken layer, each wrong method replaces the right one, so that
    nothing marks it. Right methods that it calls (with `super()`) are named `right_...`.
    """
    text = inspect.getsource(exhibit)
    tree = ast.parse(text)
    lines = text.splitlines()
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    constants = [
        _verbatim(node, lines)
        for node in tree.body
        if isinstance(node, ast.Assign) and _name(node) not in OF_THE_EXHIBIT
    ]
    clean, broken = classes.pop("Clean"), classes.pop("Broken")
    parts = {_name(node): _part(node, lines) for node in clean.body}
    if kind == "Broken":
        for node in broken.body:
            name, part = _name(node), _part(node, lines)
            if f"super().{name}(" in part:
                parts[f"right_{name}"] = parts[name].replace(f"def {name}(", f"def right_{name}(")
            parts[name] = part.replace("super().", "self.right_")
    helpers = [_class(node.name, [_part(n, lines) for n in node.body]) for node in classes.values()]
    layer = _class("Layer", list(parts.values()))
    return "\n\n\n".join(["\n".join(constants)] * bool(constants) + helpers + [layer]) + "\n"


def _class(name: str, parts: list[str]) -> str:
    return f"class {name}:\n" + indent("\n\n".join(parts), "    ")


def _name(node: ast.stmt) -> str:
    """Return the name of a method or of an assigned variable; "" for a docstring."""
    if isinstance(node, ast.FunctionDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return ast.unparse(targets[0]) if targets[0] is not None else ""


def _part(node: ast.stmt, lines: list[str]) -> str:
    if not isinstance(node, ast.FunctionDef):
        return _verbatim(node, lines)
    for argument in node.args.args:
        argument.annotation = None
    body = "\n".join(lines[node.body[0].lineno - 1 : node.end_lineno])
    body = re.sub(r"^( +self\.\w+): [^=]+ = ", r"\1 = ", body, flags=re.MULTILINE)
    return f"def {node.name}({ast.unparse(node.args)}):\n" + indent(dedent(body), "    ")


def _verbatim(node: ast.stmt, lines: list[str]) -> str:
    return dedent("\n".join(lines[node.lineno - 1 : node.end_lineno]))
