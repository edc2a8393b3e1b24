"""A training step, the loop around it, and what guards them."""

import dataclasses

import numpy as np
import pytest
from small_runs import dataset, images, small_model

import glowlite.training.guards
from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.arrays.slices import cut
from glowlite.data.batches import Augmentation
from glowlite.fast.lanes import Lanes
from glowlite.fast.threads import Workers
from glowlite.objective import dequantize
from glowlite.training.guards import DRIFT_LIMIT, check_step, condition
from glowlite.training.loop import train
from glowlite.training.optimizers import Adam
from glowlite.training.run import Training
from glowlite.training.scoring import evaluate, scores, some_rows
from glowlite.training.settings import Settings
from glowlite.training.step import training_step


def batch_of(n=6, dtype="float64", seed=1):
    return dequantize(images(n), 5, np.random.default_rng(seed).random((n, 8, 8, 3)).astype(dtype))


class Record:
    def __init__(self):
        self.metrics, self.steps, self.timing, self.checkpoints = [], [], [], []

    def on_step(self, step, result):
        self.steps.append((step, result))

    def on_metrics(self, metrics, timing):
        self.metrics.append(metrics)
        self.timing.append(timing)

    def on_checkpoint(self, training):
        self.checkpoints.append(training.state.step)

    def after_step(self, training):
        pass

    def close(self):
        pass


def run(model, settings, data=None):
    seen = Record()
    training = Training(model, settings)
    train(training, data or dataset(), [seen])
    return training, seen


def test_training_lowers_the_loss_and_reports_every_step_once():
    model = small_model()
    settings = Settings(
        steps=60, batch=16, lr=3e-3, warmup=5, average=0.0, evaluate_every=30, checkpoint_every=25
    )
    training, seen = run(model, settings)
    losses = [result.bits_per_dim for _, result in seen.steps]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    assert [step for step, _ in seen.steps] == list(range(1, 61))
    assert (
        [m.step for m in seen.metrics] == [t.step for t in seen.timing] == [10, 20, 30, 40, 50, 60]
    )
    assert seen.metrics[2].train_bits_per_dim == pytest.approx(np.mean(losses[20:30]))
    # when due, after the best evaluation, and at the end
    assert seen.checkpoints == [
        25,
        30,
        50,
        60,
    ]
    evaluated = [
        m.held_out_bits_per_dim for m in seen.metrics if m.held_out_bits_per_dim is not None
    ]
    last = evaluated[-1]
    assert last == training.state.held_out and training.state.best == min(evaluated)
    assert training.state.best_step == [30, 60][int(np.argmin(evaluated))]
    # whatever the batch
    assert last == pytest.approx(evaluate(model, dataset().held_out, 5, 3, 0), rel=1e-5)
    assert all(0 <= t.waiting <= 1 and t.images_per_second > 0 for t in seen.timing)
    assert seen.metrics[-1].reconstruction_error < 0.01 and 1 <= seen.metrics[-1].condition < 100


def test_a_step_is_the_derivative_of_the_loss_it_reports():
    model, x = small_model("float64"), batch_of()
    model.initialize(x)
    theta = model.store.theta.copy()
    before = training_step(model, Adam(model.store.theta), x, 5, lr=0.0)
    grad = model.store.grad.copy()
    step = 1e-4
    model.store.theta[...] = theta - step * grad
    after = model.bits_per_dim(x, 5).mean()
    assert before.grad_norm == pytest.approx(np.linalg.norm(grad))
    assert (before.bits_per_dim - after) / step == pytest.approx(grad @ grad, rel=1e-2)


@pytest.mark.parametrize("accumulate", [2, 3, 6])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(accumulate):
    whole, parts, x = small_model("float64"), small_model("float64"), batch_of()
    results = []
    for model, n in ((whole, 1), (parts, accumulate)):
        model.initialize(x)
        model.store.theta[...] += 0.05 * np.random.default_rng(0).standard_normal(len(model.store))
        results.append(
            training_step(model, Adam(model.store.theta), x, 5, lr=1e-3, parts=cut(6, n))
        )
    assert results[0].bits_per_dim == pytest.approx(results[1].bits_per_dim, rel=1e-12)
    np.testing.assert_allclose(parts.store.grad, whole.store.grad, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(parts.store.theta, whole.store.theta, rtol=1e-6)


def test_averaged_weights_are_those_evaluated_and_the_raw_ones_are_those_trained():
    settings = Settings(steps=12, batch=8, average=0.8, evaluate_every=6, log_every=6)
    model = small_model()
    training, seen = run(model, settings)
    thetas, again = [], Training(small_model(), settings)
    record = Record()
    record.on_step = lambda step, result: thetas.append(again.model.store.theta.copy())
    train(again, dataset(), [record])
    weights = 0.8 ** np.arange(11, -1, -1)
    average = np.tensordot(weights / weights.sum(), np.array(thetas, np.float64), 1)
    np.testing.assert_allclose(training.average.value(), average, rtol=1e-4, atol=1e-6)
    raw = model.store.theta.copy()
    held_out = dataset().held_out
    assert seen.metrics[-1].held_out_raw_bits_per_dim == evaluate(model, held_out, 5, 8, 0)
    with training.averaged():
        np.testing.assert_allclose(model.store.theta, average, rtol=1e-4, atol=1e-6)
        assert seen.metrics[-1].held_out_bits_per_dim == evaluate(model, held_out, 5, 8, 0)
    assert model.store.theta.tobytes() == raw.tobytes()


def test_settings_that_make_no_sense_are_refused():
    mistakes = (
        {"optimizer": "sgd"},
        {"decay": "step"},
        {"on_bad_step": "cry"},
        {"batch": 4, "accumulate": 5},
        {"n_bits": 9},
    )
    for wrong in mistakes:
        with pytest.raises(GlowliteError, match=f"{next(reversed(wrong))}"):
            Settings(**wrong)
    with pytest.raises(GlowliteError, match="batch 33 is larger than the 32 training images"):
        run(small_model(), Settings(batch=33))


def test_scores_are_those_of_one_image_at_a_time_and_more_draws_are_tighter():
    model, held_out = small_model(), dataset(80).held_out
    model.initialize(batch_of(dtype="float32"))
    model.store.theta[...] += 0.05 * np.random.default_rng(0).standard_normal(
        len(model.store)
    ).astype(np.float32)
    all_at_once, one_by_one = (scores(model, held_out, 5, n, 0) for n in (8, 1))
    np.testing.assert_allclose(all_at_once, one_by_one, rtol=1e-5)
    np.testing.assert_allclose(
        scores(model, held_out, 5, 8, 0, np.array([0, 1, 2])), all_at_once[:3], rtol=1e-5
    )
    many = scores(model, held_out, 5, 8, 0, draws=20)
    by_definition = []
    for draw in range(20):
        noise = glowlite.training.scoring.dequantization_noise(
            0, "evaluate", draw, 0, (8, 8, 8, 3), "float32"
        )
        by_definition.append(model.log_prob(dequantize(held_out[:], 5, noise)))
    log_mean = np.log(
        np.mean(np.exp(np.array(by_definition) - np.max(by_definition, axis=0)), axis=0)
    )
    expected = -(log_mean + np.max(by_definition, axis=0) - 192 * np.log(32)) / (192 * np.log(2))
    np.testing.assert_allclose(many, expected, rtol=1e-6)
    assert many.mean() < all_at_once.mean()


def test_some_rows_are_fixed_and_of_the_number_asked_for():
    assert some_rows(5, 10).tolist() == [0, 1, 2, 3, 4]
    rows = some_rows(10000, 100)
    assert (
        len(set(rows.tolist())) == 100
        and rows.max() > 9000
        and np.array_equal(rows, some_rows(10000, 100))
    )


# --- what guards a training ---


def checked_step(model, x):
    """A step, and what is said of it if it is not good, in which case it has changed nothing."""
    before = model.store.theta.copy()
    result = training_step(model, Adam(model.store.theta), x, 5, lr=1e-3)
    if not result.good:
        assert np.array_equal(model.store.theta, before)
    check_step(model, x, [slice(0, len(x))], result)


def test_drift_stops_training_and_names_the_layer():
    model = small_model(memory=Memory("reversible"))
    x = batch_of(dtype="float32")
    model.initialize(x)
    weight = model.store.parameters["level1/step0/permutation/weight"]
    weight.value[...] = np.eye(len(weight.value))
    # two rows all but the same: condition number about 4e7, where float32 has 7 digits
    weight.value[0, :2] = (
        1e-7,
        1,
    )
    with pytest.raises(
        GlowliteError,
        match=rf"limit {DRIFT_LIMIT:.0e}.*level1/step0/permutation, .*--memory anchored",
    ):
        checked_step(model, x)


@pytest.mark.parametrize(
    ("name", "named"), [("level0/split/prior", "level0/split"), ("top/prior", "top")]
)
def test_drift_of_a_model_of_one_step_is_named_by_what_is_above_it(name, named):
    """What is off comes from the split, or from the top's prior."""
    model = Glow(
        GlowConfig((8, 8, 3), K=1, L=2, width=8), memory=Memory("reversible"), workers=Workers(1)
    )
    model.store.parameters[f"{name}/conv/bias"].value[...] = (
        1e6  # mean and log-scale: 1e6 - 1e6 keeps no digit of an image
    )
    model.store.parameters[f"{name}/conv/bias"].value[log_scales(name)] = 0
    with pytest.raises(
        GlowliteError, match=rf"limit {DRIFT_LIMIT:.0e}.*most at {named}, .*--memory anchored"
    ):
        checked_step(model, batch_of(dtype="float32"))


def log_scales(name):
    """Where a prior's output has log-scales: every other channel in a split, the second half at the
    top.
    """
    return slice(1, None, 2) if "split" in name else slice(24, None)


def test_of_several_singular_matrices_the_first_is_named():
    """Which of them is worst is decided by rounding, and another processor rounds otherwise."""
    model = small_model()
    rng = np.random.default_rng(0)
    for name in ("level0/step1", "level1/step0", "level1/step1"):
        weight = model.store.parameters[f"{name}/permutation/weight"].value
        u, v = rng.integers(1, 10, (2, len(weight)))  # their products are exact in float32
        for value in (30.0, 0.0, np.outer(u, v)):
            weight[...] = value
            with pytest.raises(
                GlowliteError, match=r"level0/step1/permutation is nearly singular.* inf "
            ):
                condition(model)
    model.initialized = True
    with pytest.raises(GlowliteError, match="a 1x1 convolution is singular and has no inverse"):
        model.sample(1)


def test_a_matrix_that_is_nearly_singular_is_named():
    model = small_model()
    assert condition(model) == pytest.approx(1, abs=1e-4)  # orthogonal to begin with
    weight = model.store.parameters["level1/step1/permutation/weight"].value
    weight[...] = np.diag([1e-5, *np.ones(len(weight) - 1)])
    assert condition(model) == pytest.approx(1e5, rel=1e-3)
    weight[0, 0] = 1e-7
    with pytest.raises(
        GlowliteError, match=r"level1/step1/permutation is nearly singular.*1\.0e\+07.*--lr"
    ):
        condition(model)
    weight[0, 0] = np.nan
    with pytest.raises(
        GlowliteError,
        match="weights are no longer finite, first at level1/step1/permutation/weight",
    ):
        condition(model)


def test_models_without_matrices_have_no_condition_number():
    assert condition(Glow(GlowConfig((8, 8, 3), K=1, L=2, width=8, permutation="shuffle"))) == 1.0


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("level0/step1/actnorm/bias", np.nan, "first at level0/step1/actnorm/bias"),
        ("level1/step0/actnorm/logs", 60.0, "first at level1/step0/actnorm"),
    ],
)
def test_a_loss_that_is_not_finite_names_the_step_and_the_layer(name, value, said):
    model = small_model()
    model.initialize(batch_of(dtype="float32"))
    model.store.parameters[name].value[...] = value
    with pytest.raises(GlowliteError, match=rf"^step 1: the loss is (nan|inf), .*{said}.*--lr"):
        train(Training(model, Settings(steps=2, batch=8)), dataset(), [])


def break_gradient(monkeypatch, at_steps, name="level1/step0/coupling/net/conv2/weight"):
    """Make the gradient of a parameter infinite in the backward passes of these numbers."""
    gradients, calls = Glow.gradients, []
    monkeypatch.setattr(Lanes, "are_two", lambda lanes, images: False)  # one pass a step

    def broken(model, *arguments):
        result = gradients(model, *arguments)
        calls.append(None)
        if len(calls) in at_steps:
            model.store.parameters[name].grad.ravel()[3] = np.inf
        return result

    monkeypatch.setattr(Glow, "gradients", broken)


def test_a_gradient_that_is_not_finite_stops_and_names_the_parameter(monkeypatch):
    model = small_model()
    name = next(
        n
        for n in model.store.parameters
        if "level1/step0/coupling/net" in n and n.endswith("weight")
    )
    break_gradient(monkeypatch, {3}, name)
    with pytest.raises(
        GlowliteError, match=rf"^step 3: the norm of the gradient is inf, first at {name}; .*--clip"
    ):
        train(Training(model, Settings(steps=5, batch=8)), dataset(), [])


def test_bad_steps_are_skipped_and_counted_and_leave_no_trace(monkeypatch):
    model = small_model()
    name = next(
        n
        for n in model.store.parameters
        if "level1/step0/coupling/net" in n and n.endswith("weight")
    )
    break_gradient(monkeypatch, {3, 4}, name)
    settings = Settings(steps=6, batch=8, log_every=1, on_bad_step="skip", average=0.9)
    training, seen = run(model, settings)
    assert [result is None for _, result in seen.steps] == [False, False, True, True, False, False]
    assert [m.skipped for m in seen.metrics] == [0, 0, 1, 2, 2, 2]
    assert seen.metrics[2].train_bits_per_dim is None and seen.metrics[2].grad_norm is None
    assert training.optimizer.steps == training.average.updates == 4
    assert np.isfinite(model.store.theta).all()


def test_skipping_ends_when_every_step_is_bad(monkeypatch):
    model = small_model()
    name = next(
        n
        for n in model.store.parameters
        if "level1/step0/coupling/net" in n and n.endswith("weight")
    )
    break_gradient(monkeypatch, range(1, 1000), name)
    with pytest.raises(GlowliteError, match=r"^step 21: .*\(21 bad steps so far\)$"):
        run(model, Settings(steps=100, batch=8, on_bad_step="skip"))


def test_a_held_out_loss_that_explodes_stops_the_training(monkeypatch):
    figures = iter([5.0, 7.9, 8.1])
    monkeypatch.setattr(glowlite.training.loop, "evaluate", lambda *_: next(figures))
    seen = Record()
    training = Training(
        small_model(), Settings(steps=30, batch=8, average=0.0, log_every=5, evaluate_every=10)
    )
    with pytest.raises(
        GlowliteError, match=r"^step 30: held-out bits/dim are 8\.100, after 5\.000 at best.*--lr"
    ):
        train(training, dataset(), [seen])
    assert seen.checkpoints == [10]


def test_settings_round_trip_through_plain_values():
    settings = Settings(augmentation=Augmentation(flip=True, shift=0.1))
    assert dataclasses.asdict(settings)["augmentation"] == {"flip": True, "shift": 0.1}


@pytest.mark.bits
def test_threads_change_nothing():
    thetas = []
    for threads in (1, 2, 3):
        model = Glow(GlowConfig((8, 8, 3), K=2, L=2, width=16), workers=Workers(threads))
        run(model, Settings(steps=4, batch=16, accumulate=2, average=0.9))
        thetas.append(model.store.theta.tobytes())
    assert len(set(thetas)) == 1
