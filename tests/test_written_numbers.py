"""Every number that a run writes, computed once more from its definition: metrics, timing, and the
headers of checkpoints.

One run of 14 steps: in parts, interrupted after step 8 and taken up again, with a step that is
skipped and a last evaluation that is worse than the best. What is written is compared with what a
reader of the docstrings of Metrics, Timing and State would compute from the weights before and
after each step.
"""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from small_runs import dataset

import glowlite.training.checkpoint
import glowlite.training.loop
import glowlite.training.run
import glowlite.training.step
from glowlite import Glow, GlowConfig, Memory
from glowlite.arrays.slices import cut
from glowlite.bijectors.invertible_conv import ChannelMixing
from glowlite.distributed.allreduce import Allreduce
from glowlite.distributed.communicator import OneProcess
from glowlite.fast.threads import Workers
from glowlite.files.storage import checkpoints_of, read_header
from glowlite.objective import dequantization_noise, loss_gradients
from glowlite.training.loop import train
from glowlite.training.optimizers import Adam, gradient_norm
from glowlite.training.run import Training
from glowlite.training.run_files import BEST
from glowlite.training.run_folder import RunFolder
from glowlite.training.scoring import some_rows
from glowlite.training.settings import Settings
from glowlite.training.step import training_step

# steps of the run, of an epoch; after which something happens
STEPS, EPOCH, STOPPED, SKIPPED, WORSE = (
    14,
    4,
    8,
    10,
    9,
)
N_BITS, SEED, DECAY, LR, WARMUP, BETA2 = 4, 3, 0.5, 2e-3, 5, 0.97  # none of them a default
SETTINGS = Settings(
    steps=STEPS, batch=8, accumulate=3, lr=LR, beta2=BETA2, warmup=WARMUP, decay="cosine",
    average=DECAY, n_bits=N_BITS, seed=SEED,
    log_every=2, evaluate_every=4, evaluate_images=5, checkpoint_every=3, on_bad_step="skip",
)  # fmt: skip
# of the clock here: a step, of which adding up; a line
STEP_SECONDS, EXCHANGE_SECONDS, LINE_SECONDS = (
    2.0,
    0.5,
    100.0,
)
LINES = [2, 4, 6, 8, 10, 12, 14]
EVALUATED = [4, 8, 12, 14]
DATA = dataset(40)


def make_model(dtype="float64"):
    model = Glow(
        GlowConfig((8, 8, 3), K=2, L=2, width=8), 1, dtype, Memory("reversible"), Workers(1)
    )
    next(convolutions(model)).weight.value[0] *= (
        2  # so that the worst is neither the last one nor of the last level
    )
    return model


def convolutions(model):
    return (
        layer.layers["permutation"]
        for level in model.levels
        for layer in level.steps.layers.values()
    )


def bits(model, theta, x):
    """bits/dim of each image under the weights theta: -(log p(x) - D ln 2^n) / (D ln 2), log p =
    sum log N(z) + log|det|.
    """
    kept = model.store.theta.copy()
    model.store.theta[...] = theta
    latents, logdet = model.forward(x)
    model.store.theta[...] = kept
    z = np.concatenate([eps.reshape(len(x), -1) for eps in latents], axis=1)
    log_p = logdet - 0.5 * (z**2).sum(axis=1) - 0.5 * z.shape[1] * math.log(2 * math.pi)
    return -(log_p - z.shape[1] * math.log(2**N_BITS)) / (z.shape[1] * math.log(2))


def continuous(images, noise):
    return (images // 2 ** (8 - N_BITS) + noise) / 2**N_BITS - 0.5


class Slow(Allreduce):
    def __init__(self, clock):
        super().__init__(OneProcess())
        self.clock = clock

    def sum_in_place(self, vector, pairwise=False):
        self.clock.now += EXCHANGE_SECONDS


class Watched(Training):
    """A training that notes the weights before and after each step, and its batch.

    Its steps take their time.
    """

    def __init__(self, model, clock):
        super().__init__(model, SETTINGS, Slow(clock))
        self.clock, self.noted = clock, []

    def step(self, batch):
        before, began = self.model.store.theta.copy(), self.clock.now
        result = super().step(batch)
        self.clock.now = began + STEP_SECONDS
        x = continuous(batch.images, batch.noise)
        self.noted.append(
            SimpleNamespace(
                before=before, after=self.model.store.theta.copy(), x=x, good=result is not None
            )
        )
        return result


class Watcher:
    """Writing takes its time, and after one step the weights are made worse, so that the last
    evaluation is not the best.

    What depends on rounding alone, and so on the very weights, is computed when a line is written.
    """

    def __init__(self, training):
        self.training, self.seen = training, {}

    def on_step(self, step, result):
        pass

    def on_metrics(self, metrics, timing):
        self.training.clock.now += LINE_SECONDS
        self.seen[metrics.step] = (
            self.drifts(),
            self.error() if metrics.held_out_bits_per_dim is not None else None,
        )

    def on_checkpoint(self, training):
        pass

    def after_step(self, training):
        if training.state.step == WORSE and len(training.noted) == WORSE - STOPPED:
            training.model.store.theta += 0.02 * np.random.default_rng(0).standard_normal(
                len(training.model.store)
            )

    def close(self):
        pass

    def drifts(self):
        """Of each part of the last batch: how far its rebuilt images are off, or what the layers
        kept, at most.
        """
        model, last = self.training.model, self.training.noted[-1]
        kept, model.store.theta[...] = model.store.theta.copy(), last.before
        found = []
        for part in cut(8, 3):
            latents, _, trail = model.forward_with_cache(last.x[part])
            rebuilt, _ = model.backward(latents, *loss_gradients(latents, 8), trail)
            found.append(max([abs(rebuilt - last.x[part]).max(), *trail.drift.values()]))
        model.store.theta[...] = kept
        return found

    def error(self):
        """Of encoding and decoding 16 held-out images, or as many as there are, under the averaged
        weights.
        """
        x = continuous(DATA.held_out[:16], 0.5)
        with self.training.averaged():
            return 256 * abs(self.training.model.decode(self.training.model.encode(x)) - x).max()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a run of two sessions wrote, and what was noted of it."""
    path, clock = tmp_path_factory.mktemp("run"), SimpleNamespace(now=7.0)
    with pytest.MonkeyPatch.context() as patch:
        for module in (glowlite.training.loop, glowlite.training.step):
            patch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
        noted, seen = [], {}
        for session in (1, 2):
            training = Watched(make_model(), clock)
            if session == 2:
                glowlite.training.checkpoint.restore(training, checkpoints_of(path)[-1])
            clock.now += 1000  # between the sessions

            def bad_or_not(*arguments, training=training):
                return gradient_norm(*arguments) * (
                    np.nan if training.state.step == SKIPPED - 1 else 1
                )

            patch.setattr(glowlite.training.step, "gradient_norm", bad_or_not)
            watcher = Watcher(training)
            folder = RunFolder(path, training, DATA, {}, 99)
            train(
                training,
                DATA,
                [watcher, folder],
                stop=lambda s=session, t=training: s == 1 and t.state.step == STOPPED,
            )
            folder.close()
            noted, seen = noted + training.noted, seen | watcher.seen
    names = ("metrics", "timing")
    read = {
        name: [json.loads(line) for line in (path / f"{name}.jsonl").read_text().splitlines()]
        for name in names
    }
    assert len(noted) == STEPS and [i + 1 for i, step in enumerate(noted) if not step.good] == [
        SKIPPED
    ]
    return SimpleNamespace(path=path, noted=noted, seen=seen, model=training.model, **read)


def average(run, step):
    """The average of the weights after each good step up to this one, the newest first: 1, decay,
    decay^2, ...
    """
    after = [noted.after for noted in run.noted[:step] if noted.good][::-1]
    weights = DECAY ** np.arange(len(after))
    return np.tensordot(weights / weights.sum(), np.array(after), 1)


def losses(run):
    """Mean bits/dim of the batch of each step, under the weights before it.

    None where it was skipped.
    """
    return [
        bits(run.model, step.before, step.x).mean() if step.good else None for step in run.noted
    ]


def since_the_line_before(run, step):
    first = max([line for line in LINES if line < step], default=0)
    return [loss for loss in losses(run)[first:step] if loss is not None]


def held_out(run, theta):
    rows = some_rows(len(DATA.held_out), 5)
    images = DATA.held_out.read(rows)
    noise = dequantization_noise(SEED, "evaluate", 0, 0, images.shape, "float64")
    return bits(run.model, theta, continuous(images, noise)).mean()


def rate(step):
    """Of step 1, 2, ...: a linear warm-up, which ends at LR, then half a period of a cosine down to
    0.
    """
    after = (step - 1 - WARMUP) / (STEPS - WARMUP)
    return LR * step / WARMUP if step <= WARMUP else LR * (1 + math.cos(math.pi * after)) / 2


def test_steps_epochs_and_what_was_skipped(run):
    assert [line["step"] for line in run.metrics] == [line["step"] for line in run.timing] == LINES
    assert [line["epoch"] for line in run.metrics] == [step / EPOCH for step in LINES]
    assert [line["skipped"] for line in run.metrics] == [int(step >= SKIPPED) for step in LINES]


def test_training_bits_per_dim_are_the_mean_since_the_line_before(run):
    for line in run.metrics:
        assert line["train_bits_per_dim"] == pytest.approx(
            np.mean(since_the_line_before(run, line["step"])), rel=1e-12
        )


def test_held_out_bits_per_dim_are_of_the_averaged_and_of_the_raw_weights(run):
    for line in run.metrics:
        step = line["step"]
        if step not in EVALUATED:
            assert (
                line["held_out_bits_per_dim"]
                is line["held_out_raw_bits_per_dim"]
                is line["reconstruction_error"]
                is None
            )
            continue
        assert line["held_out_bits_per_dim"] == pytest.approx(
            held_out(run, average(run, step)), rel=1e-12
        )
        assert line["held_out_raw_bits_per_dim"] == pytest.approx(
            held_out(run, run.noted[step - 1].after), rel=1e-12
        )
        # they can be told apart
        assert abs(line["held_out_bits_per_dim"] / line["held_out_raw_bits_per_dim"] - 1) > 1e-6


def test_the_learning_rate_is_the_one_the_step_was_made_with(run):
    """Adam by its definition, with the rate that is written, takes the weights before each step to
    those after it.
    """
    assert [line["learning_rate"] for line in run.metrics] == pytest.approx(
        [rate(step) for step in LINES], rel=1e-12
    )
    m = v = done = 0
    for step, noted in enumerate(run.noted, 1):
        if not noted.good:
            assert np.array_equal(noted.after, noted.before)
            continue
        g, done = gradient(run.model, noted), done + 1
        m, v = 0.9 * m + 0.1 * g, BETA2 * v + (1 - BETA2) * g**2
        change = rate(step) * (m / (1 - 0.9**done)) / (np.sqrt(v / (1 - BETA2**done)) + 1e-8)
        # a gradient that is zero is so to rounding of the sums behind it, and Adam divides it by
        # 1e-8
        rounding = np.finfo(float).eps * abs(g).max() / 1e-8
        assert rounding < 1e-6
        np.testing.assert_allclose(
            noted.after - noted.before, -change, rtol=1e-6, atol=rounding * LR
        )


def gradient(model, noted):
    """Of the mean bits/dim of the whole batch at once."""
    kept, model.store.theta[...] = model.store.theta.copy(), noted.before
    model.store.grad[...] = 0
    latents, _ = model.forward(noted.x)
    model.backward(latents, *loss_gradients(latents, len(noted.x)))
    model.store.theta[...] = kept
    return model.store.grad.copy()


def test_norm_drift_condition_and_reconstruction_are_of_the_last_step(run):
    matrices = list(convolutions(run.model))
    assert len(matrices) == 4 and all(isinstance(matrix, ChannelMixing) for matrix in matrices)
    worst_parts = set()
    for line in run.metrics:
        noted, (drifts, error) = run.noted[line["step"] - 1], run.seen[line["step"]]
        assert line["reconstruction_error"] == error
        kept, run.model.store.theta[...] = run.model.store.theta.copy(), noted.after
        assert line["condition"] == pytest.approx(
            max(np.linalg.cond(matrix.matrix()) for matrix in matrices), rel=1e-9
        )
        run.model.store.theta[...] = kept
        if not noted.good:
            assert line["grad_norm"] is line["drift"] is None
            continue
        assert line["grad_norm"] == pytest.approx(
            np.linalg.norm(gradient(run.model, noted)), rel=1e-9
        )
        assert line["drift"] == max(drifts) > 0
        worst_parts.add(int(np.argmax(drifts)))
    assert len(worst_parts) > 1  # not always the first part, nor the last


def test_seconds_go_on_over_a_resume_and_images_per_second_are_those_of_training(run):
    for i, line in enumerate(run.timing):
        assert line["seconds"] == pytest.approx(STEP_SECONDS * line["step"] + LINE_SECONDS * i)
        assert line["images_per_second"] == pytest.approx(SETTINGS.batch / STEP_SECONDS)
        assert line["exchange"] == pytest.approx(EXCHANGE_SECONDS / STEP_SECONDS)
        assert line["waiting"] == 0


def test_the_header_of_a_checkpoint_says_where_the_run_was(run):
    files = checkpoints_of(run.path)
    assert [int(file.stem.removeprefix("step-")) for file in files] == [3, 4, 6, 8, 9, 12, 14]
    evaluations = {step: held_out(run, average(run, step)) for step in EVALUATED}
    assert min(evaluations, key=evaluations.get) == 8  # neither the first nor the last
    for file in files:
        header = read_header(file)
        step, state = header["step"], header["state"]
        good = sum(noted.good for noted in run.noted[:step])
        lines = [line for line in LINES if line <= step]
        assert file.name == f"step-{step:08d}.safetensors"
        assert (header["epoch"], header["position"]) == (step // EPOCH, step % EPOCH)
        assert header["optimizer"] == {"name": "adam", "steps": good}
        assert header["average"] == {"decay": DECAY, "updates": good}
        assert header["n_bits"] == N_BITS and header["seed"] == 1 and header["initialized"] is True
        assert header["settings"]["steps"] == STEPS and header["settings"]["seed"] == SEED
        so_far = {at: value for at, value in evaluations.items() if at <= step}
        best_step = min(so_far, key=so_far.get) if so_far else 0
        assert state["step"] == step and state["best_step"] == best_step
        assert state["best"] == (pytest.approx(so_far[best_step], rel=1e-12) if so_far else None)
        assert state["held_out"] == (
            pytest.approx(so_far[max(so_far)], rel=1e-12) if so_far else None
        )
        assert state["skipped"] == int(step >= SKIPPED) and state["skipped_in_a_row"] == int(
            step == SKIPPED
        )
        assert state["losses"] == pytest.approx(
            [] if step in LINES else since_the_line_before(run, step), rel=1e-12
        )
        assert state["seconds"] == pytest.approx(STEP_SECONDS * step + LINE_SECONDS * len(lines))


def test_the_best_checkpoint_is_the_best_and_not_the_newest(run):
    assert read_header(run.path / BEST)["step"] == 8
    assert (run.path / BEST).read_bytes() == (
        run.path / "checkpoints" / "step-00000008.safetensors"
    ).read_bytes()


class Two(OneProcess):
    """This rank, and another whose numbers are given, before or after it."""

    size = 2

    def __init__(self, other, before):
        self.other, self.before = np.array(other), before

    def allgather_numbers(self, values, place):
        return np.stack([self.other, values] if self.before else [values, self.other])


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("drift", [0.0, 1e-3])
def test_the_loss_and_the_drift_of_a_step_are_those_of_all_ranks(before, drift):
    x = continuous(DATA.train[:4], 0.5)
    found = []
    for allreduce in (None, Allreduce(Two([0.25, 0.5, drift, 0.0], before))):
        model = make_model()
        model.initialize(x)
        found.append(
            training_step(
                model, Adam(model.store.theta), x, N_BITS, 0.0, parts=cut(4, 2), allreduce=allreduce
            )
        )
    alone, both = found
    assert both.bits_per_dim == pytest.approx(alone.bits_per_dim + 0.75, rel=1e-12)
    assert both.drift == max(alone.drift, drift) and 0 < alone.drift < 1e-3
