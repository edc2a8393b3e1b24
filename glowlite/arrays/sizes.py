"""Sizes of memory as text: `256MB`, `all`, or a share of the free memory."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.arrays.machine import available_bytes, free_bytes
from glowlite.errors import GlowliteError
from glowlite.terminal import shortened

UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
# the last two are from version 0.1
WORDS = {"all": math.inf, "stored": math.inf, "reversible": 0.0}
EXPECTED = "expected a size such as 256MB, 0, all, auto:0.25, anchored:4, or 256MB+anchored:4"

Room = Callable[[], tuple[float, float]]


def memory_of(xp: Any) -> tuple[float, float]:
    """Return the free bytes and the total bytes of the host (`xp` is numpy) or of CuPy's current
    device.

    They are infinity if unknown.
    """
    if xp is np:
        return free_bytes(), available_bytes()
    free, whole = xp.cuda.Device().mem_info
    pool = xp.get_default_memory_pool()
    limit = pool.get_limit() or whole
    return float(min(free + pool.free_bytes(), limit - pool.used_bytes())), float(min(whole, limit))


def host_room() -> tuple[float, float]:
    """Return the free bytes of this machine, and all bytes that this process may use."""
    return memory_of(np)


def parse_size(text: str, room: Room = host_room) -> float:
    """Return bytes from `0`, a number with a unit (powers of 1024), `all`, or `auto:SHARE` of the
    free memory.
    """
    if text in WORDS:
        return WORDS[text]
    if share := re.fullmatch(r"auto:(0?\.\d{1,9}|1|1\.0)", text, re.ASCII):
        there, _ = room()
        if not math.isfinite(there):
            raise GlowliteError(
                f"memory {text}: the amount of free memory is unknown here; give a size such as"
                " 256MB"
            )
        return float(share[1]) * there // 2**20 * 2**20
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([KMGT]?)I?B", text.upper(), re.ASCII)
    if found is None and text != "0":
        raise GlowliteError(f"memory {shortened(text)!r}: {EXPECTED}")
    size = math.floor(float(found[1]) * UNITS[f"{found[2]}B"]) if found else 0
    if size > (there := room()[1]):
        raise GlowliteError(
            f"memory {text}: there are only {there / 2**30:.1f} GB here; give less, or auto:0.25"
        )
    return float(size)


def size_text(size: float) -> str:
    """Return a size as a text that `parse_size` reads exactly."""
    if size == math.inf or size == 0:
        return "all" if size else "0"
    unit = max((u for u in UNITS if size % UNITS[u] == 0), key=UNITS.__getitem__)
    return f"{int(size // UNITS[unit])}{unit}"
