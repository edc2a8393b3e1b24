"""Model files of others, forged ones and those of another version:
one line that names the file and the field.
"""

import copy
import dataclasses
import os

import numpy as np
import pytest
from small_runs import dataset, small_model

import glowlite.training.checkpoint as checkpoint
from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.commands.export import main as export
from glowlite.commands.sample import main as sample
from glowlite.files.header import KNOWN, TRAINING_STATE
from glowlite.files.saved_weights import AVERAGE, STATE
from glowlite.files.schema import checked
from glowlite.files.storage import read_arrays, write_arrays
from glowlite.objective import dequantize_midpoint
from glowlite.training.loop import train
from glowlite.training.run import Training
from glowlite.training.settings import Settings, State


def training():
    model = Glow(GlowConfig((8, 8, 3), K=1, L=2, width=8, permutation="shuffle,lu"))
    return Training(model, Settings(steps=2, batch=8, log_every=2, evaluate_every=2, average=0.5))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A sound checkpoint: its arrays and its header."""
    path, run = tmp_path_factory.mktemp("sound") / "step.safetensors", training()
    train(run, dataset(), [])
    source = {
        "options": {"data": "faces", "n_bits": 5, "steps": 2},
        "data": "made here",
        "images": [32, 8],
    }
    checkpoint.save(run, path, 4, run=source)
    return read_arrays(path)


def readers(path):
    """Who reads such a file: a model, a model of raw weights, a run that goes on, two commands."""
    out = str(path.with_name("out.png"))
    return {
        "load": lambda: Glow.load(path),
        "raw": lambda: Glow.load(path, weights="raw"),
        "restore": lambda: checkpoint.restore(training(), path),
        "sample": lambda: sample([str(path), "--n", "2", "--out", out]),
        "export": lambda: export([str(path), str(path.with_name("small.safetensors"))]),
    }


def errors_of(path, arrays, header, who=("load", "raw", "restore")):
    """What each reader says of a file that is forged: a checksum that holds, over anything.
    None: it took the file.
    """
    write_arrays(path, arrays, header)
    found = {}
    for name in who:
        found[name] = None
        try:
            readers(path)[name]()
        except GlowliteError as error:  # anything else is a traceback, and fails the test
            found[name] = str(error)
            assert "\n" not in found[name] and len(found[name]) < 500
    return found


ALL = ("load", "raw", "restore", "sample", "export")


def changed(header, field, value):
    """The header with another value at a.b.c; `...` removes it."""
    header = copy.deepcopy(header)
    *way, last = field.split(".")
    part = header
    for name in way:
        part = part[name]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return header


REFUSED = [
    *(("config", value) for value in (None, [], "x", 5, {}, ...)),
    *(("config.K", value) for value in (0, -1, True, None, "2", 2.0, [2], 2, 10**9, 10**29, ...)),
    *(("config.L", value) for value in (0, 10**9, "2", 1, 3)),
    *(("config.width", value) for value in (0, 7, 10**29, {}, 65536)),
    *(("config.image_shape", value) for value in ([], [8, 8], [8, 8, 3.0], [8, 8, 10**9], "abc",
        [8, 8, None], 3)),
    *(("config.bound", value) for value in (0, -1, "2", None, True, 10**30 * 10**9)),
    *(("config.permutation", value) for value in (5, None, ["lu", "lu"], "conv1x1", "lu,shuffle",
        "shuffle")),
    *(("config.coupling", value) for value in (1, [], {}, "both")),
    *(("config.hidden_actnorm", value) for value in (1, 0, "yes", None)),
    ("config.depth", 3),
    *(("seed", value) for value in (-1, 1.0, "0", None, True, 2**64, ...)),
    *(("initialized", value) for value in (1, "yes", None, ...)),
    *(("n_bits", value) for value in (0, 9, 5.0, "5", True, [])),
    *(("parameters", value) for value in ([], None, "x", ["a"], [1], {}, ...)),
    *(("average", value) for value in ([], 0.5, {}, {"decay": 1.0, "updates": 2},
        {"decay": 0.5, "updates": -1})),
    *(("average.decay", value) for value in (2, None, "0.5")),
    *(("step", value) for value in (-1, "two", None, 1.5)),
    *(("versions", value) for value in ([], {"numpy": 2}, "x")),
    *(("run", value) for value in ([], "x", None, {"options": []}, {"options": {"n_bits": "<b>"}},
        {"data": 5})),
    *(("run.options", value) for value in ({"steps": []}, {"data": None}, {"x": {}})),
    *(("state", value) for value in ([], None, {})),
    *((f"state.{name}", ...) for name in ("step", "losses", "seconds")),
    *(("state.more", value) for value in (1, None)),
    *(("state.losses", value) for value in (None, [None], "x")),
    *(("optimizer", value) for value in ([], {}, "adam")),
    *(("optimizer.steps", value) for value in (-1, 1.5, None)),
    *(("weights", value) for value in ("both", 1, [])),
    *(("command", value) for value in (1, ["x"])),
    ("note", "half of a character: \ud800"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), REFUSED, ids=lambda value: repr(value)[:24])
def test_a_forged_field_is_one_line_whoever_reads_it(trained, tmp_path, field, value):
    arrays, header = trained
    said = errors_of(tmp_path / "forged.safetensors", arrays, changed(header, field, value))
    for reader, error in said.items():
        if reader == "raw" and field == "parameters" and value in ([], ["a"], ...):
            continue  # raw weights need no names
        assert error is not None and "forged.safetensors" in error, reader


@pytest.mark.parametrize("name", ["state", "optimizer", "average"])
def test_what_only_a_run_needs_is_missed_by_a_run(trained, tmp_path, name):
    arrays, header = trained
    said = errors_of(tmp_path / "forged.safetensors", arrays, changed(header, name, ...), ALL)
    assert f"{name} is missing" in said["restore"] and said["load"] is said["sample"] is None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        "3",
        '"x"',
        "{",
        "NaN",
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        "[" * 10**5,
        "1" * 5000,
    ],
)
def test_a_header_that_is_no_object_of_json_is_one_line(trained, tmp_path, text, monkeypatch):
    monkeypatch.setattr("glowlite.files.storage.json.dumps", lambda header: text)
    for error in errors_of(tmp_path / "forged.safetensors", trained[0], {}).values():
        assert "forged.safetensors: header: " in error


def arrays_with(arrays, name, array):
    others = {key: value for key, value in arrays.items() if key != name}
    return others if array is None else {**others, name: array}


INDICES, SIGNS = "level0/step0/permutation/indices", "level1/step0/permutation/sign_s"
WEIGHT = "level0/step0/coupling/net/conv2/weight"


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        (WEIGHT, None, "missing, unexpected, or of the wrong shape or type"),
        (WEIGHT, np.zeros((4, 16), np.float32), "missing, unexpected, or of the wrong shape"),
        (WEIGHT, np.zeros((8, 8), np.float64), "expected weights of one floating type"),
        (WEIGHT, np.zeros((8, 8), np.int64), "missing, unexpected, or of the wrong shape or type"),
        (WEIGHT, np.zeros(0, np.float32), "arrays are missing|misshapen"),
        ("more", np.zeros(3, np.float32), "missing, unexpected, or of the wrong shape"),
        (INDICES, np.arange(12) + 1, "must be a permutation"),
        (INDICES, np.zeros(12, np.int64), "must be a permutation"),
        (INDICES, np.arange(12.0), "one floating type|wrong shape or type"),
        (SIGNS, np.zeros(24, np.float32), "must contain signs"),
        (SIGNS, np.full(24, np.nan, np.float32), "not finite"),
    ],
)
def test_a_forged_array_of_the_model_is_named(trained, tmp_path, name, array, said):
    arrays, header = trained
    for error in errors_of(
        tmp_path / "forged.safetensors", arrays_with(arrays, name, array), header
    ).values():
        assert (
            pytest.raises(GlowliteError, match=said)
            and error is not None
            and any(part in error for part in said.split("|"))
        )


@pytest.mark.parametrize("name", [AVERAGE, STATE + "optimizer_m", STATE + "optimizer_v"])
@pytest.mark.parametrize(
    "array",
    [None, np.zeros(3, np.float32), "float64", "nan"],
    ids=["missing", "short", "double", "nan"],
)
def test_a_forged_vector_of_a_run_is_named(trained, tmp_path, name, array):
    arrays, header = trained
    if isinstance(array, str):
        array = (
            arrays[name].astype("float64")
            if array == "float64"
            else arrays[name] * np.float32("nan")
        )
    said = errors_of(tmp_path / "forged.safetensors", arrays_with(arrays, name, array), header)
    assert name in said["restore"] and (name in (said["load"] or "")) == (name == AVERAGE)


def test_the_sound_file_is_taken_by_all(trained, tmp_path):
    said = errors_of(tmp_path / "forged.safetensors", *trained, ALL)
    assert said.pop("export") is not None  # these images are not at hand
    assert set(said.values()) == {None}


def test_an_average_before_its_first_update_is_none(trained, tmp_path):
    """A run whose steps were all skipped has none yet: its weights are the raw ones."""
    arrays, header = trained
    zeros = arrays_with(arrays, AVERAGE, np.zeros_like(arrays[AVERAGE]))
    write_arrays(tmp_path / "m.safetensors", zeros, changed(header, "average.updates", 0))
    theta = Glow.load(tmp_path / "m.safetensors").store.theta
    assert np.array_equal(theta, Glow.load(tmp_path / "m.safetensors", weights="raw").store.theta)


def test_the_form_of_a_state_is_that_of_its_class():
    fields = dataclasses.asdict(State())
    checked(TRAINING_STATE, fields, "state")
    for name in fields:
        with pytest.raises(GlowliteError, match=f"{name} is missing"):
            checked(
                TRAINING_STATE,
                {key: value for key, value in fields.items() if key != name},
                "state",
            )
    assert "state" in KNOWN


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    model = small_model()
    for header, said in [
        ({"step": "two"}, "header: step: expected a whole number"),
        ({"note": float("nan")}, "header: note: expected a finite number"),
        ({"n_bits": 9}, "header: n_bits"),
        ({"note": np.zeros(3)}, "header: note: expected"),
    ]:
        with pytest.raises(GlowliteError, match=said):
            model.save(tmp_path / "m.safetensors", **header)
    assert not list(tmp_path.iterdir())


def test_names_that_are_no_utf_8_stay_in_a_header(tmp_path):
    name = os.fsdecode(b"fot\xf6s")
    small_model().save(tmp_path / "m.safetensors", run={"options": {"data": name}, "data": name})
    assert Glow.load(tmp_path / "m.safetensors").facts["run"]["data"] == name


def test_a_model_that_was_never_initialised_says_so(tmp_path):
    model, x = small_model(), dequantize_midpoint(dataset().train[:8], 5, "float32")
    model.n_bits = 5
    model.save(tmp_path / "fresh.safetensors")
    latents, _ = model.forward(x)
    loaded = Glow.load(tmp_path / "fresh.safetensors")
    for call in (
        lambda: model.sample(1), lambda: model.encode(x), lambda: model.decode(latents),
        lambda: loaded.sample(1),
        lambda: sample([str(tmp_path / "fresh.safetensors")]),
    ):  # fmt: skip
        with pytest.raises(GlowliteError, match=r"never initialised.*initialize"):
            call()
    model.initialize(x)
    assert (
        model.sample(1).shape == (1, 8, 8, 3) and np.isfinite(model.decode(model.encode(x))).all()
    )
