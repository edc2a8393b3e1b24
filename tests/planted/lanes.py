"""Bugs in the two lanes of a batch, and in the process of one of them."""

from __future__ import annotations

from . import Bug

LAW = "two lanes give the result of one batch"
LANES, PROCESS, THREADS = "fast/lanes.py", "fast/lane_process.py", "fast/threads.py"


def test(name: str) -> tuple[str]:
    return (f"tests/test_lanes.py::{name}",)


BITS = test("test_processes_threads_and_one_thread_give_the_same_bits")
ROUNDING = test("test_lanes_change_gradients_by_rounding_only")
SEES = test("test_a_lane_sees_what_becomes_of_the_parameters_and_of_the_budget")
WHICH = test("test_which_batches_have_two_lanes")
NOT_FINITE = test("test_what_is_not_finite_in_either_half_is_seen")
KEEP = test("test_lanes_keep_what_the_run_says_that_it_keeps")
WHOLE = test("test_a_lane_is_not_cut_again")
ERROR = test("test_an_error_in_the_other_process_is_raised_here_and_the_next_batch_runs")
SHORT = test("test_memory_that_is_short_in_the_other_process_halves_the_budget")
ENDED = test("test_a_process_that_is_ended_is_an_error_in_one_line")
ALONE = test("test_the_process_holds_no_file_and_hears_no_ctrl_c")

BUGS = [
    Bug(
        LAW,
        "the second half's gradients are left out",
        LANES,
        "        self._add_gradients()\n",
        "",
        ROUNDING,
    ),
    Bug(LAW, "they pile up from step to step", LANES, "        self._grad.fill(0)\n", "", BITS),
    Bug(LAW, "the loss is that of the first half", LANES, "loss + other_loss", "loss", ROUNDING),
    Bug(
        LAW,
        "the loss of each half is averaged over that half alone",
        LANES,
        "options = n_bits, batch or len(x), _half",
        "options = n_bits, len(x) // 2, _half",
        ROUNDING,
    ),
    Bug(
        LAW,
        "the drift of the second half is left out",
        LANES,
        "np.maximum(drift, other_drift)",
        "drift",
        NOT_FINITE,
    ),
    Bug(
        LAW,
        "each lane has the whole budget",
        LANES,
        "budget=memory.bytes / 2",
        "budget=memory.bytes",
        KEEP,
    ),
    Bug(
        LAW,
        "a budget that changes is not passed on",
        LANES,
        "if memory is not None and flow.memory != memory:",
        "if False:",
        SEES,
    ),
    Bug(LAW, "a large model has lanes, too", LANES, " and len(model.store) <= SMALL", "", WHICH),
    Bug(LAW, "a plain model has lanes", LANES, "if model.plain or model.xp", "if model.xp", WHICH),
    Bug(
        LAW,
        "a lane is divided into tiles again",
        THREADS,
        "if self._is_whole():",
        "if False:",
        WHOLE,
    ),
    Bug(
        LAW,
        "parameters are not shared",
        "arrays/parameters.py",
        "shared_zeros((size,), dtype) if xp is np else xp.zeros(size, dtype)",
        "xp.zeros(size, dtype)",
        BITS,
    ),
    Bug(
        LAW,
        "an error in the process is a result",
        LANES,
        "other or self._run_second(*second, *options)",
        "other or (0.0, 0.0)",
        ERROR,
    ),
    Bug(
        LAW,
        "running out of memory in a lane is treated like any error",
        PROCESS,
        "        return NO_MEMORY\n",
        "        return None\n",
        SHORT,
    ),
    Bug(
        LAW, "the process keeps files", PROCESS, "        os.closerange(3, descriptor)\n", "", ALONE
    ),
    Bug(
        LAW,
        "the process hears Ctrl-C",
        PROCESS,
        "signal.signal(number, signal.SIG_IGN)",
        "signal.signal(number, signal.SIG_DFL)",
        ALONE,
    ),
    Bug(
        LAW,
        "a process that is gone is waited for",
        PROCESS,
        "        if not line:\n",
        "        if line is None:\n",
        ENDED,
    ),
    Bug(
        LAW,
        "any memory is taken for shared",
        "arrays/shared.py",
        "return isinstance(owner, _Shared)",
        "return owner is not None",
        test("test_a_copied_model_whose_parameters_are_its_own_gives_the_same_bits"),
    ),
]
