"""Variational dequantisation: the noise between levels is a flow of the model, its gradients are
those of the bound, and the bound is one.
"""

import copy
import math
import os
import pickle

import numpy as np
import pytest
import strict_device
from small_runs import command, dataset, images
from strict_device.layers import to_device
from test_training import Record

from glowlite import Glow, GlowConfig, GlowliteError, Memory, Settings, fit
from glowlite.arrays.slices import cut
from glowlite.bijectors.dequantizer import Dequantizer
from glowlite.errors import ShapeError
from glowlite.fast.lanes import Lanes
from glowlite.fast.threads import Workers
from glowlite.files.storage import read_header
from glowlite.latent.directions import encoded
from glowlite.models.nice import NICE
from glowlite.models.nice_config import NICEConfig
from glowlite.models.realnvp import RealNVP
from glowlite.models.realnvp_config import RealNVPConfig
from glowlite.objective import as_continuous, bits_per_dim, dequantize, to_pixels
from glowlite.testing import ModelAsLayer, check_layer
from glowlite.testing.gradients import directional_derivative
from glowlite.training.guards import check_step
from glowlite.training.loop import train
from glowlite.training.optimizers import Adam
from glowlite.training.run import Training
from glowlite.training.scoring import scores
from glowlite.training.step import training_step

RNG = np.random.default_rng
N_BITS, COUNT = 5, 9
SHAPES = {"grey": (4, 4, 1), "colour": (2, 4, 3)}


def model_of(
    kind="glow",
    shape=(4, 4, 3),
    dtype="float64",
    dequantise="variational",
    threads=1,
    xp=np,
    **more,
):
    """A model that is initialised, none of whose weights is zero."""
    config, make = {
        "glow": (GlowConfig(shape, K=2, L=1, width=8, dequantise=dequantise, **more), Glow),
        "nice": (NICEConfig(shape, couplings=2, width=5, dequantise=dequantise), NICE),
        "realnvp": (
            RealNVPConfig(
                shape, levels=1, blocks=1, width=4, coupling_norm="none", batch_norm=False,
                dequantise=dequantise,
            ),
            RealNVP,
        ),
    }[kind]  # fmt: skip
    model = make(config, 0, dtype, Memory.parse("256MB"), Workers(threads), xp)
    x = dequantize(pictures(40, shape), N_BITS, uniform_noise(40, shape, dtype))
    model.initialize(x if xp is np else to_device(x))
    change = (0.03 * RNG(2).standard_normal(len(model.store))).astype(dtype)
    model.store.theta[...] += xp.asarray(change)
    model.n_bits = N_BITS
    return model


def pictures(count=COUNT, shape=(4, 4, 3)):
    return RNG(3).integers(256, size=(count, *shape), dtype=np.uint8)


def uniform_noise(count=COUNT, shape=(4, 4, 3), dtype="float64", seed=4):
    return RNG(seed).random((count, *shape)).astype(dtype)


def taken(model, count=COUNT, seed=4):
    """A batch as `gradients` takes it."""
    shape, dtype = model.config.image_shape, model.dtype.name
    noise = uniform_noise(count, shape, dtype, seed)
    given = pictures(count, shape), noise
    if model.xp is not np:
        given = to_device(list(given))
    return as_continuous(given[0], N_BITS, given[1], dtype, model.xp, model.variational)


def on_host(value):
    return np.array(value.get() if hasattr(value, "get") else value)


KINDS = ["glow", "nice", "realnvp"]


# Every a0 has a z, but not every z the a0 of an image whose levels are these, so that
# `forward_of_inverse` does not hold. The layers that it is made of are held to all laws, and the
# gradients of the loss, below, to differences.
OF_NOISE = (
    "inverse_of_forward",
    "samples_are_independent",
    "logdet_is_that_of_the_jacobian",
    "backward_rebuilds_the_input",
    "gradients_add",
    "nothing_passed_in_is_changed",
    "kept_equals_rebuilt",
)


class NoiseAsLayer(ModelAsLayer):
    """A flow of noise, with the part of log|det| that `bits_per_dim` counts."""

    domain = (-0.5, 0.5)

    def forward(self, x):
        y, logdet = super().forward(x)
        return y, logdet - x[0].size * math.log(2**N_BITS)

    def forward_with_cache(self, x):
        _, _, cache = super().forward_with_cache(x)
        return *self.forward(x), cache


# the map and its density


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_flow_of_the_noise_of_an_image_obeys_the_laws(kind, shape):
    model = model_of(kind, SHAPES[shape])
    x = taken(model, 2)
    _, noise = model.of_noise(x, N_BITS)
    # of one image, so that laws may take samples alone
    flow, _ = model.of_noise(x[:1], N_BITS)
    check_layer(NoiseAsLayer(flow, flow.latent_shapes()), noise, OF_NOISE)


@pytest.mark.parametrize("kind", KINDS)
def test_its_density_is_that_of_the_image_over_that_of_the_noise(kind):
    """By definition: log p(x) of the flow of images, and log|det| of the noise by differences."""
    model = model_of(kind, (2, 2, 1))
    x = taken(model, 3)
    flow, start = model.of_noise(x, N_BITS)
    dequantizer = flow.bijector.dequantizer
    for i in range(3):
        given = dequantizer.given(x[i : i + 1, ..., :1])

        def moved(a, given=given):
            return given.forward(a.reshape(1, 2, 2, 1))[0].ravel()

        h = 1e-6
        columns = [
            (moved(start[i].ravel() + h * e) - moved(start[i].ravel() - h * e)) / (2 * h)
            for e in np.eye(4)
        ]
        log_q = -np.linalg.slogdet(np.array(columns))[1]
        image = model.dequantized(x, N_BITS)[i : i + 1]
        middle, moved_start = x[i : i + 1, ..., :1], given.forward(start[i : i + 1])[0]
        np.testing.assert_allclose(image, middle + moved_start / 2**N_BITS, rtol=1e-12)
        expected = model.log_prob(image)[0] - log_q
        assert flow.log_prob(start)[i] == pytest.approx(expected, rel=1e-6)
        assert np.array_equal(to_pixels(image, N_BITS) >> 3, pictures(3, (2, 2, 1))[i : i + 1] >> 3)


@pytest.mark.parametrize("dequantise", ["uniform", "variational"])
def test_importance_samples_come_to_the_probability_that_a_quadrature_finds(dequantise):
    """P(v) = the mean of p(x) n^-D over u in (0, 1)^4, by midpoints; one draw bounds it below, more
    draws more tightly, and many draws find it.
    """
    model = model_of("glow", (2, 2, 1), dequantise=dequantise)
    image, side = pictures(1, (2, 2, 1)), 24
    marks = (np.arange(side) + 0.5) / side
    u = np.stack(np.meshgrid(*4 * [marks], indexing="ij"), axis=-1).reshape(-1, 2, 2, 1)
    many = np.repeat(image, len(u), axis=0)
    logs = model.log_prob(dequantize(many, N_BITS, u))
    exact = np.logaddexp.reduce(logs) - math.log(len(u))
    draws = 40_000
    many = np.repeat(image, draws, axis=0)
    noise = uniform_noise(draws, (2, 2, 1))
    x = as_continuous(many, N_BITS, noise, "float64", np, model.variational)
    flow, x = model.of_noise(x, N_BITS)
    logs = flow.log_prob(x)
    weights = np.exp(logs - exact)
    error = weights.std() / math.sqrt(draws)
    assert abs(weights.mean() - 1) < 5 * error + 1e-3 and error < 0.05
    bound = logs.mean()
    of_16 = np.logaddexp.reduce(logs.reshape(-1, 16), axis=1).mean() - math.log(16)
    assert bound < of_16 < exact + 0.01


def test_several_draws_of_a_score_are_the_mean_of_p_over_q():
    model, data = model_of("glow", (8, 8, 3)), dataset(20)
    each = []
    for draw in range(3):
        part, parts = data.train, []
        for start in range(0, len(part), 4):
            noise = glowlite_noise(draw, start, part[start : start + 4].shape)
            x = as_continuous(part[start : start + 4], N_BITS, noise, "float64", np, True)
            flow, x = model.of_noise(x, N_BITS)
            parts.append(flow.log_prob(x))
        each.append(np.concatenate(parts))
    expected = np.logaddexp.reduce(each, axis=0) - math.log(3)
    found = scores(model, data.train, N_BITS, 4, 7, draws=3)
    np.testing.assert_allclose(found, bits_per_dim(expected, 192, N_BITS), rtol=1e-12)
    one = np.mean([bits_per_dim(e, 192, N_BITS) for e in each], axis=0)
    assert (found <= one).all()


def glowlite_noise(draw, start, shape):
    from glowlite.objective import dequantization_noise

    return dequantization_noise(7, "evaluate", draw, start, shape, "float64")


# gradients


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_are_those_of_the_bound(kind, shape):
    """Of the whole loss, by differences, along random directions and in the dequantizer alone."""
    model = model_of(kind, SHAPES[shape])
    x, theta = taken(model), model.store.theta.copy()
    model.store.grad[...] = 0
    loss, _ = model.gradients(x, N_BITS)
    flow, start = model.of_noise(x, N_BITS)
    of_each = bits_per_dim(flow.log_prob(start), start[0].size, N_BITS)
    assert float(loss) == pytest.approx(of_each.mean(), rel=1e-12)
    grad = model.store.grad.copy()

    def loss_at(change):
        model.store.theta[...] = theta + change
        return float(model.gradients(x, N_BITS)[0])

    of_noise = np.zeros(len(theta))
    for name, where in model.store.offsets.items():
        of_noise[where] = name.startswith("dequantizer/")
    assert of_noise.any() and not of_noise.all() and (grad[of_noise > 0] != 0).any()
    for seed, only in ((5, 1.0), (6, of_noise), (7, 1 - of_noise)):
        direction = only * RNG(seed).standard_normal(len(theta)) / 1000  # so short of most ReLUs
        expected, _ = directional_derivative(lambda t, d=direction: loss_at(t * d) - float(loss))
        assert float(grad @ direction) == pytest.approx(expected, rel=1e-6)


def test_noise_that_is_learned_starts_as_uniform_noise():
    model, uniform = (
        Glow(GlowConfig((4, 4, 3), K=2, L=1, width=8, dequantise=d), 0, "float64")
        for d in ("variational", "uniform")
    )
    x, plain = taken(model), dequantize(pictures(), N_BITS, uniform_noise())
    flow, noise = model.of_noise(x, N_BITS)
    flow.initialize(noise)
    uniform.initialize(plain)
    np.testing.assert_allclose(model.dequantized(x, N_BITS), plain, atol=1e-12)
    losses = [float(m.gradients(batch, N_BITS)[0]) for m, batch in ((model, x), (uniform, plain))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    for name, where in uniform.store.offsets.items():
        ours = model.store.grad[model.store.offsets[name]]
        np.testing.assert_allclose(ours, uniform.store.grad[where], atol=1e-10)
    hidden = model.store.parameters["dequantizer/coupling0/net/net/conv1/logs"].value
    assert hidden.any()  # its ActNorms have seen the data


def test_both_halves_of_the_noise_are_changed():
    model = model_of()
    flow, noise = model.of_noise(taken(model), N_BITS)
    moved = flow.bijector.dequantizer.forward(noise)[0] - noise
    assert (abs(moved) > 1e-9).mean() == 1.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_at_the_ends_of_its_interval_leaves_everything_finite(dtype):
    model = model_of(dtype=dtype)
    end = np.nextafter(np.dtype(dtype).type(1), np.dtype(dtype).type(0))
    white = np.full((4, 4, 4, 3), 255, np.uint8)
    for u in (0.0, float(end)):
        noise = np.full(white.shape, u, dtype)
        x = as_continuous(white, N_BITS, noise, dtype, np, True)
        loss, drift = model.gradients(x, N_BITS)
        assert math.isfinite(loss) and drift < 1e-4
        assert np.isfinite(model.store.grad).all()
        image = model.dequantized(x, N_BITS)
        assert image.max() < 0.5 and image.min() >= 0.5 - 1 / 32 - 1e-6


def test_the_device_has_the_gradients_of_the_host():
    found = []
    for xp in (np, strict_device.xp):
        model = model_of(xp=xp)
        model.store.grad[...] = 0
        loss, drift = model.gradients(taken(model), N_BITS)
        found.append([float(on_host(a)) for a in (loss, drift)])
        found[-1].append(on_host(model.store.grad))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-12)
    np.testing.assert_allclose(found[1][2], found[0][2], atol=1e-10 * abs(found[0][2]).max())


@pytest.mark.parametrize("memory", ["0", "60KB", "all"])
def test_budgets_of_memory_change_no_gradient(memory):
    model, rest = model_of(), model_of()
    model.memory = Memory.parse(memory)
    for each in (model, rest):
        each.store.grad[...] = 0
    ours, theirs = (float(m.gradients(taken(m), N_BITS)[0]) for m in (model, rest))
    assert ours == pytest.approx(theirs, rel=1e-12)
    np.testing.assert_allclose(
        model.store.grad, rest.store.grad, atol=1e-8 * abs(rest.store.grad).max()
    )


# batches in parts, lanes, processes; runs that go on are in test_resume, ranks in test_communicator


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(parts):
    found = []
    for count in (1, parts):
        model = model_of()
        result = training_step(
            model, Adam(model.store.theta), taken(model, 8), N_BITS, 1e-3, parts=cut(8, count)
        )
        found.append((result.bits_per_dim, model.store.grad.copy()))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-10 * abs(found[0][1]).max())


@pytest.mark.bits
@pytest.mark.skipif(not hasattr(os, "fork"), reason="lanes are processes on Linux only")
@pytest.mark.parametrize("more", [{}, {"classes": 3}])
def test_the_second_lane_has_noise_of_its_own_wherever_it_runs(more):
    results = []
    labels = np.arange(COUNT) % 3 if more else None
    for threads, processes in ((2, True), (2, False), (1, True)):
        model = model_of("glow", (8, 8, 3), "float32", threads=threads, **more)
        with Lanes(model, COUNT, processes) as lanes:
            assert lanes.are_two(COUNT)
            assert (lanes._process is not None) == (threads == 2 and processes)
            model.store.grad[...] = 1.0
            loss, drift = lanes.gradients(taken(model), N_BITS, labels=labels)
            results.append((float(loss), float(drift), model.store.grad.copy()))
    for loss, drift, grad in results[1:]:
        assert (loss, drift) == results[0][:2]
        np.testing.assert_array_equal(grad, results[0][2])
    model.store.grad[...] = 1.0
    given = model if labels is None else model.given(labels)
    loss, _ = given.gradients(taken(model), N_BITS)
    assert results[0][0] == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(
        results[0][2], model.store.grad, atol=1e-4 * abs(model.store.grad).max()
    )


def test_a_run_on_the_device_follows_one_on_the_host():
    found = []
    for xp in (np, strict_device.xp):
        model = model_of("glow", (8, 8, 3), xp=xp)
        settings = Settings(6, 8, lr=2e-3, log_every=1, evaluate_every=3, accumulate=2, average=0.9)
        training, seen = Training(model, settings), Record()
        train(training, dataset(), [seen])
        found.append((on_host(model.store.theta), seen.metrics))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-7, atol=1e-8)
    for ours, theirs in zip(found[0][1], found[1][1], strict=True):
        assert ours.train_bits_per_dim == pytest.approx(theirs.train_bits_per_dim, rel=1e-9)
        if ours.held_out_bits_per_dim is not None:
            held_out = pytest.approx(theirs.held_out_bits_per_dim, rel=1e-9)
            assert ours.held_out_bits_per_dim == held_out


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_training_lowers_the_bound(kind):
    model = model_of(kind, (8, 8, 3))
    before = scores(model, dataset().train, N_BITS, 8, 0).mean()
    fit(model, images(), n_bits=N_BITS, steps=30, batch=8, lr=3e-3, warmup=0, average=0.0)
    after = scores(model, dataset().train, N_BITS, 8, 0).mean()
    assert after < before - 0.05


# what is refused, and what is written


def test_uniform_noise_is_as_it_was():
    model = model_of(dequantise="uniform")
    x = taken(model)
    assert x.tobytes() == dequantize(pictures(), N_BITS, uniform_noise()).tobytes()
    assert model.of_noise(x, N_BITS) == (model, x) or model.of_noise(x, N_BITS)[1] is x
    assert model.dequantized(x, N_BITS) is x and model.input_shape == (4, 4, 3)
    assert "dequantise" not in model.config.to_dict() and not model.variational
    assert not any(name.startswith("dequantizer") for name in model.store.offsets)
    own = {n: p.value for n, p in model_of().store.parameters.items()}
    shapes = {name: p.value.shape for name, p in model.store.parameters.items()}
    assert {n: a.shape for n, a in own.items() if not n.startswith("dequantizer/")} == shapes


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: GlowConfig((8, 8, 1), L=1, dequantise="both"),
            "dequantise must be one of uniform",
        ),
        (lambda: NICEConfig((5, 4, 1), dequantise="variational"), "H and W must be divisible by 2"),
        (
            lambda: model_of().gradients(uniform_noise(), N_BITS),
            "makes its own dequantisation noise",
        ),
        (
            lambda: model_of("glow", (4, 4, 3)).gradients(taken(model_of()), None),
            "n_bits must be 1 to 8, got None",
        ),
        (
            lambda: fit(model_of(), uniform_noise(40).astype("float32"), steps=2, batch=4),
            "variational dequantisation needs uint8 images",
        ),
        (
            lambda: Dequantizer(3, RNG(0)).forward(0.1 * uniform_noise()),
            "was given none: call given",
        ),
        (
            lambda: Dequantizer(3, RNG(0)).given(uniform_noise(2)).forward(0.1 * uniform_noise(3)),
            "2 conditions are given, but 3 samples",
        ),
    ],
)
def test_a_mistake_is_one_line(make, said):
    with pytest.raises((GlowliteError, ShapeError), match=said) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_bad_step_names_the_layer_of_the_noise():
    model = model_of()
    x = taken(model)
    model.store.parameters["dequantizer/coupling1/net/net/conv3/bias"].value[0] = 1e200
    with np.errstate(all="ignore"):
        result = training_step(model, Adam(model.store.theta), x, N_BITS, 1e-3)
        with pytest.raises(GlowliteError, match="first at dequantizer/"):
            check_step(model, x, [slice(0, COUNT)], result, n_bits=N_BITS)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_is_the_same_and_on_its_own(way):
    model = model_of()
    twin, x = way(model), taken(model)
    assert float(twin.gradients(x, N_BITS)[0]) == float(model.gradients(x, N_BITS)[0])
    twin.store.theta[...] += 0.1
    assert not np.array_equal(twin.store.theta, model.store.theta)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_has_the_noise_too(kind, tmp_path):
    model = model_of(kind)
    model.save(tmp_path / "m.safetensors")
    assert read_header(tmp_path / "m.safetensors")["config"]["dequantise"] == "variational"
    twin = type(model).load(tmp_path / "m.safetensors")
    assert twin.variational and np.array_equal(twin.store.theta, model.store.theta)
    x = taken(model)
    assert float(twin.gradients(x, N_BITS)[0]) == float(model.gradients(x, N_BITS)[0])


def test_latents_of_images_are_those_of_the_noise_that_was_trained():
    model = model_of()
    found = encoded(model, pictures())
    model.dequantized = lambda x, n_bits: dequantize(
        pictures(), n_bits, x[..., 3:] + model.dtype.type(0.5)
    )
    assert abs(encoded(model, pictures()) - found).max() > 1e-3


RUN = [
    "--data", "ramps.npz", "--K", "1", "--L", "2", "--width", "8", "--batch", "8", "--steps", "6",
    "--evaluate-every", "3", "--threads", "1", "--dequantise", "variational", "--out", "run",
]  # fmt: skip


def test_the_commands_take_a_model_with_a_noise_of_its_own(tmp_path):
    np.savez(tmp_path / "ramps.npz", images=images(60))
    done = command(tmp_path, *RUN)
    assert done.returncode == 0, done.stderr
    for words, program, said in (
        (["run"], "evaluate", "1 draw of the learned dequantisation noise"),
        (["run", "--dequantisation-samples", "4"], "evaluate", "4 draws of the learned"),
        (["run", "--n", "2"], "sample", ""),
        (["run", "0"], "reconstruct", ""),
        (["run", "0", "1", "--steps", "3"], "interpolate", ""),
        (["run", "0", "--steps", "2"], "inpaint", ""),
        (["run", "alone.safetensors"], "export", ""),
        (["run"], "report", ""),
    ):
        done = command(tmp_path, *words, program=program)
        assert done.returncode == 0 and said in done.stdout, done.stderr
