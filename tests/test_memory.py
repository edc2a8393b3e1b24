"""What a budget of memory promises: the same gradients, drift that is measured, as much memory as
it says, and depth that does not touch it.
"""

import functools
import math
import tracemalloc

import numpy as np
import pytest
import strict_device

from glowlite import Chain, Flow, Glow, GlowConfig, GlowliteError, Memory
from glowlite.arrays.machine import free_bytes
from glowlite.arrays.sizes import memory_of, parse_size
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.memory import Cost, cache_bytes, plans
from glowlite.commands.train import memory_in
from glowlite.distributed.communicator import OneProcess
from glowlite.fast.threads import Workers
from glowlite.objective import loss_gradients
from glowlite.training.step import training_step

BUDGETS = ("0", "1MB", "2MB+anchored:2")
K, L = 8, 3
KEPT_OF_600KB = [[1, 2], [0, 1, 2]]
BATCH = 32  # of the memory measurements


def gradients(budget, dtype, initialize_last=True, **options):
    """Model, x, x rebuilt, dx and what was kept of one training step at K=8, L=3.

    Last layers are random of scale 0.05. `initialize_last`: ActNorm sees the data after that, so
    that every layer works on numbers of order one, as in a trained model. In the other order
    nothing holds the numbers down, and 24 steps of a scale that can exceed 1 overflow.
    """
    config = GlowConfig((16, 16, 3), **{"K": K, "L": L, "width": 16, **options})
    model = Glow(config, 0, dtype, Memory.parse(budget), Workers(2))
    rng = np.random.default_rng(1)
    x = (rng.random((4, 16, 16, 3)) - 0.5).astype(dtype)
    if not initialize_last:
        model.initialize(x)
    for name, p in model.store.parameters.items():
        if name.endswith(("conv3/weight", "prior/conv/weight")):
            p.value[...] = 0.05 * rng.standard_normal(p.value.shape)
    if initialize_last:
        model.initialize(x)
    latents, _, kept = model.forward_with_cache(x)
    model.store.grad[...] = 0
    rebuilt, dx = model.backward(latents, *loss_gradients(latents, len(x)), kept)
    return model, x, rebuilt, dx, kept


def difference(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


OPTIONS = [
    {},
    {"initialize_last": False, "scale": "sigmoid"},
    {"permutation": "lu", "scale": "sigmoid"},
    {"coupling": "additive"},
    {
        "scale": "exp",
        "shift": "after",
        "actnorm": "paper",
        "changed": "first",
        "hidden_actnorm": False,
    },
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-9), ("float32", 1e-3)])
def test_every_budget_gives_the_gradients_of_all(dtype, limit, options):
    model, x, rebuilt, expected_dx, _ = gradients("all", dtype, **options)
    assert rebuilt.tobytes() == x.tobytes()  # nothing was rebuilt
    expected = {name: p.grad for name, p in model.store.parameters.items()}
    assert all(np.isfinite(g).all() for g in expected.values())
    assert all(g.any() for g in expected.values())  # so that there is something to agree on
    kept = set()
    for budget in BUDGETS:
        model, x, rebuilt, dx, cache = gradients(budget, dtype, **options)
        kept.add(sum(len(chain.plan.kept) for _, chain in cache.chains()))
        assert difference(rebuilt, x) <= limit
        assert difference(dx, expected_dx) <= limit
        for name, p in model.store.parameters.items():
            assert difference(p.grad, expected[name]) <= limit, f"{budget}, {name}"
    assert len(kept) == 3  # nothing, and two different parts of it


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_anchors_report_how_far_each_rebuilt_input_was_off(dtype):
    drift = gradients("0+anchored:2", dtype)[-1].drift
    steps = {f"level{level}/step{k}" for level in range(L) for k in range(0, K, 2)}
    assert set(drift) == steps
    limit = 1e-11 if dtype == "float64" else 1e-3
    assert all(0 < float(d) < limit for d in drift.values())


def test_an_anchor_replaces_the_rebuilt_input():
    """A step whose inverse is wrong is noticed at its anchor, by name, and does no harm
    below it.
    """
    config = GlowConfig((8, 8, 3), K=4, L=1, width=4, permutation="shuffle")
    model = Glow(config, 0, "float64", Memory(0, every=1), Workers(1))
    rng = np.random.default_rng(0)
    model.store.theta[...] += 0.05 * rng.standard_normal(len(model.store))
    x = rng.standard_normal((2, 8, 8, 3))
    wrong = model.levels[0].steps.layers["step2"].layers["actnorm"]
    exact = wrong.inverse
    wrong.inverse = lambda y: exact(y) + 0.5
    latents, _, kept = model.forward_with_cache(x)
    rebuilt, _ = model.backward(latents, *loss_gradients(latents, 2), kept)
    drift = {name: float(d) for name, d in kept.drift.items()}
    assert drift.pop("level0/step2") == pytest.approx(0.5, rel=1e-6)
    assert set(drift) == {"level0/step0", "level0/step1", "level0/step3"}
    assert max(drift.values()) < 1e-12
    np.testing.assert_allclose(rebuilt, x, atol=1e-12)


def test_without_anchors_drift_is_measured_where_what_is_kept_meets_what_is_rebuilt():
    assert gradients("all", "float64")[-1].drift == {}
    assert gradients("0", "float64")[-1].drift == {}  # there at the input of the model alone
    cache = gradients("2MB", "float64")[-1]
    plans = [chain.plan for _, chain in cache.chains()]
    meetings = {
        f"level{i}/end"
        for i, cache in cache.chains()
        if K - 1 in cache.plan.kept and any(len(p.kept) < K for p in plans[i + 1 :])
    }
    assert set(cache.drift) == meetings and meetings
    assert max(cache.drift.values()) < 1e-11


def test_a_layer_that_is_kept_before_one_that_is_not_is_compared_with_what_comes_from_it():
    """Of two affine layers the first is worth more to keep, and the inverse of the second is
    wrong.
    """
    small, large = Cost(10, 100), Cost(10, 90)
    (plan,) = plans(Memory(15), [[small, large]])
    assert plan.kept == {0} and plan.anchors(1) and not plan.anchors(0)
    chain = Chain([ActNorm(3), ActNorm(3)])
    exact = chain.layers["1"].inverse
    chain.layers["1"].inverse = lambda y: exact(y) + 0.5
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 3))
    y, logdet, cache = chain.forward_with_cache(x, plan)
    rebuilt, _ = chain.backward(y, y, logdet, cache)
    assert float(cache.drift["1"]) == pytest.approx(0.5)
    assert rebuilt is x


# --- what is kept ---


def test_what_saves_most_per_byte_is_kept_and_of_equals_the_later():
    even = [Cost(10, 100)] * 4
    assert [p.kept for p in plans(Memory(25), [even])] == [{2, 3}]
    assert [p.kept for p in plans(Memory(25), [even, even])] == [set(), {2, 3}]
    better = [Cost(10, 101), Cost(20, 100)]
    assert [p.kept for p in plans(Memory(30), [even, better])] == [{2, 3}, {0}]
    # what does not fit is passed over, and a smaller one that does is kept
    assert [p.kept for p in plans(Memory(5), [[Cost(5, 1), Cost(6, 9)]])] == [{0}]
    assert [p.kept for p in plans(Memory(math.inf), [even, better])] == [{0, 1, 2, 3}, {0, 1}]
    ends = [p.checks_end for p in plans(Memory(40), [even, better, [Cost(5, 0)]])]
    assert ends == [True, True, False]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("images", [1, 2, 7, 32])
def test_what_is_kept_is_as_large_as_was_reckoned_from_two_images(images, plain):
    config = GlowConfig((16, 16, 3), K=4, L=2, width=32)
    model = Glow(config, memory=Memory("all"), workers=Workers(2), plain=plain)
    x = np.random.default_rng(0).standard_normal((images, 16, 16, 3)).astype(np.float32)
    cache = model.forward_with_cache(x)[2]
    parts = [part for level in cache.levels for part in np.atleast_1d(np.array(level, object))]
    weights = [p.value for p in model.store.parameters.values()]
    held = sum(cache_bytes(part.entries, weights) for part in parts)
    assert model.kept(images).size == pytest.approx(held, rel=0.02)


def test_a_layer_of_ones_own_is_reckoned_by_what_its_cache_holds():
    class Doubled(ActNorm):
        def forward_with_cache(self, x):
            y, logdet = self.forward(x)
            return y, logdet, {"x": x, "more": [x + 1, {"again": x}]}

        def backward(self, y, dy, dlogdet, cache=None):
            return super().backward(y, dy, dlogdet, None if cache is None else cache["x"])

    x = np.random.default_rng(0).standard_normal((8, 3))
    flow = Flow(Chain([ActNorm(3), Doubled(3)]), dtype="float64")
    flow.initialize(x)
    ((one, two),) = flow.kept(8).costs
    assert (one.size, two.size) == (8 * 3 * 8, 2 * 8 * 3 * 8)
    assert one.work == 8 * 6  # numbers of parameters, at each of 8 places


def test_the_first_line_says_what_is_kept():
    model = Glow(GlowConfig((16, 16, 3), K=4, L=2, width=32))
    assert str(model.kept(32)).startswith("memory 256MB: keeps all 8 steps, ")
    model.memory = Memory(0)
    assert str(model.kept(32)) == "memory 0: keeps none of 8 steps, 0 MB"
    model.memory = Memory("5MB", every=2)
    assert str(model.kept(32)).startswith("memory 5MB+anchored:2: keeps ")
    said = str(model.kept(32)).split("keeps ")[1]
    kept = [len(plan.kept) for plan in model.kept(32).plans]
    assert said.startswith(f"{kept[0]} of 4 steps of level 0, {kept[1]} of 4 of level 1, ")
    assert 0 < sum(kept) < 8


@functools.cache
def peak_bytes(budget, depth):
    """The most that a training step holds beyond the parameters and gradients, by all that NumPy
    allocates.

    The second step is measured: the first makes what is made once. One thread, so that no two tiles
    overlap by chance. The batch is large enough for its arrays to outweigh Python's own small
    objects, some 200 bytes a layer.
    """
    config = GlowConfig((16, 16, 3), K=depth, L=2, width=32)
    model = Glow(config, memory=Memory.parse(budget), workers=Workers(1))
    x = (np.random.default_rng(0).random((BATCH, 16, 16, 3)) - 0.5).astype(np.float32)
    model.initialize(x)
    for measured in (False, True):
        if measured:
            tracemalloc.start()
        latents, _, kept = model.forward_with_cache(x)
        model.backward(latents, *loss_gradients(latents, len(x)), kept)
        if measured:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        del latents, kept
    return peak


def test_memory_does_not_grow_with_depth_unless_everything_is_kept():
    shallow, deep = (peak_bytes("0", depth) for depth in (4, 32))
    # what a step adds is its 12x12 matrix, folded and inverted, and the Python objects around it:
    # no image is in it
    assert deep - shallow < 28 * 8000, f"0: {shallow} bytes at K=4, {deep} at K=32"
    assert BATCH * 16 * 16 * 3 * 4 > 10 * 8000  # bytes of the batch
    # the same measure sees what `all` keeps: 8 times as many steps, each with its hidden maps
    shallow, deep = (peak_bytes("all", depth) for depth in (4, 32))
    assert deep > 6 * shallow, f"all: {shallow} bytes at K=4, {deep} at K=32"


def test_anchors_grow_by_one_thin_input_each():
    rebuilt, anchored = peak_bytes("0", 16), peak_bytes("0+anchored:4", 16)
    # bytes of the batch, as wide at the first level's steps; half of it at the second's
    thin = BATCH * 16 * 16 * 3 * 4
    expected = 4 * thin + 4 * thin // 2
    assert 0.9 * expected < anchored - rebuilt < 1.1 * expected + 0.02 * rebuilt


@pytest.mark.parametrize("megabytes", [2, 8, 24])
def test_a_step_takes_its_working_set_and_the_budget_at_any_depth(megabytes):
    working_set = peak_bytes("0", 16)
    for depth in (16, 32):
        peak = peak_bytes(f"{megabytes}MB", depth)
        budget = megabytes * 2**20
        assert peak <= 1.01 * (working_set + budget) + depth * 8000
        assert peak >= 0.8 * budget  # it is used


# --- where there is too little of it ---


class Short(ActNorm):
    """Memory runs out while it is kept, `times` over."""

    times = 1

    def forward_with_cache(self, x):
        if len(x) > 2 and Short.times:
            Short.times -= 1
            raise MemoryError("none left")
        return super().forward_with_cache(x)


def test_a_step_whose_budget_cannot_be_had_goes_on_with_half_and_says_so(capsys):
    x = np.random.default_rng(0).standard_normal((8, 3))
    found = []
    for times in (0, 1, 2):
        Short.times = 0
        flow = Flow(Chain([ActNorm(3), Short(3)]), dtype="float64")
        flow.initialize(x)
        Short.times = times
        training_step(flow, NoStep(), x, None, 0.0, parts=[slice(0, 4), slice(4, 8)])
        found.append((flow.store.grad.copy(), str(flow.memory)))
    said = capsys.readouterr().err.splitlines()
    assert [memory for _, memory in found] == ["256MB", "128MB", "64MB"]
    assert all(np.array_equal(grad, found[0][0]) for grad, _ in found)  # nothing is added twice
    line = "warning: a step: out of memory with a budget of {}; continuing with {}"
    expected = [("256MB", "128MB"), ("256MB", "128MB"), ("128MB", "64MB")]
    assert said == [line.format(*sizes) for sizes in expected]


def test_where_nothing_is_kept_memory_that_is_short_ends_the_step():
    x = np.random.default_rng(0).standard_normal((8, 3))
    flow = Flow(Chain([ActNorm(3), Short(3)], Memory(0)), dtype="float64")
    flow.initialize(x)

    def short(x):
        raise MemoryError("none left")

    flow.bijector.layers["1"].forward = short
    with pytest.raises(MemoryError):
        training_step(flow, NoStep(), x, None, 0.0)


class NoStep:
    def step(self, *_):
        pass


# --- in words ---


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("256MB", "256MB"), ("0", "0"), ("all", "all"), ("1.5GB", "1536MB"), ("3 kb", "3KB"),
        ("2GiB", "2GB"), ("100B", "100B"), ("reversible", "0"), ("stored", "all"),
        ("anchored:4", "256MB+anchored:4"), ("0+anchored:12", "0+anchored:12"),
        ("all+anchored:1", "all+anchored:1"),
    ],
)  # fmt: skip
def test_a_budget_is_read_and_written_alike(text, same):
    assert str(Memory.parse(text)) == same and Memory.parse(same) == Memory.parse(text)


def test_a_share_of_what_is_free_is_a_size_from_then_on():
    memory = Memory.parse("auto:0.25", lambda: (400.5 * 2**20, 2**40))
    assert memory == Memory("100MB") and str(memory) == "100MB"
    assert parse_size("auto:1", lambda: (2.0**30, 2**40)) == 2**30
    with pytest.raises(GlowliteError, match="the amount of free memory is unknown here"):
        parse_size("auto:0.5", lambda: (math.inf, math.inf))
    taken = memory_in("auto:0.5", OneProcess(), np).bytes
    assert 0 < taken <= 0.6 * free_bytes()


def test_of_a_device_it_is_the_devices_memory_that_counts():
    """1 GB, or less by --gpu-memory, and what arrays have taken is not free."""
    xp, pool = strict_device.xp, strict_device.pool
    held = xp.zeros(2**20, np.float64)  # 8 MB
    free = xp.cuda.Device().mem_info[0]
    assert memory_of(xp) == (free, 2**30) and free <= 2**30 - 2**23
    whole = memory_in("auto:1", OneProcess(), xp).bytes
    assert 0 <= free - whole < 2**20
    pool.set_limit(size=100 * 2**20)
    try:
        assert memory_of(xp) == (100 * 2**20 - pool.used_bytes(), 100 * 2**20)
        with pytest.raises(GlowliteError, match=r"memory 1GB: there are only 0.1 GB here"):
            memory_in("1GB", OneProcess(), xp)
    finally:
        pool.set_limit(size=0)
    assert held.nbytes == 2**23


@pytest.mark.parametrize("library", [np, strict_device.xp])
def test_what_is_kept_is_the_same_on_a_device(library):
    config = GlowConfig((8, 8, 3), K=3, L=2, width=16)
    model = Glow(config, memory=Memory("600KB"), workers=Workers(1), xp=library, plain=True)
    kept = [sorted(plan.kept) for plan in model.kept(16).plans]
    assert kept == KEPT_OF_600KB


@pytest.mark.parametrize(
    "text",
    [
        "", "anchored", "anchored:", "anchored:0", "anchored:-1", "anchored:x", "stored:2", "3GX",
        "-1MB", "1", "1e3MB", "auto", "auto:0", "auto:2", "auto:x", "0+", "+", "0+anchored",
        "0+anchored:1+anchored:2", "٣MB", f"anchored:{10**30}", "MB", "nan", "inf",
    ],
)  # fmt: skip
def test_another_budget_is_refused(text):
    with pytest.raises(GlowliteError, match="expected a size such as 256MB, 0, all, auto"):
        Memory.parse(text)


def test_more_than_there_is_is_refused():
    with pytest.raises(GlowliteError, match=r"memory 3GB: there are only 2.0 GB here; give less"):
        Memory.parse("3GB", lambda: (2.0**30, 2.0**31))


@pytest.mark.parametrize("budget", [-1, float("nan"), True, None, [], ("0", 1.5), ("0", -1)])
def test_a_budget_that_is_no_number_of_bytes_is_refused(budget):
    arguments = budget if isinstance(budget, tuple) else (budget,)
    with pytest.raises(GlowliteError, match="Memory: the budget must be bytes, or a text such as"):
        Memory(*arguments)
