"""NICE and RealNVP as models: the laws of a layer, budgets of memory, files, commands."""

import copy
import json
import pickle
from contextlib import nullcontext

import numpy as np
import pytest
import strict_device
from hypothesis import settings
from layers import shaken
from small_runs import MPIRUN, UNDRAWN, command, mpirun, nothing_drawn
from strict_device.layers import on_device, to_device, to_host
from test_laws import BY_DIFFERENCES, OFTEN, QUICK
from test_training import Record

import glowlite.training.loop
from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.arrays.batch_statistics import in_training
from glowlite.bijectors.batch_norm import BatchNorm
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.scaling import Scaling
from glowlite.commands.train_options import CONFIGS
from glowlite.conditioners.batch_norm import NetworkBatchNorm
from glowlite.conditioners.residual_network import ResidualNetwork
from glowlite.data.dataset import Dataset
from glowlite.data.images import ArrayImages
from glowlite.fast.threads import Workers
from glowlite.files.storage import read_arrays, write_arrays
from glowlite.models.nice import NICE
from glowlite.models.nice_config import NICEConfig
from glowlite.models.realnvp import RealNVP
from glowlite.models.realnvp_config import RealNVPConfig
from glowlite.models.registry import MODELS, load_image_model
from glowlite.objective import dequantize_midpoint, loss_gradients
from glowlite.testing import LAWS, ModelAsLayer, check_layer
from glowlite.training.checkpoint import save
from glowlite.training.loop import check_memory, train
from glowlite.training.optimizers import Adam
from glowlite.training.run import Training
from glowlite.training.settings import Settings
from glowlite.training.step import training_step

SHAPE = (4, 4, 2)
NICES = {
    "unit": {},
    "symmetric-normal": {"input": "symmetric", "base": "normal", "couplings": 3},
    "from-data": {"scaling_start": "data", "scaling_factor": 1},
    "odd-first": {"changed_first": "odd", "hidden_layers": 1},
    "leaky": {"slope": 0.2},
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
    """In the quick profile gradients on a device are those on the host, which differences hold."""
    model, x, laws = nice(name, xp=xp), images(3, seed=3), LAWS
    if xp is not np and settings().max_examples < QUICK:
        laws = [law for law in OFTEN if law not in BY_DIFFERENCES]
        for own, theirs in zip(
            gradients(model, to_device(x)), gradients(nice(name), x), strict=True
        ):
            np.testing.assert_allclose(to_host(own), theirs, atol=1e-12 * np.abs(theirs).max())
    layer = ModelAsLayer(model, [(32,)])
    check_layer(layer if xp is np else on_device(layer), x, laws)


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
    config = NICEConfig(
        SHAPE, couplings=1, hidden_layers=1, width=2, input="whitened", scaling_start="data"
    )
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
    with pytest.raises(GlowliteError, match=r"contains another kind of model, 'nice', not glow$"):
        Glow.load(path)
    glow = Glow(GlowConfig((8, 8, 3), K=1, L=1, width=2))
    glow.save(tmp_path / "glow.safetensors")
    assert "model" not in glow.header()
    assert isinstance(load_image_model(tmp_path / "glow.safetensors"), Glow)
    with pytest.raises(GlowliteError, match=r"contains another kind of model, 'glow', not nice$"):
        NICE.load(tmp_path / "glow.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"model": "vae"},
            "a kind of model that this glowlite does not know, 'vae'; it knows glow, nice",
        ),
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
        (lambda: NICEConfig((3, 3, 1)), "has 9 components, .* must be even"),
        (lambda: NICEConfig(SHAPE, base="cauchy"), "base must be one of logistic, normal"),
        (lambda: NICEConfig(SHAPE, couplings=0), "couplings must be"),
        (lambda: NICEConfig(SHAPE, slope=-1), "slope must be a finite number from 0 to 1"),
        (lambda: NICE(GlowConfig((8, 8, 3))), "NICE: expected a NICEConfig"),
        (lambda: Glow(NICEConfig(SHAPE)), "Glow: expected a GlowConfig"),
        (lambda: NICE(NICEConfig((4096, 4096, 3), width=1 << 16)), "lower width"),
    ],
)
def test_a_configuration_that_is_not_allowed_is_one_line(config, said):
    with pytest.raises(GlowliteError, match=said):
        config()


SMALL = {"image_shape": (4, 4, 2), "width": 2, "blocks": 1}
REALNVPS = {
    "authors": RealNVPConfig.authors(**SMALL, levels=2),
    "authors-no-norm": RealNVPConfig.authors(**SMALL, levels=1, batch_norm=False),
    "paper": RealNVPConfig.paper(**SMALL, levels=1),
    "chute": RealNVPConfig.chute(**SMALL, levels=1),
    "fmu2": RealNVPConfig.fmu2(**SMALL, levels=1),
}


def realnvp(name, memory=None, xp=np, plain=False):
    """A RealNVP with random weights and running statistics that is initialised."""
    model = RealNVP(REALNVPS[name], 0, "float64", memory, Workers(2), xp, plain)
    x, rng = images(20), np.random.default_rng(2)
    model.initialize(x if xp is np else xp.asarray(x))
    shaken(model, rng, 0.1)
    running = rng.uniform(0.5, 1.5, model.store.running.shape)
    model.store.running[...] = running if xp is np else xp.asarray(running)
    return model


@pytest.mark.parametrize("xp", [np, strict_device.xp], ids=["host", "device"])
@pytest.mark.parametrize("name", REALNVPS)
def test_a_realnvp_obeys_every_law_in_evaluation(name, xp):
    """In the quick profile without the gradient of each of two hundred arrays by itself: the laws
    of the layers hold those, and the next test their sum.
    """
    laws = LAWS
    if settings().max_examples < QUICK:
        laws = [law for law in OFTEN if law not in BY_DIFFERENCES]
    model = realnvp(name, xp=xp)
    layer = ModelAsLayer(model, model.latent_shapes())
    check_layer(layer if xp is np else on_device(layer), images(2, seed=3), laws)


@pytest.mark.parametrize("trains", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", REALNVPS)
def test_the_gradient_of_a_realnvp_is_that_of_its_loss(name, trains):
    """Along one direction of all parameters and x, with the statistics of the batch and without."""
    model, x, rng = realnvp(name), images(3, seed=3), np.random.default_rng(5)
    theta, step = model.store.theta.copy(), 1e-6
    d_theta, d_x = rng.standard_normal(theta.shape), rng.standard_normal(x.shape)

    def loss(t):
        model.store.theta[...] = theta + t * d_theta
        latents, logdet, cache = model.forward_with_cache(x + t * d_x)
        return -(logdet + model.base.log_prob(latents)).mean() / np.log(2), latents, cache

    with in_training(model.bijector) if trains else nullcontext():
        by_differences = (loss(step)[0] - loss(-step)[0]) / (2 * step)
        _, latents, cache = loss(0.0)
        model.store.grad[...] = 0
        _, dx = model.backward(latents, *loss_gradients(latents, len(x)), cache)
    D = model.dimensions  # of loss_gradients, which are of bits per dimension
    expected = D * (float(model.store.grad @ d_theta) + float((dx * d_x).sum()))
    assert by_differences == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", REALNVPS)
def test_budgets_of_a_realnvp_agree_in_training(name):
    """Gradients, loss and how the running statistics move; with fast forms and without."""
    x = images(5, seed=4)

    def trained(model):
        model.store.grad[...] = model.store.change[...] = 0
        loss, drift = model.gradients(x, 8)
        assert drift < 1e-9
        return np.array([loss]), model.store.grad, model.store.change

    expected = trained(realnvp(name, plain=True))
    assert np.abs(expected[1]).max() > 0 and len(expected[2]) == len(realnvp(name).store.running)
    for memory in ("0", "2KB", "0+anchored:2", "all"):
        found = trained(realnvp(name, Memory.parse(memory)))
        for own, theirs in zip(found, expected, strict=True):
            scale = np.abs(theirs).max(initial=1e-300)
            np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-9 * scale)


def test_gradients_leave_a_model_in_evaluation():
    model, x = realnvp("authors"), images(5)
    before = model.log_prob(x)
    model.gradients(x, 8)
    assert np.array_equal(model.log_prob(x), before)
    with pytest.raises(ValueError, match="no images"), in_training(model.bijector):
        raise ValueError("no images")
    assert np.array_equal(model.log_prob(x), before)


def test_running_statistics_move_with_a_good_step_and_stay_with_a_bad_one():
    model, x = realnvp("authors"), images(5)
    before = model.store.running.copy()
    training_step(model, Adam(model.store.theta), x, 8, 1e-3)
    moved = model.store.running - before
    assert np.abs(moved).max() > 0
    np.testing.assert_allclose(moved, model.store.change, rtol=1e-12, atol=1e-15)
    before = model.store.running.copy()
    x[0, 0, 0, 0] = np.nan
    training_step(model, Adam(model.store.theta), x, 8, 1e-3)
    assert np.array_equal(model.store.running, before)


def test_a_penalty_adds_the_gradient_of_squares_of_scales():
    """Of each g, and of a of couplings of pixels, and of nothing else."""
    grads = []
    for penalty in (0.0, 0.5):
        model = realnvp("authors")
        training_step(model, Adam(model.store.theta), images(5), 8, 0.0, scale_penalty=penalty)
        grads.append(model.store.grad.copy())
    extra, found = grads[1] - grads[0], set()
    for name, where in model.store.offsets.items():
        scales = name.endswith(("/g", "/net/a")) and not ("channels" in name and name[-2:] == "/a")
        expected = model.store.theta[where] if scales else 0 * extra[where]
        np.testing.assert_allclose(extra[where], expected, rtol=0, atol=1e-12)
        found |= {name.rpartition("/")[2]} if scales else set()
    assert found == {"g", "a"}


def test_parts_of_a_batch_move_running_statistics_by_their_mean():
    model, x = realnvp("authors"), images(6)
    halves = []
    for half in (x[:3], x[3:]):
        model.store.change[...] = 0
        model.gradients(half, 8)
        halves.append(model.store.change.copy())
    training_step(model, Adam(model.store.theta), x, 8, 0.0, parts=[slice(0, 3), slice(3, 6)])
    np.testing.assert_allclose(model.store.change, np.mean(halves, axis=0), rtol=1e-12)


def test_copies_have_running_statistics_of_their_own():
    model = realnvp("authors")
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        x = images(5)
        assert np.array_equal(twin.log_prob(x), model.log_prob(x))
        twin.store.running[...] = 2
        assert not np.array_equal(twin.log_prob(x), model.log_prob(x))


def test_a_variance_in_a_file_is_looked_at(tmp_path):
    path = tmp_path / "realnvp.safetensors"
    model = realnvp("authors")
    model.save(path)
    assert np.array_equal(load_image_model(path).log_prob(images(2)), model.log_prob(images(2)))
    arrays, header = read_arrays(path)
    name = next(name for name in arrays if name.endswith("/variance"))
    arrays[name][0] = -1
    write_arrays(path, arrays, header)
    with pytest.raises(GlowliteError, match=f"{name} contains a variance below 0"):
        RealNVP.load(path)


TINY = ["--model", "nice", "--width", "16", "--couplings", "2", "--hidden-layers", "1"]
KINDS = {
    "unit": TINY,
    "whitened": [*TINY, "--input", "whitened"],
    "realnvp": ["--model", "realnvp", "--width", "4", "--blocks", "1", "--levels", "2"],
}
RUN = ["--data", "fashion", "--n-bits", "8", "--batch", "50", "--evaluate-images", "20"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_trains_resumes_and_is_used(tmp_path, kind):
    """To the last bit, as any model; and every command that uses a model uses it (in the quick
    profile, one NICE).
    """
    words = [*KINDS[kind], *RUN, "--evaluate-every", "4", "--decay", "constant"]
    done = [command(tmp_path, *words, "--steps", "8", "--out", "whole")]
    with nothing_drawn():
        done.append(command(tmp_path, *words, "--steps", "4", "--out", "parts"))
        done.append(command(tmp_path, "--resume", "--out", "parts", "--steps", "8"))
    for run in done:
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "whole/samples-000008.png").exists()
    whole, parts = (
        read_arrays(tmp_path / out / "checkpoints/step-00000008.safetensors")[0]
        for out in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    options = json.loads((tmp_path / "whole/config.json").read_text())["options"]
    assert options["model"] == KINDS[kind][1] and "K" not in options
    if kind == "whitened" and settings().max_examples < QUICK:
        return
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
            "--K is an option of glow, not of nice; leave it out",
        ),
        (["--couplings", "3"], "--couplings is an option of nice, not of glow"),
        (["--preset", "nice-mnist", "--scale", "exp"], "--scale is an option of glow"),
    ],
)
def test_an_option_of_another_model_is_one_line(tmp_path, words, said):
    done = command(tmp_path, *words, "--out", "run")
    assert done.returncode == 2 and said in done.stderr and not (tmp_path / "run").exists()


def test_a_run_stays_of_its_model(tmp_path, undrawn):
    words = [*TINY, *RUN, "--steps", "2", "--out", "run"]
    assert command(tmp_path, *words).returncode == 0
    done = command(tmp_path, "--resume", "--out", "run", "--steps", "4", "--model", "glow")
    assert done.returncode == 2 and "--model was 'nice'" in done.stderr


def test_what_the_command_prints_as_yaml_trains_the_same_model(tmp_path, undrawn):
    printed = command(tmp_path, *TINY, *RUN, "--steps", "2", "--print-config").stdout
    assert "model: nice" in printed and "K:" not in printed
    (tmp_path / "nice.yaml").write_text(printed)
    done = command(tmp_path, "--config", "nice.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not MPIRUN.exists(), reason="an MPI comes with pip install '.[test]'")
@pytest.mark.parametrize("kind", ["whitened", "realnvp"])
def test_two_ranks_train_what_one_process_trains(tmp_path, undrawn, kind):
    """With shards to the last bit, whitening and running statistics and all."""
    words = [*KINDS[kind], *RUN, "--steps", "3", "--shards", "2", "--threads", "1"]
    one = command(tmp_path, *words, "--out", "one")
    two = mpirun(2, UNDRAWN, *words, "--out", "two", cwd=tmp_path)
    for done in (one, two):
        assert done.returncode == 0, done.stderr
    one, two = (
        read_arrays(tmp_path / out / "checkpoints/step-00000003.safetensors")[0]
        for out in ("one", "two")
    )
    assert one.keys() == two.keys()
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


def test_running_statistics_are_averaged_with_the_weights(tmp_path):
    """What is evaluated has the average of both, in training, in the file, and at the end of
    `fit`.
    """
    x = np.random.default_rng(0).integers(0, 256, (40, *SHAPE)).astype(np.uint8)
    flow, states = realnvp("authors"), []

    class Watch(Record):
        def on_step(self, step, result):
            states.append(flow.store.state().copy())

    settings = Settings(steps=4, batch=8, average=0.5, n_bits=8, evaluate_images=8, lr=1e-2)
    training = Training(flow, settings)
    data = Dataset("noise", ArrayImages(x[8:]), ArrayImages(x[:8]), "made here")
    train(training, data, [Watch()])
    expected = np.average(states, axis=0, weights=[1, 2, 4, 8])
    parts = slice(len(flow.store)), slice(len(flow.store), None)
    assert all(np.abs(expected - states[-1])[part].max() > 1e-4 for part in parts)
    np.testing.assert_allclose(training.average.value(), expected, rtol=1e-12)
    with training.averaged():
        np.testing.assert_allclose(flow.store.state(), expected, rtol=1e-12)
    assert np.array_equal(flow.store.state(), states[-1])
    save(training, tmp_path / "run.safetensors", steps_per_epoch=4)
    for weights, state in (("averaged", expected), ("raw", states[-1])):
        loaded = RealNVP.load(tmp_path / "run.safetensors", weights)
        np.testing.assert_allclose(loaded.store.state(), state, rtol=1e-12)


def test_a_step_of_ones_own_that_normalises_by_the_batch_is_not_cut_into_tiles():
    """Each tile would take statistics of its own, and move the running ones by a whole step."""
    x, found = images(16, (8, 8, 3)), []
    for plain in (False, True):
        model = Glow(
            GlowConfig((8, 8, 3), K=2, L=1), 0, "float64", Memory.parse("0"), Workers(2),
            plain=plain, step=lambda channels, rng: Chain({"norm": BatchNorm(channels)}),
        )  # fmt: skip
        model.initialize(x)
        model.gradients(2 * x - 0.1, 8)
        found.append((model.store.grad.copy(), model.store.change.copy()))
    assert np.abs(found[1][1]).max() > 1e-3
    for own, plain in zip(*found, strict=True):
        np.testing.assert_allclose(own, plain, rtol=0, atol=1e-12)


def test_a_start_that_cannot_fit_is_refused(monkeypatch):
    """Scales that start from data see ten times D images at once, or all that there are."""
    model = nice("from-data")
    monkeypatch.setattr(glowlite.training.loop, "available_bytes", lambda: 5 * 32 * 320 * 8 - 1)
    check_memory(model, 1, 319)
    with pytest.raises(
        GlowliteError, match=r"^initialisation from 320 images needs at least .*smaller"
    ):
        check_memory(model, 1, 1000)


def test_a_model_without_scales_to_hold_small_has_no_penalty(tmp_path):
    done = command(tmp_path, *RUN, "--steps", "1", "--scale-penalty", "1", "--out", "run")
    assert done.returncode == 2 and "a Glow has no scales to penalise" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Scaling((3,), std=0.0), "Scaling: std must be above 0"),
        (lambda: Scaling((3,), factor=0.0), "Scaling: factor must be above 0"),
        (lambda: Scaling((3,), std=-1.0), "Scaling: std must be a finite number of at least 0"),
        (lambda: BatchNorm(4, eps=-1.0), "BatchNorm: eps must be a finite number of at least 0"),
        (lambda: NetworkBatchNorm(4, eps=np.nan), "NetworkBatchNorm: eps must be a finite number"),
        (
            lambda: ResidualNetwork(3, 3, 2, 1, np.random.default_rng(0), start="he"),
            "ResidualNetwork: start must be one of authors, torch, zero, got 'he'",
        ),
    ],
)
def test_what_no_layer_can_be_made_of_is_one_line(make, said):
    with pytest.raises(GlowliteError) as caught:
        make()
    assert said in str(caught.value) and "\n" not in str(caught.value)
