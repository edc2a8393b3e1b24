"""python -m glowlite.reproduce: every experiment at toy size, what is done once, what is broken
off, and what its verdicts mean.
"""

import base64
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from small_runs import command, environment, images, mpirun

from glowlite import GlowConfig, GlowliteError
from glowlite.reproduce import cost, figure3, figure9, memory, stability, sweep
from glowlite.reproduce.claims import Mean, differences, verdict
from glowlite.reproduce.command import EXPERIMENTS, SMALL
from glowlite.reproduce.experiment import ExperimentSettings
from glowlite.reproduce.planned_run import PlannedRun
from glowlite.reproduce.report import Report, Table, write

TOY = ["--data", "small.npz", "--steps", "2", "--K", "1", "--width", "4", "--batch", "8"]
TOY += ["--seeds", "1", "--jobs", "2"]


def reproduce(folder, *words):
    return command(folder, *words, program="reproduce")


def is_one_plain_line(done):
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1, done
    assert "Traceback" not in lines[0]
    return lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("reproduce")
    np.savez(path / "small.npz", images=images(40, 8, 8, 1))
    return path


@pytest.fixture(scope="module")
def done(folder):
    """Figure 3, made once."""
    made = reproduce(folder, "figure3", *TOY)
    assert made.returncode == 0, made.stderr
    return made


def png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def states(folder):
    """When each file of the runs was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


# --- figure 3 ---


def test_figure_3_has_its_runs_its_figure_its_tables_and_its_page(folder, done):
    there = folder / "runs" / "figure3"
    names = {f"{c}-{p}-0" for c in figure3.COUPLINGS for p in figure3.PERMUTATIONS}
    assert {path.name for path in there.iterdir() if path.is_dir()} == names
    assert "figure3: 6 runs of 2 steps" in done.stdout
    assert png(there / "figure3.png")
    page = (there / "report.html").read_text("utf-8")
    for line in ("| affine | fixed shuffle |", "| additive | 1x1 convolution below reverse |"):
        assert line in done.stdout
    assert page.count("python -m glowlite.train --data small.npz") == 6
    assert base64.b64encode((there / "figure3.png").read_bytes()).decode() in page


def test_runs_that_are_there_are_not_made_again(folder, done):
    runs = folder / "runs" / "figure3"
    before = {path: at for path, at in states(runs).items() if path.parent != runs}
    again = reproduce(folder, "figure3", *TOY)
    assert again.returncode == 0 and "6 of 6 runs already exist" in again.stdout
    after = states(runs)
    assert {path: after[path] for path in before} == before
    assert (
        again.stdout.split("bits/dim at the end")[1] == done.stdout.split("bits/dim at the end")[1]
    )


def test_a_folder_of_runs_with_other_options_is_left_alone(folder, done):
    line = is_one_plain_line(reproduce(folder, "figure3", *TOY, "--width", "5"))
    assert "contains a run with width 4, not 5" in line


def test_a_run_that_fails_is_named_with_its_log(folder):
    (folder / "empty").mkdir()
    made = reproduce(folder, "figure3", "--data", "empty", "--out", "bad")
    *_, line = made.stderr.splitlines()
    assert made.returncode == 2
    assert re.search(r"bad/additive-\w+-0: ended with 2; its log, .*\.log, ends: .*empty", line)
    line = is_one_plain_line(reproduce(folder, "figure3", "--data", "none.npz", "--out", "none"))
    assert line.endswith("--data none.npz: no such data")
    assert not (folder / "none").exists()


def test_what_is_broken_off_goes_on_to_the_same_result(folder):
    """SIGINT in the middle of the first run."""
    words = ["figure3", "--data", "small.npz", "--steps", "240", "--K", "1", "--width", "4"]
    words += ["--batch", "8", "--seeds", "1"]
    whole = PlannedRun(folder / "broken" / "additive-reverse-0", {"steps": 240})
    process = subprocess.Popen(
        [sys.executable, "-m", "glowlite.reproduce", *words, "--out", "broken"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not whole.is_begun() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in said, said
    assert whole.is_begun()
    assert not (folder / "broken" / "figure3.png").exists()
    steps = whole.curve()
    model = {**SMALL, "K": 1, "width": 4, "batch": 8}
    run, *_ = figure3.plan(ExperimentSettings(folder / "broken", "small.npz", 1, 240, model))
    straight = PlannedRun(folder / "straight", run.options)
    for each in (whole, straight):
        words = ["--resume", "--out", str(each.folder)] if each.is_begun() else each.words
        assert command(folder, *words).returncode == 0
    assert whole.curve() == straight.curve() and len(whole.curve()) == 12 > len(steps)


def test_ranks_share_the_runs(folder, done):
    words = [*TOY, "--out", "shared"]
    made = mpirun(2, "-m", "glowlite.reproduce", "figure3", *words, cwd=folder)
    assert made.returncode == 0, made.stderr
    table = made.stdout.split("bits/dim at the end")[1].split("Claims")[0]
    assert table == done.stdout.split("bits/dim at the end")[1].split("Claims")[0]
    assert png(folder / "shared" / "figure3.png")


# --- the others ---


def test_figure_9_has_models_of_every_depth(folder):
    made = reproduce(folder, "figure9", *TOY)
    assert made.returncode == 0, made.stderr
    rows = re.findall(r"^\| (\d) \| [\d,]+ \| \d+\.\d{4} \|", made.stdout, re.MULTILINE)
    assert rows == ["1", "2", "3"]
    assert png(folder / "runs" / "figure9" / "figure9.png")


def test_depths_are_those_that_the_images_allow(tmp_path):
    for shape, depths in (
        ((8, 8, 1), [1, 2, 3]),
        ((12, 20, 3), [1, 2]),
        ((64, 64, 1), [1, 2, 3, 4]),
    ):
        np.savez(tmp_path / "x.npz", images=images(20, *shape))
        assert figure9.depths(ExperimentSettings(tmp_path, str(tmp_path / "x.npz"), 1, 1)) == depths


def test_table_2_has_published_figures_and_those_of_the_runs_given(folder, done):
    run = folder / "runs" / "figure3" / "affine-conv1x1-0"
    made = reproduce(folder, "table2", str(run), "--out", "table2")
    assert made.returncode == 0, made.stderr
    assert "| CIFAR-10 | 3.49 | 3.35 |" in made.stdout
    row = next(line for line in made.stdout.splitlines() if "affine-conv1x1-0" in line)
    assert "| Glow |" in row and "| 8 | 4 of 40 8x8x1 |" in row
    assert "python -m glowlite.train --data small.npz" in row
    assert (folder / "table2" / "report.html").exists()
    assert "name run folders" in is_one_plain_line(reproduce(folder, "table2"))


def test_the_cost_is_told_of_time_and_of_parameters(folder, monkeypatch):
    small = GlowConfig((8, 8, 1), K=1, L=1, width=8), 4
    monkeypatch.setattr(cost, "JOBS", {"8x8x1, K=1, L=1, width 8, batch 4": small})
    monkeypatch.setattr(cost, "ROUNDS", 3)
    made = reproduce(folder, "cost")
    assert made.returncode == 0, made.stderr
    assert re.search(
        r"^\| 8x8x1, K=1, .* \| \d\.\d{4} s \| \d\.\d{4} s \| [+-]\d+\.\d% \(.* to .*\) \|"
        r" \+\d\.\d\d% \|$",
        made.stdout,
        re.MULTILINE,
    )


def test_stability_tells_which_samples_are_finite(folder, monkeypatch):
    few = dict(list(stability.SCALES.items())[:2])
    monkeypatch.setattr(stability, "SCALES", few)
    monkeypatch.setattr(stability, "SAMPLES", stability.AT_ONCE)
    made = reproduce(folder, "stability", *TOY)
    assert made.returncode == 0, made.stderr
    for name in few:
        row = next(line for line in made.stdout.splitlines() if line.startswith(f"| {name}"))
        assert row.count("%") == 6 and "100.0%" in row


def test_memory_is_drawn_against_depth(folder, monkeypatch):
    monkeypatch.setattr(memory, "DEPTHS", (1, 2))
    made = reproduce(folder, "memory")
    assert made.returncode == 0, made.stderr
    rows = dict(re.findall(r"^\| (0|all) \| (.*) \|$", made.stdout, re.MULTILINE))
    peaks = {name: [float(peak) for peak in row.split(" | ")] for name, row in rows.items()}
    shallow, deep = peaks["0"]
    assert deep < 1.05 * shallow  # constant in depth
    assert peaks["all"][1] > 1.3 * peaks["all"][0]
    assert png(folder / "runs" / "memory" / "memory.png")


def test_all_lists_every_experiment(folder):
    made = reproduce(folder, "all")
    assert [line.split()[0] for line in made.stdout.splitlines()] == list(EXPERIMENTS)
    assert all(re.search(r"minutes|seconds", line) for line in made.stdout.splitlines())


def test_every_name_that_is_asked_for_has_a_test():
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{name}"' in text for name in EXPERIMENTS)


@pytest.mark.parametrize("name", ["figure3", "figure9", "table2"])
def test_the_size_of_the_paper_is_told_and_not_run(folder, name):
    made = reproduce(folder, name, "--paper-size", "--out", "nothing")
    assert made.returncode == 0 and not (folder / "nothing").exists()
    commands = re.findall(r"^python -m glowlite\.train .*$", made.stdout, re.MULTILINE)
    assert len(commands) == {"figure3": 18, "figure9": 2, "table2": 4}[name]
    assert all("--device gpu" in each for each in commands)
    rows = re.findall(
        r"^\| .* \| ([\d.e+]+) \| [\d,]+ \| ([\d.]+) \| ([\d.]+) \|$", made.stdout, re.M
    )
    assert rows and all(float(hours) > 0.1 and float(gb) > 1 for _, gb, hours in rows)
    if name == "figure3":
        assert "| coupling affine, permutation conv1x1 | 44,603,604 |" in made.stdout


def test_mistakes_are_one_line(folder):
    assert "has no other size" in is_one_plain_line(reproduce(folder, "memory", "--paper-size"))
    assert "only table2" in is_one_plain_line(reproduce(folder, "figure3", "some-run"))
    is_one_plain_line(reproduce(folder, "figure7"))
    is_one_plain_line(reproduce(folder, "figure3", "--seeds", "0"))


# --- figures ---


def test_a_mean_has_its_error_and_its_interval():
    values = [3.0, 3.2, 3.7]
    mean = Mean.of(values)
    assert math.isclose(mean.value, 3.3)
    assert math.isclose(mean.error, stats.sem(values))
    low, high = stats.t.interval(0.95, 2, loc=mean.value, scale=mean.error)
    assert math.isclose(mean.half_width, (high - low) / 2)
    assert str(mean) == "3.3000 ± 0.2082" and str(Mean.of([2.5])) == "2.5000"
    assert math.isinf(Mean.of([2.5]).half_width)


def test_a_verdict_is_of_pairs():
    """Seeds differ by far more than the difference within each."""
    better, worse = [1.0, 2.0, 3.0], [1.1, 2.11, 3.09]
    assert verdict(differences(better, worse)) == "holds"
    assert verdict(differences(worse, better)) == "does not hold"
    assert verdict(differences(better, [1.3, 1.9, 3.1])) == "undecided"
    assert verdict(differences([1.0], [2.0])) == "undecided"
    with pytest.raises(ValueError):
        differences([1.0], [1.0, 2.0])


def test_the_report_of_figure_3_says_what_its_runs_say(tmp_path):
    """Curves that are made up: the 1x1 convolution is better by 0.1, with additive couplings."""
    settings, rng = ExperimentSettings(tmp_path, "x", 3, 10), np.random.default_rng(1)
    runs = []
    for run in figure3.plan(settings):
        gain = (
            0.1
            * (run.options["permutation"] == "conv1x1")
            * (run.options["coupling"] == "additive")
        )
        last = 3.0 + 0.5 * int(run.options["seed"]) - gain + 1e-3 * rng.standard_normal()
        curve = [(0.5, 5.0), (1.0, last)]
        runs.append(SimpleNamespace(options=run.options, command="c", curve=lambda c=curve: c))
    made = figure3.report(settings, runs)
    claims = {(row[0], row[1]): row[4] for row in made.tables[1].rows}
    assert claims["additive", "1x1 convolution below fixed shuffle"] == "holds"
    assert claims["additive", "1x1 convolution below reverse"] == "holds"
    assert claims["affine", "1x1 convolution below reverse"] == "undecided"
    assert png(tmp_path / "figure3.png")


def test_a_command_can_be_typed(folder):
    run = ExperimentSettings(folder / "a b", "small.npz", 1, 5, {"K": 2}).run(
        "c", permutation="lu", flip=True
    )
    assert run.command.endswith(f"--K 2 --permutation lu --flip --out '{folder / 'a b' / 'c'}'")
    assert "--flip" in run.words and f"--out={folder / 'a b' / 'c'}" in run.words


def test_what_a_report_says_is_text(tmp_path):
    bad = "<script>alert(1)</script>"
    table = Table(bad, [bad], [[bad]])
    write(Report(bad, [bad], [table], [], [bad]), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "<script" not in text and "default-src 'none'" in text
    (tmp_path / "mine.html").write_text("<!doctype html>mine")
    with pytest.raises(GlowliteError, match="left alone"):
        write(Report("t"), tmp_path / "mine.html")


def test_a_run_is_no_rank_of_the_launcher_that_started_it(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(sweep.subprocess, "Popen", lambda words, **more: seen.update(more))
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    sweep.start(PlannedRun(tmp_path / "run", {"steps": 1}), 1)
    assert "PATH" in seen["env"]
    assert not {"PMI_SIZE", "OMPI_COMM_WORLD_SIZE"} & set(seen["env"])
    assert os.environ["PMI_SIZE"] == "2"
