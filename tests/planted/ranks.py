"""Bugs that let ranks differ, or wait for ever."""

from __future__ import annotations

from . import Bug

LAW = "processes are equal after the initial broadcast, and differences are detected"
EQUAL = "tests/test_agreement.py::test_ranks_that_began_different_are_equal_after_the_broadcast"
NOTICED = "tests/test_agreement.py::test_a_planted_difference_is_noticed"
COMPARED = "tests/test_agreement.py::test_ranks_are_compared_at_the_start_and_at_every_evaluation"
WAITING = "every wait ends in time and names the missing process"
STOPPED = "tests/test_communicator.py::test_a_stopped_rank_ends_all_and_is_named"

BUGS = [
    Bug(
        LAW,
        "averaged weights are not broadcast",
        "training/checkpoint.py",
        "vectors.append(average.sum)",
        "pass",
        (EQUAL,),
    ),
    Bug(
        LAW,
        "permutations are not broadcast",
        "training/checkpoint.py",
        "        *(constant.value for constant in store.constants.values()),\n    ]",
        "    ]",
        (EQUAL,),
    ),
    Bug(
        LAW,
        "second moments are not broadcast",
        "training/checkpoint.py",
        "        optimizer.m,\n        optimizer.v,\n",
        "        optimizer.m,\n",
        (EQUAL,),
    ),
    Bug(
        LAW,
        "the optimiser's step count is not broadcast",
        "training/checkpoint.py",
        "state, optimizer.steps, updates, header = ranks.broadcast(",
        "state, _, updates, header = ranks.broadcast(",
        (EQUAL,),
    ),
    Bug(
        LAW,
        "a check for equality that never fails",
        "training/agreement.py",
        "if others := unlike_most(column.tolist()):",
        "if others := unlike_most(column.tolist()[:1]):",
        (NOTICED,),
    ),
    Bug(
        LAW,
        "the averaged weights are not compared",
        "training/agreement.py",
        '{"the averaged weights": average.sum} if average else {}',
        "{}",
        (NOTICED,),
    ),
    Bug(
        LAW,
        "permutations are not compared",
        "training/agreement.py",
        "**{name: constant.value for name, constant in constants.items()},",
        "",
        (NOTICED,),
    ),
    Bug(
        LAW,
        "a start without a check",
        "training/loop.py",
        '    check_together(training, "the start")\n',
        "",
        (COMPARED,),
    ),
    Bug(
        LAW,
        "an evaluation without a check",
        "training/loop.py",
        'check_together(training, f"the evaluation after step {state.step}")',
        "pass",
        (COMPARED,),
    ),
    Bug(
        WAITING,
        "no time limit",
        "distributed/mpi_processes.py",
        "if patience.is_over() or self._roll_is_called():",
        "if self._roll_is_called():",
        (f"{STOPPED}[sum]",),
    ),
    Bug(
        WAITING,
        "no time limit at the start",
        "distributed/mpi.py",
        "if not gone and not patience.is_over():",
        "if not gone:",
        (f"{STOPPED}[start]",),
    ),
    Bug(
        WAITING,
        "time in which the job is suspended counts as waiting",
        "distributed/timeouts.py",
        "min(now - self._looked, GAP)",
        "now - self._looked",
        ("tests/test_communicator.py::test_patience_is_counted_while_this_process_runs",),
    ),
]
