"""NaN and infinity, wherever they come up in training, change no weight and are said: on the host,
a device, over ranks.
"""

import json
import math

import numpy as np
import pytest
import strict_device
from small_runs import dataset, small_model

import glowlite.training.loop
from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.arrays.backend import to_host
from glowlite.commands.evaluate import mean_and_error, not_finite
from glowlite.distributed.allreduce import Allreduce
from glowlite.distributed.communicator import OneProcess
from glowlite.fast.lanes import Lanes
from glowlite.fast.threads import Workers
from glowlite.objective import dequantize_midpoint
from glowlite.training.guards import BadStep, check_held_out, check_step, check_weights, is_good
from glowlite.training.loop import train
from glowlite.training.metrics import StepResult
from glowlite.training.optimizers import OPTIMIZERS, gradient_norm
from glowlite.training.run import SKIPPED_IN_A_ROW, Training
from glowlite.training.settings import Settings
from glowlite.training.step import training_step

NAN, INF = math.nan, math.inf
BAD = [
    ("loss", NAN),
    ("loss", INF),
    ("loss", -INF),
    ("gradient", NAN),
    ("gradient", INF),
    ("drift", NAN),
    ("drift", INF),
]
SAID = {
    "loss": "the loss is",
    "gradient": "the norm of the gradient is",
    "drift": "rebuilt inputs are off by",
}
BACKENDS = {"host": np, "device": strict_device.xp}
quiet = pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")


@pytest.fixture(autouse=True)
def whole_batches(monkeypatch):
    """What is spoiled here is a whole batch."""
    monkeypatch.setattr(Lanes, "are_two", lambda lanes, images: False)


def made(xp=np, dtype="float32", ranks=None, **settings):
    model = Glow(GlowConfig((8, 8, 3), K=1, L=1, width=4), dtype=dtype, workers=Workers(1), xp=xp)
    defaults = {
        "steps": 5,
        "batch": 8,
        "average": 0.9,
        "log_every": 5,
        "evaluate_every": 100,
        "evaluate_images": 4,
    }
    return Training(
        model, Settings(**{**defaults, **settings}), None if ranks is None else Allreduce(ranks)
    )


def everything(training):
    """All that a bad step must leave as it is."""
    optimizer = training.optimizer
    vectors = [training.model.store.theta, optimizer.m, optimizer.v, training.average.sum]
    return [np.array(v.get() if hasattr(v, "get") else v) for v in vectors]


class Broken:
    """Spoils loss, gradient or drift of a training's steps of these numbers, from 1, by a value
    that is not finite.
    """

    def __init__(self, monkeypatch, training, kind, value, steps):
        self.kind, self.value, self.steps, self.training = kind, value, steps, training
        self.batches = {}  # a batch that is done again, to be named, is spoiled again
        self.forward, self.backward = Glow.forward_with_cache, Glow.backward
        monkeypatch.setattr(
            Glow, "forward_with_cache", lambda model, x: self.spoiled_forward(model, x)
        )
        monkeypatch.setattr(
            Glow, "backward", lambda model, *given: self.spoiled_backward(model, *given)
        )

    def spoiled_forward(self, model, x):
        key = (x._host if hasattr(x, "_host") else x).tobytes()
        self.now = self.batches.setdefault(key, len(self.batches) + 1) in self.steps
        latents, logdet, kept = self.forward(model, x)
        return latents, logdet + (-self.value if self.now and self.kind == "loss" else 0), kept

    def spoiled_backward(self, model, *given):
        x, dx = self.backward(model, *given)
        if self.now and self.kind == "gradient":
            model.store.grad[5] = self.value
        return x + (self.value if self.now and self.kind == "drift" else 0), dx


@quiet
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("kind", "value"), BAD)
def test_a_step_that_is_not_finite_changes_nothing_and_is_said(
    monkeypatch, kind, value, backend, dtype
):
    training, before = (made(BACKENDS[backend], dtype) for _ in range(2))
    train(before, dataset(), [], stop=lambda: before.state.step == 2)
    Broken(monkeypatch, training, kind, value, {3})
    with pytest.raises(GlowliteError, match=f"^step 3: {SAID[kind]} -?(nan|inf)"):
        train(training, dataset(), [])
    # on a device the host looks later: no weight, and neither vector of the optimiser, may have
    # moved since step 2
    for after, then in zip(everything(training)[:3], everything(before)[:3], strict=True):
        np.testing.assert_array_equal(after, then)


@quiet
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("kind", "value"), BAD)
def test_a_skipped_step_leaves_no_trace(monkeypatch, kind, value, backend):
    training = made(BACKENDS[backend], on_bad_step="skip")
    Broken(monkeypatch, training, kind, value, {3})
    seen = []

    def stop():
        seen.append(everything(training))
        return False

    train(training, dataset(), [], stop)
    for at_2, at_3, at_4 in zip(seen[1], seen[2], seen[3], strict=True):
        np.testing.assert_array_equal(at_2, at_3)
        assert np.isfinite(at_4).all() and not np.array_equal(at_3, at_4)
    assert (training.state.skipped, training.state.skipped_in_a_row) == (1, 0)
    assert (
        training.optimizer.steps == training.average.updates == 4
        and len(training.state.losses) == 0
    )


@quiet
def test_bad_steps_that_are_not_in_a_row_never_end_a_run(monkeypatch):
    steps = 2 * (SKIPPED_IN_A_ROW + 3)
    training = made(on_bad_step="skip", steps=steps, log_every=steps)
    Broken(monkeypatch, training, "gradient", NAN, set(range(2, steps, 2)))
    train(training, dataset(), [])
    assert training.state.skipped > SKIPPED_IN_A_ROW and training.state.step == steps
    assert np.isfinite(training.model.store.theta).all()


class OneOfTwo(OneProcess):
    """Rank 0 of two, the other of which answers at once: with a table of its own, and a vector that
    it adds.
    """

    size = 2

    def __init__(self, table=(), added=0.0, problem="something of rank 1"):
        self.table, self.added, self.problem = list(table), added, problem

    def allgather_numbers(self, values, place):
        return np.stack(
            [values, np.where(np.isnan(self.table), values, self.table) if self.table else values]
        )

    def broadcast(self, value, root=0):
        return value if root == 0 else self.problem

    def allreduce(self, array, pairwise=False):
        array += np.asarray(self.added, array.dtype)


def batch(dtype="float32"):
    return dequantize_midpoint(dataset().train[:4], 5, dtype)


def step_over(ranks, dtype="float32"):
    """One step of a model over these ranks: theta before, and after it or after what it raised."""
    training = made(dtype=dtype)
    model, optimizer = training.model, training.optimizer
    model.initialize(batch(dtype))
    before = model.store.theta.copy()
    error, x = None, batch(dtype)
    try:
        result = training_step(model, optimizer, x, 5, 1e-2, batch=8, allreduce=Allreduce(ranks))
        check_step(model, x, [slice(0, 4)], result, ranks)
    except BadStep as caught:
        error = str(caught)
    return before, model.store.theta, error


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_gradient_of_another_rank_that_is_not_finite_changes_nothing_here(value, dtype):
    before, after, error = step_over(OneOfTwo(added=value), dtype)
    assert "the norm of the gradient is" in error and np.array_equal(before, after)
    sound_before, sound_after, none = step_over(OneOfTwo(), dtype)
    assert none is None and not np.array_equal(sound_before, sound_after)


def test_a_problem_of_another_rank_is_everybodys():
    before, after, error = step_over(OneOfTwo(table=[5.0, 1.0]))  # its loss, and its drift
    assert error == "something of rank 1" and np.array_equal(before, after)


@quiet
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_every_guard_knows_what_is_not_finite(value):
    model, x = small_model(), batch()
    model.initialize(x)
    for kind, said in enumerate(SAID.values()):
        if (kind, value) == (2, -INF):
            continue  # a drift is never below zero
        table = [5.0, 1.0, 0.0]
        table[kind] = value
        assert not is_good(*map(np.float64, table))
        shares = np.array([[[table[0]], [table[2]]]])
        with pytest.raises(BadStep, match=f"{said} -?(nan|inf)"):
            check_step(
                model, x, [slice(0, 4)], StepResult(np.array(table), np.array(False), shares)
            )
    for best in (None, 5.0):
        with pytest.raises(GlowliteError, match=r"held-out bits/dim are -?(nan|inf)"):
            check_held_out(value, best)
    model.store.theta[3] = value
    with pytest.raises(GlowliteError, match="weights are no longer finite, first at"):
        check_weights(model)
    assert bool(is_good(*map(np.float64, (5.0, 1.0, 0.0))))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("place", [0, 70_000, -1])
def test_the_norm_of_a_gradient_that_is_not_finite_is_not(place, value, dtype, backend):
    grad = np.ones(200_000, dtype)
    grad[place] = value
    assert not math.isfinite(float(gradient_norm(BACKENDS[backend].asarray(grad))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_step_is_taken_whose_scale_is_nan(backend, name, dtype):
    """How the optimiser is told, without the host, that a step is bad: see `training_step`."""
    xp = BACKENDS[backend]
    optimizer = OPTIMIZERS[name](xp.asarray(np.ones(5, dtype)))
    grad = xp.asarray(np.array([1, NAN, INF, 0, -1], dtype))
    optimizer.step(grad, 0.1, xp.full((), NAN))
    assert [to_host(vector).tolist() for vector in (optimizer.theta, optimizer.m, optimizer.v)] == [
        [1.0] * 5,
        [0.0] * 5,
        [0.0] * 5,
    ]


def test_scores_and_reconstructions_that_are_not_finite_stay_out_of_metrics(monkeypatch, tmp_path):
    """NaN is not JSON: a line of metrics holds null where it cannot hold a number."""
    scored = iter([NAN, 5.0])  # of the raw weights, and of the averaged
    monkeypatch.setattr(glowlite.training.loop, "evaluate", lambda *given: next(scored))
    monkeypatch.setattr(glowlite.training.loop, "reconstruction_error", lambda *given: INF)
    lines = []

    class Seen:
        def on_metrics(self, metrics, timing):
            lines.append(metrics)

        def __getattr__(self, name):
            return lambda *given: None

    train(made(), dataset(), [Seen()])
    assert lines[-1].held_out_bits_per_dim == 5.0
    assert lines[-1].held_out_raw_bits_per_dim is lines[-1].reconstruction_error is None
    json.dumps(vars(lines[-1]), allow_nan=False)


def test_an_evaluation_says_how_many_scores_are_not_finite():
    scores = np.array([1.0, NAN, INF, -INF])
    assert not_finite(scores) == "; 3 of them not finite" and not_finite(scores[:1]) == ""
    assert "nan" in mean_and_error(scores)
