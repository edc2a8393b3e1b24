"""The benchmark: its count of operations, its clocks, its command, and the PyTorch model it compares with."""

import json
import subprocess
import sys

import numpy as np
import pytest

import glowlite.blas
from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.bench import work
from glowlite.bench.__main__ import depths_of
from glowlite.bench.job import Job
from glowlite.bench.parts import clocked, shares
from glowlite.bench.peak import peak_bytes
from glowlite.bench.rounds import Times, measure
from glowlite.workers import Workers

SMALL = Job(GlowConfig((8, 8, 3), K=2, L=2, width=8), batch=4, threads=2, tile=4.0)


def bench(*arguments):
    command = [sys.executable, "-m", "glowlite.bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("coupling", "outputs"), [("affine", 12), ("additive", 6)])
def test_operations_of_a_forward_pass_are_counted_layer_by_layer(coupling, outputs):
    """One level of 4x4 pixels, 12 channels: a 3x3 convolution 6 -> 5, a 1x1 one, a 3x3 one, and the 1x1 of the flow."""
    config = GlowConfig((8, 8, 3), K=3, L=1, width=5, coupling=coupling)
    a_pixel = 6 * 9 * 5 + 5 * 5 + 5 * 9 * outputs + 12 * 12
    assert work.forward_flops(config, 7) == 2 * 7 * 3 * 16 * a_pixel


def test_operations_of_the_prior_of_a_split_and_of_later_levels():
    config = GlowConfig((8, 8, 3), K=1, L=2, width=5)
    first = 16 * (6 * 9 * 5 + 25 + 5 * 9 * 12 + 144 + 6 * 9 * 12)
    second = 4 * (12 * 9 * 5 + 25 + 5 * 9 * 24 + 24 * 24)
    assert work.forward_flops(config, 1) == 2 * (first + second)


def test_the_products_alone_are_those_of_a_step(monkeypatch):
    """Counted as they are made, they are four passes of the networks, as `forward_flops` has them plus known channels."""
    counted = []
    monkeypatch.setattr(
        glowlite.blas.np, "matmul", lambda a, b, out: counted.append(2 * a.shape[0] * a.shape[1] * b.shape[1])
    )
    config = GlowConfig((8, 8, 3), K=2, L=2, width=8, border="none")
    work.products_alone(Job(config, 4, 1, 4.0), training=True)()
    networks = sum(
        2 * 4 * config.K * level.pixels * 8 * (9 * level.given + 8 + 9 * level.raw) for level in work.levels(config)
    )
    ones = sum(2 * 4 * config.K * level.pixels * 8 for level in work.levels(config))  # the row that biases are weights of
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
    names = ["sgemm:64", "products", "reversible", "stored", "anchored:2", "optimiser", "data", "sample"]
    times = measure(dict.fromkeys(names, SMALL), rounds=2)
    assert list(times) == names
    assert all(len(t.seconds) == 2 and min(t.seconds) > 0 for t in times.values())


def test_a_candidate_that_fails_is_named():
    with pytest.raises(GlowliteError, match="bench: anchored:x: GlowliteError: memory 'anchored:x': expected reversible"):
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
    """Four times the depth: `reversible` is where it was but for a little, `stored` has four times the hidden maps."""
    jobs = [Job(GlowConfig((32, 32, 3), K=K, L=1, width=64), 16, 1, 4.0) for K in (4, 16)]
    reversible = [peak_bytes(job, "reversible")["step"] for job in jobs]
    stored = [peak_bytes(job, "stored")["step"] for job in jobs]
    hidden = 2 * 16 * 256 * 64 * 4  # bytes of a step's two hidden maps
    assert abs(reversible[1] - reversible[0]) < 4 * hidden
    assert stored[1] - stored[0] > 12 * hidden


def test_the_command_prints_writes_and_draws(tmp_path):
    small = ("--side", "8", "--K", "1", "--L", "2", "--width", "8", "--batch", "4", "--rounds", "1", "--depths", "1,2")
    done = bench(*small, "--memory", "stored,anchored:2", "--json", str(tmp_path / "b.json"), "--plots", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "b.json").read_text())
    assert list(found["steps"]) == ["reversible", "stored", "anchored:2"]
    assert found["steps"]["stored"]["of_limit"] == pytest.approx(found["limit_s"] / found["steps"]["stored"]["median_s"])
    assert list(found["memory"]["stored"]) == ["1", "2"]
    for text in ("of limit", "shares of a reversible step: products", "sampling 4 images", "anchored:2"):
        assert text in done.stdout
    for name in ("step-times.png", "shares.png", "memory.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "argument --threads: 0 is not allowed: must be at least 1"),
        (("--tile", "1e12"), "tile must be positive and smaller than this machine's memory"),
        (("--tile", "0"), "tile must be positive"),
        (("--memory", "all"), "expected reversible, stored or anchored:k"),
        (("--depths", "4,x"), "expected whole numbers with commas between"),
        (("--side", "20"), "H and W must be divisible by 8"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    done = bench(*arguments)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_depths():
    assert depths_of("none") == [] and depths_of("4,16") == [4, 16]
    with pytest.raises(GlowliteError, match="whole numbers"):
        depths_of("0")


def copy_weights(model, twin, torch):
    """The weights of a glowlite model with `border="none"` into a TorchGlow: kernels turn, channels come first."""

    def put(target, value):
        target.data.copy_(torch.from_numpy(np.ascontiguousarray(value)).reshape(target.shape))

    def put_zero_conv(target, conv):
        kernel = conv.weight.value.reshape(conv.in_channels, 3, 3, -1)[:, ::-1, ::-1].transpose(3, 0, 1, 2)
        put(target.conv.weight, kernel)
        put(target.conv.bias, conv.bias.value)
        put(target.logs, conv.logs.value)

    for level, torch_level in zip(model.levels, twin.levels, strict=True):
        for step, target in zip(level.steps.chain.layers.values(), torch_level, strict=True):
            layers = step.layers
            put(target.actnorm.bias, layers["actnorm"].bias.value)
            put(target.actnorm.logs, layers["actnorm"].logs.value)
            put(target.weight, layers["permutation"].weight.value)
            net = layers["coupling"].net
            width = net.width
            put(target.conv1.weight, net.conv1.weight.value.reshape(3, 3, -1, width).transpose(3, 2, 0, 1))
            put(target.conv2.weight, net.conv2.weight.value.T)
            for norm, conv in ((target.norm1, net.conv1), (target.norm2, net.conv2)):
                put(norm.bias, conv.bias.value)
                put(norm.logs, conv.logs.value)
            put_zero_conv(target.conv3, net.conv3)
    for split, target in zip([level.split for level in model.levels[:-1]], twin.splits, strict=True):
        put_zero_conv(target, split.prior.conv)
    top = model.top.prior.conv
    put(twin.top, top.bias.value * np.exp(3 * top.logs.value))


@pytest.mark.parametrize("options", [{}, {"scale": "bounded"}, {"scale": "exp"}, {"coupling": "additive"}])
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
    log_prob = twin(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).detach().numpy()
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
