"""A flow of one's own: its density, samples, files, and its training, with checkpoints
and resume.
"""

import json
import math

import numpy as np
import pytest
import strict_device
from moons import moons_chain, moons_flow, my_step, own_glow, two_moons
from small_runs import images, small_model

from glowlite import (
    MLP,
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    Glow,
    GlowliteError,
    Permutation,
)
from glowlite.arrays.backend import to_host
from glowlite.arrays.parameters import ParameterStore
from glowlite.data.array_data import array_dataset
from glowlite.fast.threads import Workers
from glowlite.flow import Flow
from glowlite.objective import Logistic, Normal
from glowlite.testing import check_conditioner, check_layer
from glowlite.testing.gradients import directional_derivative
from glowlite.training.fit import fit

X = two_moons(600)
SHORT = {
    "batch": 64,
    "lr": 2e-3,
    "log_every": 10,
    "evaluate_every": 20,
    "checkpoint_every": 10,
    "average": 0.9,
}


@pytest.fixture(scope="module")
def trained():
    flow = moons_flow(6)
    lines = fit(
        flow, two_moons(2000), steps=400, batch=128, lr=5e-3, log_every=50, evaluate_every=200
    )
    return flow, lines


def integral(flow, low=-4.0, high=5.0, count=601):
    """Of the density over a square: a sum over a grid, which for smooth functions is
    all but exact.
    """
    axis = np.linspace(low, high, count, dtype=flow.dtype)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return float(np.exp(flow.log_prob(points)).sum()) * float(axis[1] - axis[0]) ** 2


def test_training_lowers_the_loss_and_the_density_integrates_to_1(trained):
    flow, lines = trained
    assert lines[-1].train_bits_per_dim < lines[0].train_bits_per_dim - 0.3
    assert lines[-1].held_out_bits_per_dim == pytest.approx(lines[-1].train_bits_per_dim, abs=0.15)
    assert integral(flow) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("base", [Normal(), Logistic()])
def test_the_density_of_a_base_integrates_to_1_and_its_gradient_is_its_derivative(base):
    flow = moons_flow(1, "float64", base)
    assert integral(flow, -30, 30, 301) == pytest.approx(1, abs=1e-3)
    z = [np.random.default_rng(0).standard_normal((5, 3)), 9 * np.ones((5, 2))]
    for i, (part, gradient) in enumerate(zip(z, base.gradient(z), strict=True)):
        direction = np.random.default_rng(1).standard_normal(part.shape)

        def change(t, i=i, part=part, direction=direction):
            moved = [part + t * direction if i == j else other for j, other in enumerate(z)]
            return float((base.log_prob(moved) - base.log_prob(z)).sum())

        expected, doubt = directional_derivative(change, 1e-13)
        assert float((gradient * direction).sum()) == pytest.approx(expected, abs=1e-7 + doubt)
    noise = base.sample(3, 0, (20000, 2), "float32")
    assert np.array_equal(noise[:7], base.sample(3, 0, (7, 2), "float32"))
    spread = {Normal: 1.0, Logistic: math.pi / math.sqrt(3)}[type(base)]
    assert abs(noise.mean()) < 0.05 and noise.std() == pytest.approx(spread, rel=0.02)
    assert np.isfinite(base.log_prob([np.full((1, 2), 1e4)]))


def test_the_layer_and_the_network_obey_the_laws():
    x = np.random.default_rng(0).standard_normal((4, 2))
    chain = moons_chain(2)
    for p in chain.parameters().values():
        p.value[...] += 0.3 * np.random.default_rng(1).standard_normal(p.value.shape)
    check_layer(chain, x)


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("hidden", [(), (8,), [16, 8]])
def test_an_mlp_obeys_the_laws_of_a_conditioner_and_starts_at_zero(hidden, slope):
    net = MLP(3, 5, hidden, slope=slope)
    x = np.random.default_rng(0).standard_normal((6, 3))
    assert not net.forward(x)[0].any()
    assert list(net.parameters())[: len(hidden) + 1] == [
        f"weights/{i}" for i in range(len(hidden) + 1)
    ]
    for p in net.parameters().values():
        p.value[...] += 0.3 * np.random.default_rng(1).standard_normal(p.value.shape)
    check_conditioner(net, x)
    with pytest.raises(
        GlowliteError, match=r"MLP.forward: expected vectors \(N, 3\), got \(6, 4\)"
    ):
        net.forward(np.zeros((6, 4)))


def test_the_slope_of_an_mlp_is_that_below_zero():
    """One hidden unit, which is x: the network is max(x, slope x); and its size stays."""
    x = np.array([[-2.0], [-0.5], [0.0], [3.0]])
    for slope in (0.0, 0.2, 1.0):
        net = MLP(1, 1, (1,), slope=slope)
        for weight in net.weights:
            weight.value[...] = 1
        assert np.array_equal(net.forward(x)[0], np.where(x > 0, x, slope * x))
        assert MLP(2, 1, (20_000,), slope=slope).weights[0].value.std() == pytest.approx(
            np.sqrt(1 / (1 + slope**2)), rel=0.02
        )
    net = MLP(1, 1, (1,), slope=0.5)
    ParameterStore(net, "float32")
    h, cache = net.forward(x.astype(np.float32))
    assert h.dtype == net.backward(h, cache).dtype == np.float32
    for wrong in (-0.1, 1.5, np.nan, "0.2", True):
        with pytest.raises(GlowliteError, match="MLP: slope must be a finite number from 0 to 1"):
            MLP(1, 1, (1,), slope=wrong)


def test_samples_and_latents(trained):
    flow, _ = trained
    samples = flow.sample(1500, seed=1)
    assert np.array_equal(flow.sample(3, seed=1), samples[:3])
    assert np.array_equal(
        flow.sample(1500, seed=1, rows=slice(1100, 1400, 7)), samples[1100:1400:7]
    )
    near = np.linalg.norm(samples[:300, None] - two_moons(2000)[None], axis=2).min(axis=1)
    assert np.median(near) < 0.1  # where the data are
    (z,) = flow.encode(X)
    assert np.abs(flow.decode([z]) - X).max() < 1e-4
    assert flow.dimensions == 2 and flow.event_shape == (2,) and flow.latent_shapes() == [(2,)]
    bits = flow.bits_per_dim(X)
    np.testing.assert_allclose(bits, -flow.log_prob(X) / (2 * np.log(2)), rtol=1e-12)


def test_a_file_has_the_weights_and_is_loaded_into_the_same_layers(trained, tmp_path):
    flow, _ = trained
    flow.save(tmp_path / "moons.safetensors", note="hello")
    twin = Flow.load(tmp_path / "moons.safetensors", moons_chain(6))
    assert np.array_equal(twin.log_prob(X), flow.log_prob(X)) and np.array_equal(
        twin.sample(3), flow.sample(3)
    )
    assert twin.facts == {"note": "hello"} and twin.initialized
    mistakes = {
        "arrays are missing, unexpected": lambda path: Flow.load(path, moons_chain(5)),
        "its base is Normal, not Logistic": lambda path: Flow.load(
            path, moons_chain(6), Logistic()
        ),
        "is not a Glow, but a user-defined flow; load it with Flow.load": Glow.load,
    }
    for said, load in mistakes.items():
        with pytest.raises(GlowliteError, match=said):
            load(tmp_path / "moons.safetensors")
    small_model().save(tmp_path / "glow.safetensors")
    with pytest.raises(GlowliteError, match=r"contains a Glow; load it with Glow.load"):
        Flow.load(tmp_path / "glow.safetensors", moons_chain(6))


@pytest.mark.bits
def test_a_run_that_is_resumed_comes_to_the_same_weights_to_the_last_bit(tmp_path):
    whole, first, second = (moons_flow(3) for _ in range(3))
    fit(whole, X, steps=50, folder=tmp_path / "whole", **SHORT)
    fit(first, X, steps=30, folder=tmp_path / "broken", **SHORT)
    with pytest.raises(GlowliteError, match=r"already contains a run: .* resume=True"):
        fit(second, X, steps=50, folder=tmp_path / "broken", **SHORT)
    fit(second, X, steps=50, folder=tmp_path / "broken", resume=True, **SHORT)
    assert second.store.theta.tobytes() == whole.store.theta.tobytes()
    raw, averaged = (
        Flow.load(tmp_path / "broken", moons_chain(3), weights=which)
        for which in ("raw", "averaged")
    )
    assert averaged.store.theta.tobytes() == whole.store.theta.tobytes()
    assert not np.array_equal(raw.store.theta, averaged.store.theta)
    lines = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "broken")
    ]
    assert [line["step"] for line in lines[1]] == [10, 20, 30, 40, 50] and lines[0][-1] == lines[1][
        -1
    ]
    with pytest.raises(GlowliteError, match="belongs to another model: its parameters"):
        fit(moons_flow(2), X, steps=60, folder=tmp_path / "broken", resume=True, **SHORT)


def test_a_tenth_is_held_out_and_not_trained_on():
    data = array_dataset(X)
    rows = np.concatenate([data.train[:], data.held_out[:]])
    assert (len(data.train), len(data.held_out)) == (540, 60)
    assert np.array_equal(np.unique(rows, axis=0), np.unique(X, axis=0))
    given = array_dataset(X, X[:7])
    assert len(given.train) == 600 and np.array_equal(given.held_out[:], X[:7])


def test_a_glow_is_fitted_to_images():
    model = small_model()
    lines = fit(model, images(40), steps=20, batch=8, n_bits=5, log_every=10)
    assert lines[-1].train_bits_per_dim < lines[0].train_bits_per_dim and model.n_bits == 5
    assert [z.shape[1:] for z in model.encode(images(2))] == model.latent_shapes()


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_a_bad_step_names_the_layer():
    flow = moons_flow(2)
    flow.store.parameters["1/net/b"].value[3] = np.nan
    with pytest.raises(
        GlowliteError, match=r"step 1: the loss is nan, first at 1/net/b; lower --lr"
    ):
        fit(flow, X, steps=2)
    flow = moons_flow(2)
    layer = flow.bijector.layers["1"]
    right = layer.backward
    layer.backward = lambda *given: tuple(part + 1 for part in right(*given))
    with pytest.raises(GlowliteError, match=r"step 1: rebuilt inputs are off by .*, most at 1, "):
        fit(flow, X, steps=2)


@pytest.mark.parametrize("layers", ["affine", "additive"])
def test_the_layers_of_glowlite_train_on_vectors_on_the_host_and_on_a_device(layers):
    def made(i):
        if layers == "affine":
            return [ActNorm(2), Permutation.reverse(2), AffineCoupling(2, MLP(1, 2, [32], seed=i))]
        return [ActNorm(2), Permutation.reverse(2), AdditiveCoupling(2, MLP(1, 1, [32], seed=i))]

    losses, samples = [], []
    for xp in (np, strict_device.xp):
        flow = Flow(Chain([layer for i in range(4) for layer in made(i)]), dtype="float64", xp=xp)
        lines = fit(flow, X.astype(np.float64), steps=20, batch=64, lr=5e-3)
        losses.append([line.train_bits_per_dim for line in lines])
        samples.append(to_host(flow.sample(5)))
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    np.testing.assert_allclose(samples[1], samples[0], rtol=1e-7, atol=1e-9)


def own_run(threads, **options):
    model = own_glow(workers=Workers(threads, tile_mb=0.01))
    fit(
        model,
        images(40),
        n_bits=5,
        batch=8,
        evaluate_every=10,
        checkpoint_every=5,
        average=0.9,
        **options,
    )
    return model


@pytest.mark.bits
def test_a_glow_of_ones_own_steps_trains_on_threads_and_goes_on_to_the_same_bits(tmp_path):
    one, two = (own_run(threads, steps=12) for threads in (1, 2))
    assert two.store.theta.tobytes() == one.store.theta.tobytes()
    own_run(2, steps=5, folder=tmp_path / "run")
    again = own_run(2, steps=12, folder=tmp_path / "run", resume=True)
    assert again.store.theta.tobytes() == one.store.theta.tobytes()
    loaded = Glow.load(tmp_path / "run", step=my_step)
    assert np.array_equal(loaded.sample(2), again.sample(2)) and loaded.store.theta.any()
    assert "level1/step1/2/p/W" in loaded.store.parameters
    with pytest.raises(
        GlowliteError, match=r"its flow step is my_step; make or load the model with that step"
    ):
        Glow.load(tmp_path / "run")


class NoInverse:
    def forward(self, x):
        return x, np.zeros(len(x))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Flow(NoInverse()), "Flow: NoInverse has no inverse; it needs"),
        (lambda: Flow(moons_chain(1), dtype="int8"), "Flow: dtype must be float32 or float64"),
        (lambda: moons_flow().sample(2), "Flow.sample: this model was never initialised"),
        (
            lambda: moons_flow().log_prob(X.astype(float)),
            r"expected float32, got float64; convert with x\.astype",
        ),
        (
            lambda: moons_flow().dimensions,
            r"the shape of its data is not known; call initialize\(x\)",
        ),
        (lambda: fit(moons_flow(), X.astype(int)), r"expected floating-point numbers \(N, ...\)"),
        (
            lambda: fit(moons_flow(), np.full((9, 2), np.nan)),
            "row 0 contains numbers that are not finite",
        ),
        (
            lambda: fit(moons_flow(), X, stpes=3),
            "fit: unknown setting stpes; the settings are steps, batch,",
        ),
        (
            lambda: fit(moons_flow(), X, n_bits=5),
            "n_bits is 5, but the data are not images of pixels; give n_bits=None",
        ),
        (lambda: fit(moons_chain(1), X), "fit: expected a Flow"),
        (
            lambda: fit(moons_flow(), X, batch=1000),
            "batch 1000 is larger than the 540 training images",
        ),
    ],
)
def test_a_mistake_is_one_line(wrong, said):
    with pytest.raises(GlowliteError, match=said):
        wrong()
