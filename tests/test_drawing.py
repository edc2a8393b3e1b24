"""Pictures and reports: text from outside is text, sizes are bounded,
and what cannot be drawn costs no work.
"""

import base64
import json
import os
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from small_runs import SMALL, images, process

from glowlite.commands.report import page
from glowlite.drawing import run_pictures as pictures
from glowlite.drawing.plots import figure_at, shortened
from glowlite.drawing.sheets import columns_of, tile, titled
from glowlite.errors import PictureError

ODD_NAMES = [
    "$x_{$",
    "$\\frac{",
    "_hidden",
    "100%",
    "a\nb",
    "写真",
    os.fsdecode(b"fot\xf6s"),
    "\x1b[31m",
    "n" * 300,
]


@pytest.fixture
def texts(monkeypatch):
    """Every text of the figures that are drawn, as matplotlib is to show it,
    and whether it reads mathematics in it.
    """
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    seen, save = [], Figure.savefig

    def spy(figure, *arguments, **options):
        save(figure, *arguments, **options)
        seen.extend((text.get_text(), text.get_parse_math()) for text in figure.findobj(Text))

    monkeypatch.setattr(Figure, "savefig", spy)
    return seen


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_from_outside_is_drawn_as_it_is(name, tmp_path, texts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.save_histograms(
            tmp_path / "h.png", {name: np.arange(5.0), "own": np.arange(3.0)}, 5
        )
    assert f"{shortened(name)}: 2.00 bits/dim" in [text for text, _ in texts]
    assert not any(mathematics for _, mathematics in texts)


def test_titles_of_a_sheet_are_on_one_line_and_leave_room_for_it():
    sheet = np.zeros((20, 30, 3), np.uint8)
    assert titled(dict.fromkeys(ODD_NAMES, sheet)).shape[0] == 20 * len(ODD_NAMES)
    assert titled({"n" * 5000: sheet}).shape[1] < 1000
    assert (
        shortened("n" * 5000).startswith("nnn")
        and len(shortened("n" * 5000)) == 40
        and "..." in shortened("n" * 5000)
    )


def test_a_matplotlibrc_changes_nothing(tmp_path):
    """`text.usetex` needs LaTeX, which is seldom there."""
    import matplotlib

    metrics = [{"step": i, "train_bits_per_dim": 5.0 / i, "held_out_bits_per_dim": None,
        "held_out_raw_bits_per_dim": None}
               for i in range(1, 5)]  # fmt: skip
    pictures.save_learning_curve(tmp_path / "plain.png", metrics, 5)
    with matplotlib.rc_context(
        {"text.usetex": True, "lines.linewidth": 9, "axes.facecolor": "red", "savefig.dpi": 300}
    ):
        pictures.save_learning_curve(tmp_path / "changed.png", metrics, 5)
        assert matplotlib.rcParams["text.usetex"] is True
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "changed.png").read_bytes()


def test_what_cannot_be_drawn_is_one_line(tmp_path):
    said = r"a\.png: this picture cannot be drawn: no .*one"
    with pytest.raises(PictureError, match=said) as error, figure_at(tmp_path / "a.png", 2, 2):
        raise RuntimeError("no\nsuch\none")
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing", ["a backend of no such name", "a drawing that fails"])
def test_a_run_whose_pictures_fail_ends_well(failing, tmp_path, monkeypatch, capfd):
    np.savez(tmp_path / "ramps.npz", images=images(24))
    if failing == "a backend of no such name":
        monkeypatch.setenv("MPLBACKEND", "nonsense")
        done = process(tmp_path, *SMALL, "--data", "ramps.npz", "--out", "run")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "run" / "learning-curve.png").exists()
        return
    from glowlite.commands import train

    def fail(*_):
        raise PictureError("the picture cannot be drawn")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("glowlite.drawing.observers.save_learning_curve", fail)
    monkeypatch.setattr("glowlite.drawing.observers.save_pictures", fail)
    monkeypatch.setattr("sys.argv", ["train", *SMALL, "--data", "ramps.npz", "--out", "run"])
    assert train.main() == 0
    said = capfd.readouterr().err
    assert said.count("cannot be drawn; the run continues") == 1
    assert (tmp_path / "run" / "checkpoints" / "step-00000006.safetensors").exists()


def test_a_checkpoint_is_there_before_its_pictures_are_drawn(tmp_path, monkeypatch):
    from glowlite.commands import train

    np.savez(tmp_path / "ramps.npz", images=images(24))
    seen = []

    def spy(*_):
        seen.append(sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("glowlite.drawing.observers.save_pictures", spy)
    words = [
        *SMALL,
        "--data",
        "ramps.npz",
        "--out",
        "run",
        "--picture-every",
        "2",
        "--checkpoint-every",
        "2",
    ]
    monkeypatch.setattr("sys.argv", ["train", *words])
    assert train.main() == 0
    assert [names[-1] for names in seen] == [f"step-{step:08d}.safetensors" for step in (2, 4, 6)]


@pytest.mark.parametrize(
    "shape", [(16, 16, 3), (1024, 8, 1), (8, 1024, 1), (4096, 1, 1), (1, 4096, 3), (256, 256, 3)]
)
def test_a_sheet_of_samples_is_of_bounded_size(shape, tmp_path):
    grid = np.zeros((64, *shape), np.uint8)
    pictures.save_sample_grids(
        tmp_path / "s.png", {"T = 0.5": grid, "T = 0.7": grid, "T = 0.9": grid}
    )
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width <= 1900 and sheet.height <= 2000
    columns = columns_of(*grid.shape[:3])
    height, width, _ = tile(grid, columns).shape
    assert columns in (1, 64) or 1 / 3 < height / width < 3


def test_a_square_of_images_is_as_wide_as_it_is_tall():
    assert [columns_of(n, 16, 16) for n in (1, 2, 4, 5, 9, 64, 65)] == [1, 2, 2, 3, 3, 8, 9]
    assert columns_of(64, 32, 16) == 12 and columns_of(64, 16, 32) == 6


# ---- the report

MARKUP = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'"


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def run(tmp_path):
    """The folder of a run, written by hand."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    line = {
        "step": 3, "epoch": 0.5, "train_bits_per_dim": 4.0, "held_out_bits_per_dim": 4.5,
        "held_out_raw_bits_per_dim": None,
        "learning_rate": 1e-3, "grad_norm": 1.0, "drift": 1e-6, "condition": 2.0,
        "reconstruction_error": 1e-4, "skipped": 0,
    }  # fmt: skip
    timing = {"step": 3, "seconds": 1.0, "images_per_second": 10.0, "waiting": 0.0, "exchange": 0.0}
    config = {
        "options": {"n_bits": 5, "steps": 3, "data": "d.npz"},
        "data": "d.npz",
        "images": [3, 1],
        "versions": {"numpy": "2"},
    }
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "timing.jsonl").write_text(json.dumps(timing) + "\n")
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("learning-curve.png", "samples-000003.png", "latents.png", "reconstruction.png"):
        Image.new("RGB", (2, 2), "red").save(folder / name)
    return folder


def parsed(run):
    tags = Tags()
    tags.feed(page(run))
    return tags


def pictures_of(run):
    return [attributes["src"] for tag, attributes in parsed(run).tags if tag == "img"]


@pytest.mark.parametrize(
    "where",
    [
        ("data",),
        ("versions", "numpy"),
        ("options", "data"),
        ("options", MARKUP),
        ("versions", MARKUP),
    ],
)
def test_a_value_of_a_run_is_text_in_its_report(run, where):
    plain = parsed(run)
    config = json.loads((run / "config.json").read_text())
    place = config
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = MARKUP
    (run / "config.json").write_text(json.dumps(config))
    found = parsed(run)
    kinds = {tag for tag, _ in found.tags}
    assert kinds == {tag for tag, _ in plain.tags} and "script" not in kinds
    assert all("onerror" not in attributes for _, attributes in found.tags)
    assert "<script>alert(1)</script>" in found.text.replace('\\"', '"')


def test_the_policy_of_a_report_forbids_scripts_and_the_network(run):
    (policy,) = [
        a["content"]
        for tag, a in parsed(run).tags
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:" and set(rules) == {
        "default-src", "img-src", "style-src"
    }  # fmt: skip
    import hashlib

    text = page(run)
    style = text[text.index("<style>") + 7 : text.index("</style>")]
    assert (
        rules["style-src"]
        == f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
    )


def test_a_report_takes_regular_png_files_of_the_run_alone(run, tmp_path):
    assert len(pictures_of(run)) == 4
    Image.new("RGB", (2, 2), "blue").save(tmp_path / "private.png")
    (run / "latents.png").unlink()
    (run / "latents.png").symlink_to(tmp_path / "private.png")
    (run / "reconstruction.png").write_text("no picture")
    (run / "learning-curve.png").unlink()
    os.mkfifo(run / "learning-curve.png")
    assert len(pictures_of(run)) == 1
    (run / "samples-000003.png").unlink()
    (run / "samples-000003.png").symlink_to("/dev/zero")
    assert pictures_of(run) == []
