"""What the README says works: its Python example runs, and its commands use options that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from glowlite.bench.__main__ import parse_arguments as parse_bench_arguments
from glowlite.train import parse_arguments

PERFORMANCE = (Path(__file__).parent.parent / "docs" / "performance.md").read_text()
README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_python_example_runs_and_its_comments_are_true():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    check = "\nassert samples.shape == (16, 16, 16, 3) and abs(model.inverse(latents) - x).max() < 1e-5\n"
    done = subprocess.run([sys.executable, "-c", example + check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", re.findall(r"python -m glowlite\.train (--data [^#\n]*)", README))
def test_the_commands_are_understood(line):
    assert parse_arguments(line.split()).data == line.split()[1]


@pytest.mark.parametrize("line", re.findall(r"python -m glowlite\.bench([^#\n`]*)", README + PERFORMANCE))
def test_the_commands_of_the_benchmark_are_understood(line):
    assert parse_bench_arguments(line.split()).rounds >= 1


def test_the_options_of_speed_are_understood():
    (line,) = re.findall(r"python -m glowlite\.train (--threads [^#\n]*)", README)
    options = parse_arguments(line.split())
    assert (options.threads, options.tile, options.blas) == (2, 4.0, "mkl")


def test_every_file_that_the_readme_links_to_is_there():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((Path(__file__).parent.parent / link).exists() for link in links)
