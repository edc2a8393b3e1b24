"""What the README says works: its Python example runs, and its commands use options that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import environment

from glowlite import edit, evaluate, export, figures, interpolate, reconstruct, sample
from glowlite.bench.__main__ import parse_arguments as parse_bench_arguments
from glowlite.data.__main__ import parse_arguments as parse_data_arguments
from glowlite.evaluate import parse_arguments as parse_evaluate_arguments
from glowlite.option_sources import parse_arguments
from glowlite.presets import PRESETS
from glowlite.report import parse_arguments as parse_report_arguments

PERFORMANCE = (Path(__file__).parent.parent / "docs" / "performance.md").read_text()
TRAINING = (Path(__file__).parent.parent / "docs" / "training.md").read_text()
USING = (Path(__file__).parent.parent / "docs" / "using_a_flow.md").read_text()
EDITING = (Path(__file__).parent.parent / "docs" / "editing.md").read_text()
README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_python_example_runs_and_its_comments_are_true(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    check = """
assert samples.shape == (16, 16, 16, 3) and abs(model.inverse(latents) - x).max() < 1e-5
assert (Glow.load("glow.safetensors").store.theta == model.store.theta).all()
"""
    done = subprocess.run(
        [sys.executable, "-c", example + check], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", re.findall(r"python -m glowlite\.train (--(?:data|out|resume)[^#\n`]*)", README + TRAINING))
def test_the_commands_are_understood(line):
    options = parse_arguments(line.split())
    words = line.split()
    assert options.data == words[1] if words[0] == "--data" else options.resume and options.out.startswith("runs/")


@pytest.mark.parametrize("program", ["data", "evaluate", "report"])
def test_the_commands_beside_training_are_understood(program):
    parse = {"data": parse_data_arguments, "evaluate": parse_evaluate_arguments, "report": parse_report_arguments}[program]
    lines = re.findall(rf"python -m glowlite\.{program}([^#\n`]*)", README + TRAINING)
    assert len(lines) >= 2
    for line in lines:
        assert line.split()[0] in vars(parse(line.split())).values()


@pytest.mark.parametrize(
    "program", [sample, interpolate, reconstruct, figures, export, evaluate, edit], ids=lambda m: m.__name__
)
def test_the_commands_that_use_a_flow_are_understood(program):
    lines = re.findall(rf"python -m {program.__name__}([^#\n`]*)", README + USING + EDITING)
    assert lines and all(program.parse_arguments(line.split()).threads is None for line in lines)


def test_the_example_of_using_a_flow_runs_and_its_comments_are_true():
    (example,) = re.findall(r"```python\n(.*?)```", USING, re.DOTALL)
    check = """
assert (back == images // 8 * 8 + 4).all() and walk.shape == (9, 16, 16, 3) and finite(walk).all()
assert abs(model.facts["held_out"]["bits_per_dim"] - BITS) < 0.005
"""
    (bits,) = re.findall(r"(\d\.\d\d) bits/dim on the 800 held-out faces", USING)
    code = example + check.replace("BITS", bits)
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_presets_of_the_table_are_those_there_are():
    table = TRAINING.split("## Presets")[1].split("## ")[0]
    rows = dict(re.findall(r"^\| (`[a-z0-9`, ]+`) \|([^\n]*)$", table, re.MULTILINE))
    assert {name for cell in rows for name in re.findall(r"`(\w+)`", cell)} == set(PRESETS)
    for cell, row in rows.items():
        name = cell.strip("`")
        if name in PRESETS:
            options = parse_arguments(["--preset", name])
            K, L, n_bits, coupling, batch = (part.strip() for part in row.split("|")[:5])
            shown = (int(K), int(L), int(n_bits), coupling, int(batch.split(",")[0]))
            assert shown == (options.K, options.L, options.n_bits, options.coupling, options.batch)


@pytest.mark.parametrize("line", re.findall(r"python -m glowlite\.bench([^#\n`]*)", README + PERFORMANCE))
def test_the_commands_of_the_benchmark_are_understood(line):
    assert parse_bench_arguments(line.split()).rounds >= 1


def test_the_options_of_speed_are_understood():
    (line,) = re.findall(r"python -m glowlite\.train (--threads [^#\n]*)", README)
    options = parse_arguments(line.split())
    assert (options.threads, options.tile, options.blas) == (2, 4.0, "mkl")


def test_every_file_that_the_readme_links_to_is_there():
    root = Path(__file__).parent.parent
    for text, folder in ((README, root), (USING, root / "docs")):
        links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
        assert links and all((folder / link).exists() for link in links)
