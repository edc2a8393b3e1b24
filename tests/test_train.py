"""The main job as a user runs it: what it leaves behind, and how it answers mistakes."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_runs import SMALL, command, dataset, environment, images, nothing_drawn, small_model

import glowlite.commands.train
import glowlite.training.loop
from glowlite import Glow, GlowliteError, Memory
from glowlite.arrays.machine import available_bytes
from glowlite.commands.option_sources import parse_arguments
from glowlite.distributed.communicator import OneProcess
from glowlite.files.storage import read_header, resolve
from glowlite.training.loop import check_memory
from glowlite.training.run import Training
from glowlite.training.settings import Settings


def test_a_run_leaves_config_metrics_samples_curve_and_weights(tmp_path):
    np.savez(tmp_path / "ramps.npz", images=images())
    done = command(tmp_path, "--data", "ramps.npz", *SMALL)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "ramps-1"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    names = (
        "step epoch train_bits_per_dim held_out_bits_per_dim held_out_raw_bits_per_dim"
        " learning_rate grad_norm drift condition reconstruction_error skipped"
        " held_out_accuracy held_out_bayes_accuracy"
    )
    assert all(list(line) == names.split() for line in lines)
    nothing = {"held_out_accuracy", "held_out_bayes_accuracy"}  # of a model without classes
    assert all(line[name] is None for line in lines for name in nothing)
    nothing |= {"held_out_raw_bits_per_dim"}
    assert all(np.isfinite([line[name] for name in {*line} - nothing]).all() for line in lines)
    timing = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    assert [line["step"] for line in timing] == [3, 6] and timing[1]["seconds"] > 0
    assert lines[1]["held_out_bits_per_dim"] < lines[0]["held_out_bits_per_dim"]
    assert json.loads((run / "config.json").read_text())["options"]["K"] == 1
    for name in ("samples-000006.png", "learning-curve.png", "latents.png", "reconstruction.png"):
        with Image.open(run / name) as picture:
            assert picture.size[0] > 300
    model, header = Glow.load(run), read_header(resolve(run))
    assert model.initialized and header["step"] == 6
    assert f"held-out bits/dim {lines[1]['held_out_bits_per_dim']:.3f}" in done.stdout

    with nothing_drawn():
        again = command(tmp_path, "--data", "ramps.npz", *SMALL)
    assert again.returncode == 0
    same = Glow.load(tmp_path / "runs" / "ramps-2")
    # two runs of one seed end in the same weights
    assert same.store.theta.tobytes() == model.store.theta.tobytes()


def test_a_named_run_is_refused_unless_overwritten_and_other_files_survive(tmp_path, undrawn):
    np.savez(tmp_path / "ramps.npz", images=images())
    assert command(tmp_path, "--data", "ramps.npz", "--out", "mine", *SMALL).returncode == 0
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    before = (tmp_path / "mine" / "metrics.jsonl").read_text()
    refused = command(tmp_path, "--data", "ramps.npz", "--out", "mine", *SMALL)
    assert (
        refused.returncode == 2
        and "mine already contains a run" in refused.stderr
        and refused.stderr.count("\n") == 1
    )
    assert (tmp_path / "mine" / "metrics.jsonl").read_text() == before
    mistaken = command(
        tmp_path, "--data", "ramps.npz", "--out", "mine", "--overwrite", *SMALL, "--batch", "1000"
    )
    assert mistaken.returncode == 2 and (tmp_path / "mine" / "metrics.jsonl").read_text() == before
    replaced = command(
        tmp_path, "--data", "ramps.npz", "--out", "mine", "--overwrite", *SMALL, "--seed", "5"
    )
    assert replaced.returncode == 0
    assert (tmp_path / "mine" / "metrics.jsonl").read_text() != before
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


def write_bad_inputs(folder: Path) -> None:
    np.savez(folder / "odd.npz", images=images(h=9, w=8))
    np.savez(folder / "floats.npz", images=images() / 255)
    np.savez(folder / "nothing.npz", pictures=images())
    np.savez(folder / "good.npz", images=images())
    (folder / "empty").mkdir()
    (folder / "mixed").mkdir()
    for i, image in enumerate(images(4)):
        Image.fromarray(image).save(folder / "mixed" / f"{i}.png")
    whole = (folder / "mixed" / "2.png").read_bytes()
    (folder / "mixed" / "2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "a-file").write_text("x")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "odd.npz"], ["must be divisible by 4", "(9, 8)", "crop or pad"]),
        (["--data", "floats.npz"], ["floats.npz", "float64", "uint8"]),
        (["--data", "missing.npz"], ["missing.npz"]),
        (["--data", "nothing.npz"], ["nothing.npz", "images", "pictures"]),
        (["--data", "empty"], ["empty"]),
        (["--data", "mixed"], ["2.png"]),
        (["--data", "good.npz", "--device", "gpu"], ["device 'gpu'", "--device cpu"]),
        (["--data", "good.npz", "--device", "tpu"], ["cpu, gpu or gpu:k"]),
        (["--data", "good.npz", "--no-such-option"], ["--no-such-option", "--help"]),
        (["--data", "good.npz", "--coupling", "quadratic"], ["--coupling", "affine"]),
        (["--data", "good.npz", "--permutation", "riffle"], ["permutation", "conv1x1"]),
        (["--data", "good.npz", "--memory", "anchored:0"], ["expected a size such as 256MB"]),
        (["--data", "good.npz", "--batch", "1000"], ["--batch", "36"]),
        (["--data", "good.npz", "--lr", "nan"], ["--lr"]),
        (["--data", "good.npz", "--steps", "0"], ["--steps", "number of steps"]),
        (["--data", "good.npz", "--threads", "0"], ["--threads", "at least 1"]),
        (["--data", "good.npz", "--out", "a-file"], ["a-file", "folder"]),
        (["--data", "good.npz", "--tile", "0"], ["tile must be positive", "memory"]),
        (
            ["--data", "good.npz", "--tile", "1e9"],
            ["tile must be positive and smaller than this machine's memory"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_one_line_and_exit_code_2(tmp_path, arguments, said):
    write_bad_inputs(tmp_path)
    done = command(tmp_path, *SMALL, *arguments)
    message = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1
    assert all(part in message for part in said), message
    assert "lr" in str(arguments) or not list(tmp_path.glob("runs/*/config.json"))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="limits of Linux")
def test_out_of_memory_is_one_line_with_the_bytes_wanted(tmp_path):
    write_bad_inputs(tmp_path)
    code = (
        "import resource, sys; from glowlite.commands.program import run;from glowlite.train import"
        " main;resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); run(main, 'train')"
    )
    arguments = ["--data", "good.npz", "--K", "1", "--L", "1", "--width", "16000", "--batch", "8"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    message = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert (
        "out of memory: Unable to allocate" in message and "GiB" in message and "--width" in message
    )


def test_what_a_step_needs_is_estimated_from_what_is_kept():
    sizes = {
        text: small_model(memory=Memory.parse(text)).step_bytes(1000)
        for text in ("0", "0+anchored:1", "5MB", "all")
    }
    assert sizes["0"] == 4 * 4 * len(small_model().store)
    # two steps a level: 16 pixels of 12 channels, 4 of 24
    assert sizes["0+anchored:1"] - sizes["0"] == 4 * 1000 * 2 * (16 * 12 + 4 * 24)
    assert sizes["0"] < sizes["5MB"] <= sizes["0"] + 5 * 2**20
    # and their hidden maps, 2 x 16 channels, the patches and the thin arrays
    numbers = [16 * (32 + 9 * 6 + 10 + 4 * 12), 4 * (32 + 9 * 12 + 10 + 4 * 24)]
    assert sizes["all"] - sizes["0"] == pytest.approx(4 * 1000 * 2 * sum(numbers), rel=0.05)


def test_a_step_that_cannot_fit_is_refused_before_anything_is_written(monkeypatch):
    model = small_model(memory=Memory.parse("stored"))
    check_memory(model, 8, 1000)
    monkeypatch.setattr(glowlite.training.loop, "available_bytes", lambda: 1e6)
    with pytest.raises(
        GlowliteError,
        match=r"needs at least \d+\.\d GiB, but this machine has .* give a smaller --memory",
    ):
        check_memory(model, 1000, 1000)


@pytest.mark.parametrize(
    ("parts", "most"), [({}, 30), ({"accumulate": 4}, 8), ({"shards": 8}, 4)], ids=str
)
def test_the_memory_of_a_step_is_that_of_the_images_it_takes_at_once(monkeypatch, parts, most):
    """A batch of 30 in parts: where the largest part fits, training begins;
    with one byte less it does not.
    """
    model = small_model(memory=Memory.parse("stored"))
    training = Training(model, Settings(steps=1, batch=30, evaluate_images=2, **parts))
    assert training.images_at_once() == most
    for spare, begins in ((0, True), (-1, False)):
        monkeypatch.setattr(
            glowlite.training.loop,
            "available_bytes",
            lambda spare=spare: model.step_bytes(most) + spare,
        )
        with (
            nullcontext()
            if begins
            else pytest.raises(GlowliteError, match=r"needs at least .* raise --accumulate")
        ):
            glowlite.training.loop.train(training, dataset(), [])
        training.state.step = 0


def test_the_command_looks_at_the_memory_of_a_part_of_the_batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [
        "--K",
        "1",
        "--L",
        "1",
        "--width",
        "8",
        "--batch",
        "64",
        "--steps",
        "1",
        "--out",
        "run",
    ]
    asked = []
    monkeypatch.setattr(
        glowlite.commands.train, "check_memory", lambda model, images, _: asked.append(images)
    )
    for more in ([], ["--accumulate", "5"]):
        glowlite.commands.train.make_training(parse_arguments([*options, *more]), OneProcess())
    assert asked == [64, 13]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"),
    reason="sparse files and the peak of memory as Linux has them",
)
def test_an_npy_larger_than_memory_trains_in_bounded_memory(tmp_path):
    """A sparse file: it takes no room on the disk, and cannot be read into memory."""
    count = int(1.5 * available_bytes()) // (64 * 64 * 3)
    header = (
        f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 64, 64, 3), }}".ljust(117)
        + "\n"
    )
    with open(tmp_path / "huge.npy", "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        file.truncate(file.tell() + count * 64 * 64 * 3)
    # not getrusage's peak, which starts from that of the process that started this one
    code = (
        "import re; from pathlib import Path; from glowlite.train import main;"
        " main();print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    arguments = ["--data", "huge.npy", *SMALL, "--lr", "1e-4"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--evaluate-images", "16"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peak_mib = int(done.stdout.splitlines()[-1]) / 1024
    indices_mib = count * 8 / 2**20  # the shuffled order of an epoch, and what it is made from
    assert peak_mib < 300 + 4 * indices_mib < available_bytes() / 2**20 / 10


def test_a_run_that_comes_apart_says_so_in_one_line(tmp_path):
    np.savez(tmp_path / "ramps.npz", images=images())
    rates = [
        "--lr",
        "1e6",
        "--warmup",
        "0",
        "--steps",
        "100",
        "--checkpoint-every",
        "1",
        "--log-every",
        "100",
    ]
    done = command(tmp_path, "--data", "ramps.npz", *SMALL, *rates, "--out", "apart")
    assert done.returncode == 2 and "Warning" not in done.stderr and "Traceback" not in done.stderr
    message = done.stderr.splitlines()[-1]
    assert "error: step " in message and "lower --lr" in message, message
