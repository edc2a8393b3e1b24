"""The main job as a user runs it: what it leaves behind, and how it answers mistakes."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glowlite.trainer
from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.checkpoint import load_model, save_model
from glowlite.data.dataset import Dataset
from glowlite.objective import dequantise
from glowlite.optimizers import Adam
from glowlite.trainer import DRIFT_LIMIT, Settings, batches, check_memory, evaluate, train, training_step
from glowlite.workers import Workers

SMALL = ["--K", "1", "--L", "2", "--width", "16", "--steps", "6", "--batch", "8", "--evaluate-every", "3"]


def command(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, "-m", "glowlite.train", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def images(n=40, h=8, w=8, c=3, seed=0):
    """Smooth random images: something to learn in a few steps."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, h)[:, None, None] * rng.random((n, 1, 1, c)) + 0.2 * rng.random((n, h, w, c))
    return (255 * ramp / ramp.max()).astype(np.uint8)


def test_a_run_leaves_config_metrics_samples_curve_and_weights(tmp_path):
    np.savez(tmp_path / "ramps.npz", images=images())
    done = command(tmp_path, "--data", "ramps.npz", *SMALL)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "ramps-1"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    names = "step epoch train_bits_per_dim held_out_bits_per_dim learning_rate grad_norm drift seconds"
    assert all(list(line) == names.split() for line in lines)
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    assert lines[1]["held_out_bits_per_dim"] < lines[0]["held_out_bits_per_dim"]
    assert json.loads((run / "config.json").read_text())["options"]["K"] == 1
    for name in ("samples-000003.png", "samples-000006.png", "learning-curve.png"):
        with Image.open(run / name) as picture:
            assert picture.size[0] > 300
    model, header = load_model(run / "weights.safetensors")
    assert model.initialized and header["step"] == 6
    assert f"held-out bits/dim {lines[1]['held_out_bits_per_dim']:.3f}" in done.stdout

    again = command(tmp_path, "--data", "ramps.npz", *SMALL)
    assert again.returncode == 0 and (tmp_path / "runs" / "ramps-2" / "weights.safetensors").exists()
    same = (tmp_path / "runs" / "ramps-2" / "weights.safetensors").read_bytes()
    assert (
        load_model(tmp_path / "runs" / "ramps-2" / "weights.safetensors")[0].store.theta.tobytes()
        == model.store.theta.tobytes()
    )
    assert same  # two runs of one seed end in the same weights


def test_a_named_run_is_refused_unless_overwritten_and_other_files_survive(tmp_path):
    np.savez(tmp_path / "ramps.npz", images=images())
    assert command(tmp_path, "--data", "ramps.npz", "--out", "mine", *SMALL).returncode == 0
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    before = (tmp_path / "mine" / "metrics.jsonl").read_text()
    refused = command(tmp_path, "--data", "ramps.npz", "--out", "mine", *SMALL)
    assert refused.returncode == 2 and "mine holds a run already" in refused.stderr and refused.stderr.count("\n") == 1
    assert (tmp_path / "mine" / "metrics.jsonl").read_text() == before
    mistaken = command(tmp_path, "--data", "ramps.npz", "--out", "mine", "--overwrite", *SMALL, "--batch", "1000")
    assert mistaken.returncode == 2 and (tmp_path / "mine" / "metrics.jsonl").read_text() == before
    replaced = command(tmp_path, "--data", "ramps.npz", "--out", "mine", "--overwrite", *SMALL, "--seed", "5")
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
        (["--data", "good.npz", "--memory", "anchored:0"], ["anchored:k"]),
        (["--data", "good.npz", "--batch", "1000"], ["--batch", "36"]),
        (["--data", "good.npz", "--lr", "nan"], ["--lr"]),
        (["--data", "good.npz", "--steps", "0"], ["--steps", "at least 1"]),
        (["--data", "good.npz", "--threads", "0"], ["--threads", "at least 1"]),
        (["--data", "good.npz", "--out", "a-file"], ["a-file", "folder"]),
        (["--data", "good.npz", "--tile", "0"], ["tile must be positive", "memory"]),
        (["--data", "good.npz", "--tile", "1e9"], ["tile must be positive and smaller than this machine's memory"]),
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
    assert "lr" in str(arguments) or not list(tmp_path.glob("runs/*/weights.safetensors"))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="limits of Linux")
def test_out_of_memory_is_one_line_with_the_bytes_wanted(tmp_path):
    write_bad_inputs(tmp_path)
    code = (
        "import resource, sys; from glowlite.command_line import run; from glowlite.train import main;"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); run(main, 'train')"
    )
    arguments = ["--data", "good.npz", "--K", "1", "--L", "1", "--width", "16000", "--batch", "8"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    message = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "out of memory: Unable to allocate" in message and "GiB" in message and "--width" in message


def test_what_a_step_needs_is_estimated_from_what_the_policy_keeps():
    sizes = {
        kind: small_model(memory=Memory.parse(kind)).step_bytes(1000) for kind in ("reversible", "anchored:1", "stored")
    }
    assert sizes["reversible"] == 4 * 4 * len(small_model().store)
    # two steps a level: 16 pixels of 12 channels, 4 of 24; and their hidden maps, 2 x 16 channels, with 8 thin arrays
    assert sizes["anchored:1"] - sizes["reversible"] == 4 * 1000 * 2 * (16 * 12 + 4 * 24)
    assert sizes["stored"] - sizes["reversible"] == 4 * 1000 * 2 * (16 * (32 + 8 * 12) + 4 * (32 + 8 * 24))


def test_a_step_that_cannot_fit_is_refused_before_anything_is_written(monkeypatch):
    model = small_model(memory=Memory.parse("stored"))
    check_memory(model, 8)
    monkeypatch.setattr(glowlite.trainer, "available_bytes", lambda: 1e6)
    with pytest.raises(GlowliteError, match=r"needs at least \d+\.\d GiB, and this machine has .* --memory reversible"):
        check_memory(model, 1000)


def dataset(n=40, **shape):
    pictures = images(n, **shape)
    return Dataset("ramps", pictures[8:], pictures[:8], "made here")


def small_model(dtype="float32", **options):
    return Glow(GlowConfig((8, 8, 3), K=2, L=2, width=16), dtype=dtype, workers=Workers(1), **options)


class Record:
    def __init__(self):
        self.metrics, self.steps = [], []

    def on_step(self, step, result):
        self.steps.append((step, result))

    def on_metrics(self, metrics):
        self.metrics.append(metrics)


def test_training_lowers_the_loss_and_reports_every_image_once():
    seen = Record()
    model = small_model()
    last = train(model, dataset(), Settings(steps=60, batch=16, lr=3e-3, warmup=5, evaluate_every=30), [seen])
    losses = [result.bits_per_dim for _, result in seen.steps]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    assert [m.step for m in seen.metrics] == [10, 20, 30, 40, 50, 60]
    assert seen.metrics[-1].held_out_bits_per_dim == last
    assert last == pytest.approx(evaluate(model, dataset().held_out, 5, 3, 0), rel=1e-5)  # whatever the batch


def test_batches_visit_every_image_once_an_epoch_in_an_order_of_the_seed():
    data = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1)
    settings = Settings(steps=6, batch=4, seed=3)
    visited = [part.ravel().tolist() for part, _ in batches(data, settings, "float32")]
    first, second = np.concatenate(visited[:3]).tolist(), np.concatenate(visited[3:]).tolist()
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    assert visited == [part.ravel().tolist() for part, _ in batches(data, settings, "float32")]


def test_a_step_is_the_derivative_of_the_loss_it_reports():
    model = small_model("float64")
    x = dequantise(images(6), 5, np.random.default_rng(1).random((6, 8, 8, 3)))
    model.initialize(x)
    theta = model.store.theta.copy()
    before = training_step(model, Adam(model.store.theta), x, 5, lr=0.0)
    grad = model.store.grad.copy()
    step = 1e-4
    model.store.theta[...] = theta - step * grad
    after = model.bits_per_dim(x, 5).mean()
    assert before.grad_norm == pytest.approx(np.linalg.norm(grad))
    assert (before.bits_per_dim - after) / step == pytest.approx(grad @ grad, rel=1e-2)


def test_drift_stops_training_and_names_the_layer():
    model = small_model(memory=Memory("reversible"))
    x = dequantise(images(6), 5, np.random.default_rng(1).random((6, 8, 8, 3), np.float32))
    model.initialize(x)
    weight = model.store.parameters["level1/step0/permutation/weight"]
    weight.value[...] = np.eye(len(weight.value))
    weight.value[0, :2] = 1e-7, 1  # two rows all but the same: condition number about 4e7, where float32 has 7 digits
    with pytest.raises(GlowliteError, match=rf"limit {DRIFT_LIMIT:.0e}.*level1/step0, .*--memory anchored"):
        training_step(model, Adam(model.store.theta), x, 5, lr=1e-3)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_loss_that_is_not_finite_stops_training_with_the_step():
    model = small_model()
    model.initialized = True
    model.store.theta[...] = np.nan
    with pytest.raises(GlowliteError, match="step 1: the loss"):
        train(model, dataset(), Settings(steps=2, batch=8), [])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("permutation", ["conv1x1", "lu", "shuffle"])
def test_save_and_load_keep_every_bit_and_do_not_initialise_again(tmp_path, dtype, permutation):
    model = Glow(GlowConfig((8, 8, 3), K=2, L=2, width=16, permutation=permutation), seed=4, dtype=dtype)
    x = dequantise(images(6), 5, np.random.default_rng(1).random((6, 8, 8, 3)).astype(dtype))
    model.initialize(x)
    save_model(model, tmp_path / "model.safetensors", note="kept")
    loaded, header = load_model(tmp_path / "model.safetensors")
    assert header["note"] == "kept" and loaded.initialized and loaded.dtype == dtype
    assert loaded.log_prob(x).tobytes() == model.log_prob(x).tobytes()
    for one in (model, loaded):
        training_step(one, Adam(one.store.theta), x, 5, lr=1e-3)
    assert loaded.store.theta.tobytes() == model.store.theta.tobytes()


def test_a_damaged_or_foreign_model_file_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(GlowliteError, match=r"model.safetensors: no such file"):
        load_model(path)
    save_model(small_model(), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(GlowliteError, match="cannot read the model"):
        load_model(path)
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(GlowliteError, match="no glowlite model"):
        load_model(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors"]  # no temporary file is left


def test_a_full_disk_leaves_the_model_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    model = small_model()
    save_model(model, path)
    before = path.read_bytes()
    model.store.theta[...] = 1.0

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        GlowliteError, match=r"cannot write the model .*model.safetensors: .*No space left on device.*still there"
    ):
        save_model(model, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
