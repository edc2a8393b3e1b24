"""What ranks have in common: equal after the broadcast,
compared at the start and at every evaluation.
"""

import argparse
import json
import subprocess
import sys

import numpy as np
import pytest
from small_runs import dataset, environment, images
from test_communicator import MPIRUN, RUN

import glowlite.training.loop
from glowlite import Glow, GlowConfig
from glowlite.distributed.allreduce import Allreduce
from glowlite.distributed.communicator import OneProcess
from glowlite.errors import GlowliteError
from glowlite.fast.threads import Workers
from glowlite.training import checkpoint
from glowlite.training.agreement import (
    check_same,
    check_together,
    facts_of_data,
    facts_of_options,
    unlike_most,
)
from glowlite.training.loop import train
from glowlite.training.run import Training
from glowlite.training.settings import Settings

pytest.importorskip("mpi4py", reason="an MPI comes with pip install '.[test]'")


class First(OneProcess):
    """Rank 0 of two, run before the other: it keeps what it says."""

    size = 2

    def __init__(self):
        self.said = []

    def broadcast(self, value, root=0):
        self.said.append(value)
        return value

    def broadcast_array(self, array):
        self.said.append(array.copy())

    def allgather_numbers(self, values, place):
        self.said.append(values.copy())
        return np.stack([values, values])


class Second(OneProcess):
    """Rank 1 of two, which hears what the other said."""

    rank, size = 1, 2

    def __init__(self, first):
        self.said = list(first.said)

    def broadcast(self, value, root=0):
        return self.said.pop(0)

    def broadcast_array(self, array):
        array[...] = self.said.pop(0)

    def allgather_numbers(self, values, place):
        return np.stack([self.said.pop(0), values])


def training(ranks, seed=0, permutation="lu"):
    config = GlowConfig((8, 8, 3), K=1, L=2, width=8, permutation=permutation)
    settings = Settings(steps=4, batch=8, average=0.9, evaluate_every=2, log_every=3)
    return Training(Glow(config, seed, workers=Workers(1)), settings, Allreduce(ranks))


def numbers(one):
    """Every array and every number that a step depends on, by name; arrays as bytes."""
    store, optimizer, average = one.model.store, one.optimizer, one.average
    arrays = {"theta": store.theta, "m": optimizer.m, "v": optimizer.v, "average": average.sum}
    arrays |= {name: constant.value for name, constant in store.constants.items()}
    counts = {
        "optimizer": optimizer.steps,
        "updates": average.updates,
        "initialized": one.model.initialized,
    }
    return {
        **{name: array.tobytes() for name, array in arrays.items()},
        **counts,
        **vars(one.state),
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of step 4 of each kind of model."""
    folder = tmp_path_factory.mktemp("saved")
    for permutation in ("lu", "shuffle", "conv1x1"):
        one = training(OneProcess(), 3, permutation)
        train(one, dataset(40), [])
        checkpoint.save(one, folder / permutation, 4)
    return folder


@pytest.mark.parametrize("permutation", ["lu", "shuffle", "conv1x1"])
def test_ranks_that_began_different_are_equal_after_the_broadcast(saved, permutation):
    first = training(First(), 0, permutation)
    checkpoint.restore(first, saved / permutation)
    assert checkpoint.tell(first, saved / permutation) == saved / permutation
    second = training(Second(first.ranks), 1, permutation)
    begun = numbers(second)
    assert checkpoint.tell(second, None) == saved / permutation
    told = numbers(first)
    assert (
        numbers(second) == told
        and told["step"] == told["optimizer"] == told["updates"] == 4
        and told["initialized"]
    )
    # what the broadcast had nothing to do for
    same = {name for name in told if told[name] == begun[name]}
    assert not same & {"theta", "m", "v", "average", "best", "held_out", "best_step"}
    assert permutation == "conv1x1" or set(first.model.store.constants) - same


PLANTED = {  # a difference on rank 1, and what it is in
    "weights": (lambda one: bump(one.model.store.theta), "the weights"),
    "m": (lambda one: bump(one.optimizer.m), "the first moments of the optimizer"),
    "v": (lambda one: bump(one.optimizer.v), "the second moments of the optimizer"),
    "average": (lambda one: bump(one.average.sum), "the averaged weights"),
    "constant": (
        lambda one: bump(next(iter(one.model.store.constants.values())).value),
        "level0/step0/",
    ),
    "optimizer steps": (lambda one: setattr(one.optimizer, "steps", 7), "where the training is"),
    "updates": (lambda one: setattr(one.average, "updates", 7), "where the training is"),
    "step": (lambda one: setattr(one.state, "step", 7), "where the training is"),
    "best": (lambda one: setattr(one.state, "best", 7.0), "where the training is"),
}


def bump(vector):
    """By the smallest step there is, in the last number."""
    flat = vector.reshape(-1)
    flat[-1] = np.nextafter(flat[-1], np.inf) if flat.dtype.kind == "f" else flat[-1] + 1


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_difference_is_noticed(what):
    plant, named = PLANTED[what]
    first = training(First())
    check_together(first, "here")
    same = training(Second(first.ranks))
    check_together(same, "here")
    other = training(Second(first.ranks))
    plant(other)
    with pytest.raises(GlowliteError, match=f"^rank 1 and the others differ in {named}"):
        check_together(other, "here")


def test_ranks_are_compared_at_the_start_and_at_every_evaluation(monkeypatch):
    compared = []
    monkeypatch.setattr(
        glowlite.training.loop,
        "check_together",
        lambda one, when: compared.append((one.state.step, when)),
    )
    train(training(OneProcess()), dataset(40), [])
    assert compared == [
        (0, "the start"),
        (2, "the evaluation after step 2"),
        (4, "the evaluation after step 4"),
    ]


@pytest.mark.parametrize(
    ("values", "unlike"),
    [([1, 1], []), ([1, 2], [1]), ([2, 1, 1], [0]), ([1, 2, 1, 3], [1, 3]), ([1, 1, 2, 2], [2, 3])],
)
def test_the_ranks_that_differ_are_those_unlike_most(values, unlike):
    assert unlike_most(values) == unlike


class Four(OneProcess):
    """Rank 0 of four that have said what they are."""

    def __init__(self, *facts):
        self.facts = facts

    def allgather(self, value):
        return [{name: json.dumps(value) for name, value in facts.items()} for facts in self.facts]


def test_facts_that_differ_are_named_with_the_ranks():
    facts = {"--K": 1, "images": 50}
    check_same(Four(facts, facts, facts), facts)
    for others, said in (
        (
            (facts, {**facts, "images": 49}, facts),
            "rank 1 and the others differ: images is 49 there, but 50 here",
        ),
        (
            ({**facts, "--K": 2}, facts, facts),
            "rank 0 and the others differ: --K is 2 there, but 1 here",
        ),
        (
            (facts, {"--K": 1}, facts, {"--K": 1}),
            "ranks 1, 3 and the others differ: images is none there, but 50 here",
        ),
    ):
        with pytest.raises(GlowliteError, match=said):
            check_same(Four(*others), facts)


def test_options_of_a_machine_may_differ_and_those_of_the_model_may_not():
    given = argparse.Namespace(width=8, threads=2, data="a", out="b", mpi_timeout=600.0, seed=0)
    assert facts_of_options(given) == {"--width": 8, "--seed": 0}


def test_data_are_compared_by_number_shape_and_content():
    data = dataset(40)
    facts = facts_of_data(data)
    assert facts == facts_of_data(dataset(40))
    data.train.array[-1, 0, 0, 0] ^= 1
    changed = facts_of_data(data)
    assert [name for name in facts if changed[name] != facts[name]] == [
        "the fingerprint of the images"
    ]
    assert (
        facts_of_data(dataset(39))["the number of training images"]
        == facts["the number of training images"] - 1
    )
    assert facts_of_data(dataset(40, h=16))["the shape of images"] == [16, 8, 3]


# --- commands ---

WEIGHTS = """
import os, sys
import glowlite.training.run
step, calls = glowlite.training.run.training_step, []
def broken(model, *arguments, **options):
    calls.append(None)
    if os.environ['PMI_RANK'] == '1' and len(calls) == 3:
        model.store.theta[5] += 1e-12
    return step(model, *arguments, **options)
glowlite.training.run.training_step = broken
from glowlite.commands.program import run
from glowlite.train import main
run(main, 'train')"""
TRAIN = [sys.executable, *RUN, "--evaluate-every", "5", "--steps", "1000", "--out", "run", "--data"]
DIFFERENT = {  # what two ranks run, and what is said
    "numbers": (
        [[*TRAIN, "some.npz"], [*TRAIN, "more.npz"]],
        "rank 1 and the others differ: the number of training images is 63 there, but 54 here",
    ),
    "models": (
        [[*TRAIN, "some.npz"], [*TRAIN, "some.npz", "--width", "16"]],
        "rank 1 and the others differ: --width is 16 there, but 8 here",
    ),
    "commands": (
        [[*TRAIN, "some.npz"], [sys.executable, "-m", "glowlite.evaluate", "--data", "faces"]],
        'rank 1 and the others differ: the command is "evaluate" there, but "train" here',
    ),
    "weights": (
        [[sys.executable, "-c", WEIGHTS, *TRAIN[3:], "some.npz"]] * 2,
        "step 5: rank 1 and the others differ in the weights",
    ),
}


@pytest.mark.skipif(not MPIRUN.exists(), reason="an MPI comes with pip install '.[test]'")
@pytest.mark.parametrize("what", DIFFERENT)
def test_ranks_that_differ_end_in_one_line(tmp_path, what):
    (first, second), said = DIFFERENT[what]
    np.savez(tmp_path / "some.npz", images=images(60))
    np.savez(tmp_path / "more.npz", images=images(70))
    done = subprocess.run(
        [MPIRUN, "-n", "1", *first, ":", "-n", "1", *second],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said_before = "writing to", "memory 256MB: keeps "
    lines = [
        line for line in done.stderr.splitlines() if not any(word in line for word in said_before)
    ]
    assert done.returncode == 2 and len(lines) == 1 and said in lines[0], done.stderr
    assert (tmp_path / "run").exists() == (what == "weights")
