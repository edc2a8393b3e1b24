"""Training, checkpoints, sampling and evaluation on the stand-in for a GPU: they follow those of
the host.
"""

import ast
import os
import re
import sys
import types
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import strict_device
from small_runs import dataset
from strict_device import API, counts, ndarray, xp
from test_laws import QUICK
from test_training import Record

import glowlite.bijectors.actnorm
import glowlite.conditioners.zero_conv
from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.arrays.device import device_namespace
from glowlite.data.batches import Augmentation
from glowlite.distributed.allreduce import StagedAllreduce
from glowlite.distributed.communicator import CHUNK_BYTES
from glowlite.fast.cuda.upload import Staging
from glowlite.fast.threads import Workers
from glowlite.training import checkpoint
from glowlite.training.loop import train
from glowlite.training.optimizers import Adam
from glowlite.training.run import Training
from glowlite.training.scoring import sample_images, scores
from glowlite.training.settings import Settings
from glowlite.training.step import training_step

PACKAGE = Path(__file__).parent.parent / "glowlite"
CONFIGS = {
    "default": {},
    "lu, bounded": {"permutation": "lu", "scale": "bounded"},
    "additive, shuffled": {"coupling": "additive", "permutation": "shuffle"},
    "paper": None,
}
BUDGETS = ["reversible", "anchored:1", "stored"]


def make(config, module, dtype="float64", memory="reversible", **settings):
    image_shape = (8, 8, 3)
    options = CONFIGS[config]
    made = (
        GlowConfig.paper(image_shape, K=2, L=2, width=16)
        if options is None
        else GlowConfig(image_shape, K=2, L=2, width=16, **options)
    )
    model = Glow(made, dtype=dtype, memory=Memory.parse(memory), workers=Workers(1), xp=module)
    return Training(
        model, Settings(**{"steps": 6, "batch": 8, "log_every": 1, "evaluate_every": 3, **settings})
    )


def trained(*arguments, **options):
    training, seen = make(*arguments, **options), Record()
    train(training, dataset(), [seen])
    return training, seen


@pytest.mark.parametrize("memory", BUDGETS)
@pytest.mark.parametrize("config", CONFIGS)
def test_a_run_on_the_device_follows_one_on_the_host(config, memory):
    """In the quick profile every configuration with one budget, and every budget with one."""
    several = (list(CONFIGS).index(config) + BUDGETS.index(memory)) % len(BUDGETS)
    if several and hypothesis.settings().max_examples < QUICK:
        pytest.skip("in the thorough profile")
    options = {
        "memory": memory, "optimizer": "adamax" if memory == "stored" else "adam", "accumulate": 2,
        "clip": 3.0,
        "average": 0.9, "augmentation": Augmentation(flip=True, shift=0.1),
    }  # fmt: skip
    (host, host_seen), (device, device_seen) = (
        trained(config, module, **options) for module in (np, xp)
    )
    assert isinstance(device.model.store.theta, ndarray) and isinstance(device.optimizer.m, ndarray)
    np.testing.assert_allclose(
        device.model.store.theta.get(), host.model.store.theta, rtol=1e-7, atol=1e-9
    )
    for one, other in zip(device_seen.metrics, host_seen.metrics, strict=True):
        assert one.train_bits_per_dim == pytest.approx(other.train_bits_per_dim, rel=1e-10)
        assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-6)
        assert one.condition == pytest.approx(other.condition, rel=1e-8)
        assert (one.held_out_bits_per_dim is None) == (other.held_out_bits_per_dim is None)
    assert device.state.held_out == pytest.approx(host.state.held_out, rel=1e-9)


def test_float32_stays_float32_on_the_device():
    training, _ = trained("default", xp, dtype="float32", average=0.9)
    for vector in (
        training.model.store.theta,
        training.model.store.grad,
        training.optimizer.v,
        training.average.value(),
    ):
        assert vector.dtype == np.float32
    latents, logdet = training.model.forward(xp.asarray(np.zeros((2, 8, 8, 3), np.float32)))
    assert {eps.dtype for eps in latents} == {np.dtype("float32")} and logdet.dtype == np.float64


@pytest.mark.parametrize(("begun_on", "goes_on_with"), [(xp, np), (np, xp), (xp, xp)])
def test_a_checkpoint_goes_from_one_to_the_other(tmp_path, begun_on, goes_on_with):
    whole, _ = trained("default", np, average=0.9)
    first = make("default", begun_on, average=0.9)
    train(first, dataset(), [], stop=lambda: first.state.step == 3)
    checkpoint.save(first, tmp_path / "c.safetensors", 4)
    second = make("default", goes_on_with, average=0.9)
    checkpoint.restore(second, tmp_path / "c.safetensors")
    train(second, dataset(), [])
    theta = second.model.store.theta
    theta = theta if goes_on_with is np else theta.get()
    np.testing.assert_allclose(theta, whole.model.store.theta, rtol=1e-7, atol=1e-9)
    loaded = Glow.load(tmp_path / "c.safetensors", xp=xp)
    np.testing.assert_array_equal(
        loaded.store.theta.get(), Glow.load(tmp_path / "c.safetensors").store.theta
    )


def test_samples_and_scores_are_those_of_the_host():
    (host, _), (device, _) = trained("default", np), trained("default", xp)
    for training in (host, device):
        training.found = scores(training.model, dataset().held_out, 5, 3, 0, draws=2)
        training.samples = sample_images(training.model, 5, 0.7, 0)
    assert isinstance(device.samples, np.ndarray)
    np.testing.assert_allclose(device.found, host.found, rtol=1e-8)
    np.testing.assert_allclose(device.samples, host.samples, atol=1e-7)


def test_a_step_uploads_its_batch_once():
    training = make("default", xp, steps=3, average=0.0, evaluate_every=1000)
    uploads = []
    seen = Record()
    seen.on_step = lambda step, result: uploads.append(counts.pop("upload", 0))
    train(training, dataset(), [seen])
    assert uploads[1:] == [1, 1]


def test_the_host_waits_only_where_a_line_is_due():
    training = make("default", xp, steps=9, average=0.9, clip=1.0, log_every=4, evaluate_every=1000)
    waits, seen = [], Record()
    seen.on_step = lambda step, result: waits.append(
        (counts.pop("sync", 0), counts.pop("download", 0))
    )
    train(training, dataset(), [seen])
    # what is seen at the end of a step was done in it, or in the line of metrics after the step
    # before: 4 and 8
    assert training.steps_between_looks > 9 and [
        step for step, (syncs, _) in enumerate(waits, 1) if syncs
    ] == [1, 5, 9]


def test_a_place_for_batches_is_used_again_only_after_it_was_read():
    log, staging = [], Staging(xp)
    staging.stream.wait_event = lambda event: log.append("the upload waits")
    arrays = [(np.full((3, 5), i, np.float32), np.full(7, i, np.uint8)) for i in range(5)]
    for pair in arrays:
        on_device = staging.upload(*pair)
        for got, expected in zip(on_device, pair, strict=True):
            assert np.array_equal(got.get(), expected) and got.dtype == expected.dtype
        staging.release()
        log.append("used")
    assert log == ["used"] * 2 + ["the upload waits", "used"] * 3


@pytest.mark.parametrize(
    ("kind", "said"), [("loss", "the loss is nan"), ("drift", "rebuilt inputs are off by 1.0e")]
)
def test_a_bad_step_that_is_looked_at_later_changes_nothing_and_is_named(monkeypatch, kind, said):
    training, other = (
        make("default", xp, steps=6, log_every=6, evaluate_every=6, average=0.0) for _ in range(2)
    )
    train(other, dataset(), [], stop=lambda: other.state.step == 2)
    forward, backward, seen = Glow.forward_with_cache, Glow.backward, []

    def is_third(x):
        if not any(np.array_equal(x._host, earlier) for earlier in seen):
            seen.append(x._host.copy())
        return len(seen) > 2 and np.array_equal(x._host, seen[2])

    def broken_forward(model, x):
        latents, logdet, kept = forward(model, x)
        model.third = is_third(x)
        return latents, logdet * np.nan if kind == "loss" and model.third else logdet, kept

    def broken_backward(model, *arguments):
        x, dx = backward(model, *arguments)
        return x + 1.0 if kind == "drift" and model.third else x, dx

    monkeypatch.setattr(Glow, "forward_with_cache", broken_forward)
    monkeypatch.setattr(Glow, "backward", broken_backward)
    with pytest.raises(GlowliteError, match=f"^step 3: .*{said}"):
        train(training, dataset(), [])
    assert training.state.step == 6 and len(training.state.losses) == 2
    assert np.array_equal(training.model.store.theta.get(), other.model.store.theta.get())


def test_a_pass_of_the_model_never_waits_for_the_device():
    """No float(x), no item(), no `if x.any()` in forward, backward and inverse."""
    for config in CONFIGS:
        model = make(config, xp).model
        x = xp.asarray(np.random.default_rng(0).random((4, 8, 8, 3)))
        model.initialize(x)
        counts.clear()
        latents, logdet, kept = model.forward_with_cache(x)
        model.backward(latents, [eps * 0.1 for eps in latents], logdet * 0, kept)
        model.inverse(latents)
        assert (
            counts["sync"] == counts["download"] == counts["upload"] == 0 and counts["kernel"] > 100
        ), counts


@pytest.mark.parametrize(
    "options", [{"scale": "bounded"}, {"scale": "sigmoid"}, {"coupling": "additive"}]
)
@pytest.mark.parametrize(
    ("memory", "sentence"),
    [
        ("0", r"launches about (\d+) kernels per flow step"),
        ("all", r"about (\d+) if the step is kept"),
    ],
    ids=["0", "all"],
)
def test_a_flow_step_launches_as_many_kernels_as_the_docs_say(options, memory, sentence):
    launched = {}
    for K in (2, 4):
        model = Glow(
            GlowConfig((8, 8, 3), K=K, L=2, width=16, **options), workers=Workers(1), xp=xp
        )
        model.memory = Memory(memory)
        x = xp.asarray(np.random.default_rng(0).random((4, 8, 8, 3), np.float32))
        model.initialize(x)
        optimizer, good = Adam(model.store.theta), xp.ones((), bool)
        training_step(model, optimizer, x, 5, 1e-3, 100.0, good=good)
        counts.clear()
        training_step(model, optimizer, x, 5, 1e-3, 100.0, good=good)
        launched[K] = counts["kernel"]
        assert counts["sync"] == counts["download"] == counts["upload"] == 0
    a_step = (launched[4] - launched[2]) / 4  # two levels of two steps more
    assert a_step <= 40
    (said,) = re.findall(sentence, (PACKAGE.parent / "docs" / "gpu.md").read_text())
    assert a_step == pytest.approx(int(said), abs=1)


def test_gradients_cross_to_the_host_in_chunks_and_come_back():
    class Three:
        size, is_root = 3, True

        def allreduce(self, array, pairwise=False):
            assert isinstance(array, np.ndarray) and array.nbytes <= CHUNK_BYTES
            array *= 3

    vector = xp.asarray(np.arange(700_000, dtype=np.float32))
    counts.clear()
    StagedAllreduce(Three(), xp).sum_in_place(vector)
    assert (
        np.array_equal(vector.get(), 3 * np.arange(700_000, dtype=np.float32))
        and counts["upload"] == 3
    )


def test_without_cupy_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(
        GlowliteError,
        match=r"device 'gpu:1': CuPy is not installed; run pip install '\.\[gpu-cuda12\]'",
    ):
        device_namespace("gpu:1")


@pytest.mark.parametrize(
    ("device", "local_rank", "used"), [("gpu", 0, 0), ("gpu", 1, 1), ("gpu", 2, 0), ("gpu:1", 0, 1)]
)
def test_a_rank_takes_its_gpu(monkeypatch, device, local_rank, used):
    """With two GPUs, and a CuPy of which only what is asked for is there."""
    log = []
    cupy = types.SimpleNamespace(
        cuda=types.SimpleNamespace(
            runtime=types.SimpleNamespace(getDeviceCount=lambda: 2, CUDARuntimeError=RuntimeError),
            Device=lambda number: types.SimpleNamespace(use=lambda: log.append(number)),
        ),
        get_default_memory_pool=lambda: types.SimpleNamespace(
            set_limit=lambda size: log.append(size)
        ),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.delenv("CUPY_TF32", raising=False)
    assert (
        device_namespace(device, local_rank) is cupy
        and log == [used]
        and "CUPY_TF32" not in os.environ
    )
    monkeypatch.setenv("CUPY_TF32", "0")
    device_namespace(device, local_rank, tf32=True, gigabytes=1.5)
    assert log == [used, used, 3 << 29] and os.environ["CUPY_TF32"] == "1"
    with pytest.raises(GlowliteError, match="device 'gpu:2': 2 usable GPUs here"):
        device_namespace("gpu:2")


# --- the names ---


def names_used_on_xp():
    """Every dotted name that the package uses on `xp`, where it stands, and the keywords it is
    called with.
    """
    used = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            call = node if isinstance(node, ast.Call) else None
            target = call.func if call else node
            parts, inner = [], target
            while isinstance(inner, ast.Attribute):
                parts.append(inner.attr)
                inner = inner.value
            is_xp = (isinstance(inner, ast.Name) and inner.id == "xp") or (
                isinstance(inner, ast.Call)
                and isinstance(inner.func, ast.Name)
                and inner.func.id == "namespace"
            )
            if (
                is_xp and parts and parts not in (["__name__"], ["nccl", "cuda"])
            ):  # cuda.nccl is a module
                keywords = {keyword.arg for keyword in call.keywords} if call else set()
                used.setdefault(
                    (".".join(reversed(parts)), f"{path.name}:{target.lineno}"), set()
                ).update(keywords)
    return used


def test_every_name_and_keyword_on_xp_is_one_of_cupy():
    used = names_used_on_xp()
    assert len({name for name, _ in used}) > 30  # the walk sees them
    for (name, where), keywords in used.items():
        assert name in API, f"{where}: CuPy has no {name}"
        assert API[name] is None or keywords <= set(API[name]), (
            f"{where}: cupy.{name} has no {keywords - set(API[name])}"
        )


# --- bugs that NumPy lets through, planted ---


def plant(monkeypatch, module, old, new, name):
    """Run the source of a function of the module again with `old` replaced by `new`."""
    import inspect
    import textwrap

    owner, _, attribute = name.rpartition(".")
    holder = getattr(module, owner) if owner else module
    source = textwrap.dedent(inspect.getsource(getattr(holder, attribute)))
    assert old in source, f"{name} no longer has {old!r}"
    scope = dict(vars(module), np=np, xp=xp)
    code = compile("from __future__ import annotations\n" + source.replace(old, new), name, "exec")
    exec(code, scope)  # the test's own text
    monkeypatch.setattr(holder, attribute, scope[attribute])


FORWARD = ("return s * x + b,", "ActNorm.forward")
PLANTED = {
    "a function of NumPy": ("return np.concatenate([x * s + b]),", "TypeError"),
    "np.asarray": ("return np.asarray(x) * s + b,", "TypeError"),
    "a list in a ufunc": ("return xp.add(x * s, [0.0] * x.shape[3]) + b,", "TypeError"),
    "an array of the host": ("return x * s + b + np.zeros(x.shape[3]),", "TypeError"),
    "ufunc where": ("return xp.add(x * s, b, where=x == x),", "TypeError"),
    "reduction initial": ("x.sum(initial=0.0); return x * s + b,", "TypeError"),
    "reduction where": ("x.max(where=x == x); return x * s + b,", "TypeError"),
    "einsum out": ("xp.einsum('nhwc->c', x, out=xp.zeros(x.shape[3])); return x * s +"
                   " b,", "TypeError"),
    "clip min": ("return xp.clip(x * s + b, min=-1e9),", "TypeError"),
    "errstate": ("xp.errstate(over='ignore'); return x * s + b,", "AttributeError"),
    "nditer": ("xp.nditer(x); return x * s + b,", "AttributeError"),
    "noise on the device": ("return x * s + b + 0 *"
                            " xp.random.standard_normal(x.shape),", "AttributeError"),
    "writing to an index twice": ("y = x * s + b; y[[0, 0]] = y[0]; return y,", "IndexError"),
    "an index outside": ("return (x * s + b)[list(range(len(x) + 1))][: len(x)],", "IndexError"),
    "device[:] = host": ("y = x * s + b; y[:] = np.zeros(y.shape); return y,", "ValueError"),
    "objects": ("xp.asarray(np.array([None])); return x * s + b,", "ValueError"),
    "a float64 scalar": ("return x * s * np.float64(1) + b,", "ShapeError"),
}  # fmt: skip


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_fails_on_the_device(monkeypatch, bug):
    """And none of them on the host, but for those that NumPy refuses, too."""
    new, error = PLANTED[bug]
    config = GlowConfig((8, 8, 3), K=1, L=1, width=8)
    model = Glow(config, workers=Workers(1), xp=xp, plain=True)  # each layer as it is written
    x = xp.asarray(np.random.default_rng(0).random((2, 8, 8, 3), np.float32))
    model.forward(x)
    plant(monkeypatch, glowlite.bijectors.actnorm, *[FORWARD[0], new], FORWARD[1])
    with pytest.raises(Exception) as caught:
        model.forward(x)
    assert type(caught.value).__name__ == error, caught.value


def test_the_stand_in_is_not_part_of_the_package():
    assert not re.search(
        r"strict_device", "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    )
    assert strict_device.xp.__name__.startswith("strict_device")
