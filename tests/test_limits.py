"""What a container leaves of a machine, on trees of control groups made here,
as Linux shows them to a process.
"""

import resource
import subprocess
import sys

import pytest
from small_runs import environment

import glowlite.arrays.machine
from glowlite.arrays.machine import available_bytes, available_cores, core_limit, memory_limit

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n"
V1 = (
    "31 23 0:27 {root} /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "32 23 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
)
NONE_V1 = "9223372036854771712\n"  # how version 1 says that there is no limit
INFINITE = float("inf")

# name: (mountinfo, cgroup, files), bytes, cores
TREES = {
    "a container with a name space of its own": (
        (V2, "0::/\n", {"memory.max": "2147483648\n", "cpu.max": "150000 100000\n"}), 2147483648,
        1.5,
    ),
    "no limit": ((V2, "0::/\n", {"memory.max": "max\n", "cpu.max": "max 100000\n"}), INFINITE,
        INFINITE),
    "groups in groups, the smallest limit in the middle": (
        (
            V2, "0::/user.slice/job 7/step\n",
            {
                "user.slice/memory.max": "8000\n", "user.slice/job 7/memory.max": "1000\n",
                "user.slice/job 7/step/memory.max": "max\n",
                "user.slice/cpu.max": "400000 100000\n",
                "user.slice/job 7/step/cpu.max": "800000 100000",
            },
        ), 1000, 4,
    ),
    "a group of the host that the container does not see": (
        (V2, "0::/docker/0123\n", {"memory.max": "5000\n"}), 5000, INFINITE,
    ),
    "version 1, the group mounted as the root": (
        (
            V1.format(root="/docker/0123"),
            "4:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n0::/\n",
            {
                "memory/memory.limit_in_bytes": "4096\n", "cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
        ), 4096, 0.5,
    ),
    "version 1, nested, without a limit": (
        (
            V1.format(root="/"), "4:memory:/a/b\n3:cpu,cpuacct:/a\n",
            {
                "memory/a/b/memory.limit_in_bytes": NONE_V1,
                "memory/a/memory.limit_in_bytes": NONE_V1,
                "cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            },
        ), 9223372036854771712, INFINITE,
    ),
    "both versions at once": (
        (
            V1.format(root="/") + V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified "),
            "4:memory:/a\n0::/b\n",
            {"memory/a/memory.limit_in_bytes": "7000\n", "unified/b/memory.max": "6000\n"},
        ), 6000, INFINITE,
    ),
    "a mount point with a blank": (
        (V2.replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040groups"), "0::/\n",
            {"my groups/memory.max": "3000"}),
        3000, INFINITE,
    ),
    "damaged": ((V2 + "31\n - \n\n", "0::/\nx\n", {"memory.max": "12x\n", "cpu.max": "0 0\n"}),
        INFINITE, INFINITE),
    "nothing": (("", "", {}), INFINITE, INFINITE),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_the_smallest_limit_on_the_way_to_the_root_holds(tmp_path, name):
    (mounts, groups, files), most_bytes, cores = TREES[name]
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts
    )
    (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
    for path, text in files.items():
        place = tmp_path / "sys" / "fs" / "cgroup" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    assert (memory_limit(tmp_path), core_limit(tmp_path)) == (most_bytes, cores)


def test_a_system_without_control_groups_has_no_limit(tmp_path):
    assert (memory_limit(tmp_path), core_limit(tmp_path)) == (INFINITE, INFINITE)


def test_the_limit_of_the_process_counts_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (12345, -1) if kind == resource.RLIMIT_AS else (-1, -1)
    )
    assert memory_limit(tmp_path) == 12345 and available_bytes() == 12345


def test_what_is_available_is_what_the_container_leaves(monkeypatch):
    machine, cores = available_bytes(), available_cores()
    monkeypatch.setattr(glowlite.arrays.machine, "memory_limit", lambda: 1e6)
    monkeypatch.setattr(glowlite.arrays.machine, "core_limit", lambda: 0.3)
    assert (available_bytes(), available_cores()) == (1e6, 1)
    monkeypatch.setattr(glowlite.arrays.machine, "core_limit", lambda: 1.5)
    assert available_cores() == min(2, cores)
    monkeypatch.setattr(glowlite.arrays.machine, "memory_limit", lambda: INFINITE)
    monkeypatch.setattr(glowlite.arrays.machine, "core_limit", lambda: INFINITE)
    assert available_bytes() >= machine and available_cores() >= cores


def test_a_step_beyond_the_limit_is_refused_in_a_line(tmp_path):
    code = (
        "import glowlite.arrays.machine, glowlite.commands.program, glowlite.commands.train\n"
        "glowlite.arrays.machine.memory_limit = lambda: 3e6\n"
        "glowlite.commands.program.run(glowlite.commands.train.main, 'train')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--K", "2", "--memory", "stored"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (
        done.returncode == 2 and done.stderr.count("\n") == 1 and "this machine has" in done.stderr
    ), done.stderr
