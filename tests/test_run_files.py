"""config.json, metrics.jsonl and timing.jsonl of others, damaged or forged:
one line that names the file and the field.
"""

import copy
import json
import os
import random
from contextlib import chdir

import numpy as np
import pytest
from small_runs import images, nothing_drawn

from glowlite.commands.evaluate import main as evaluate
from glowlite.commands.report import main as report
from glowlite.commands.report import page
from glowlite.commands.train import main as train
from glowlite.errors import GlowliteError
from glowlite.training.loop import Metrics, Timing
from glowlite.training.run_files import read_config, read_lines

FILES = ("config.json", "metrics.jsonl", "timing.jsonl")
SMALL = (
    "--K 1 --L 1 --width 4 --batch 8 --threads 1 --steps 4 --evaluate-every 2 --checkpoint-every 2"
    " --log-every 1 --evaluate-images 4 --picture-every 1000"
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a run `r` on ramps.npz, and what its files hold."""
    home = tmp_path_factory.mktemp("home")
    np.savez(home / "ramps.npz", images=images(40))
    with chdir(home), nothing_drawn():
        train(["--data", "ramps.npz", *SMALL.split(), "--out", "r"])
    return home, {name: (home / "r" / name).read_bytes() for name in FILES}


@pytest.fixture
def run(home, monkeypatch):
    """The run, as it was before any test."""
    folder, sound = home
    for name, content in sound.items():
        (folder / "r" / name).write_bytes(content)
    monkeypatch.chdir(folder)
    return folder / "r"


COMMANDS = {
    "report": lambda: report(["r"]),
    "evaluate": lambda: evaluate(["r", "--threads", "1"]),
    "resume": lambda: train(["--resume", "--out", "r", "--threads", "1"]),
}


def errors(commands=COMMANDS):
    """What each command says; None for one that runs.
    Anything but a GlowliteError fails the test.
    """
    said = {}
    for name in commands:
        said[name] = None
        try:
            COMMANDS[name]()
        except GlowliteError as error:
            said[name] = str(error)
            assert "\n" not in said[name] and len(said[name]) < 600
    return said


def changed(config, field, value):
    config = copy.deepcopy(config)
    *way, last = field.split(".")
    part = config
    for name in way:
        part = part[name]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return config


REFUSED = [
    *(("options", value) for value in (..., None, [], {}, "x")),
    *(("options.n_bits", value) for value in (..., None, 0, 9, "5", 5.0, True, "<script>", [5])),
    *(("options.steps", value) for value in (..., None, 0, [], {}, "9" * 5000)),
    *(("options.data", value) for value in (..., None, 5, "a\0b", "\ud800")),
    ("options.K", [1]),
    ("options.note", {}),
    *(("data", value) for value in (..., None, 3, [])),
    *(("images", value) for value in (..., None, [], [36], [36, "4"], [36, -4], [36.0, 4], "36")),
    *(("versions", value) for value in (..., None, [], {"numpy": 2}, {"numpy": None})),
    ("more", {"deep": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}),
]


@pytest.mark.parametrize(("field", "value"), REFUSED, ids=lambda value: repr(value)[:20])
def test_a_field_of_the_configuration_is_named_by_every_command(run, field, value):
    config = changed(json.loads((run / "config.json").read_text()), field, value)
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(GlowliteError, match=r"config\.json: "):
        read_config(run)
    if field in ("options", "images"):
        assert all("config.json: " in error for error in errors().values())


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("options.K", "many", "argument --K"),
        ("options.K", 0, "argument --K"),
        ("options.flip", "yes", "flip: expected true or false"),
        ("options.resize", True, "resize: expected a number or a text"),
        ("options.depth", 3, "unknown option 'depth'"),
        ("options.crop", 1e308, "argument --crop"),
    ],
)
def test_an_option_that_training_would_refuse_is_refused_by_what_prepares_its_data(
    run, field, value, said
):
    config = changed(json.loads((run / "config.json").read_text()), field, value)
    (run / "config.json").write_text(json.dumps(config))
    found = errors(("evaluate", "resume"))
    assert all(said in error for error in found.values()), found


WHOLE_TEXTS = [
    b"", b"[]", b"{}", b"null", b"3", b'"x"', b"NaN", b"{", b"\xff\xfe{}", b"[" * 100_000,
    b"1" * 5000, b'{"a": 1, "a": 2}',
    b"\x00", b"{}\n{}",
]  # fmt: skip


@pytest.mark.parametrize("content", WHOLE_TEXTS, ids=lambda content: repr(content)[:16])
def test_a_configuration_that_is_none_is_one_line(run, content):
    (run / "config.json").write_bytes(content)
    assert all(error is not None and "config.json" in error for error in errors().values())


@pytest.mark.parametrize(
    "content", [*WHOLE_TEXTS[1:], b"{}\n"], ids=lambda content: repr(content)[:16]
)
def test_a_damaged_line_of_metrics_is_named_and_a_last_one_that_breaks_off_is_left_out(
    run, content
):
    sound = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(content.strip() + b"\n" + sound)
    go_on = ["--resume", "--out", "r", "--threads", "1", "--steps", "6"]
    for reader in (lambda: page(run), lambda: train(go_on)):
        with pytest.raises(GlowliteError, match=r"metrics\.jsonl, line 1: "):
            reader()
    (run / "metrics.jsonl").write_bytes(sound + content.rstrip(b"\n"))
    if b"\n" not in content.rstrip(b"\n"):
        assert len(read_lines(run / "metrics.jsonl", Metrics)) == len(sound.splitlines())


@pytest.mark.parametrize("kind", [Metrics, Timing])
def test_every_field_of_a_line_is_needed_and_a_number(run, kind):
    name = {Metrics: "metrics.jsonl", Timing: "timing.jsonl"}[kind]
    line = json.loads((run / name).read_text().splitlines()[1])
    assert line.keys() == kind.__annotations__.keys()
    later = {"held_out_accuracy", "held_out_bayes_accuracy"}  # which older runs do not have
    for field in line:
        for value in ("5", [], True, "\ud800", {}, *([] if field in later else [...])):
            text = json.dumps(changed(line, field, value))
            (run / name).write_text(f"{text}\n")
            with pytest.raises(GlowliteError, match=rf"{name}, line 1: {field}"):
                read_lines(run / name, kind)
        for value in ("NaN", "Infinity", "1e999"):
            (run / name).write_text(
                json.dumps(line | {field: 0}).replace(f'"{field}": 0', f'"{field}": {value}') + "\n"
            )
            with pytest.raises(GlowliteError, match=rf"{name}, line 1: is not valid JSON"):
                read_lines(run / name, kind)
    (run / name).write_text(json.dumps({**line, "of_a_newer_version": 1.5}) + "\n")
    assert read_lines(run / name, kind)[0]["of_a_newer_version"] == 1.5


def test_lines_that_are_missing_are_none_and_what_is_no_file_is_refused(run):
    assert read_lines(run / "nothing.jsonl", Metrics) == []
    os.unlink(run / "metrics.jsonl")
    os.mkfifo(run / "metrics.jsonl")
    assert "a named pipe" in errors(("report",))["report"]
    os.unlink(run / "metrics.jsonl")
    os.unlink(run / "config.json")
    os.mkfifo(run / "config.json")
    assert all("a named pipe" in error for error in errors().values())
    os.unlink(run / "config.json")


def test_fields_of_a_newer_version_are_kept_and_names_that_are_no_utf_8_are_read(run):
    config = json.loads((run / "config.json").read_text())
    name = os.fsdecode(b"fot\xf6s.npz")
    (run / "config.json").write_text(
        json.dumps({**config, "data": name, "newer": {"a": [1, None, "b"]}})
    )
    assert read_config(run)["data"] == name and read_config(run)["newer"] == {"a": [1, None, "b"]}
    page(run).encode()  # a page is UTF-8, whatever the names in it


def test_bytes_that_changed_at_random_end_in_one_line_or_in_nothing(run, home):
    rng = random.Random(0)
    for _ in range(150):
        name = rng.choice(FILES)
        content = bytearray(home[1][name])
        for _ in range(rng.choice((1, 3, 10))):
            place = rng.randrange(len(content))
            content[place : place + rng.randrange(2)] = bytes([rng.randrange(256)]) * rng.randrange(
                2
            )
        (run / name).write_bytes(content)
        try:
            page(run).encode()
        except GlowliteError as error:
            assert name in str(error) or "has not written" in str(error)
        (run / name).write_bytes(home[1][name])
