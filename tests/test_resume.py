"""Runs that end where nobody wanted, and go on: the same to the
last bit as one that never ended.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from small_runs import UNDRAWN, command, dataset, environment, images, nothing_drawn
from test_training import Record

from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.data.batches import Augmentation
from glowlite.fast.threads import Workers
from glowlite.files.storage import checkpoints_of, read_arrays
from glowlite.training import checkpoint
from glowlite.training.loop import train
from glowlite.training.optimizers import OPTIMIZERS
from glowlite.training.run import Training
from glowlite.training.settings import Settings

STEPS = 200 if settings().max_examples >= 50 else 40  # the thorough profile of Hypothesis
RUN = [
    "--data", "ramps.npz", "--K", "1", "--L", "2", "--width", "8", "--batch", "8", "--steps",
    str(STEPS), "--lr", "1e-3",
    "--log-every", "1", "--evaluate-every", "10", "--checkpoint-every", "5", "--picture-every",
    "100000", "--average", "0.9",
    "--flip", "--augment-shift", "0.2", "--threads", "1",
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data, and in it the run that nothing interrupts."""
    home = tmp_path_factory.mktemp("resume")
    np.savez(home / "ramps.npz", images=images(60))
    with nothing_drawn():
        done = command(home, *RUN, "--out", "whole")
    assert done.returncode == 0, done.stderr
    return home


def assert_same_run(run, whole):
    """Metrics, weights, optimiser and average are equal to the last bit; only times may differ."""
    assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    for name in (f"checkpoints/step-{STEPS:08d}.safetensors", "best.safetensors"):
        (arrays, header), (expected, expected_header) = (
            read_arrays(run / name),
            read_arrays(whole / name),
        )
        assert set(arrays) == set(expected) and len(arrays) > 10
        for key in expected:
            assert arrays[key].tobytes() == expected[key].tobytes(), key
        for one in (header, expected_header):
            del one["state"]["seconds"], one["run"]
        assert header == expected_header
    assert [p.name for p in checkpoints_of(run)] == [p.name for p in checkpoints_of(whole)]
    assert not list(run.rglob("*.tmp"))


def start(home, out, *more):
    return subprocess.Popen(
        [sys.executable, UNDRAWN, *RUN, "--out", out, "--resume", *more],
        cwd=home, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def by_a_process(home, code, out):
    """What becomes of code that ends in `import undrawn`, which trains."""
    return subprocess.run(
        [sys.executable, "-c", code, *RUN, "--out", out],
        cwd=home, env=environment(Path(__file__).parent), capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip


def wait_for_step(process, path, step, seconds=120):
    """Until the metrics of the run have reached `step`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= step:
            return
        time.sleep(0.002)
    raise AssertionError(f"step {step} was not reached: {process.communicate()}")


def test_kills_at_random_moments_change_nothing(home):
    """Six of them in the quick profile of Hypothesis, thirty in the thorough one."""
    rng, kills = random.Random(0), 30 if settings().max_examples >= 50 else 6
    for target in sorted(rng.sample(range(1, STEPS - 10), kills)):
        process = start(home, "killed")
        wait_for_step(process, home / "killed" / "metrics.jsonl", target)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        _, stderr = process.communicate()
        assert process.returncode == -signal.SIGKILL, stderr
        assert "Traceback" not in stderr and "error" not in stderr
    done = command(home, *RUN, "--out", "killed", "--resume")
    assert done.returncode == 0 and "continuing from killed/checkpoints/step-" in done.stderr
    assert_same_run(home / "killed", home / "whole")
    assert (home / "killed" / f"samples-{STEPS:06d}.png").exists()


# Where a process ends itself by SIGKILL, on the n-th time that it comes there
KILLED_WHERE = {
    "in the middle of a checkpoint": """
import safetensors.numpy
save = safetensors.numpy.save_file
def half(tensors, path, metadata):
    save(tensors, path, metadata)
    if again():
        os.truncate(path, os.path.getsize(path) // 2)
        die()
safetensors.numpy.save_file = half""",
    "before a checkpoint takes its place": """
replace = os.replace
def late(a, b):
    if 'step-' in str(b) and again(): die()
    replace(a, b)
os.replace = late""",
    "before the best one is named": """
link = os.link
def late(a, b):
    if again(2): die()
    link(a, b)
os.link = late""",
    "before the best one takes its place": """
replace = os.replace
def late(a, b):
    if 'best' in str(b) and again(2): die()
    replace(a, b)
os.replace = late""",
    "before old ones are removed": """
import pathlib
unlink = pathlib.Path.unlink
def late(path, missing_ok=False):
    if path.name.startswith('step-') and again(): die()
    unlink(path, missing_ok)
pathlib.Path.unlink = late""",
    "in the middle of a line of metrics": """
import json
dumps = json.dumps
def half(value, **options):
    text = dumps(value, **options)
    if isinstance(value, dict) and 'drift' in value and again(13):
        os.write(os.open('RUN/metrics.jsonl', os.O_WRONLY | os.O_APPEND), text[:25].encode())
        die()
    return text
json.dumps = half""",
    "before there is any checkpoint": """
import glowlite.training.run
step = glowlite.training.run.training_step
def late(*arguments, **options):
    if again(4): die()
    return step(*arguments, **options)
glowlite.training.run.training_step = late""",
    "before the configuration is written": """
replace = os.replace
def late(a, b):
    if 'config.json' in str(b): die()
    replace(a, b)
os.replace = late""",
}


@pytest.mark.parametrize("where", KILLED_WHERE)
def test_a_kill_at_the_worst_moments_changes_nothing(home, undrawn, where):
    out = where.replace(" ", "-")
    code = (
        "import os, signal\ncalls = []\n"
        "def again(n=3):\n    calls.append(None)\n    return len(calls) == n\n"
        "def die():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        + KILLED_WHERE[where].replace("RUN", out)
        + "\nimport undrawn"
    )
    killed = by_a_process(home, code, out)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = command(home, *RUN, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same_run(home / out, home / "whole")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_saves_and_exits(home, undrawn, number, code):
    out = f"stopped-{code}"
    process = start(home, out)
    wait_for_step(process, home / out / "metrics.jsonl", 23)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code and stdout == ""
    assert (
        "finishing this step" in stderr
        and f"--resume --out {out}" in stderr
        and "Traceback" not in stderr
    )
    step = int(stderr.split("stopped after step ")[1].split(",")[0])
    assert step >= 23 and checkpoints_of(home / out)[-1].name == f"step-{step:08d}.safetensors"
    done = command(home, "--resume", "--out", out)  # the rest of the options are those of the run
    assert done.returncode == 0, done.stderr
    assert_same_run_without_names(home / out, home / "whole")


def assert_same_run_without_names(run, whole):
    assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    last = [read_arrays(checkpoints_of(path)[-1])[0] for path in (run, whole)]
    assert all(last[0][name].tobytes() == last[1][name].tobytes() for name in last[1])


def test_a_second_signal_stops_at_once(home):
    process = start(home, "twice", "--steps", "100000")
    wait_for_step(process, home / "twice" / "metrics.jsonl", 6)
    os.kill(process.pid, signal.SIGSTOP)  # so that both are there when it looks again
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    _, stderr = process.communicate(timeout=20)
    assert (
        process.returncode in (130, 143)
        and "stopped immediately" in stderr
        and "Traceback" not in stderr
    )


def test_resume_on_nothing_begins_and_on_a_finished_run_changes_nothing(home, undrawn):
    begun = command(home, *RUN, "--out", "new", "--resume", "--steps", "10")
    assert begun.returncode == 0 and "writing to new" in begun.stderr
    before = {path: path.read_bytes() for path in (home / "new").rglob("*.safetensors")}
    again = command(home, "--out", "new", "--resume")
    assert again.returncode == 0 and again.stdout == begun.stdout
    assert before == {path: path.read_bytes() for path in (home / "new").rglob("*.safetensors")}
    longer = command(home, "--out", "new", "--resume", "--steps", "12")
    assert (
        longer.returncode == 0
        and json.loads((home / "new" / "config.json").read_text())["options"]["steps"] == 12
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume"], ["--resume needs --out"]),
        (["--resume", "--overwrite", "--out", "whole"], ["give only one of them"]),
        (["--resume", "--out", "whole", "--width", "9"], ["--width was 8", "cannot become 9"]),
        (["--resume", "--out", "whole", "--seed", "1"], ["--seed was 0"]),
        (["--resume", "--out", "whole", "--no-flip"], ["--flip was True"]),
        (["--out", "whole"], ["already contains a run", "--resume", "--overwrite"]),
    ],
)
def test_a_mistake_in_resuming_is_one_line(home, arguments, said):
    done = command(home, *arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert all(part in done.stderr for part in said), done.stderr


def test_data_that_changed_since_are_refused(undrawn, tmp_path):
    np.savez(tmp_path / "ramps.npz", images=images(60))
    assert command(tmp_path, *RUN, "--steps", "5", "--out", "run").returncode == 0
    np.savez(tmp_path / "ramps.npz", images=images(61))
    done = command(tmp_path, "--resume", "--steps", "10", "--out", "run")
    assert (
        done.returncode == 2
        and "has 55 training and 6 held-out images, but run began with 54 and 6" in done.stderr
    )
    assert json.loads((tmp_path / "run" / "config.json").read_text())["options"]["steps"] == 5


def test_a_checkpoint_that_was_damaged_on_the_disk_is_passed_over(home, undrawn):
    process = start(home, "damaged")
    wait_for_step(process, home / "damaged" / "metrics.jsonl", 33)
    process.kill()
    process.communicate()
    newest = checkpoints_of(home / "damaged")[-1]
    whole = bytearray(newest.read_bytes())
    whole[-100] ^= 1
    newest.write_bytes(whole)
    done = command(home, *RUN, "--out", "damaged", "--resume")
    assert (
        done.returncode == 0
        and f"{newest.name} is damaged" in done.stderr
        and "the one before" in done.stderr
    )
    assert_same_run_without_names(home / "damaged", home / "whole")


def test_two_processes_do_not_write_one_run(home):
    process = start(home, "shared", "--steps", "100000")
    wait_for_step(process, home / "shared" / "metrics.jsonl", 2)
    second = command(home, *RUN, "--out", "shared", "--overwrite")
    process.kill()
    process.communicate()
    assert second.returncode == 2 and "another process is writing this run" in second.stderr
    assert (home / "shared" / "metrics.jsonl").stat().st_size > 0


def test_a_full_disk_during_a_checkpoint_is_said_and_the_one_before_loads(home, undrawn):
    code = """
import errno, os
fsync, calls = os.fsync, []
import glowlite.files.storage, glowlite.training.checkpoint
save = glowlite.training.checkpoint.save
def full(*arguments, **options):
    calls.append(None)
    if len(calls) == 4:
        def refuse(descriptor): raise OSError(errno.ENOSPC, 'No space left on device')
        os.fsync = refuse
    save(*arguments, **options)
glowlite.training.checkpoint.save = full
import undrawn"""
    done = by_a_process(home, code, "full")
    message = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "step-00000020.safetensors: " in message and "No space left on device" in message
    assert "last good checkpoint is full/checkpoints/step-00000015.safetensors" in message
    assert Glow.load(home / "full").initialized
    assert command(home, *RUN, "--out", "full", "--resume").returncode == 0
    assert_same_run(home / "full", home / "whole")


# --- the same without a process of its own, for every way to train ---

WAYS = {
    "adam": {},
    "adamax": {"optimizer": "adamax", "beta2": 0.99},
    "averaging": {"average": 0.9},
    "accumulation": {"accumulate": 3},
    "augmentation": {"augmentation": Augmentation(flip=True, shift=0.25)},
    "variational": {"average": 0.9, "accumulate": 2},
    "all with adam": {"average": 0.9, "accumulate": 2, "augmentation": Augmentation(True, 0.25),
        "decay": "linear"},
    "all with adamax": {
        "optimizer": "adamax", "average": 0.9, "accumulate": 2,
        "augmentation": Augmentation(True, 0.25), "clip": 1.0,
    },
}  # fmt: skip


def make(settings, threads=1, dequantise="uniform"):
    model = Glow(
        GlowConfig((8, 8, 3), K=2, L=2, width=16, permutation="conv1x1,lu", dequantise=dequantise),
        workers=Workers(threads),
    )
    return Training(model, settings)


def settings_of(way):
    return Settings(
        steps=14, batch=12, log_every=3, evaluate_every=5, checkpoint_every=100, **WAYS[way]
    )


@pytest.mark.bits
@pytest.mark.parametrize("way", WAYS)
def test_resumed_equals_uninterrupted(tmp_path, way):
    """Stopped three times, and across threads: what was begun with one thread goes on with two."""
    settings, data, metrics = settings_of(way), dataset(), []
    dequantise = "variational" if way == "variational" else "uniform"
    whole, seen = make(settings, dequantise=dequantise), Record()
    train(whole, data, [seen])

    run = make(settings, 1, dequantise)
    for times, stopped_at in enumerate((1, 7, 10), 1):
        before = Record()
        train(run, data, [before], stop=lambda run=run, step=stopped_at: run.state.step == step)
        assert before.checkpoints[-1] == stopped_at
        metrics += before.metrics
        checkpoint.save(run, tmp_path / "c.safetensors", 2)
        run = make(settings, 1 + times % 2, dequantise)
        checkpoint.restore(run, tmp_path / "c.safetensors")
    after = Record()
    train(run, data, [after])

    assert metrics + after.metrics == seen.metrics
    assert run.model.store.theta.tobytes() == whole.model.store.theta.tobytes()
    for part in ("m", "v", "steps"):
        assert np.array_equal(getattr(run.optimizer, part), getattr(whole.optimizer, part))
    if whole.average is not None:
        assert run.average.value().tobytes() == whole.average.value().tobytes()
    assert {**vars(run.state), "seconds": 0} == {**vars(whole.state), "seconds": 0}


def test_a_checkpoint_says_what_it_holds_and_loads_averaged_or_raw(tmp_path):
    training = make(Settings(steps=5, batch=8, average=0.5), 1)
    train(training, dataset(), [])
    checkpoint.save(training, tmp_path / "c.safetensors", 4, run={"note": 1})
    header = read_arrays(tmp_path / "c.safetensors")[1]
    assert (header["step"], header["epoch"], header["position"], header["n_bits"]) == (5, 1, 1, 5)
    assert header["optimizer"] == {"name": "adam", "steps": 5} and header["seed"] == 0
    assert {"python", "numpy", "safetensors"} <= set(header["versions"])
    raw, averaged = (
        Glow.load(tmp_path / "c.safetensors", weights) for weights in ("raw", "averaged")
    )
    assert raw.store.theta.tobytes() == training.model.store.theta.tobytes()
    assert averaged.store.theta.tobytes() == training.average.value().tobytes()
    assert (
        Glow.load(tmp_path / "c.safetensors").store.theta.tobytes()
        == averaged.store.theta.tobytes()
    )
    with pytest.raises(GlowliteError, match="weights must be 'raw' or 'averaged', got 'best'"):
        Glow.load(tmp_path / "c.safetensors", "best")


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    settings = Settings(steps=2, batch=8)
    training = make(settings, 1)
    train(training, dataset(), [])
    checkpoint.save(training, tmp_path / "c.safetensors", 4)
    other = Training(Glow(GlowConfig((8, 8, 3), K=1, L=2, width=16)), settings)
    with pytest.raises(GlowliteError, match=r"c\.safetensors: contains another model"):
        checkpoint.restore(other, tmp_path / "c.safetensors")
    with pytest.raises(GlowliteError, match="was trained with --optimizer adam"):
        checkpoint.restore(make(Settings(optimizer="adamax"), 1), tmp_path / "c.safetensors")
    training.model.store.theta[7] = np.nan
    with pytest.raises(GlowliteError, match="weights are no longer finite, first at level0/"):
        checkpoint.save(training, tmp_path / "c.safetensors", 4)
    assert Glow.load(tmp_path / "c.safetensors").initialized  # the good one is still there
    assert set(OPTIMIZERS) == {"adam", "adamax"}
