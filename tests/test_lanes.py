"""Two lanes: the same bits in two processes, in two threads and one after the other; and what can
happen to a process.
"""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.bijectors.flow_step import FlowStep
from glowlite.fast.lanes import SMALL, Lanes
from glowlite.fast.threads import Workers
from glowlite.models.steps import flow_step
from glowlite.training.optimizers import Adam
from glowlite.training.step import training_step

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="lanes are processes on Linux only")
SIDE, IMAGES = 8, 9
SECONDS = 20


def small_glow(dtype="float32", threads=2, memory="256MB", **more):
    config = GlowConfig((SIDE, SIDE, 3), **{"K": 2, "L": 2, "width": 8})
    model = Glow(config, 0, dtype, Memory.parse(memory), Workers(threads), **more)
    rng = np.random.default_rng(0)
    model.initialize(images(IMAGES, dtype))
    model.store.theta[...] += 0.05 * rng.standard_normal(len(model.store)).astype(dtype)
    return model


def images(count=IMAGES, dtype="float32"):
    return (np.random.default_rng(1).random((count, SIDE, SIDE, 3)) - 0.5).astype(dtype)


def gradients(run, model, x=None):
    model.store.grad[...] = 1.0  # gradients add
    loss, drift = run(images(dtype=model.dtype.name) if x is None else x, 5)
    return float(loss), float(drift), model.store.grad.copy()


def is_there(pid):
    """Whether a process runs: one that has ended and waits to be asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(done):
    end = time.monotonic() + SECONDS
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    assert done()


@pytest.mark.bits
@pytest.mark.parametrize("memory", ["0", "0+anchored:1", "60KB", "all"])
def test_processes_threads_and_one_thread_give_the_same_bits(memory):
    results = []
    for threads, processes in ((2, True), (2, False), (1, True)):
        model = small_glow(threads=threads, memory=memory)
        with Lanes(model, IMAGES, processes) as lanes:
            assert (lanes._process is not None) == (threads == 2 and processes)
            results.append(gradients(lanes.gradients, model))
            results.append(gradients(lanes.gradients, model))  # nothing is left of the first
    for loss, drift, grad in results[1:]:
        assert (loss, drift) == results[0][:2]
        np.testing.assert_array_equal(grad, results[0][2])
    assert (results[0][1] > 0) == (memory != "all")


@pytest.mark.parametrize("count", [IMAGES, 2])
def test_lanes_change_gradients_by_rounding_only(count):
    model = small_glow("float64")
    x = images(count, "float64")
    with Lanes(model, IMAGES) as lanes:
        loss, drift, grad = gradients(lanes.gradients, model, x)
    expected_loss, expected_drift, expected = gradients(model.gradients, model, x)
    assert abs(loss - expected_loss) < 1e-12 and drift == expected_drift == 0
    np.testing.assert_allclose(grad, expected, rtol=0, atol=1e-11 * abs(expected).max())


def test_a_lane_sees_what_becomes_of_the_parameters_and_of_the_budget():
    model, alone = small_glow(), small_glow(threads=1)
    with Lanes(model, IMAGES) as lanes, Lanes(alone, IMAGES) as others:
        first = gradients(lanes.gradients, model)
        for each in (model, alone):
            each.store.theta[...] *= 0.9
            each.memory = Memory(0)
        now = gradients(lanes.gradients, model)
        expected = gradients(others.gradients, alone)
    assert now[:2] == expected[:2] and now[0] != first[0] and now[1] > 0
    np.testing.assert_array_equal(now[2], expected[2])


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model, protocol=5))]
)
def test_a_copied_model_whose_parameters_are_its_own_gives_the_same_bits(copied):
    model, alone = copied(small_glow()), small_glow(threads=1)
    with Lanes(model, IMAGES) as lanes, Lanes(alone, IMAGES) as others:
        assert lanes._process is None  # another would see the parameters as they are now
        for each in (model, alone):
            each.store.theta[...] *= 0.9
        now, expected = gradients(lanes.gradients, model), gradients(others.gradients, alone)
    assert now[:2] == expected[:2]
    np.testing.assert_array_equal(now[2], expected[2])


def test_lanes_keep_what_the_run_says_that_it_keeps():
    for budget in ("0", "20KB", "40KB", "60KB", "80KB", "all"):
        model, x = small_glow(memory=budget), images(8)
        said = model.kept(8).plans
        with Lanes(model, 8, processes=False) as lanes:
            lanes.gradients(x, 5)
            for flow in lanes._flows:
                with model.workers.whole():
                    assert flow.bijector.plans(x[:2], 4) == said


def test_a_lane_is_not_cut_again():
    workers = Workers(2, 1e-3)
    assert len(workers.tiles(21, 16, 8)) > 2
    with workers.whole():
        assert workers.tiles(21, 16, 8) == [slice(0, 21)]
        assert workers.map(lambda i: threading.get_ident(), range(4)) == [threading.get_ident()] * 4
    assert len(workers.tiles(21, 16, 8)) > 2


def test_which_batches_have_two_lanes():
    def are_two(count, side=SIDE, **config):
        model = Glow(GlowConfig((side, side, 3), **{"K": 1, "L": 1, "width": 8, **config}))
        return Lanes(model, count).are_two(count)

    assert are_two(2) and are_two(IMAGES) and not are_two(1)
    assert are_two(1024, 32) and not are_two(1100, 32)  # 8 channels on 16x16: 4 MB a half
    assert are_two(16, 32, width=512)
    assert not are_two(16, 32, K=20, width=512)  # 6 million parameters
    plain = Glow(GlowConfig((SIDE, SIDE, 3), K=1, L=1, width=8), plain=True)
    assert not Lanes(plain, IMAGES).are_two(IMAGES)
    assert SMALL == 4 * 2**20


def test_a_batch_that_is_not_cut_is_the_models():
    model = small_glow()
    with Lanes(model, 4) as lanes:
        assert gradients(lanes.gradients, model)[0] == gradients(model.gradients, model)[0]


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_not_finite_in_either_half_is_seen(half, threads):
    model, x = small_glow(threads=threads, memory="0"), images()
    x[-half] = np.nan
    with Lanes(model, IMAGES) as lanes, np.errstate(invalid="ignore"):
        loss, drift, grad = gradients(lanes.gradients, model, x)
    assert np.isnan(loss) and np.isnan(drift) and np.isnan(grad).any()


class Fragile(FlowStep):
    """A step that cannot take images with an exact zero in their first number."""

    error = ValueError

    def forward(self, x):
        if (x[:, 0, 0, 0] == 0).any():
            raise self.error("an exact zero")
        return super().forward(x)


class Greedy(Fragile):
    error = MemoryError


def fragile_glow(kind, memory="0"):
    def step(channels, rng):
        made = flow_step(GlowConfig((SIDE, SIDE, 3), width=8), channels, 0, rng)
        fragile = kind.__new__(kind)
        fragile.__dict__.update(made.__dict__)
        return fragile

    return small_glow(step=step, memory=memory)


@pytest.mark.parametrize("kind", [Fragile, Greedy])
def test_an_error_in_the_other_process_is_raised_here_and_the_next_batch_runs(kind):
    model, x = fragile_glow(kind), images()
    spoiled = x.copy()
    spoiled[-1] = 0  # after squeezing, the first number of the first step
    with Lanes(model, IMAGES) as lanes:
        before = gradients(lanes.gradients, model, x)
        with pytest.raises(kind.error):
            lanes.gradients(spoiled, 5)
        after = gradients(lanes.gradients, model, x)
    assert before[:2] == after[:2]
    np.testing.assert_array_equal(before[2], after[2])


def test_memory_that_is_short_in_the_other_process_halves_the_budget(capsys):
    class OnlyIfKept(FlowStep):
        """A step that has no memory to keep anything."""

        def forward_with_cache(self, x):
            if os.getpid() != here and len(x) > 2:
                raise MemoryError
            return super().forward_with_cache(x)

    here = os.getpid()
    model = fragile_glow(OnlyIfKept, "2MB")
    with Lanes(model, IMAGES) as lanes:
        training_step(model, Adam(model.store.theta), images(), 5, 1e-3, gradients=lanes.gradients)
    assert "out of memory with a budget" in capsys.readouterr().err
    assert model.memory.bytes == 0


def test_a_process_that_is_ended_is_an_error_in_one_line():
    model = small_glow()
    with Lanes(model, IMAGES) as lanes:
        os.kill(lanes._process.pid, signal.SIGKILL)
        with pytest.raises(GlowliteError, match="computes half of each batch"):
            lanes.gradients(images(), 5)


def test_the_process_holds_no_file_and_hears_no_ctrl_c(tmp_path):
    model = small_glow()
    with open(tmp_path / "held", "w"), Lanes(model, IMAGES) as lanes:
        gradients(lanes.gradients, model)  # it has begun
        pid = lanes._process.pid
        names = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [name for name in names if name.endswith("held")]
        assert len([name for name in names if name.startswith("socket:")]) == 1
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        gradients(lanes.gradients, model)
    assert not is_there(pid)


def test_the_process_ends_with_the_first_one_however_that_ends():
    code = (
        "import os, signal\n"
        "from glowlite import Glow, GlowConfig\n"
        "from glowlite.fast.lanes import Lanes\n"
        "from glowlite.fast.threads import Workers\n"
        "model = Glow(GlowConfig((8, 8, 3), K=1, L=1, width=8), workers=Workers(2))\n"
        "with Lanes(model, 8) as lanes:\n"
        "    print(lanes._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not is_there(int(done.stdout)))


def test_where_no_process_can_be_had_threads_do(monkeypatch):
    def refuse():
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    model = small_glow()
    with Lanes(model, IMAGES) as lanes:
        assert lanes._process is None
        assert np.isfinite(lanes.gradients(images(), 5)[0])
