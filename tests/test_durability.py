"""What a run has said it saved is on the disk: the order in which files are flushed,
named and removed is recorded.
"""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from small_runs import images
from test_run_place import SMALL, draw_nothing

from glowlite.commands.train import main
from glowlite.files.storage import write_text

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="paths of descriptors as Linux has them"
)
STEPS = (2, 4, 6, 8)


@pytest.fixture
def events(tmp_path, monkeypatch):
    """What reaches the disk, in order: (flush, path), (replace, temporary, path), (link, path,
    new name), (remove, path).
    """
    monkeypatch.chdir(tmp_path)
    found = []

    def record(function, entry):
        original = getattr(os, function)

        def recording(*arguments, **options):
            done = original(*arguments, **options)
            found.append(entry(*arguments))
            return done

        monkeypatch.setattr(os, function, recording)

    def short(path):
        return os.path.relpath(
            os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path), tmp_path
        )

    sizes = {}

    def flushed(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        sizes[short(path)] = os.path.getsize(path)
        return "flush", short(path)

    def replaced(old, new):
        if "checkpoints" in str(new):
            assert sizes.get("run/metrics.jsonl") == os.path.getsize("run/metrics.jsonl"), (
                "written after the flush"
            )
        return "replace", short(old), short(new)

    record("fsync", flushed)
    record("replace", replaced)
    record("link", lambda old, new: ("link", short(old), short(new)))
    record("unlink", lambda path, **options: ("remove", short(path)))
    return found


def check_replacements(events):
    """Every file is flushed before it takes its place, by that name,
    and its folder after that, before anything else.
    """
    for i, event in enumerate(events):
        if event[0] == "replace":
            _, temporary, place = event
            was_flushed = ("flush", temporary) in events[:i] or any(
                e[0] == "link" and e[2] == temporary for e in events[:i]
            )
            assert was_flushed, f"{place} took its place before its content was on the disk"
            assert events[i + 1] == ("flush", os.path.dirname(place) or "."), (
                f"{place}: its name is not on the disk"
            )


def test_a_text_is_on_the_disk_before_it_takes_its_place(events):
    write_text(Path("a.txt"), "new")
    assert [event[0] for event in events] == ["flush", "replace", "flush"]
    check_replacements(events)


def test_what_a_checkpoint_stands_for_is_on_the_disk_before_and_what_it_replaces_goes_after(
    events, monkeypatch
):
    draw_nothing(monkeypatch)
    np.savez("ramps.npz", images=images(20))
    assert (
        main(
            [
                "--data",
                "ramps.npz",
                *SMALL,
                "--steps",
                str(STEPS[-1]),
                "--out",
                "run",
                "--keep",
                "1",
            ]
        )
        == 0
    )
    check_replacements(events)
    # the folder has its name before what is in it
    assert events.index(("flush", ".")) < events.index(("flush", "run"))

    saved = [i for i, e in enumerate(events) if e[0] == "replace" and "checkpoints" in e[2]]
    assert [events[i][2] for i in saved] == [
        f"run/checkpoints/step-{step:08d}.safetensors" for step in STEPS
    ]
    for start, stop in zip([0, *saved], saved, strict=False):  # its metrics before it
        for name in ("metrics.jsonl", "timing.jsonl"):
            assert ("flush", f"run/{name}") in events[start:stop], (
                f"{name} of a checkpoint is not on the disk before it"
            )
    for older, newer in pairwise(saved):  # the older one after it
        assert events.index(("remove", events[older][2])) > newer + 1, (
            "a checkpoint is removed before the next is there"
        )
    assert events.index(("replace", *_replacement_of(events, "run/config.json"))) < saved[0]
    for i, event in enumerate(events):
        if event[0] == "link":  # best.safetensors is a name for a checkpoint that has its own
            assert any(e[0] == "replace" and e[2] == event[1] for e in events[:i])


def _replacement_of(events, place):
    return next(event[1:] for event in events if event[0] == "replace" and event[2] == place)
