"""The cores and the memory of this machine, within the limits of a container or a batch system.

On Linux these are control groups, versions 1 and 2, and limits of a process.

A process is in one group of each hierarchy. Groups are nested, and the smallest limit up to the
root applies. /proc/self/mountinfo says where a hierarchy, or which part of it, is mounted;
/proc/self/cgroup says which group the process is in.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
LARGEST = 1 << 20  # size limit in bytes for reading a file of /proc or of a control group


def available_cores() -> int:
    """Return the number of cores that this process may use, which can be fewer than the machine
    has.

    A container's share is rounded up.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, math.ceil(min(cores, core_limit())))


def available_bytes() -> float:
    """Return the memory of this machine, or the limit of a container or of the process, in bytes.

    Return infinity if unknown.
    """
    try:
        machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        machine = math.inf
    return min(machine, memory_limit())


def free_bytes(root: Path = ROOT) -> float:
    """Return the bytes that this process could still use: the available memory of the machine, or
    what remains of the limits of its groups.

    Return infinity if unknown.
    """
    found = [available_bytes()]
    if meminfo := re.search(r"^MemAvailable: +(\d+) kB$", _read(root / "proc/meminfo"), re.M):
        found.append(1024 * float(meminfo[1]))
    for version, folder in _groups("memory", root):
        names = ("max", "current") if version == 2 else ("limit_in_bytes", "usage_in_bytes")
        limit, used = (_read(folder / f"memory.{name}").strip() for name in names)
        if limit.isdecimal() and used.isdecimal():
            found.append(max(0.0, float(limit) - float(used)))
    return min(found)


def memory_limit(root: Path = ROOT) -> float:
    """Return the bytes that this process may use: the least that its groups and RLIMIT_AS allow.

    Return infinity if there is no limit.
    """
    limits = [_address_space()]
    for version, folder in _groups("memory", root):
        words = _read(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes")).split()
        limits += [float(word) for word in words[:1] if word.isdecimal()]  # `max`: no limit
    return min(limits)


def core_limit(root: Path = ROOT) -> float:
    """Return the CPU time that this process may use, in cores: the least that its groups allow.

    Return infinity if there is no limit.
    """
    limits = [math.inf]
    for version, folder in _groups("cpu", root):
        if version == 2:  # quota and period, microseconds: `200000 100000`, or `max 100000`
            words = _read(folder / "cpu.max").split()
        else:
            words = [
                *_read(folder / "cpu.cfs_quota_us").split(),
                *_read(folder / "cpu.cfs_period_us").split(),
            ]
        # -1: no limit
        if len(words) == 2 and all(word.isdecimal() and int(word) > 0 for word in words):
            limits.append(int(words[0]) / int(words[1]))
    return min(limits)


def _address_space() -> float:
    try:
        import resource
    except ImportError:  # Unix only
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if soft == resource.RLIM_INFINITY else float(soft)


def _groups(controller: str, root: Path) -> Iterator[tuple[int, Path]]:
    """Yield (version, folder) of every group that this process is in, from the innermost to the
    outermost visible one.
    """
    paths = _paths(_read(root / "proc/self/cgroup"))
    for version, mount_root, mount in _mounts(controller, _read(root / "proc/self/mountinfo")):
        path = paths.get(controller if version == 1 else "")
        if path is None:
            continue
        inside = (
            path.relative_to(mount_root) if path.is_relative_to(mount_root) else PurePosixPath()
        )
        folder = root / mount.relative_to("/")
        for level in (inside, *inside.parents):
            yield version, folder / level


def _paths(text: str) -> dict[str, PurePosixPath]:
    """Return the group of each controller, and under "" that of version 2, from lines such as
    `4:cpu,memory:/a` and `0::/a`.
    """
    found: dict[str, PurePosixPath] = {}
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            found |= dict.fromkeys(fields[1].split(","), PurePosixPath(fields[2]))
    return found


def _mounts(controller: str, text: str) -> Iterator[tuple[int, PurePosixPath, PurePosixPath]]:
    """Yield (version, the group at its top, mount point) of each mounted hierarchy that can have
    the controller.
    """
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        # ... root mount-point ... - type source options
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or len(kinds) < 3:
            continue
        if kinds[0] == "cgroup2" or (kinds[0] == "cgroup" and controller in kinds[-1].split(",")):
            yield (2 if kinds[0] == "cgroup2" else 1), _unescaped(fields[3]), _unescaped(fields[4])


def _unescaped(path: str) -> PurePosixPath:
    """Decode a path in which blanks and the like are octal numbers: `\\040`."""
    return PurePosixPath(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path))


def _read(path: Path) -> str:
    with (
        contextlib.suppress(OSError, ValueError),
        open(path, encoding="utf-8", errors="surrogateescape") as file,
    ):
        return file.read(LARGEST)
    return ""
