"""The page: the template filled with a model, its pictures, and the scripts.

The page's policy allows only its own script and style, and forbids every request. Text from a run
is escaped, or read from JSON by the script, which never turns it into markup.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from glowlite.demo.page_model import PageModel
from glowlite.files.pages import digest, filled

PAGE, FLOW = "page", "flow"
# also used by the page's script
SHARED = ("image.js", "pixels.js")
LAST = "worker.js"
# common style, the panels, and the style for smaller windows
STYLES = ("page.css", "panels.css", "windows.css")


def page(model: PageModel) -> str:
    """Return the whole page, about 1.4 times as long as the weights."""
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
    """Return all of `flow/`, concatenated; the worker itself comes last."""
    names = sorted(path.name for path in _folder(FLOW).iterdir() if path.name.endswith(".js"))
    names = [*(name for name in names if name != LAST), LAST]
    return _joined([_read(FLOW, name) for name in names])


def page_script() -> str:
    names = json.loads(_read(PAGE, "order.json"))
    shared = [_read(FLOW, name) for name in SHARED]
    return _joined([*shared, *(_read(PAGE, name) for name in names)])


def as_json(value: Any) -> str:
    """Return JSON that is safe within <script>: it contains no "<" that could end it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _joined(sources: list[str]) -> str:
    return '"use strict";\n' + "\n".join(sources)


def _folder(name: str) -> Any:
    return resources.files("glowlite.demo") / name


def _read(folder: str, name: str) -> str:
    return str((_folder(folder) / name).read_text(encoding="utf-8"))
