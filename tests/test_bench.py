"""The benchmark: its count of operations, its clocks, its command, and the PyTorch model it
compares with.
"""

import gc
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from strict_device import counts, ndarray, pool, xp
from threadpoolctl import threadpool_limits

import glowlite.bench.__main__ as command
import glowlite.fast.mkl
from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.bench import device, peak, plan, scaling, shapes, work
from glowlite.bench.__main__ import depths_of, parse_arguments
from glowlite.bench.budgets import parse_budgets, row_of
from glowlite.bench.candidates import make
from glowlite.bench.job import Job
from glowlite.bench.parts import clocked, shares
from glowlite.bench.peak import peak_bytes
from glowlite.bench.preset_jobs import SHAPES, preset_job
from glowlite.bench.rounds import Times, measure
from glowlite.bijectors.memory import Memory
from glowlite.commands.presets import PRESETS
from glowlite.fast.threads import Workers

GPU_PAGE = (Path(__file__).parent.parent / "docs" / "gpu.md").read_text()
SMALL = Job(GlowConfig((8, 8, 3), K=2, L=2, width=8), batch=4, threads=2, tile=4.0)


def bench(*arguments):
    command = [sys.executable, "-m", "glowlite.bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("coupling", "outputs"), [("affine", 12), ("additive", 6)])
def test_operations_of_a_forward_pass_are_counted_layer_by_layer(coupling, outputs):
    """One level of 4x4 pixels, 12 channels: a 3x3 convolution 6 -> 5, a 1x1 one, a 3x3 one, and the
    1x1 of the flow.
    """
    config = GlowConfig((8, 8, 3), K=3, L=1, width=5, coupling=coupling)
    a_pixel = 6 * 9 * 5 + 5 * 5 + 5 * 9 * outputs + 12 * 12
    assert work.forward_flops(config, 7) == 2 * 7 * 3 * 16 * a_pixel


def test_operations_of_the_prior_of_a_split_and_of_later_levels():
    config = GlowConfig((8, 8, 3), K=1, L=2, width=5)
    first = 16 * (6 * 9 * 5 + 25 + 5 * 9 * 12 + 144 + 6 * 9 * 12)
    second = 4 * (12 * 9 * 5 + 25 + 5 * 9 * 24 + 24 * 24)
    assert work.forward_flops(config, 1) == 2 * (first + second)


@pytest.mark.parametrize("kept", [None, (0, 0), (1, 2), (2, 2)])
def test_the_products_alone_are_those_of_a_step(monkeypatch, kept):
    """Counted as they are made, they are four passes of the networks that are rebuilt and three of
    those that are kept, as `forward_flops` has them plus known channels; one of a sample.
    """
    counted = []
    monkeypatch.setattr(
        glowlite.fast.mkl.np,
        "matmul",
        lambda a, b, out: counted.append(2 * a.shape[0] * a.shape[1] * b.shape[1]),
    )
    config = GlowConfig((8, 8, 3), K=2, L=2, width=8, border="none")
    work.products_alone(Job(config, 4, 1, 4.0), kept)()
    expected = 0
    for i, level in enumerate(work.levels(config)):
        network = 2 * 4 * level.pixels * 8 * (9 * level.given + 8 + 9 * level.net_output)
        ones = 2 * 4 * level.pixels * 8  # the row that biases are weights of: not sent back
        rebuilt = 2 - kept[i] if kept else 0
        passes = 2 if kept is None else 4 * rebuilt + 3 * (2 - rebuilt)
        expected += passes * network
        assert work.products_flops(config, 4, kept)[i] == passes * network
        expected += (2 if kept is None else passes - 2) * ones
    assert sum(counted) == expected


def test_a_step_makes_three_passes_where_it_is_kept_and_four_where_not():
    """But for the priors of splits, which are computed again."""
    config = GlowConfig((16, 16, 3), K=3, L=2, width=8, split_prior="unit")
    assert work.passes(config, (0, 0)) == 4 and work.passes(config, (3, 3)) == pytest.approx(3)
    learned = GlowConfig((16, 16, 3), K=3, L=2, width=8)
    prior = 2 * 64 * 6 * 9 * 12
    assert work.passes(learned, (3, 3)) == pytest.approx(3 + prior / work.forward_flops(learned, 1))
    first = 2 * 64 * 3 * (8 * (9 * 6 + 8 + 9 * 12) + 12 * 12)
    assert work.passes(config, (3, 0)) == pytest.approx(4 - first / work.forward_flops(config, 1))


def test_times_are_medians_and_ratios_are_taken_within_a_round():
    slow_second_round = Times([1.0, 10.0, 1.0]), Times([2.0, 20.0, 2.0])
    assert slow_second_round[0].median == 1.0
    assert slow_second_round[1].ratio_to(slow_second_round[0]) == 2.0
    assert str(Times([0.25, 0.5, 1.0])) == "0.500 s (0.250 s to 1.000 s)"


def test_candidates_run_in_processes_of_their_own():
    names = ["sgemm:64", "memory 1MB+anchored:2"]
    times = measure(dict.fromkeys(names, SMALL), rounds=2)
    assert list(times) == names
    assert all(len(t.seconds) == 2 and min(t.seconds) > 0 for t in times.values())


def test_a_candidate_that_fails_is_named():
    with pytest.raises(
        GlowliteError, match="bench: memory 3GX: GlowliteError: memory '3GX': expected a size"
    ):
        measure({"memory 3GX": SMALL}, rounds=1)


def measure_here(jobs, rounds, candidate=""):
    """`rounds.measure` without processes."""
    tasks = {name: make(candidate or name, job) for name, job in jobs.items()}
    return {name: Times([seconds(task) for _ in range(rounds)]) for name, task in tasks.items()}


def seconds(task):
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


@pytest.fixture
def here(monkeypatch):
    """A benchmark that starts no process, of small squares."""
    for module in (command, scaling):
        monkeypatch.setattr(module, "measure", measure_here)
    monkeypatch.setattr(command, "peak_bytes", peak.measure)
    monkeypatch.setattr(command, "SQUARES", (64, 96))
    monkeypatch.setattr(shapes, "TURN", 1e-4)


def test_gather_and_scatter_are_clocked_only_inside_the_block():
    model, x = SMALL.model(), SMALL.images()
    with clocked() as spent:
        model.forward(x)
    inside = spent[0]
    assert inside > 0
    model.forward(x)
    assert spent[0] == inside


def test_shares_add_up_to_one():
    parts = shares(Times([1.0]), Times([0.5]), Times([0.1]), Times([0.25]), 0.05)
    assert sum(parts.values()) == pytest.approx(1)
    assert parts["products"] == 0.4 and parts["data"] == 0.2


def test_the_operating_system_sees_what_is_kept():
    """In processes of their own; `tests/test_memory.py` has more depths and budgets."""
    job = Job(GlowConfig((32, 32, 3), K=8, L=1, width=64), 16, 2, 4.0)  # both lanes at once
    nothing, everything = (peak_bytes(job, f"memory {text}") for text in ("0", "all"))
    hidden = 2 * 16 * 256 * 64 * 4  # bytes of a step's two hidden maps
    assert everything["step"] - nothing["step"] > 8 * hidden
    assert nothing["resident"] - nothing["step"] > 16 * len(job.bare_model().store)


SIZES_OF_SMALL = {
    "side": 8, "K": 2, "L": 2, "width": 8, "batch": 4, "rounds": 1, "threads": 2
}  # fmt: skip
SMALL_WORDS = [f"--{name}={value}" for name, value in SIZES_OF_SMALL.items()]


def test_the_command_prints_writes_and_draws(tmp_path, here, capsys):
    places = [f"--json={tmp_path}/b.json", f"--plots={tmp_path}"]
    command.main([*SMALL_WORDS, "--depths=1,2", "--memory=all,0,0+anchored:2", *places])
    found, said = json.loads((tmp_path / "b.json").read_text()), capsys.readouterr().out
    names = ["memory 256MB", "memory all", "memory 0", "memory 0+anchored:2"]
    steps = found["steps"]
    assert list(steps) == names == list(found["memory"])
    for step in steps.values():
        assert step["of_limit"] == pytest.approx(step["limit_s"] / step["median_s"])
        assert step["limit_s"] == pytest.approx(step["passes"] * found["pass_s"])
    assert steps["memory 256MB"]["ratio_to_default"] == 1
    assert steps["memory 0"]["ratio_to_default"] == pytest.approx(
        steps["memory 0"]["median_s"] / steps["memory 256MB"]["median_s"]
    )
    assert [steps[name]["passes"] for name in ("memory 0", "memory 0+anchored:2")] == [4, 4]
    assert 3 < steps["memory all"]["passes"] == steps["memory 256MB"]["passes"] < 3.2
    assert found["limit_s"] == steps["memory 256MB"]["limit_s"]
    kept = found["kept"]
    assert kept["memory all"]["steps"] == kept["memory all"]["of"] == [2, 2]
    assert kept["memory 0"]["steps"] == [0, 0] and kept["memory 0"]["bytes"] == 0
    assert list(found["memory"]["memory all"]) == ["1", "2"]
    assert list(found["budgets"]) == ["0", "1MB", "all"]  # parts of less than a megabyte
    assert found["budgets"]["all"]["kept_bytes"] == kept["memory all"]["bytes"]
    for text in (
        "of limit",
        "memory all: keeps all 4 steps, 0 MB",
        "shares of a step, memory 256MB: products",
        "level 1, middle",
        "sampling 4 images",
        "memory 0+anchored:2",
    ):
        assert text in said
    for name in command.PICTURES:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_forms_one_by_one_keep_what_they_can(here, capsys):
    command.main([*SMALL_WORDS, "--depths", "none", "--against", "plain", "--memory", "0"])
    said = capsys.readouterr().out
    assert "plain: memory 256MB: keeps all 4 steps" in said
    assert re.search(r"without FoldedNetwork( +[\d.]+){4} +3\.1", said)


def test_what_is_more_than_the_machine_has_is_left_out(here, monkeypatch, capsys):
    monkeypatch.setattr(command, "available_bytes", lambda: 1000.0)
    command.main([*SMALL_WORDS, "--depths=1", "--budgets=0,all"])
    said = capsys.readouterr()
    assert "memory all is left out: it keeps 0.0 GB, but there are 0.0" in said.err
    assert "memory all " not in said.out and "memory 256MB: keeps all 4 steps" in said.out


def test_a_row_of_budgets_goes_from_nothing_to_all():
    everything = SimpleNamespace(size=100 * 2**20 + 5)
    assert [str(memory) for memory in row_of(everything)] == ["0", "26MB", "51MB", "76MB", "all"]


def test_the_default_budget_is_always_timed():
    room = lambda: (2.0**40, 2.0**40)  # noqa: E731
    assert [str(memory) for memory in parse_budgets("all,0,all", room)] == ["256MB", "all", "0"]
    assert [str(memory) for memory in parse_budgets("0,256MB,all", room)] == ["0", "256MB", "all"]
    assert str(parse_budgets("auto:0.25", room)[1]) == "256GB"


def test_a_step_that_keeps_less_than_asked_is_no_step_of_its_budget(monkeypatch):
    model = SMALL.model(Memory("all"))

    def halves(model, *arguments, **named):
        model.memory = model.memory.halved(2**30)

    monkeypatch.setattr("glowlite.bench.job.training_step", halves)
    with pytest.raises(MemoryError, match="not enough memory for all"):
        SMALL.step(model, None, None)


# --- shapes ---


def test_rates_of_shapes_are_held_against_the_square_of_their_round():
    square, thin = shapes.Shape(-1, "", "", 8, 8, 8, 2), shapes.Shape(0, "a", "by inputs", 8, 4, 2)
    assert square.flops == 2 * 2 * 8**3 and thin.flops == 2 * 8 * 4 * 2
    times = {thin: Times([1e-6, 10e-6, 1e-6]), square: Times([4e-6, 40e-6, 4e-6])}
    found = shapes.figures(times, square)
    assert found["square_gflops"] == pytest.approx(2048 / 4e-6 / 1e9)
    (row,) = found["products"]
    assert row["gflops"] == pytest.approx(128 / 1e-6 / 1e9)
    assert row["of_square"] == pytest.approx(128 / 2048 * 4)
    (*_, line) = shapes.lines(found)
    assert line.startswith("level 0, a") and line.index("8x4x2") > 16 + 28 - 1


def test_shapes_are_those_that_run(here):
    """Tiles of two images, both threads busy; each of nine products of both levels."""
    found = shapes.measure(SMALL, 32, 2)["products"]
    sizes = {(p["level"], p["layer"], p["way"]): [*map(p.get, SIZES)] for p in found}
    assert len(sizes) == 18 and min(p["of_square"] for p in found) > 0
    assert sizes[0, "first", "forward"] == [8, 54 + 9 + 1, 32]
    assert sizes[1, "last", "by weights"] == [8, 8, 9 * 24]
    assert sizes[1, "middle", "by inputs"] == [8, 8, 8]


SIZES = ("rows", "inner", "columns")


# --- scaling ---


def test_the_exponent_is_that_of_the_power():
    assert scaling.growth([2, 4, 8], [3 * n**1.5 for n in (2, 4, 8)])["exponent"] == pytest.approx(
        1.5
    )


@pytest.mark.parametrize(
    ("name", "changed"),
    [("K", {"K": 6}), ("width", {"width": 24}), ("side", {"image_shape": (24, 24, 3)})],
)
def test_one_factor_grows_at_a_time(name, changed):
    assert scaling.grown(SMALL, name, 3) == replace(SMALL, config=replace(SMALL.config, **changed))
    assert scaling.grown(SMALL, "batch", 3) == replace(SMALL, batch=12)


def test_scaling_is_a_table_of_its_own(here, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(scaling, "find_spec", lambda name: None)
    monkeypatch.setattr(scaling, "FACTORS", (1, 2))
    path = tmp_path / "s.json"
    for _ in range(2):  # a file of its own is written again
        command.main(["--scaling", *SMALL_WORDS, "--json", str(path)])
    found, said = json.loads(path.read_text())["scaling"], capsys.readouterr()
    assert {name: grew["sizes"] for name, grew in found.items()} == {
        "K": [2, 4], "batch": [4, 8], "side": [8, 16], "width": [8, 16]
    }  # fmt: skip
    assert re.search(r"width +8: +0\.\d{4} +16: +0\.\d{4} +-?\d\.\d\d$", said.out, re.MULTILINE)
    assert "ranks are left out: they need mpirun and mpi4py" in said.err


def test_scaling_begins_with_a_small_job_and_what_is_typed_wins():
    options = parse_arguments(["--scaling", "--K", "3"])
    assert (options.side, options.K, options.width) == (scaling.BASE["side"], 3, 64)


def test_ranks_share_a_step(monkeypatch, capsys):
    pytest.importorskip("mpi4py", reason="an MPI comes with pip install '.[test]'")
    if scaling._mpirun() is None:
        pytest.skip("no mpirun")
    monkeypatch.setattr(scaling, "LAUNCHES", 1)
    found = scaling._seconds_of_ranks(SMALL)
    assert list(found) == [1, 2] and min(found.values()) > 0, capsys.readouterr().err
    monkeypatch.setattr(scaling, "PROGRAM", "glowlite.bench.nothing")
    assert scaling._seconds_of_ranks(SMALL) == {}
    assert "ranks are left out: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "argument --threads: 0 is not allowed: must be at least 1"),
        (("--tile", "1e8"), "tile must be positive and smaller than this machine's memory"),
        (("--tile", "0"), "tile must be positive"),
        (("--memory", "0,-1MB"), "memory '-1MB': expected a size such as 256MB"),
        (("--budgets", "0,,all"), "memory '': expected a size"),
        (
            ("--scaling", "--against", "torch"),
            "--scaling makes a separate table: leave out --against",
        ),
        (("--scaling", "--plots", "x"), "--scaling makes a separate table: leave out --plots"),
        (("--scaling", "--device", "gpu"), "--scaling times steps on the CPU"),
        (("--device", "gpu", "--against", "torch"), "--against times models on the CPU"),
        (("--depths", "4,x"), "expected whole numbers from 1 to 4,096 separated by commas"),
        (("--side", "20"), "H and W must be divisible by 8"),
        (("--device", "tpu"), "device 'tpu': expected cpu, gpu or gpu:k, such as gpu:0"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, capsys):
    with pytest.raises((GlowliteError, SystemExit)) as error:
        command.main(list(arguments))
    said = capsys.readouterr().err if error.type is SystemExit else str(error.value)
    assert message in said and len(said.strip().splitlines()) == 1


def test_a_mistake_is_said_by_the_program():
    done = bench("--memory", "3GX")
    assert done.returncode == 2 and "memory '3GX': expected a size such as" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_depths():
    assert depths_of("none") == [] and depths_of("4,16") == [4, 16]
    assert depths_of("auto") == [4, 16] and depths_of("auto", on_gpu=True) == [4, 8, 16, 32]
    with pytest.raises(GlowliteError, match="whole numbers"):
        depths_of("0")


def test_a_preset_is_the_job_that_is_trained_and_what_is_typed_wins():
    glows = {name for name, options in PRESETS.items() if "model" not in options}
    assert glows - set(SHAPES) == {"openai", "paper"}  # which are for images of any size
    for name, shape in SHAPES.items():
        options = parse_arguments(["--preset", name])
        made = (options.K, options.L, options.width, options.coupling, options.scale)
        config, training = preset_job(name)
        assert (
            GlowConfig((options.side, options.side, options.channels), *made) == config
            and config.image_shape == shape
        )
        assert options.batch * training.accumulate == training.batch
    assert parse_arguments(["--K", "3", "--preset", "celebahq256"]).K == 3
    with pytest.raises(GlowliteError, match="expected one with a fixed image size: faces"):
        preset_job("openai")


# --- a GPU, by its stand-in ---


def test_a_clock_is_read_when_the_device_is_idle():
    log, waits = [], counts["sync"]
    times = device.measure(
        {"a": lambda: log.append("a"), "b": lambda: log.append("b")}, 3, Waiting(log)
    )
    assert counts["sync"] == waits and all(
        len(t.seconds) == 3 and min(t.seconds) >= 0 for t in times.values()
    )
    turns = re.findall("w(a+|b+)w", "".join(log))
    assert "".join(turns[:4]) == "aabb"[:4] and [turn[0] for turn in turns[4:]] == ["a", "b"] * 3
    assert len(set(map(len, turns[4::2]))) == 1  # as many in every round


class Waiting:
    """An array module of which only the stream is there: it logs that it was waited for."""

    def __init__(self, log):
        self.cuda = self
        self.synchronize = lambda: log.append("w")

    def get_current_stream(self):
        return self


def test_what_does_not_fit_is_left_out():
    def too_large():
        raise MemoryError("Out of memory allocating 9 bytes")

    times = device.measure({"memory all": too_large, "memory 0": int}, 1, xp)
    assert list(times) == ["memory 0"]
    with pytest.raises(
        GlowliteError,
        match="bench: memory all does not fit into the GPU's memory; lower --batch or --width",
    ):
        device.check_fits(times, ["memory all"])


def test_the_high_water_of_the_pool_is_that_of_the_arrays():
    held = xp.zeros(1000, np.float32)

    def task():
        a = held + 1  # 4096 bytes, as all memory in pieces of 512
        b = a + 1
        del a
        return b[250:] + 1

    most, before = device.high_water(task, xp)
    assert before >= 4096 and most - before == 2 * 4096  # a and b: 3072 bytes come when a is gone
    assert pool.used_bytes() == before


def test_memory_on_the_device_does_not_grow_with_depth():
    """But for what a level's channel matrices and gradients take; `all` keeps its hidden maps, and
    a budget no more than it is.
    """
    job = Job(GlowConfig((16, 16, 3), K=2, L=1, width=64), 16, 1, 4.0)
    deeper = Job(GlowConfig((16, 16, 3), K=6, L=1, width=64), 16, 1, 4.0)
    nothing = [device.step_memory(j, Memory(0), xp) for j in (job, deeper)]
    everything = device.step_memory(deeper, Memory("all"), xp)["step"]
    some = device.step_memory(deeper, Memory("2MB"), xp)["step"]
    hidden = 2 * 16 * 64 * 64 * 4  # bytes of a step's two hidden maps
    parameters = [16 * len(j.model().store) for j in (job, deeper)]
    assert abs(nothing[1]["step"] - nothing[0]["step"]) < hidden / 4 + parameters[1] - parameters[0]
    assert everything - nothing[1]["step"] > 4 * hidden
    kept = deeper.kept([Memory("2MB")], xp).popitem()[1].size
    assert hidden < kept < 2**21
    assert some - nothing[1]["step"] == pytest.approx(kept, rel=0.05)
    for found, model_bytes in zip(nothing, parameters, strict=True):
        assert found["resident"] - found["step"] >= model_bytes


def test_the_report_of_a_gpu_is_made_on_the_stand_in(monkeypatch):
    monkeypatch.setattr(device, "TURN", 1e-4)
    gc.collect()
    before = pool.used_bytes()
    sampled = Job(GlowConfig((16, 16, 3), K=2, L=2, width=8, coupling="additive"), 1, 1, 4.0)
    budgets = [Memory(0), Memory(), Memory("all")]
    found = device.report(SMALL, budgets, None, 2, [1, 2], sampled, xp, squares=(64, 96))
    names = ["memory 0", "memory 256MB", "memory all"]
    assert list(found["steps"]) == names == list(found["kept"])
    assert list(found["memory"]["memory all"]) == ["1", "2"]
    assert found["kept"]["memory all"]["steps"] == [2, 2]
    assert sum(found["shares"].values()) == pytest.approx(1)
    for step in found["steps"].values():
        assert step["of_limit"] == pytest.approx(step["limit_s"] / step["median_s"])
    assert found["steps"]["memory 0"]["passes"] == 4 > found["steps"]["memory all"]["passes"]
    assert list(found["budgets"]) == ["0", "1MB", "all"]
    assert found["budgets"]["all"]["peak_bytes"] > found["budgets"]["0"]["peak_bytes"]
    assert found["best_sgemm_gflops"] == max(found["sgemm_gflops"].values())
    assert found["latency"]["sample"]["median_s"] > 0 and found["latency"]["published_s"] == 0.130
    shown = device.table(found)
    for text in (
        "by level: ",
        "of limit",
        "level 1, last",
        "sampling 4 images",
        "memory 0: keeps none of 4 steps",
        "of CuPy's pool in all",
        "latency of a sample, 16x16, K=2",
    ):
        assert text in shown
    gc.collect()
    assert pool.used_bytes() - before < 2**16  # constants that are kept, and nothing else


@pytest.mark.parametrize("kept", [(0, 0), (1, 2)])
def test_the_products_of_the_levels_are_those_of_a_step(kept):
    """Where each product takes a second an operation, so does a level."""
    tasks = device.shape_tasks(SMALL, xp)
    times = {shape: Times([shape.flops]) for shape in tasks}
    extra = {  # the border and the ones, which are not sent back
        i: (3 * 2 - kept[i]) * 2 * 4 * level.pixels * 8 * 10
        for i, level in enumerate(work.levels(SMALL.config))
    }
    flops = work.products_flops(SMALL.config, 4, kept)
    assert device.level_seconds(SMALL.config, kept, times) == [
        flops[i] + extra[i] for i in range(2)
    ]
    counts.clear()
    for task in tasks.values():
        task()
    assert counts["kernel"] == 18 and counts["sync"] == 0


def test_the_budget_of_a_model_can_change_between_steps(monkeypatch):
    kept = []

    def step(model, optimizer, x, *_, **__):
        assert isinstance(x, ndarray)
        _, _, trail = model.forward_with_cache(x)
        kept.append(sum(entry is not None for entry in trail.levels[0].entries))

    monkeypatch.setattr("glowlite.bench.job.training_step", step)
    budgets = [Memory("all"), Memory.parse("0+anchored:1"), Memory(0)]
    for task in list(device.step_tasks(SMALL, budgets, xp).values())[:3]:
        task()
    assert kept == [2, 2, 0]


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ([*SMALL_WORDS, "--K=1", "--json=b.json", "--plots=plots"], "8x8x3, K=1, L=2"),
        (["--preset=faces", "--K=1", "--width=8", "--batch=4", "--rounds=1"], "16x16x3, K=1, L=2"),
    ],
)
def test_the_command_on_the_stand_in(monkeypatch, tmp_path, capsys, arguments, title):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(command, "device_namespace", lambda *wanted: asked.append(wanted) or xp)
    monkeypatch.setattr(device, "SQUARES", (64,))
    monkeypatch.setattr(device, "TURN", 1e-4)
    rest = ["--device=gpu:0", "--tf32", "--gpu-memory=2.5", "--no-latency", "--memory=all"]
    command.main([*arguments, *rest, "--depths=1", "--budgets=0"])
    assert asked == [("gpu:0", 0, True, 2.5)]
    assert f"{title}, width 8, affine, batch 4, on a GPU" in capsys.readouterr().out
    if "--json=b.json" in arguments:
        assert json.loads((tmp_path / "b.json").read_text())["latency"] is None
        assert {path.name for path in tmp_path.glob("plots/*")} == set(command.PICTURES)


def test_without_cupy_the_command_is_one_line():
    code = "import sys; sys.modules['cupy'] = None; import runpy"
    code += "; sys.argv = ['bench', '--device', 'gpu']"
    code += "; runpy.run_module('glowlite.bench', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "CuPy is not installed; run pip install '.[gpu-cuda12]'" in done.stderr


@pytest.mark.parametrize("line", re.findall(r"python -m glowlite\.bench (--[^#\n]*)", GPU_PAGE))
def test_the_commands_of_the_page_are_understood(line):
    assert parse_arguments(line.split()).device == "gpu"


# --- the plan ---


def test_the_page_holds_what_the_plan_prints():
    with threadpool_limits(1):
        assert plan.markdown() in GPU_PAGE, (
            "docs/gpu.md is behind: put there what python -m glowlite.bench.plan prints"
        )
    for assumed in (
        f"{plan.OF_RATE:g} of a card's published rate", f"{plan.OF_BANDWIDTH:g} of its bandwidth",
        f"{plan.LAUNCHES} kernels, at {1e6 * plan.LAUNCH_S:g} us"
        " each", f"need {plan.CONTEXT / 1e9:g} GB",
    ):  # fmt: skip
        assert assumed in " ".join(GPU_PAGE.split())


PLANNED = {
    "affine": (GlowConfig((32, 32, 3), K=2, L=2, width=128), 4),
    "openai": (GlowConfig.openai((32, 32, 3), K=2, L=3, width=256), 16),
    "additive": (GlowConfig.openai((32, 32, 3), K=2, L=2, width=256, coupling="additive"), 8),
    "thin": (GlowConfig((32, 32, 3), K=2, L=2, width=16), 16),
    "paper": (GlowConfig.paper((32, 32, 3), K=2, L=2, width=64), 16),
    "deep": (GlowConfig((32, 32, 3), K=6, L=1, width=32), 8),
}


@pytest.mark.parametrize("name", PLANNED)
def test_memory_of_a_step_is_as_planned(name):
    """The arrays of a step on the stand-in, at their most; x is there before.

    Beside what is counted there are vectors of a step: scales, biases, constants and sums, about 12
    as long as `width` or nine times the channels; and each array ends on 512 bytes.
    """
    config, images = PLANNED[name]
    taken = (
        device.step_memory(Job(config, images, 1, 4.0), Memory(0), xp)["step"]
        + 4 * config.dimensions * images
    )
    planned, longest = plan.step_bytes(config, images), max(config.width, 9 * 4 * 3)
    assert planned <= taken <= planned + config.K * 12 * (4 * longest + 512)


@pytest.mark.parametrize(
    "options",
    [{}, {"coupling": "additive", "L": 1}, {"permutation": "lu", "border": "none", "K": 1}],
)
def test_parameters_are_counted_without_the_model(options):
    config = GlowConfig((16, 16, 3), **{"K": 5, "L": 2, "width": 24, **options})
    assert plan.parameter_count(config) == Glow(config).parameter_count()


def test_the_largest_batch_fits_and_one_more_does_not():
    config = GlowConfig.openai((32, 32, 3), K=2, L=2, width=64)
    most = plan.largest_batch(config, True, 4)
    assert plan.whole_bytes(config, True, most) <= 4e9 < plan.whole_bytes(config, True, most + 1)
    assert plan.largest_batch(config, True, 0.6) == 0


def test_what_bounds_a_step():
    """A fast card waits for launches, one of slow products for these, one of slow memory for all
    the rest.
    """
    config = GlowConfig.openai((32, 32, 3), K=4, L=2, width=256)

    def on(memory, rate, bandwidth):
        return plan.expected(
            config, True, 64, plan.Card("", memory, rate, rate, bandwidth), tf32=False
        )

    flops = 4 * work.forward_flops(config, 64)
    assert on(80, 1e6, 1e9).bound_by == "launches" and on(80, 1e6, 1e9).seconds == pytest.approx(
        40 * 5e-6 * 4 * 2
    )
    assert on(80, 1, 1e9).bound_by == "products" and on(80, 1, 1e9).products == pytest.approx(
        flops / 0.7e12
    )
    assert on(80, 1e6, 100).bound_by == "element-wise"
    assert on(80, 2, 200).seconds == pytest.approx(on(80, 1, 100).seconds / 2)
    small = on(0.7, 1, 100)  # the batch does not fit at once
    assert small.parts == -(-64 // plan.largest_batch(config, True, 0.7)) > 1


def test_celebahq_is_the_work_that_is_known():
    """About 1.9 TFLOP an image; and the parameters that docs/performance.md has of the model when
    it was run.
    """
    config, _ = preset_job("celebahq256")
    assert 4 * work.forward_flops(config, 1) == pytest.approx(1.93e12, rel=0.01)
    assert "| celebahq256 | 175,099,620 | 1.93 |" in GPU_PAGE


@pytest.mark.parametrize(
    ("value", "text"), [(0.03214, "0.0321"), (999.4, "999"), (1234, "1,230"), (332640, "332,000")]
)
def test_counted_numbers_have_three_digits(value, text):
    assert plan.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.03214, "0.03"), (3.2, "3"), (77.2, "80"), (999, "1,000"), (2950, "3,000")],
)
def test_estimated_numbers_have_one_digit(value, text):
    assert plan.one_digit(value) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (9, "9"), (855, "800"), (46_700, "40,000")])
def test_batches_that_fit_are_rounded_down(count, text):
    assert plan.one_digit_down(count) == text


def copy_weights(model, twin, torch):
    """The weights of a glowlite model with `border="none"` into a TorchGlow: kernels turn, channels
    come first.
    """

    def put(target, value):
        target.data.copy_(torch.from_numpy(np.ascontiguousarray(value)).reshape(target.shape))

    def put_zero_conv(target, conv):
        kernel = conv.weight.value.reshape(conv.in_channels, 3, 3, -1)[:, ::-1, ::-1].transpose(
            3, 0, 1, 2
        )
        put(target.conv.weight, kernel)
        put(target.conv.bias, conv.bias.value)
        put(target.logs, conv.logs.value)

    for level, torch_level in zip(model.levels, twin.levels, strict=True):
        for step, target in zip(level.steps.layers.values(), torch_level, strict=True):
            layers = step.layers
            put(target.actnorm.bias, layers["actnorm"].bias.value)
            put(target.actnorm.logs, layers["actnorm"].logs.value)
            put(target.weight, layers["permutation"].weight.value)
            net = layers["coupling"].net
            width = net.width
            put(
                target.conv1.weight,
                net.conv1.weight.value.reshape(3, 3, -1, width).transpose(3, 2, 0, 1),
            )
            put(target.conv2.weight, net.conv2.weight.value.T)
            for norm, conv in ((target.norm1, net.conv1), (target.norm2, net.conv2)):
                put(norm.bias, conv.bias.value)
                put(norm.logs, conv.logs.value)
            put_zero_conv(target.conv3, net.conv3)
    for split, target in zip(
        [level.split for level in model.levels[:-1]], twin.splits, strict=True
    ):
        put_zero_conv(target, split.prior.conv)
    top = model.top.prior.conv
    put(twin.top, top.bias.value * np.exp(3 * top.logs.value))


@pytest.mark.parametrize(
    "options", [{}, {"scale": "bounded"}, {"scale": "exp"}, {"coupling": "additive"}]
)
def test_the_torch_glow_is_the_same_model(options):
    torch = pytest.importorskip("torch")
    pytest.importorskip("normflows")
    from glowlite.bench.torch_glow import TorchGlow

    config = GlowConfig((16, 16, 3), K=2, L=3, width=16, border="none", **options)
    model = Glow(config, workers=Workers(1))
    rng = np.random.default_rng(0)
    model.store.theta[...] += 0.05 * rng.standard_normal(len(model.store)).astype(np.float32)
    x = (rng.random((3, 16, 16, 3)) - 0.5).astype(np.float32)
    twin = TorchGlow(config)
    copy_weights(model, twin, torch)
    log_prob = (
        twin(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).detach().numpy()
    )
    np.testing.assert_allclose(log_prob, model.log_prob(x), rtol=2e-5)


@pytest.mark.filterwarnings("ignore:torch.lu is deprecated")
def test_rivals_take_steps_that_lower_their_loss():
    pytest.importorskip("torch")
    pytest.importorskip("normflows")
    from glowlite.bench.torch_glow import training_task

    for name in ("torch eager", "torch channels-last", "normflows"):
        step = training_task(name, SMALL)
        losses = [step() for _ in range(20)]
        assert losses[-1] < losses[0], name
