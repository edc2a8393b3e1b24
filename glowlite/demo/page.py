"""The page: the template filled with a model, its pictures, and the scripts.

The policy of the page lets its own script and style run, and forbids every request. What a run
says is text: it is escaped, or read from JSON by the script, which never makes markup of it.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from glowlite.demo.page_model import PageModel
from glowlite.files.pages import digest, filled

PAGE, FLOW = "page", "flow"
# those that the script of the page has, too
SHARED = ("image.js", "pixels.js")
LAST = "worker.js"
# what every part has, the panels, and what is otherwise in a smaller window
STYLES = ("page.css", "panels.css", "windows.css")


def page(model: PageModel) -> str:
    """The whole of it, about 1.4 times as long as the weights."""
    from markupsafe import Markup

    style, script = "\n".join(_read(PAGE, name) for name in STYLES), page_script()
    policy = (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}';"
        " img-src data: blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    return filled(
        "glowlite.demo",
        "page/page.html",
        title=f"Play with a {model.facts['kind']}",
        name=model.facts["name"],
        noun=model.facts["noun"],
        policy=Markup(policy),
        style=Markup(style),
        model_json=Markup(as_json(model.facts)),
        worker_source=Markup(worker_source()),
        weights=Markup(model.weights.text()),
        script=Markup(script),
    )


def worker_source() -> str:
    """All of `flow/`, one file after the other; the worker itself comes last."""
    names = sorted(path.name for path in _folder(FLOW).iterdir() if path.name.endswith(".js"))
    names = [*(name for name in names if name != LAST), LAST]
    return _joined([_read(FLOW, name) for name in names])


def page_script() -> str:
    names = json.loads(_read(PAGE, "order.json"))
    shared = [_read(FLOW, name) for name in SHARED]
    return _joined([*shared, *(_read(PAGE, name) for name in names)])


def as_json(value: Any) -> str:
    """JSON that may stand within <script>: no "<" ends it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _joined(sources: list[str]) -> str:
    return '"use strict";\n' + "\n".join(sources)


def _folder(name: str) -> Any:
    return resources.files("glowlite.demo") / name


def _read(folder: str, name: str) -> str:
    return str((_folder(folder) / name).read_text(encoding="utf-8"))
