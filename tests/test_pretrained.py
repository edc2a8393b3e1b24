"""The trained model that comes with glowlite, and how such a file is made."""

import re
import shlex

import numpy as np
import pytest
from hypothesis import settings
from small_runs import ROOT, SMALL, command, images, nothing_drawn, small_model

from glowlite import Glow, GlowliteError
from glowlite.commands.export import main as export
from glowlite.commands.option_sources import parse_arguments
from glowlite.commands.option_words import training_command
from glowlite.data import load
from glowlite.files.storage import read_arrays
from glowlite.models.pretrained import NAMES, pretrained_file
from glowlite.objective import dequantize_midpoint, quantize, to_pixels
from glowlite.training.scoring import scores

MAX_BYTES = 4e6
FACES = 500


@pytest.fixture(scope="module")
def faces():
    return Glow.pretrained("faces")


def test_the_file_is_small_and_its_header_says_what_it_is(faces):
    with pretrained_file("faces") as path:
        assert path.stat().st_size <= MAX_BYTES
        arrays, header = read_arrays(path)
    assert {array.dtype.name for array in arrays.values() if array.dtype.kind == "f"} == {"float16"}
    assert faces.dtype == np.float32 and faces.store.theta.dtype == np.float32 and faces.initialized
    assert header["n_bits"] == faces.n_bits == 5 and header["weights"] == "averaged"
    documented = re.sub(r" *\\\n *", " ", (ROOT / "docs" / "using_a_flow.md").read_text())
    assert (
        header["command"].startswith("python -m glowlite.train --")
        and f"    {header['command']}\n" in documented
    )
    assert (
        header["config"]["image_shape"] == [16, 16, 3] and faces.facts["held_out"]["images"] == 800
    )
    for name, value in faces.store.named_values().items():
        assert np.array_equal(value, arrays[name].astype(np.float32))


def test_bits_per_dim_are_those_of_the_header(faces):
    said = faces.facts["held_out"]
    found = scores(faces, load("faces").held_out, faces.n_bits, 64, said["seed"])
    assert len(found) == said["images"] and found.mean() == pytest.approx(
        said["bits_per_dim"], abs=2e-4
    )
    assert found.std(ddof=1) / np.sqrt(len(found)) == pytest.approx(
        said["standard_error"], abs=1e-4
    )


def test_the_training_command_of_the_header_is_one(faces):
    program, _, words = faces.facts["command"].partition(" --")
    assert program == "python -m glowlite.train"
    options = vars(parse_arguments(shlex.split(f"--{words}")))
    trained = {**faces.facts["run"]["options"]}
    assert trained.pop("memory") == "reversible"  # of version 0.1; it changes rounding alone
    assert all(options[name] == value for name, value in trained.items())


def test_decoding_gives_every_pixel_of_held_out_faces_back(faces, capsys):
    pictures = load("faces").held_out[:FACES]
    back = faces.decode(faces.encode(pictures))
    assert back.dtype == np.float32 and len(back) == FACES
    wrong = (quantize(to_pixels(back, 5), 5) != quantize(pictures, 5)).sum()
    largest = 256 * abs(back - dequantize_midpoint(pictures, 5, "float32")).max()
    with capsys.disabled():
        print(
            f"\n{FACES} held-out faces, decode(encode(x)): largest error {largest:.1e} grey levels,"
            f" {wrong} values differ"
        )
    # a level of 5 bits is 8 grey levels wide: 4 would change a pixel
    assert wrong == 0 and largest < 0.05


def test_samples_at_low_temperatures_are_finite_and_in_range(faces):
    samples = faces.sample(64, temperature=0.7, seed=0)
    assert np.isfinite(samples).all() and np.abs(samples).max() < 1
    assert np.std(samples, axis=0).mean() > 0.05  # and are not all one image


@pytest.mark.parametrize(
    ("name", "said"),
    [("face", r"did you mean faces\?"), ("", "there are: faces"), ("../x", "faces")],
)
def test_an_unknown_name_lists_the_known_ones(name, said):
    with pytest.raises(GlowliteError, match=said) as caught:
        Glow.pretrained(name)
    assert "\n" not in str(caught.value) and all(known in str(caught.value) for known in NAMES)


def test_float16_comes_back_rounded_as_float32_and_keeps_n_bits(tmp_path):
    model = small_model()
    model.n_bits = 3
    model.save(tmp_path / "half.safetensors", dtype="float16", note="kept")
    model.save(tmp_path / "whole.safetensors")
    half, whole = (Glow.load(tmp_path / f"{name}.safetensors") for name in ("half", "whole"))
    assert (
        half.n_bits == whole.n_bits == 3
        and half.facts == {"note": "kept"}
        and half.dtype == np.float32
    )
    assert np.array_equal(whole.store.theta, model.store.theta)
    assert np.array_equal(half.store.theta, model.store.theta.astype(np.float16).astype(np.float32))
    assert not np.array_equal(half.store.theta, model.store.theta)


def test_weights_too_large_for_float16_are_refused_and_nothing_is_written(tmp_path):
    model = small_model()
    model.store.theta[5] = 1e5
    with pytest.raises(GlowliteError, match=r"values up to 1\.0e\+05, too large for float16"):
        model.save(tmp_path / "half.safetensors", dtype="float16")
    with pytest.raises(GlowliteError, match="'int8'"):
        model.save(tmp_path / "half.safetensors", dtype="int8")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("export")
    np.savez(home / "my ramps.npz", images=images(60))
    arguments = [
        "--data",
        "my ramps.npz",
        *SMALL,
        "--average",
        "0.5",
        "--n-bits",
        "4",
        "--flip",
        "--out",
        "run",
    ]
    with nothing_drawn():
        done = command(home, *arguments)
    assert done.returncode == 0, done.stderr
    return home


def test_export_writes_averaged_rounded_weights_and_measures_those(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    export(["run", "small.safetensors"])
    model = Glow.load("small.safetensors")
    averaged = Glow.load("run").store.theta
    assert np.array_equal(model.store.theta, averaged.astype(np.float16).astype(np.float32))
    bits = scores(model, load("my ramps.npz").held_out, 4, 64, 0)
    assert model.n_bits == 4 and model.facts["step"] == 6 and model.facts["weights"] == "averaged"
    assert model.facts["held_out"]["bits_per_dim"] == pytest.approx(bits.mean(), abs=1e-6)
    assert model.facts["held_out"]["images"] == len(bits) == 6
    assert "my ramps.npz'" in model.facts["command"] and "--flip" in model.facts["command"]
    said = capsys.readouterr().out
    assert (
        f"held-out bits/dim {bits.mean():.4f} at 4 bits over 6 images" in said and "float16" in said
    )
    export(["run", "raw.safetensors", "--weights", "raw", "--dtype", "float32"])
    raw = Glow.load("raw.safetensors")
    assert raw.facts["weights"] == "raw" and np.array_equal(
        raw.store.theta, Glow.load("run", weights="raw").store.theta
    )
    again = command(home, "small.safetensors", program="evaluate")  # finds its data by its header
    assert (
        again.returncode == 0
        and f"{bits.mean():.4f}" in again.stdout
        and "averaged weights of step 6" in again.stdout
    )


def test_the_training_command_leaves_defaults_out():
    options = vars(
        parse_arguments(["--steps", "7", "--no-hidden-actnorm", "--flip", "--data", "a b"])
    )
    words = training_command(
        {
            name: options[name]
            for name in ("steps", "hidden_actnorm", "flip", "data", "K", "threads")
        }
    )
    assert words == "python -m glowlite.train --steps 7 --no-hidden-actnorm --flip --data 'a b'"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "a.safetensors"], "nowhere: no such file, folder or pretrained model"),
        (["run", "a.npz"], r"a\.npz: must end in \.safetensors"),
        (["run", "no/a.safetensors"], "no folder .*no; make it"),
        (["bare.safetensors", "a.safetensors"], "not how it was trained"),
        (["bits.safetensors", "a.safetensors"], "does not say what it was trained on"),
    ],
)
def test_a_mistake_in_exporting_is_one_line(home, monkeypatch, arguments, said):
    monkeypatch.chdir(home)
    model = small_model()
    model.initialized = True
    model.save("bare.safetensors")
    model.save("bits.safetensors", n_bits=5)
    with pytest.raises(GlowliteError, match=said) as caught:
        export(arguments)
    assert "\n" not in str(caught.value) and not re.search("Traceback", str(caught.value))


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_thousands_of_samples_are_finite_and_lie_where_images_lie(faces, temperature):
    """1,000 of them in the quick profile of Hypothesis, 10,000 in the thorough one."""
    finite, inside, pixels = [], [], []
    for seed in range(20 if settings().max_examples >= 50 else 2):
        x = faces.sample(500, temperature, seed=seed)
        finite.append(np.isfinite(x).all())
        inside.append((abs(x) <= 0.75).all(axis=(1, 2, 3)).mean())
        pixels.append((abs(x) <= 0.75).mean())
    print(
        f"\nT = {temperature}: inside {np.mean(pixels):.4%} of pixels, with every pixel"
        f" {np.mean(inside):.2%} of samples"
    )
    assert all(finite) and np.mean(pixels) >= 0.99
