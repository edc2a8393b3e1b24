"""NICE and RealNVP as models: the laws of a layer, budgets of memory, files, commands."""

import json
import subprocess
import sys

import numpy as np
import pytest
import strict_device
from layers import shaken
from small_runs import command, environment
from strict_device.layers import on_device

from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.commands.train_options import CONFIGS
from glowlite.fast.threads import Workers
from glowlite.files.storage import read_arrays, write_arrays
from glowlite.models.nice import NICE
from glowlite.models.nice_config import NICEConfig
from glowlite.models.registry import MODELS, load_image_model
from glowlite.objective import dequantize_midpoint, loss_gradients
from glowlite.testing import ModelAsLayer, check_layer

SHAPE = (4, 4, 2)
NICES = {
    "unit": {},
    "symmetric-normal": {"input": "symmetric", "base": "normal", "couplings": 3},
    "from-zero": {"scaling_start": "zero"},
    "odd-first": {"changed_first": "odd", "hidden_layers": 1},
    "whitened": {"input": "whitened"},
}


def images(count, shape=SHAPE, seed=1):
    return np.random.default_rng(seed).random((count, *shape)) - 0.5


def nice(name, memory=None, xp=np, plain=False):
    """A NICE with random weights that is initialised."""
    options = {"couplings": 2, "hidden_layers": 2, "width": 5, **NICES[name]}
    config = NICEConfig(SHAPE, **options)
    model = NICE(config, 0, "float64", memory, Workers(2), xp, plain)
    x = images(200)
    model.initialize(x if xp is np else xp.asarray(x))
    return shaken(model, np.random.default_rng(2), 0.3)


@pytest.mark.parametrize("xp", [np, strict_device.xp], ids=["host", "device"])
@pytest.mark.parametrize("name", NICES)
def test_a_nice_obeys_every_law(name, xp):
    layer = ModelAsLayer(nice(name, xp=xp), [(32,)])
    check_layer(layer if xp is np else on_device(layer), images(3, seed=3))


@pytest.mark.parametrize("name", NICES)
def test_budgets_of_memory_and_fast_forms_agree(name):
    x = images(5, seed=4)
    expected = gradients(nice(name, plain=True), x)
    assert all(np.abs(part).max() > 0 for part in expected)
    for memory in ("0", "1KB", "0+anchored:1", "all"):
        for own, theirs in zip(
            gradients(nice(name, Memory.parse(memory)), x), expected, strict=True
        ):
            np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())


def gradients(model, x):
    """Gradients of the parameters and of x."""
    latents, _, cache = model.forward_with_cache(x)
    model.store.grad[...] = 0
    _, dx = model.backward(latents, *loss_gradients(latents, len(x), model.base), cache)
    return model.store.grad, dx


def test_a_whitened_nice_sees_white_data():
    """Its couplings shaken to nothing: log p is that of the logistic of white components."""
    config = NICEConfig(SHAPE, couplings=1, hidden_layers=1, width=2, input="whitened")
    model, x = NICE(config, dtype="float64"), images(5000)
    assert model.first_images == 320
    model.initialize(x)
    z = model.encode(x)[0]
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.pi**2 / 3 * np.eye(32), atol=1e-3)


def test_nats_of_the_paper_are_those_of_pixels_in_zero_to_one():
    """Of a NICE that is the identity; and bits/dim are 8 - log p / (D log 2)."""
    config = NICEConfig((2, 2, 1), couplings=1, hidden_layers=1, width=2, scaling_start="zero")
    model = NICE(config, dtype="float64")
    x = images(4, (2, 2, 1))
    model.initialize(x)
    v = x.transpose(0, 3, 1, 2).reshape(4, -1) + 0.5
    expected = -np.log(2 + np.exp(v) + np.exp(-v)).sum(axis=1)
    np.testing.assert_allclose(model.log_prob(x), expected, rtol=1e-12)
    np.testing.assert_allclose(model.bits_per_dim(x, 8), 8 - expected / (4 * np.log(2)), rtol=1e-12)


def test_a_file_says_of_which_model_it_is(tmp_path):
    model, path = nice("whitened"), tmp_path / "nice.safetensors"
    model.save(path)
    for again in (NICE.load(path), load_image_model(path)):
        assert isinstance(again, NICE) and again.config == model.config and again.initialized
        assert np.array_equal(again.log_prob(images(2)), model.log_prob(images(2)))
    with pytest.raises(GlowliteError, match=r"is of another model, 'nice', not glow$"):
        Glow.load(path)
    glow = Glow(GlowConfig((8, 8, 3), K=1, L=1, width=2))
    glow.save(tmp_path / "glow.safetensors")
    assert "model" not in glow.header()
    assert isinstance(load_image_model(tmp_path / "glow.safetensors"), Glow)
    with pytest.raises(GlowliteError, match=r"is of another model, 'glow', not nice$"):
        NICE.load(tmp_path / "glow.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "vae"}, "a model that this glowlite does not know, 'vae'; it knows glow, nice"),
        ({"model": ["nice"]}, "does not know, "),
        ({"config": {"image_shape": [4, 4, 2], "K": 3}}, "NICEConfig: unknown or missing fields"),
        ({"config": {"image_shape": [4, 4, 2], "couplings": 9}}, "arrays are missing"),
    ],
)
def test_a_header_that_is_not_right_is_one_line(tmp_path, change, said):
    path = tmp_path / "nice.safetensors"
    nice("unit").save(path)
    arrays, header = read_arrays(path)
    write_arrays(path, arrays, {**header, **change})
    with pytest.raises(GlowliteError, match=said) as caught:
        load_image_model(path)
    assert "\n" not in str(caught.value)


def test_a_permutation_in_a_file_is_looked_at(tmp_path):
    path = tmp_path / "nice.safetensors"
    nice("unit").save(path)
    arrays, header = read_arrays(path)
    arrays["even_odd/indices"][0] = 1
    write_arrays(path, arrays, header)
    with pytest.raises(GlowliteError, match="even_odd/indices must be a permutation"):
        NICE.load(path)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (lambda: NICEConfig((3, 3, 1)), "has 9 numbers, .* an even number"),
        (lambda: NICEConfig(SHAPE, base="cauchy"), "base must be one of logistic, normal"),
        (lambda: NICEConfig(SHAPE, couplings=0), "couplings must be"),
        (lambda: NICE(GlowConfig((8, 8, 3))), "NICE: expected a NICEConfig"),
        (lambda: Glow(NICEConfig(SHAPE)), "Glow: expected a GlowConfig"),
        (lambda: NICE(NICEConfig((4096, 4096, 3), width=1 << 16)), "lower width"),
    ],
)
def test_a_configuration_that_is_not_allowed_is_one_line(config, said):
    with pytest.raises(GlowliteError, match=said):
        config()


TINY = ["--model", "nice", "--width", "16", "--couplings", "2", "--hidden-layers", "1"]
RUN = ["--data", "fashion", "--n-bits", "8", "--batch", "50", "--evaluate-images", "20"]


@pytest.mark.parametrize("kind", ["unit", "whitened"])
def test_a_nice_trains_resumes_and_is_used(tmp_path, kind):
    """To the last bit, as any model; and every command that uses a model uses it."""
    words = [*TINY, *RUN, "--input", kind, "--evaluate-every", "4", "--picture-every", "4"]
    words += ["--decay", "constant"]
    for out, steps in (("whole", "8"), ("parts", "4")):
        done = command(tmp_path, *words, "--steps", steps, "--out", out)
        assert done.returncode == 0, done.stderr
    done = command(tmp_path, "--resume", "--out", "parts", "--steps", "8")
    assert done.returncode == 0, done.stderr
    whole, parts = (
        read_arrays(tmp_path / out / "checkpoints/step-00000008.safetensors")[0]
        for out in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    options = json.loads((tmp_path / "whole/config.json").read_text())["options"]
    assert options["model"] == "nice" and options["input"] == kind and "K" not in options
    for program, *rest in (
        ("sample", "whole"),
        ("evaluate", "whole"),
        ("interpolate", "whole", "0", "1"),
        ("reconstruct", "whole", "0"),
        ("figures", "whole"),
        ("report", "whole"),
        ("export", "whole", "nice.safetensors"),
        ("sample", "nice.safetensors", "--out", "again.png"),
    ):
        done = command(tmp_path, *rest, program=program)
        assert done.returncode == 0, (program, done.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--model", "nice", "--K", "3"],
            "--K is an option of glow, and not of nice; leave it out",
        ),
        (["--couplings", "3"], "--couplings is an option of nice, and not of glow"),
        (["--preset", "nice-mnist", "--scale", "exp"], "--scale is an option of glow"),
    ],
)
def test_an_option_of_another_model_is_one_line(tmp_path, words, said):
    done = command(tmp_path, *words, "--out", "run")
    assert done.returncode == 2 and said in done.stderr and not (tmp_path / "run").exists()


def test_a_run_stays_of_its_model(tmp_path):
    words = [*TINY, *RUN, "--steps", "2", "--out", "run"]
    assert command(tmp_path, *words).returncode == 0
    done = command(tmp_path, "--resume", "--out", "run", "--steps", "4", "--model", "glow")
    assert done.returncode == 2 and "--model was 'nice'" in done.stderr


def test_what_the_command_prints_as_yaml_trains_the_same_model(tmp_path):
    printed = command(tmp_path, *TINY, *RUN, "--steps", "2", "--print-config").stdout
    assert "model: nice" in printed and "K:" not in printed
    (tmp_path / "nice.yaml").write_text(printed)
    done = command(tmp_path, "--config", "nice.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr


def test_two_ranks_train_the_nice_that_one_process_trains(tmp_path):
    """With shards to the last bit, whitening and all."""
    words = [*TINY, *RUN, "--input", "whitened", "--steps", "3", "--shards", "2"]
    for ranks, out in ((1, "one"), (2, "two")):
        done = subprocess.run(
            ["mpirun", "-n", str(ranks), sys.executable, "-m", "glowlite.train", *words,
             "--out", out, "--threads", "1"],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    one, two = (
        read_arrays(tmp_path / out / "checkpoints/step-00000003.safetensors")[0]
        for out in ("one", "two")
    )
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_uint8_images_are_encoded_as_a_glow_does():
    model = nice("unit")
    with pytest.raises(GlowliteError, match=r"NICE\.encode: uint8 images need n_bits"):
        model.encode(np.zeros((1, *SHAPE), np.uint8))
    model.n_bits = 8
    x = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), np.uint8)
    expected = model.forward(dequantize_midpoint(x, 8, "float64"))[0]
    assert np.array_equal(model.encode(x)[0], expected[0])


def test_the_options_are_those_of_every_model():
    assert {kind: model.configuration for kind, model in MODELS.items()} == CONFIGS
