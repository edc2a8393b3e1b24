"""What the memory policies promise: the same gradients, drift that is measured, and memory that
depth does not touch.
"""

import tracemalloc

import numpy as np
import pytest

import glowlite.fast.last_step
from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.fast.threads import Workers
from glowlite.objective import loss_gradients

POLICIES = ("reversible", "anchored:2", "stored")
K, L = 8, 3
BATCH = 32  # of the memory measurements


def gradients(policy, dtype, initialize_last=True, **options):
    """Model, x, x rebuilt, dx and what was kept of one training step at K=8, L=3.

    Last layers are random of scale 0.05. `initialize_last`: ActNorm sees the data after that, so
    that every layer works on numbers of order one, as in a trained model. In the other order
    nothing holds the numbers down, and 24 steps of a scale that can exceed 1 overflow.
    """
    config = GlowConfig((16, 16, 3), **{"K": K, "L": L, "width": 16, **options})
    model = Glow(config, 0, dtype, Memory.parse(policy), Workers(2))
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
def test_all_policies_give_the_same_gradients(dtype, limit, options):
    model, x, _, expected_dx, _ = gradients("stored", dtype, **options)
    expected = {name: p.grad for name, p in model.store.parameters.items()}
    assert all(np.isfinite(g).all() for g in expected.values())
    assert all(g.any() for g in expected.values())  # so that there is something to agree on
    for policy in POLICIES[:2]:
        model, x, rebuilt, dx, _ = gradients(policy, dtype, **options)
        assert difference(rebuilt, x) <= limit
        assert difference(dx, expected_dx) <= limit
        for name, p in model.store.parameters.items():
            assert difference(p.grad, expected[name]) <= limit, f"{policy}, {name}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_anchors_report_how_far_each_rebuilt_input_was_off(dtype):
    drift = gradients("anchored:2", dtype)[-1].drift
    steps = {f"level{level}/step{k}" for level in range(L) for k in range(0, K, 2)}
    assert steps <= set(drift) <= steps | {f"level{level}/end" for level in range(L)}
    drift = {name: drift[name] for name in steps}
    limit = 1e-11 if dtype == "float64" else 1e-3
    assert all(0 < float(d) < limit for d in drift.values())


def test_an_anchor_replaces_the_rebuilt_input():
    """A step whose inverse is wrong is noticed at its anchor, by name, and does no harm
    below it.
    """
    config = GlowConfig((8, 8, 3), K=4, L=1, width=4, permutation="shuffle")
    model = Glow(config, 0, "float64", Memory.parse("anchored:1"), Workers(1))
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
    # the last one rebuilds nothing
    assert (
        set(drift) == {"level0/step0", "level0/step1", "level0/end"} and max(drift.values()) < 1e-12
    )
    np.testing.assert_allclose(rebuilt, x, atol=1e-12)


def test_without_anchors_drift_is_measured_between_levels_only():
    assert gradients("stored", "float64")[-1].drift == {}
    drift = gradients("reversible", "float64")[-1].drift
    assert set(drift) == {f"level{level}/end" for level in range(L)} and max(drift.values()) < 1e-11


def test_what_the_last_step_of_a_level_keeps_changes_nothing_but_rounding(monkeypatch):
    _, _, rebuilt, dx, _ = gradients("reversible", "float64")
    monkeypatch.setattr(glowlite.fast.last_step, "LAST_STEP_MB", 0)
    _, x, rebuilt_without, dx_without, kept = gradients("reversible", "float64")
    assert kept.drift == {}  # so it was switched off
    assert difference(rebuilt, x) <= 1e-9 and difference(rebuilt_without, x) <= 1e-9
    assert difference(dx, dx_without) <= 1e-9


def peak_bytes(policy, depth):
    """The most that a training step holds beyond the parameters and gradients, by all that NumPy
    allocates.

    The third step is measured: the first makes what is made once. One thread, so that no two tiles
    overlap by chance. The batch is large enough for its arrays to outweigh Python's own small
    objects, some 200 bytes a layer.
    """
    config = GlowConfig((16, 16, 3), K=depth, L=2, width=32)
    model = Glow(config, memory=Memory.parse(policy), workers=Workers(1))
    x = (np.random.default_rng(0).random((BATCH, 16, 16, 3)) - 0.5).astype(np.float32)
    model.initialize(x)
    for measured in (False, False, True):
        if measured:
            tracemalloc.start()
        latents, _, kept = model.forward_with_cache(x)
        model.backward(latents, *loss_gradients(latents, len(x)), kept)
        if measured:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        del latents, kept
    return peak


def test_memory_does_not_grow_with_depth_unless_everything_is_stored():
    shallow, deep = (peak_bytes("reversible", depth) for depth in (4, 64))
    # what a step adds is its 12x12 matrix, folded and inverted, and the Python objects around it:
    # no image is in it
    assert deep - shallow < 60 * 8000, f"reversible: {shallow} bytes at K=4, {deep} at K=64"
    assert BATCH * 16 * 16 * 3 * 4 > 10 * 8000  # bytes of the batch
    # the same measure sees what `stored` keeps: 16 times as many steps, each with its hidden maps
    shallow, deep = (peak_bytes("stored", depth) for depth in (4, 64))
    assert deep > 8 * shallow, f"stored: {shallow} bytes at K=4, {deep} at K=64"


def test_anchors_grow_by_one_thin_input_each():
    reversible, anchored = peak_bytes("reversible", 16), peak_bytes("anchored:4", 16)
    # bytes of the batch, as wide at the first level's steps; half of it at the second's
    thin = BATCH * 16 * 16 * 3 * 4
    expected = 4 * thin + 4 * thin // 2
    assert 0.9 * expected < anchored - reversible < 1.1 * expected + 0.02 * reversible


@pytest.mark.parametrize("text", ["reversible", "stored", "anchored:1", "anchored:12"])
def test_a_policy_is_read_and_written_alike(text):
    assert str(Memory.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "all", "anchored", "anchored:", "anchored:0", "anchored:-1", "anchored:x", "stored:2"],
)
def test_an_unknown_policy_is_refused(text):
    with pytest.raises(GlowliteError, match="expected reversible, stored or anchored:k"):
        Memory.parse(text)
