"""HTML pages: templates filled with text, which is escaped.

A page works offline. Its policy allows only parts of the page itself, identified by their digests,
and forbids all requests.
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
PLAIN = "plain.html"  # the template that plain pages extend


def digest(text: str) -> str:
    """Return the digest by which a policy identifies a script or a style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def filled(package: str, template: str, /, **values: Any) -> str:
    """Fill a template of a package with these values.

    Each value is escaped, unless it is Markup.
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
    """Do the same for a template that extends PLAIN: a page with a style and pictures, but no
    script.

    `title` is one of the values.
    """
    from markupsafe import Markup

    return filled(
        package, template, style=Markup(STYLE), style_digest=Markup(digest(STYLE)), **values
    )
