"""Bugs in what is done about numbers that are not finite."""

from __future__ import annotations

from . import Bug

LAW = "values that are not finite are caught everywhere"

STEP = "tests/test_not_finite.py::test_a_step_that_is_not_finite_changes_nothing_and_is_said"
SKIPPED = "tests/test_not_finite.py::test_a_skipped_step_leaves_no_trace"
IN_A_ROW = "tests/test_not_finite.py::test_bad_steps_that_are_not_in_a_row_never_end_a_run"
RANKS = "tests/test_not_finite.py::test_a_gradient_of_another_rank_that_is_not_finite_changes_nothing_here"
PROBLEM = "tests/test_not_finite.py::test_a_problem_of_another_rank_is_everybodys"
GUARDS = "tests/test_not_finite.py::test_every_guard_knows_what_is_not_finite"
NORM = "tests/test_not_finite.py::test_the_norm_of_a_gradient_that_is_not_finite_is_not"
SCALE = "tests/test_not_finite.py::test_no_step_is_taken_whose_scale_is_nan"
METRICS = "tests/test_not_finite.py::test_scores_and_reconstructions_that_are_not_finite_stay_out_of_metrics"
EVALUATION = "tests/test_not_finite.py::test_an_evaluation_says_how_many_scores_are_not_finite"

BUGS = [
    Bug(
        LAW,
        "a loss that is not finite is reported as drift",
        "training/guards.py",
        "        bad_loss = not np.isfinite(loss)",
        "        bad_loss = False",
        (STEP, GUARDS),
    ),
    Bug(
        LAW,
        "the drift of a part is not looked at",
        "training/guards.py",
        "np.isfinite(shares[:, 0]) & (shares[:, 1] <= DRIFT_LIMIT)",
        "np.isfinite(shares[:, 0])",
        (STEP, GUARDS),
    ),
    Bug(
        LAW,
        "an infinite gradient is applied to the weights",
        "training/guards.py",
        "(abs(norm) < np.inf)",
        "(norm == norm)",
        (STEP, RANKS, GUARDS),
    ),
    Bug(
        LAW,
        "a gradient is checked after the weights were updated",
        "training/step.py",
        "xp.where(good, clip_factor(norm, clip), xp.nan)",
        "clip_factor(norm, clip)",
        (STEP, SKIPPED, RANKS),
    ),
    Bug(
        LAW,
        "on the host a bad step moves the weights",
        "training/optimizers.py",
        "        if math.isnan(scale):\n            return\n",
        "",
        (SCALE, STEP),
    ),
    Bug(
        LAW,
        "held-out scores that are NaN are taken for good ones",
        "training/guards.py",
        "    if not np.isfinite(bits) or",
        "    if np.isinf(bits) or",
        (GUARDS,),
    ),
    Bug(
        LAW,
        "a NaN gradient counts as good",
        "training/guards.py",
        "(abs(norm) < np.inf)",
        "~(abs(norm) == np.inf)",
        (STEP, GUARDS),
    ),
    Bug(
        LAW,
        "a NaN loss counts as good",
        "training/guards.py",
        "(abs(loss) < np.inf)",
        "~(abs(loss) == np.inf)",
        (STEP, GUARDS),
    ),
    Bug(
        LAW,
        "a NaN drift counts as good",
        "training/guards.py",
        "(drift <= DRIFT_LIMIT)",
        "~(drift > DRIFT_LIMIT)",
        (STEP, GUARDS),
    ),
    Bug(
        LAW,
        "on a GPU a bad step changes the weights",
        "training/optimizers.py",
        "  if (scale[0] != scale[0]) return;\n",
        "",
        (SCALE, STEP),
    ),
    Bug(
        LAW,
        "steps after a bad one on a device move the weights",
        "training/step.py",
        "good & is_good(*table)",
        "is_good(*table)",
        (STEP,),
    ),
    Bug(
        LAW,
        "skipped steps far apart end a run",
        "training/run.py",
        "                self.state.skipped_in_a_row = 0\n",
        "                pass\n",
        (IN_A_ROW, SKIPPED),
    ),
    Bug(
        LAW,
        "a skipped step changes the average",
        "training/run.py",
        "                return None\n",
        "                pass\n",
        (SKIPPED,),
    ),
    Bug(
        LAW,
        "what another rank found is not listened to",
        "training/guards.py",
        "ranks.broadcast(said, root=rank)",
        "said",
        (PROBLEM,),
    ),
    Bug(
        LAW,
        "the norm of a gradient passes over NaN",
        "training/optimizers.py",
        "            return xp.dot(g, g).astype(xp.float64)",
        "            return xp.dot(xp.nan_to_num(g), xp.nan_to_num(g)).astype(xp.float64)",
        (NORM,),
    ),
    Bug(
        LAW,
        "a reconstruction that is not finite makes a line of metrics that is not JSON",
        "training/loop.py",
        "    return value if math.isfinite(value) else None",
        "    return value",
        (METRICS,),
    ),
    Bug(
        LAW,
        "scores that are infinite are not counted",
        "commands/evaluate.py",
        "    nonfinite = int((~np.isfinite(results)).sum())",
        "    nonfinite = int(np.isnan(results).sum())",
        (EVALUATION,),
    ),
]
