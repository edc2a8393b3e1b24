"""What the README and the docs claim, beyond what test_docs.py runs:
comments, tables and figures are true.
"""

import re
import subprocess
import sys
from pathlib import Path

from small_runs import environment

from glowlite import GlowConfig
from glowlite.bench.preset_jobs import SHAPES, preset_job
from glowlite.commands.option_sources import parse_arguments
from glowlite.commands.presets import PRESETS
from glowlite.models.config import CHOICES, PERMUTATIONS
from glowlite.models.nice_config import NICEConfig
from glowlite.models.realnvp_config import RealNVPConfig

DOCS = Path(__file__).parent.parent / "docs"
TRAINING = (DOCS / "training.md").read_text()
USING = (DOCS / "using_a_flow.md").read_text()
README = (DOCS.parent / "README.md").read_text()


def test_the_python_example_runs_and_its_comments_are_true(tmp_path):
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    check = """
assert samples.shape == (16, 16, 16, 3) and abs(model.inverse(latents) - x).max() < 1e-5
assert (Glow.load("glow.safetensors").store.theta == model.store.theta).all()
"""
    done = subprocess.run(
        [sys.executable, "-c", example + check],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_ten_lines_of_the_readme_train_a_flow_of_ones_own(tmp_path):
    layers, lines = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1:]
    assert len([line for line in lines.splitlines() if line.strip()]) <= 10
    check = """
assert points.shape == (1000, 2) and nats.mean() > -1.2  # of one Gaussian: -1.9
away = np.linalg.norm(points[:, None] - moons[None], axis=2).min(axis=1)
assert np.median(away) < 0.1
"""
    done = subprocess.run(
        [sys.executable, "-c", layers + lines + check],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_example_of_using_a_flow_runs_and_its_comments_are_true():
    example = re.findall(r"```python\n(.*?)```", USING, re.DOTALL)[0]
    check = """
assert (back == images // 8 * 8 + 4).all() and walk.shape == (9, 16, 16, 3) and finite(walk).all()
assert abs(model.facts["held_out"]["bits_per_dim"] - BITS) < 0.005
"""
    (bits,) = re.findall(r"(\d\.\d\d) bits/dim on the 800 held-out faces", USING)
    code = example + check.replace("BITS", bits)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_presets_of_the_tables_are_those_there_are():
    section = TRAINING.split("## Presets")[1].split("## ")[0]
    rows = dict(re.findall(r"^\| (`[a-z0-9`, -]+`) \|([^\n]*)$", section, re.MULTILINE))
    assert {name for cell in rows for name in re.findall(r"`([\w-]+)`", cell)} == set(PRESETS)
    for cell, row in rows.items():
        name = cell.strip("`")
        if name not in PRESETS:
            continue  # several in a row, without data
        options = parse_arguments(["--preset", name])
        said = [part.strip().split(",")[0] for part in row.split("|")]
        levels = preset_job(name)[0].L if name in SHAPES else options.L
        shown = {
            "glow": (options.K, levels, options.n_bits, options.coupling, options.batch),
            "nice": (
                options.hidden_layers, options.width, options.base, options.input, options.batch
            ),
            "realnvp": (options.levels, options.width, options.blocks, options.batch),
        }[options.model]  # fmt: skip
        assert said[: len(shown)] == [str(value) for value in shown], name
        assert options.model == "glow" or options.n_bits == 8


def test_the_options_of_speed_are_understood():
    (line,) = re.findall(r"python -m glowlite\.train (--threads [^#\n]*)", README)
    options = parse_arguments(line.split())
    assert (options.threads, options.tile, options.blas) == (2, 4.0, "mkl")


def test_the_table_of_paper_and_code_names_every_option():
    table = (DOCS / "paper_and_code.md").read_text().split("## RealNVP")[0]
    paper, openai = GlowConfig.paper((8, 8, 3)).to_dict(), GlowConfig.openai((8, 8, 3)).to_dict()
    differ = {name for name in paper if paper[name] != openai[name]}
    assert len(differ) >= 9
    for row in table.splitlines():
        for name, values in re.findall(r"`(\w+)` = ((?:`\w+`(?:, )?)+)", row):
            values = re.findall(r"`(\w+)`", values)
            assert {paper[name], openai[name]} <= {*values, "conv1x1"} and set(values) <= {
                *CHOICES.get(name, PERMUTATIONS)
            }
            differ.discard(name)
    assert all(f"`{name}`" in table for name in differ)
    for option in re.findall(r"`(--[a-z0-9-]+)", table.split("## Training")[1]):
        assert option == "--temperature" or option.strip("-").replace("-", "_") in vars(
            parse_arguments([])
        )


def cell(value):
    """A field of a configuration as a cell of the table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"`{value}`"
    return f"{value:g}".replace("0.0001", "1e-4").replace("1e-05", "1e-5")


def test_the_columns_of_realnvp_are_its_configurations():
    text = (DOCS / "paper_and_code.md").read_text().split("## RealNVP")[1].split("## NICE")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|([^\n]*)\|$", text, re.MULTILINE))
    shape = (8, 8, 3)
    makers = (RealNVPConfig.paper, RealNVPConfig.authors, RealNVPConfig.chute, RealNVPConfig.fmu2)
    columns = [make(shape).to_dict() for make in makers]
    assert set(rows) == set(columns[0]) - {"image_shape", "levels", "width", "blocks"}
    for name, row in rows.items():
        *cells, _ = (part.strip() for part in row.split("|"))
        expected = [cell(column[name]) for column in columns]
        said_of_the_paper = cells[0].strip("()")
        assert [said_of_the_paper, *cells[1:]] == expected, name
        if cells[0] != said_of_the_paper:  # the paper does not say: as the authors
            assert expected[0] == expected[1]
        named = set(re.findall(r"`(\w+)`", row)) - set(columns[0])
        assert named <= set(RealNVPConfig.choices.get(name, ())), name


def test_the_options_of_nice_that_its_table_names_are_there():
    text = (DOCS / "paper_and_code.md").read_text().split("## NICE")[1]
    rows = dict(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|([^\n]*)$", text, re.MULTILINE))
    named = {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(NICEConfig((8, 8, 1)).to_dict()) - {"image_shape"}
    for name, allowed in NICEConfig.choices.items():
        (row,) = (row for cell, row in rows.items() if f"`{name}`" in cell)
        assert set(re.findall(r"`(\w+)`", row)) <= set(allowed)
