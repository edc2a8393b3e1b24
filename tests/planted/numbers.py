"""Bugs in what a run writes about itself: metrics, timing, and the headers of its checkpoints."""

from __future__ import annotations

from . import Bug

LAW = "every logged number agrees with its definition"


def bug(what: str, file: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(
        LAW, what, file, old, new, tuple(f"tests/test_written_numbers.py::{test}" for test in tests)
    )


def nats(what: str, old: str, new: str) -> Bug:
    test = "tests/test_objective.py::test_nats_are_those_of_pixels_between_0_and_1"
    return Bug(LAW, what, "objective.py", old, new, (test,))


COUNTS = "test_steps_epochs_and_what_was_skipped"
TRAINED = "test_training_bits_per_dim_are_the_mean_since_the_line_before"
HELD_OUT = "test_held_out_bits_per_dim_are_of_the_averaged_and_of_the_raw_weights"
RATE = "test_the_learning_rate_is_the_one_the_step_was_made_with"
LAST_STEP = "test_norm_drift_condition_and_reconstruction_are_of_the_last_step"
SECONDS = "test_seconds_go_on_over_a_resume_and_images_per_second_are_those_of_training"
HEADER = "test_the_header_of_a_checkpoint_says_where_the_run_was"
BEST = "test_the_best_checkpoint_is_the_best_and_not_the_newest"
RANKS = "test_the_loss_and_the_drift_of_a_step_are_those_of_all_ranks"

TRAINER, TRAINING, UPDATE, EVALUATION = (
    "training/loop.py",
    "training/run.py",
    "training/step.py",
    "training/scoring.py",
)
EPOCH = "epoch=state.step / (len(data.train) // settings.batch)"
AVERAGED = "with training.averaged():\n            if data"
RESULT = "xp.stack([shares[:, 0].sum(), norm, shares[:, 1].max()])"
NEXT = "learning_rate=training.learning_rate(),"
BOTH = "held_out_raw_bits_per_dim=raw"
START = "self.line_started, self.waited, self.images = time.perf_counter(), 0.0, 0\n"

BUGS = [
    bug("the schedule is one step ahead", TRAINING, "rate(self.state.step", "rate(self.state.step + 1", RATE),
    bug("the rate of the next step is written", TRAINER, "learning_rate=lr,", NEXT, RATE),
    bug("warm-up ends a step late", "training/optimizers.py", "lr * (step + 1) / warmup", "lr * step / warmup", RATE),
    bug("the epoch is half", TRAINER, EPOCH, f"{EPOCH} / 2", COUNTS),
    bug("the epoch is a whole number", TRAINER, EPOCH, EPOCH.replace("step / ", "step // "), COUNTS),
    bug("skipped in a row, and not in all", TRAINER, "skipped=state.skipped,", "skipped=state.skipped_in_a_row,", COUNTS),
    bug("only the loss of the last step is logged", TRAINER, "float(np.mean(losses))", "float(losses[-1])", TRAINED),
    bug("losses of earlier lines stay", TRAINER, ", state.losses = state.losses, []", " = state.losses", TRAINED),
    bug("the raw weights for the averaged ones", TRAINER, AVERAGED, f"if True:{AVERAGED[25:]}", HELD_OUT),
    bug("all held-out images, and not some", TRAINER, "settings.seed, settings.evaluate_images,", "settings.seed, 10**9,", HELD_OUT),
    bug("one result for both weights", TRAINER, f"{BOTH},", f"{BOTH} and held_out,", HELD_OUT),
    bug("the norm of the gradient is cut", UPDATE, RESULT, RESULT.replace("norm", "xp.minimum(norm, 1e-3)"), LAST_STEP),
    bug("only the drift of the last part is logged", UPDATE, RESULT, RESULT.replace("[:, 1].max()", "[:, 1, -1].max()"), LAST_STEP),
    bug("the drift of rank 0", UPDATE, RESULT, RESULT.replace("[:, 1].max()", "[0, 1].max()"), f"{RANKS}[0.001-False]"),
    bug("the drift of the last rank", UPDATE, RESULT, RESULT.replace("[:, 1].max()", "[-1, 1].max()"), f"{RANKS}[0.001-True]"),
    bug("the loss of rank 0", UPDATE, RESULT, RESULT.replace("[:, 0]", "[0, 0]"), f"{RANKS}[0.0-False]"),
    bug("the reconstruction in the range of an image", EVALUATION, ".max()) * 256", ".max())", LAST_STEP),
    bug("the reconstruction in grey levels of 255", EVALUATION, ".max()) * 256", ".max()) * 255", LAST_STEP),
    bug("only the condition number of the last level is logged", "training/guards.py", "if conditions[k] > worst:", "if True:", LAST_STEP),
    bug("seconds begin again at a resume", TRAINER, "_Clock(state.seconds, ", "_Clock(0.0, ", SECONDS),
    bug("writing is counted as training", TRAINER, " " * 16 + "clock.start_again()", " " * 16 + "clock.images = 0", SECONDS),
    bug("images of all lines", TRAINER, START, START.replace(", 0\n", ", getattr(self, 'images', 0)\n"), SECONDS),
    bug("the exchange since the start", TRAINER, "self.allreduce.seconds - self.exchanged", "self.allreduce.seconds", SECONDS),
    bug("epoch and position change places", "training/checkpoint.py", "epoch, position = divmod", "position, epoch = divmod", HEADER),
    bug("seconds are not saved", TRAINER, "state.seconds = clock.seconds()", "clock.seconds()", HEADER),
    bug("the best is the last evaluation", TRAINER, "if state.best is None or held_out < state.best:", "if True:", HEADER),
    bug("the worst is the best", TRAINER, "held_out < state.best:", "held_out > state.best:", HEADER),
    nats("the levels of a pixel are left out of the nats", "(check_n_bits(n_bits) - bits)", "(0 - bits)"),
    nats("nats of one number, and not of an image", "dimensions * math.log(2) * (check", "math.log(2) * (check"),
    nats("bits are called nats", "dimensions * math.log(2) * (check", "dimensions * (check"),
    bug(
        "best.safetensors is the newest", "training/run_folder.py",
        "if training.state.best_step == training.state.step:", "if True:", BEST,
    ),
]  # fmt: skip
