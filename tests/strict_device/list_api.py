"""python tests/strict_device/list_api.py > tests/strict_device/cupy_api.json:
CuPy's public names, and the keywords of each.

It reads the CuPy that is installed and needs no GPU, only libraries that CuPy looks for when it is
imported: pip install cupy-cuda12x nvidia-cuda-runtime-cu12 nvidia-cuda-nvrtc-cu12
nvidia-cublas-cu12 scipy
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import types
import warnings
from typing import Any

MODULES = (
    "", "cuda", "fft", "lib", "lib.stride_tricks", "linalg", "random", "testing",
    "cupyx", "cupyx.lapack", "cupyx.scipy.linalg", "cupyx.scipy.special",
)  # fmt: skip
CLASSES = {  # those whose methods are listed
    "ndarray", "random.Generator", "cuda.Device", "cuda.Event", "cuda.MemoryHook",
    "cuda.MemoryPool", "cuda.Stream",
}  # fmt: skip
# made when asked for: not in dir()
LAZY = {"random": {"Generator", "BitGenerator", "XORWOW", "MRG32k3a", "Philox4x3210"}}
UFUNC = ["out", "casting", "dtype"]  # of what a ufunc of NumPy takes besides its inputs

Api = dict[str, "list[str] | None"]


def api() -> tuple[Api, list[str]]:
    """{name: keywords, None for what takes any or none}, without `cupy.`;
    and the modules that could not be imported.
    """
    found: Api = {}
    missing = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that are on their way out are still there
        for name in MODULES:
            try:
                module = importlib.import_module(
                    name if name.startswith("cupyx") else f"cupy.{name}".rstrip(".")
                )
            except ImportError:  # for want of a library of CUDA
                missing.append(name)
                continue
            if name:
                found[name] = None
            for member in sorted({*dir(module), *LAZY.get(name, ())}):
                _list(found, f"{name}.{member}".lstrip("."), module, member)
    return found, missing


def _list(found: Api, full: str, holder: Any, member: str) -> None:
    if member.startswith("_"):
        return
    try:
        value = getattr(holder, member)
    except Exception:  # there, but not without a GPU or an optional library
        return
    if isinstance(value, types.ModuleType):
        return
    found[full] = None if isinstance(value, type) or not callable(value) else keywords(value)
    if full in CLASSES:
        for method in dir(value):
            _list(found, f"{full}.{method}", value, method)


def keywords(function: Any) -> list[str] | None:
    """The names by which arguments may be given; None where that cannot be known,
    or any name will do.
    """
    import cupy

    if isinstance(function, cupy.ufunc):
        return UFUNC
    from_text = _keywords_of_text((inspect.getdoc(function) or "").split("\n")[0])
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # compiled: the first line of its text has the signature
        return from_text
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        return from_text
    return [
        p.name
        for p in parameters
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name != "self"
    ]


def _keywords_of_text(line: str) -> list[str] | None:
    """Of `f(self, int a, *rest, b=(1, 2), c=None) -> d`: b, c.
    None if the line is not a signature, or ends in any keywords.
    """
    match = re.fullmatch(r"[\w.]+\((.*)\)( -> .*)?", line.replace("\\", ""))
    if match is None or "**" in match[1]:
        return None
    flat = re.sub(r"\([^()]*\)", "", match[1])  # defaults that are tuples have commas of their own
    names = [re.split("[=:]", part)[0].split()[-1] for part in flat.split(",") if part.strip()]
    last = max(
        (i for i, name in enumerate(names) if name == "/" or (name[0] == "*" and name != "*")),
        default=-1,
    )
    # those before `/` or `*rest` go by place
    return [name for name in names[last + 1 :] if name not in ("*", "self")]


if __name__ == "__main__":
    names, missing = api()
    if missing:
        sys.exit(f"cannot import {', '.join(missing)}: install what this file's first lines say")
    json.dump(names, sys.stdout, sort_keys=True, indent=0)
    print()
