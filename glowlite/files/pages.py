"""Pages of HTML: templates that are filled with text, which stays text.

A page needs no network. Its policy lets nothing run and nothing be fetched that is not a part of
it, whose digest the policy names.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }
body { padding: 0 1rem; color: #222; } img { max-width: 100%; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; font-size: 0.9rem; margin: 1rem 0; }
tr { border-bottom: 1px solid #ddd; }
td, th { padding: 0.15rem 0.8rem 0.15rem 0; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.figures td { font-size: 1.1rem; } summary { cursor: pointer; }
pre { background: #f4f4f2; padding: 0.8rem; overflow-x: auto; font-size: 0.8rem; }
"""
PLAIN = "plain.html"  # what templates of plain pages extend


def digest(text: str) -> str:
    """What a policy calls a script or a style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def filled(package: str, template: str, /, **values: Any) -> str:
    """A template of a package, with these values.

    Each of them is escaped as it is put in, unless it is Markup.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def source(wanted: str) -> str:
        place = resources.files("glowlite.files" if wanted == PLAIN else package) / wanted
        return place.read_text(encoding="utf-8")

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(source)
    )
    return environment.get_template(template).render(**values) + "\n"


def plain_page(package: str, template: str, /, **values: Any) -> str:
    """The same of a template that extends PLAIN: a page with a style and pictures, and no script.

    `title` is one of the values.
    """
    from markupsafe import Markup

    return filled(
        package, template, style=Markup(STYLE), style_digest=Markup(digest(STYLE)), **values
    )
