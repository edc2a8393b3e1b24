"""The benchmark: its count of operations, its clocks, its command, and the PyTorch model it
compares with.
"""

import gc
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from strict_device import counts, ndarray, pool, xp

import glowlite.bench.__main__ as command
import glowlite.fast.mkl
from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.bench import device, plan, work
from glowlite.bench.__main__ import depths_of, parse_arguments
from glowlite.bench.job import Job
from glowlite.bench.parts import clocked, shares
from glowlite.bench.peak import peak_bytes
from glowlite.bench.preset_jobs import SHAPES, preset_job
from glowlite.bench.rounds import Times, measure
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


def test_the_products_alone_are_those_of_a_step(monkeypatch):
    """Counted as they are made, they are four passes of the networks, as `forward_flops` has them
    plus known channels.
    """
    counted = []
    monkeypatch.setattr(
        glowlite.fast.mkl.np,
        "matmul",
        lambda a, b, out: counted.append(2 * a.shape[0] * a.shape[1] * b.shape[1]),
    )
    config = GlowConfig((8, 8, 3), K=2, L=2, width=8, border="none")
    work.products_alone(Job(config, 4, 1, 4.0), training=True)()
    networks = sum(
        2 * 4 * config.K * level.pixels * 8 * (9 * level.given + 8 + 9 * level.net_output)
        for level in work.levels(config)
    )
    # the row that biases are weights of
    ones = sum(2 * 4 * config.K * level.pixels * 8 for level in work.levels(config))
    assert sum(counted) == 4 * networks + 3 * ones
    counted.clear()
    work.products_alone(Job(config, 4, 1, 4.0), training=False)()
    assert sum(counted) == networks + ones


def test_times_are_medians_and_ratios_are_taken_within_a_round():
    slow_second_round = Times([1.0, 10.0, 1.0]), Times([2.0, 20.0, 2.0])
    assert slow_second_round[0].median == 1.0
    assert slow_second_round[1].ratio_to(slow_second_round[0]) == 2.0
    assert str(Times([0.25, 0.5, 1.0])) == "0.500 s (0.250 s to 1.000 s)"


def test_candidates_run_in_processes_of_their_own():
    names = [
        "sgemm:64",
        "products",
        "reversible",
        "stored",
        "anchored:2",
        "optimiser",
        "data",
        "sample",
    ]
    times = measure(dict.fromkeys(names, SMALL), rounds=2)
    assert list(times) == names
    assert all(len(t.seconds) == 2 and min(t.seconds) > 0 for t in times.values())


def test_a_candidate_that_fails_is_named():
    with pytest.raises(
        GlowliteError,
        match="bench: anchored:x: GlowliteError: memory 'anchored:x': expected reversible",
    ):
        measure({"anchored:x": SMALL}, rounds=1)


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


def test_the_operating_system_sees_what_stored_keeps():
    """Four times the depth: `reversible` is where it was but for a little, `stored` has four times
    the hidden maps.
    """
    jobs = [Job(GlowConfig((32, 32, 3), K=K, L=1, width=64), 16, 1, 4.0) for K in (4, 16)]
    reversible = [peak_bytes(job, "reversible")["step"] for job in jobs]
    stored = [peak_bytes(job, "stored")["step"] for job in jobs]
    hidden = 2 * 16 * 256 * 64 * 4  # bytes of a step's two hidden maps
    assert abs(reversible[1] - reversible[0]) < 4 * hidden
    assert stored[1] - stored[0] > 12 * hidden


def test_the_command_prints_writes_and_draws(tmp_path):
    small = (
        "--side",
        "8",
        "--K",
        "1",
        "--L",
        "2",
        "--width",
        "8",
        "--batch",
        "4",
        "--rounds",
        "1",
        "--depths",
        "1,2",
    )
    done = bench(
        *small,
        "--memory",
        "stored,anchored:2",
        "--json",
        str(tmp_path / "b.json"),
        "--plots",
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "b.json").read_text())
    assert list(found["steps"]) == ["reversible", "stored", "anchored:2"]
    assert found["steps"]["stored"]["of_limit"] == pytest.approx(
        found["limit_s"] / found["steps"]["stored"]["median_s"]
    )
    assert list(found["memory"]["stored"]) == ["1", "2"]
    for text in (
        "of limit",
        "shares of a reversible step: products",
        "sampling 4 images",
        "anchored:2",
    ):
        assert text in done.stdout
    for name in ("step-times.png", "shares.png", "memory.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "argument --threads: 0 is not allowed: must be at least 1"),
        (("--tile", "1e8"), "tile must be positive and smaller than this machine's memory"),
        (("--tile", "0"), "tile must be positive"),
        (("--memory", "all"), "expected reversible, stored or anchored:k"),
        (("--depths", "4,x"), "expected whole numbers from 1 to 4,096 with commas between"),
        (("--side", "20"), "H and W must be divisible by 8"),
        (("--device", "tpu"), "device 'tpu': expected cpu, gpu or gpu:k, such as gpu:0"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    done = bench(*arguments)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_depths():
    assert depths_of("none") == [] and depths_of("4,16") == [4, 16]
    assert depths_of("auto") == [4, 16] and depths_of("auto", on_gpu=True) == [4, 8, 16, 32]
    with pytest.raises(GlowliteError, match="whole numbers"):
        depths_of("0")


def test_a_preset_is_the_job_that_is_trained_and_what_is_typed_wins():
    assert set(PRESETS) - set(SHAPES) == {"openai", "paper"}  # which are for images of any size
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
    with pytest.raises(GlowliteError, match="expected one that is for images of one size: faces"):
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

    times = device.measure({"stored": too_large, "reversible": int}, 1, xp)
    assert list(times) == ["reversible"]
    with pytest.raises(
        GlowliteError,
        match="bench: stored does not fit the memory of the GPU; lower --batch or --width",
    ):
        device.check_fits(times, ["stored"])


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
    """But for what a level's channel matrices and gradients take, and `stored` keeps its hidden
    maps.
    """
    job = Job(GlowConfig((16, 16, 3), K=2, L=1, width=64), 32, 1, 4.0)
    deeper = Job(GlowConfig((16, 16, 3), K=8, L=1, width=64), 32, 1, 4.0)
    reversible = [device.step_memory(j, "reversible", xp) for j in (job, deeper)]
    stored = [device.step_memory(j, "stored", xp) for j in (job, deeper)]
    hidden = 2 * 32 * 64 * 64 * 4  # bytes of a step's two hidden maps
    parameters = [16 * len(j.model().store) for j in (job, deeper)]
    assert (
        abs(reversible[1]["step"] - reversible[0]["step"])
        < hidden / 4 + parameters[1] - parameters[0]
    )
    assert stored[1]["step"] - stored[0]["step"] > 6 * hidden
    for found, model_bytes in zip(reversible, parameters, strict=True):
        assert found["resident"] - found["step"] >= model_bytes


def test_the_report_of_a_gpu_is_made_on_the_stand_in():
    gc.collect()
    before = pool.used_bytes()
    sampled = Job(GlowConfig((16, 16, 3), K=2, L=2, width=8, coupling="additive"), 1, 1, 4.0)
    found = device.report(SMALL, ["reversible", "stored"], 2, [1, 2], sampled, xp, squares=(64, 96))
    assert list(found["steps"]) == ["reversible", "stored"] and list(found["memory"]["stored"]) == [
        "1",
        "2",
    ]
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert found["steps"]["stored"]["of_limit"] == pytest.approx(
        found["limit_s"] / found["steps"]["stored"]["median_s"]
    )
    assert found["best_sgemm_gflops"] == max(found["sgemm_gflops"].values())
    assert found["latency"]["sample"]["median_s"] > 0 and found["latency"]["published_s"] == 0.130
    shown = device.table(found)
    for text in (
        "by level: ",
        "of limit",
        "sampling 4 images",
        "of CuPy's pool in all",
        "latency of a sample, 16x16, K=2",
    ):
        assert text in shown
    gc.collect()
    assert pool.used_bytes() - before < 2**16  # constants that are kept, and nothing else


def test_the_products_of_the_levels_are_those_of_a_step():
    flops = 4 * (
        work.forward_flops(SMALL.config, 4) - work.forward_flops(replace_width(SMALL, 0), 4)
    )
    assert SMALL.config.K * sum(device.level_flops(SMALL)) == flops
    counts.clear()
    for task in device.level_products(SMALL, xp).values():
        counts.clear()
        task()
        assert counts["kernel"] == 12 and counts["sync"] == 0


def replace_width(job, width):
    """The same config without its networks: what is left is the 1x1 convolutions and the priors of
    the splits.
    """
    config = GlowConfig(**job.config.to_dict())
    object.__setattr__(config, "width", width)
    return config


def test_the_policy_of_a_model_can_change_between_steps():
    model, x = SMALL.model(xp=xp), SMALL.images(xp)
    assert isinstance(x, ndarray)
    for memory, kept in (("stored", 2), ("anchored:1", 2), ("reversible", 1)):
        device.follow(model, memory)
        _, _, trail = model.forward_with_cache(x)
        # the last step always is
        assert sum(entry is not None for entry in trail.levels[0].entries) == kept


@pytest.mark.parametrize(
    "arguments",
    [("--json", "b.json"), ("--preset", "faces", "--K", "1", "--width", "8", "--batch", "4")],
)
def test_the_command_on_the_stand_in(monkeypatch, tmp_path, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(command, "device_namespace", lambda *wanted: asked.append(wanted) or xp)
    monkeypatch.setattr(device, "SQUARES", (64,))
    small = [
        "--side",
        "8",
        "--K",
        "1",
        "--L",
        "2",
        "--width",
        "8",
        "--batch",
        "4",
        "--rounds",
        "1",
        "--depths",
        "1",
    ]
    rest = [
        "--device",
        "gpu:0",
        "--tf32",
        "--gpu-memory",
        "2.5",
        "--no-latency",
        "--plots",
        "plots",
        "--memory",
        "stored",
    ]
    monkeypatch.setattr(
        sys,
        "argv",
        ["bench", *(small if arguments[0] == "--json" else ["--depths", "1"]), *rest, *arguments],
    )
    command.main()
    assert asked == [("gpu:0", 0, True, 2.5)]
    assert (
        "8x8x3"
        if arguments[0] == "--json"
        else "16x16x3, K=1, L=3, width 8, affine, batch 4, on a GPU"
    ) in capsys.readouterr().out
    assert (tmp_path / "plots" / "memory.png").exists()
    if arguments[0] == "--json":
        assert json.loads((tmp_path / "b.json").read_text())["latency"] is None
    monkeypatch.setattr(sys, "argv", ["bench", "--device", "gpu", "--against", "torch"])
    with pytest.raises(GlowliteError, match="--against times models on the CPU"):
        command.main()


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
    done = subprocess.run(
        [sys.executable, "-m", "glowlite.bench.plan"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in GPU_PAGE, (
        "docs/gpu.md is behind: put there what python -m glowlite.bench.plan prints"
    )
    for assumed in (
        f"{plan.OF_RATE:g} of a card's published rate", f"{plan.OF_BANDWIDTH:g} of its bandwidth",
        f"{plan.LAUNCHES} kernels, at {1e6 * plan.LAUNCH_S:g} us"
        " each", f"need {plan.CONTEXT / 1e9:g} GB",
    ):  # fmt: skip
        assert assumed in " ".join(GPU_PAGE.split())


PLANNED = {
    "affine": (GlowConfig((32, 32, 3), K=2, L=2, width=128), 16),
    "openai": (GlowConfig.openai((32, 32, 3), K=2, L=3, width=256), 64),
    "additive": (GlowConfig.openai((32, 32, 3), K=2, L=2, width=256, coupling="additive"), 32),
    "thin": (GlowConfig((32, 32, 3), K=2, L=2, width=16), 64),
    "paper": (GlowConfig.paper((32, 32, 3), K=2, L=2, width=64), 64),
}


@pytest.mark.parametrize("name", PLANNED)
def test_memory_of_a_step_is_as_planned(name):
    """The arrays of a step on the stand-in, at their most; x is there before.

    Where hidden maps are thin themselves, the plan is above what is taken: by 5.3% here, for a
    reason that is not known yet.
    """
    config, images = PLANNED[name]
    taken = (
        device.step_memory(Job(config, images, 1, 4.0), "reversible", xp)["step"]
        + 4 * config.dimensions * images
    )
    planned = plan.step_bytes(config, images)
    above = 0.06 if config.width <= 64 else 0.03
    assert (1 - above) * planned <= taken <= 1.03 * planned


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
def test_numbers_have_three_digits(value, text):
    assert plan.number(value) == text


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
