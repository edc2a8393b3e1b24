"""A model can be copied, pickled, and used in a process that was forked or spawned,
whatever was done with it before.
"""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import strict_device
from small_runs import dataset, small_model
from test_training import batch_of

from glowlite import Glow, GlowConfig
from glowlite.fast.threads import Workers
from glowlite.training.loop import train
from glowlite.training.optimizers import Adam
from glowlite.training.run import Training
from glowlite.training.settings import Settings
from glowlite.training.step import training_step

SECONDS = 60  # a process that hangs is ended

WAYS = {"deepcopy": copy.deepcopy}
WAYS |= {f"pickle {n}": lambda thing, n=n: pickle.loads(pickle.dumps(thing, n)) for n in (2, 5)}


def used_model(threads=2, permutation="conv1x1"):
    """A model that was trained a little: its threads and everything
    that is kept between passes are there.
    """
    model = Glow(
        GlowConfig((8, 8, 3), K=2, L=2, width=8, permutation=permutation),
        workers=Workers(threads, 1 / 256),
    )
    model.n_bits = 5
    x = batch_of(dtype="float32")
    model.initialize(x)
    training_step(model, Adam(model.store.theta), x, 5, lr=1e-3)
    return model


@pytest.mark.parametrize("permutation", ["conv1x1", "lu", "shuffle"])
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_a_model_is_the_same_and_on_its_own(way, permutation):
    model, x = used_model(permutation=permutation), batch_of(dtype="float32")
    expected, theta, grad = model.sample(3), model.store.theta.copy(), model.store.grad.copy()
    twin = WAYS[way](model)
    assert (
        np.array_equal(twin.sample(3), expected)
        and np.array_equal(twin.store.grad, grad)
        and grad.any()
    )
    assert (twin.config, twin.n_bits, twin.initialized, twin.xp) == (model.config, 5, True, np)
    assert twin.workers is not model.workers and twin.levels[0].steps.workers is twin.workers
    for name, p in twin.store.parameters.items():
        assert np.shares_memory(p.value, twin.store.theta) and np.shares_memory(
            p.grad, twin.store.grad
        ), name
        assert twin.parameters()[name] is p
    training_step(twin, Adam(twin.store.theta), x, 5, lr=1e-3)
    assert np.array_equal(model.store.theta, theta) and np.array_equal(model.store.grad, grad)
    assert np.array_equal(model.sample(3), expected) and not np.array_equal(
        twin.sample(3), expected
    )
    training_step(model, Adam(model.store.theta), x, 5, lr=1e-3)
    assert np.array_equal(model.store.theta, twin.store.theta)


def test_arrays_that_may_not_be_written_to_become_such_as_may():
    """As buffers out of band are, and what joblib hands to its processes."""
    buffers = []
    data = pickle.dumps(used_model(), 5, buffer_callback=buffers.append)
    twin = pickle.loads(data, buffers=[bytes(buffer.raw()) for buffer in buffers])
    training_step(twin, Adam(twin.store.theta), batch_of(dtype="float32"), 5, lr=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_a_training_that_is_copied_goes_on_as_the_original(way):
    settings, data = Settings(steps=6, batch=8, average=0.9, evaluate_every=3), dataset()
    training = Training(small_model(), settings)
    train(training, data, [], stop=lambda: training.state.step == 3)
    twin = WAYS[way](training)
    for one in (training, twin):
        train(one, data, [])
    assert twin.state.losses == training.state.losses and twin.state.best == training.state.best
    assert np.array_equal(twin.model.store.theta, training.model.store.theta)
    assert np.array_equal(twin.average.value(), training.average.value())
    assert not np.shares_memory(twin.model.store.theta, training.model.store.theta)


@pytest.mark.parametrize("way", WAYS)
def test_a_layer_and_a_parameter_are_copied_alone(way):
    model = used_model()
    x = model.levels[0].squeeze.forward(batch_of(dtype="float32"))[0]
    steps = model.levels[0].steps
    twin = WAYS[way](steps)
    assert np.array_equal(twin.forward(x)[0], steps.forward(x)[0])
    parameter = model.store.parameters["level1/step0/actnorm/bias"]
    other = WAYS[way](parameter)
    assert np.array_equal(other.value, parameter.value) and np.array_equal(
        other.grad, parameter.grad
    )
    other.value[...] += 1
    assert not np.array_equal(other.value, parameter.value)
    assert copy.copy(parameter).value is parameter.value


def test_a_shallow_copy_of_a_model_shares_its_weights():
    model = used_model()
    twin = copy.copy(model)
    model.store.theta[...] *= 1.1
    assert np.array_equal(twin.sample(2), model.sample(2))


def test_a_copy_of_workers_has_threads_of_its_own():
    workers = Workers(3, tile_mb=2.0)
    workers.map(lambda i: i, range(4))
    for copied in (copy.copy(workers), *(way(workers) for way in WAYS.values())):
        assert (copied.threads, copied.tile_numbers, copied.blas) == (
            3,
            workers.tile_numbers,
            "numpy",
        )
        assert copied.map(lambda i: i * i, range(4)) == [0, 1, 4, 9]


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_stays_on_its_device(way):
    model, x = (
        Glow(GlowConfig((8, 8, 3), K=2, L=1, width=8), xp=strict_device.xp),
        strict_device.xp.zeros((2, 8, 8, 3), "float32"),
    )
    before = model.log_prob(x).get()
    twin = WAYS[way](model)
    twin.store.theta[...] *= 1.5
    assert np.array_equal(model.log_prob(x).get(), before) and not np.array_equal(
        twin.log_prob(x).get(), before
    )
    assert twin.xp is strict_device.xp and type(twin.store.theta) is strict_device.ndarray
    twin.store.theta[...] = 2
    assert (
        all((p.value.get() == 2).all() for p in twin.parameters().values())
        and not (model.store.theta.get() == 2).any()
    )


def send_samples(model, pipe):
    pipe.send(model.sample(3))


def samples_of_a_process(kind, model):
    """model.sample(3) of a process that is started by `fork` or `spawn`."""
    context = multiprocessing.get_context(kind)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=send_samples, args=(model, theirs), daemon=True)
    process.start()
    try:
        assert ours.poll(SECONDS), "it hangs, or has failed"
        return ours.recv()
    finally:
        process.kill()
        process.join()


# of Python 3.12: this process has threads
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_model_that_was_used_works_in_a_forked_process(threads):
    model = used_model(threads)
    expected = model.sample(3)
    assert np.array_equal(samples_of_a_process("fork", model), expected)
    with model.workers:  # in the middle of something
        assert np.array_equal(samples_of_a_process("fork", model), expected)
    assert np.array_equal(model.sample(3), expected)


def test_a_model_that_was_used_works_in_a_spawned_process():
    model = used_model()
    assert np.array_equal(samples_of_a_process("spawn", model), model.sample(3))
