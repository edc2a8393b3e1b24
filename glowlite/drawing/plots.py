"""Matplotlib figures that depend only on what is drawn, not on the user's matplotlibrc or backend.

Every text is drawn literally. Names from outside (of a folder, an attribute, a run) may contain a
`$`, which matplotlib would read as mathematics, or characters that its font lacks. Matplotlib is
imported when the first figure is drawn.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glowlite.errors import OutputError, PictureError
from glowlite.files.outputs import PNG, output
from glowlite.files.storage import atomic_path
from glowlite.terminal import printable

DPI = 150
# longest name from outside, in characters: a longer one would push the picture off the sheet
LONGEST_NAME = 40


@contextmanager
def figure_at(
    path: Path,
    width: float,
    height: float,
    layout: str | None = "constrained",
    option: str | None = None,
    **saving: Any,
) -> Iterator[Any]:
    """Yield an empty matplotlib Figure of width x height inches.

    After the block has drawn it, it is written to `path` as a PNG. `option`: the option that named
    `path`, if any. `saving`: further arguments of `Figure.savefig`. Raises OutputError for a place
    where that option must not write. Any other failure raises PictureError, in one line, since a
    failed picture is no reason to lose the data.
    """
    try:
        matplotlib = _matplotlib()
        with warnings.catch_warnings(), matplotlib.rc_context():
            matplotlib.rcdefaults()
            # for example, warnings about missing letters, which show lines of our source
            warnings.simplefilter("ignore")
            figure = matplotlib.figure.Figure(figsize=(width, height), layout=layout)
            yield figure
            for text in figure.findobj(matplotlib.text.Text):
                text.set_parse_math(False)
            with atomic_path(path) if option is None else output(option, path, PNG) as place:
                figure.savefig(place, format="png", **{"dpi": DPI, **saving})
    except OutputError:
        raise
    except Exception as error:  # a plotting library can fail in many ways
        reason = printable(" ".join(str(error).split()) or type(error).__name__)
        raise PictureError(f"{path}: this picture cannot be drawn: {reason[:200]}") from error


def shortened(name: object, longest: int = LONGEST_NAME) -> str:
    """Return a name from outside as drawn in a picture: on one line, and without its middle if it
    is long.
    """
    text = printable(name)
    return (
        text
        if len(text) <= longest
        else f"{text[: longest // 2 - 1]}...{text[-(longest // 2 - 2) :]}"
    )


def add_legend(axes: Any, names: list[str], **options: Any) -> None:
    """Add a legend whose entries are `names`, in the order in which they were drawn.

    Matplotlib leaves out a label that begins with an underscore, so the entries are named after
    they are made.
    """
    handles, _ = axes.get_legend_handles_labels()
    legend = axes.legend(handles, [f"entry {i}" for i in range(len(handles))], **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)


def _matplotlib() -> Any:
    """Import matplotlib whatever MPLBACKEND names, since it cannot be imported with an unknown
    backend.

    A known backend is kept for other users, who draw on a screen or in a notebook.
    """
    if "matplotlib" not in sys.modules:
        named = os.environ.pop("MPLBACKEND", None)
        try:
            import matplotlib

            if named:
                with contextlib.suppress(ValueError):
                    matplotlib.rcParams["backend"] = named
        finally:
            if named is not None:
                os.environ["MPLBACKEND"] = named
    import matplotlib.figure
    import matplotlib.text

    return matplotlib
