"""What is looked at after a run: evaluate, report, TensorBoard."""

import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from small_runs import SMALL, command, environment, images

from glowlite import Glow
from glowlite.commands.report import page
from glowlite.data import load
from glowlite.files.storage import read_arrays
from glowlite.objective import dequantization_noise, dequantize
from glowlite.training.scoring import scores


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("evaluate")
    np.savez(home / "ramps.npz", images=images(60))
    np.savez(home / "others.npz", images=images(30, seed=5))
    np.savez(home / "larger.npz", images=images(30, h=12, w=16))
    done = command(
        home, "--data", "ramps.npz", *SMALL, "--average", "0.5", "--out", "run", "--tensorboard"
    )
    assert done.returncode == 0, done.stderr
    Glow.load(home / "run").save(home / "model.safetensors", n_bits=5)
    return home


def figure(text):
    mean, error = re.search(r"(\d+\.\d+) \+- (\d+\.\d+) bits/dim", text).groups()
    return float(mean), float(error)


def test_evaluate_prints_the_mean_with_its_standard_error_and_writes_scores(home):
    done = command(home, "run", "--csv", "scores.csv", program="evaluate")
    assert done.returncode == 0, done.stderr
    expected = scores(Glow.load(home / "run"), load(str(home / "ramps.npz")).held_out, 5, 8, 0)
    mean, error = figure(done.stdout)
    assert mean == pytest.approx(expected.mean(), abs=1e-4)
    assert error == pytest.approx(expected.std(ddof=1) / np.sqrt(len(expected)), abs=1e-4)
    last = json.loads((home / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert mean == pytest.approx(last["held_out_bits_per_dim"], abs=1e-4)
    x = dequantize(
        load(str(home / "ramps.npz")).held_out[:],
        5,
        dequantization_noise(0, "evaluate", 0, 0, (6, 8, 8, 3), "float32"),
    )
    nats = float(re.search(r"(-?\d+\.\d+) nats of pixels in \[0, 1\]", done.stdout)[1])
    assert nats == pytest.approx(Glow.load(home / "run").log_prob(x).mean(), abs=0.01)
    for said in ("at 5 bits", "6 held-out images", "averaged weights of step 6", "1 draw of"):
        assert said in done.stdout
    rows = list(csv.DictReader((home / "scores.csv").open()))
    np.testing.assert_allclose([float(row["bits_per_dim"]) for row in rows], expected, atol=1e-5)
    assert [int(row["image"]) for row in rows] == list(range(6))


def test_raw_weights_more_draws_other_data_and_the_training_set(home):
    averaged = figure(command(home, "run", program="evaluate").stdout)[0]
    raw = command(home, "run", "--weights", "raw", program="evaluate").stdout
    last = json.loads((home / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert (
        figure(raw)[0] == pytest.approx(last["held_out_raw_bits_per_dim"], abs=1e-4)
        and "raw weights" in raw
    )
    tighter = command(home, "run", "--dequantisation-samples", "16", program="evaluate").stdout
    assert figure(tighter)[0] < averaged and "16 draws" in tighter
    others = command(home, "run", "--data", "others.npz", program="evaluate").stdout
    assert others.startswith("others: ") and "3 held-out images" in others
    prepared = command(
        home, "run", "--data", "larger.npz", "--resize", "8", "--crop", "8", program="evaluate"
    )
    assert prepared.returncode == 0, prepared.stderr
    assert "54 training images" in command(home, "run", "--train-set", program="evaluate").stdout
    alone = command(home, "run/checkpoints/step-00000006.safetensors", program="evaluate").stdout
    assert figure(alone)[0] == averaged
    best = command(home, "run", "--checkpoint", "best", program="evaluate").stdout
    lines = [json.loads(line) for line in (home / "run" / "metrics.jsonl").read_text().splitlines()]
    assert figure(best)[0] == pytest.approx(
        min(line["held_out_bits_per_dim"] for line in lines), abs=1e-4
    )


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_an_exported_model_has_the_type_that_was_asked_for_and_the_bits_of_its_weights(home, dtype):
    name = f"small-{dtype}.safetensors"
    done = command(home, "run", name, "--dtype", dtype, program="export")
    assert done.returncode == 0, done.stderr
    arrays, header = read_arrays(home / name)
    assert {str(array.dtype) for array in arrays.values() if array.dtype.kind == "f"} == {dtype}
    model = Glow.load(home / name)
    expected = scores(model, load(str(home / "ramps.npz")).held_out, 5, 64, 0).mean()
    assert header["held_out"]["bits_per_dim"] == pytest.approx(expected, abs=1e-9)
    rounded = {name: p.value for name, p in Glow.load(home / "run").store.parameters.items()}
    same = [np.array_equal(p.value, rounded[n]) for n, p in model.store.parameters.items()]
    assert all(same) == (dtype == "float32")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], ["nowhere", "no such file"]),
        (["."], ["no checkpoint in this folder"]),
        (["run", "--data", "larger.npz"], ["(12, 16, 3)", "(8, 8, 3)", "--resize"]),
        (["run", "--data", "none.npz"], ["none.npz", "no such file"]),
        (["run", "--crop", "4"], ["without --data"]),
        (["run", "--dequantisation-samples", "0"], ["at least 1"]),
        (["run", "--csv", "run"], ["--csv run is a folder"]),
        (["run", "--csv", "no/such/folder.csv"], ["no folder no/such; make it"]),
        (["model.safetensors"], ["model.safetensors", "--data"]),
        (["face"], ["face: no such file, folder or pretrained model", "faces"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_mistake_in_evaluating_is_one_line(home, arguments, said):
    done = command(home, *arguments, program="evaluate")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert all(part in done.stderr for part in said), done.stderr


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.references, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_is_one_page_with_everything_inside(home):
    done = command(home, "run", program="report")
    assert done.returncode == 0 and "run/report.html" in done.stdout, done.stderr
    text = (home / "run" / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == [] and len(page.references) == 4
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert "://" not in text and "<script" not in text
    words = " ".join(page.text)
    last = json.loads((home / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    figures = f"{last['held_out_bits_per_dim']:.4f}", "ramps.npz"
    assert all(
        said in words
        for said in ("Learning curve", "Samples", "Latents", "Reconstruction", *figures)
    )


def test_names_in_a_report_are_escaped(home, tmp_path):
    run = tmp_path / "<b>&run"
    run.mkdir()
    for name in ("metrics.jsonl", "timing.jsonl"):
        (run / name).write_bytes((home / "run" / name).read_bytes())
    (run / "config.json").write_text(
        (home / "run" / "config.json").read_text().replace("ramps.npz", "<script>")
    )
    text = page(run)
    assert "&lt;b&gt;&amp;run" in text and "&lt;script&gt;" in text and "<script" not in text


@pytest.mark.parametrize(
    ("run", "said"), [("nowhere", "no config.json here"), (".", "no config.json here")]
)
def test_a_report_of_nothing_is_one_line(home, run, said):
    done = command(home, run, program="report")
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_pictures_of_a_run_are_not_blank(home):
    for name in ("latents.png", "reconstruction.png", "learning-curve.png", "samples-000006.png"):
        with Image.open(home / "run" / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


def test_tensorboard_has_every_number(home):
    (events,) = (home / "run" / "tensorboard").glob("events.*")
    content = events.read_bytes()
    for name in (b"held_out_bits_per_dim", b"grad_norm", b"images_per_second", b"condition"):
        assert name in content


def test_a_missing_tensorboard_is_said_before_anything_is_replaced(home):
    code = (
        "import sys; sys.modules['tensorboardX'] = None; from glowlite.commands.program import"
        " run;from glowlite.train import main; run(main, 'train')"
    )
    before = (home / "run" / "metrics.jsonl").read_bytes()
    arguments = ["--data", "ramps.npz", *SMALL, "--out", "run", "--overwrite", "--tensorboard"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=home,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 2
        and "[tensorboard]" in done.stderr
        and len(done.stderr.splitlines()) == 1
    )
    assert (home / "run" / "metrics.jsonl").read_bytes() == before
