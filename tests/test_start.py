"""How a model starts: every ActNorm from the data, couplings as the identity, random weights as
they are said to be.
"""

import numpy as np
import pytest
from scipy import stats
from small_runs import dataset, images

import glowlite.commands.train
from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.coupling import Coupling
from glowlite.bijectors.invertible_conv import (
    Invertible1x1Conv,
    Invertible1x1ConvLU,
    random_rotation,
)
from glowlite.commands.option_sources import parse_arguments
from glowlite.conditioners import coupling_network
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.distributed.communicator import OneProcess
from glowlite.fast.threads import Workers
from glowlite.models.checks import check_start
from glowlite.objective import dequantize
from glowlite.training.loop import train
from glowlite.training.run import Training
from glowlite.training.settings import Settings


def batch_of(n=40, dtype="float64", seed=0):
    pictures = images(n, seed=seed)
    return dequantize(pictures, 5, np.random.default_rng(seed).random(pictures.shape).astype(dtype))


def model_of(dtype="float64", seed=0, **options):
    config = GlowConfig((8, 8, 3), **{"K": 2, "L": 2, "width": 12, **options})
    return Glow(config, seed, dtype, workers=Workers(1))


def layers_of(part, kind):
    """All parts of a kind, at any depth, in order."""
    found = [part] if isinstance(part, kind) else []
    for _, child in part.children():
        found += layers_of(child, kind) if hasattr(child, "children") else []
    return found


def outputs_of_actnorms(model, x, monkeypatch):
    """What every ActNorm gives for the images x, as columns (values, channels): those of the flow,
    and the hidden ones.

    Taken from a plain model of the same weights: y = (W^T x + b) e for a hidden one.
    """
    found = []
    monkeypatch.setattr(ActNorm, "forward", recording(ActNorm.forward, found))
    relu = coupling_network.relu

    def recorded(h):
        found.append(h.T.copy())
        return relu(h)

    monkeypatch.setattr(coupling_network, "relu", recorded)
    plain = Glow(model.config, dtype=model.dtype.name, plain=True)
    plain.store.assign(model.store.named_values())
    model = plain
    for level in model.levels:
        x, _ = level.steps.forward(level.squeeze.forward(x)[0])
        x, _, _ = level.split_off(x)
    return found


def recording(forward, found):
    def recorded(self, x):
        y, logdet = forward(self, x)
        found.append(y.reshape(-1, y.shape[-1]))
        return y, logdet

    return recorded


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("actnorm", ["openai", "paper"])
@pytest.mark.parametrize("permutation", ["conv1x1", "lu"])
def test_every_actnorm_starts_with_mean_0_and_deviation_1(permutation, actnorm, times, monkeypatch):
    """Of both kinds, the hidden ones as well; a second batch takes the place of the first."""
    model, x = model_of(permutation=permutation, actnorm=actnorm), batch_of()
    for seed in range(times - 1, -1, -1):
        model.initialize(batch_of(seed=seed) * (1 + seed) + 0.3 * seed)
    found = outputs_of_actnorms(model, x, monkeypatch)
    K, L = model.config.K, model.config.L
    assert len(found) == 3 * K * L and {y.shape[1] for y in found} == {12, 24}
    for y in found:
        # deviations are kept off zero by 1e-6, so that is what they are off by, over a deviation of
        # 1e-2 or more
        np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12 * 1e2)
        np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-6 * 1e2)


def test_without_hidden_actnorms_the_hidden_layers_are_left_as_they_are():
    model = model_of(hidden_actnorm=False)
    hidden = [
        layer for net in layers_of(model, CouplingNetwork) for layer in (net.conv1, net.conv2)
    ]
    before = [layer.weight.value.copy() for layer in hidden]
    model.initialize(batch_of())
    for layer, weight in zip(hidden, before, strict=True):
        assert (
            np.array_equal(layer.weight.value, weight)
            and not layer.bias.value.any()
            and not hasattr(layer, "logs")
        )


@pytest.mark.parametrize("coupling", ["affine", "additive"])
@pytest.mark.parametrize("scale", ["exp", "sigmoid", "bounded"])
def test_couplings_start_as_the_identity(coupling, scale):
    """A coupling's network gives 0.

    The one exception is the sigmoid of 2 of the original code, a fixed scale of 0.88.
    """
    model, x = model_of(coupling=coupling, scale=scale), batch_of()
    model.initialize(x)
    fixed = 1 / (1 + np.exp(-2)) if (coupling, scale) == ("affine", "sigmoid") else 1.0
    for layer in layers_of(model, Coupling):
        h = np.random.default_rng(1).standard_normal((3, 4, 4, layer.channels))
        y, logdet = layer.forward(h)
        stays, changes = layer.halves(h)
        np.testing.assert_allclose(y, layer.join(stays, fixed * changes), rtol=0, atol=1e-14)
        np.testing.assert_allclose(logdet, 16 * layer.channels / 2 * np.log(fixed), atol=1e-12)


def test_priors_start_as_the_standard_normal():
    model = model_of()
    h = np.random.default_rng(0).standard_normal((2, 4, 4, 12))
    kept, eps, logdet = model.levels[0].split.forward(h)
    assert np.array_equal(kept, h[..., :6]) and np.array_equal(eps, h[..., 6:]) and not logdet.any()
    z = np.random.default_rng(1).standard_normal((2, 2, 2, 24))
    eps, logdet = model.top.forward(z)
    assert np.array_equal(eps, z) and not logdet.any()


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_rotations_are_haar_distributed(channels):
    """Under Haar's measure on O(n), E[W_ij] = 0, E[W_ij^2] = 1/n, E[tr W] = 0, E[(tr W)^2] = 1, det
    W = +-1 as often.

    Each of them within 5 of its deviations over the draws; and an entry has the law of a coordinate
    of a unit vector.
    """
    count, rng = 2000, np.random.default_rng(0)
    W = np.stack([random_rotation(channels, rng) for _ in range(count)])
    np.testing.assert_allclose(
        W @ W.swapaxes(1, 2), np.tile(np.eye(channels), (count, 1, 1)), atol=1e-12
    )
    traces, determinants = np.trace(W, axis1=1, axis2=2), np.linalg.det(W)
    for values, expected in (
        (W, 0),
        (W**2, 1 / channels),
        (traces, 0),
        (traces**2, 1),
        (determinants, 0),
    ):
        off = np.abs(values.mean(axis=0) - expected)
        assert (off <= 5 * values.std(axis=0) / np.sqrt(count) + 1e-12).all()
    if channels > 1:  # w^2 of a coordinate of a unit vector is Beta(1/2, (n - 1)/2)
        law = stats.beta(0.5, (channels - 1) / 2).cdf
        assert all(
            stats.kstest(W[:, i, j] ** 2, law).pvalue > 1e-4 for i in (0, -1) for j in (0, -1)
        )


def test_both_1x1_convolutions_start_from_one_rotation():
    for channels in (2, 6, 12):
        plain, lu = (
            kind(channels, np.random.default_rng(3))
            for kind in (Invertible1x1Conv, Invertible1x1ConvLU)
        )
        np.testing.assert_allclose(lu.matrix(), plain.matrix(), atol=1e-12)
        np.testing.assert_allclose([plain.log_abs_det(), lu.log_abs_det()], 0, atol=1e-12)
    matrices = [layer.matrix() for layer in layers_of(model_of(), Invertible1x1Conv)]
    assert len(matrices) == 4 and not any(
        np.allclose(a, b) for a, b in ((matrices[0], matrices[1]), (matrices[2], matrices[3]))
    )


def test_weights_start_with_their_deviation():
    """0.05 in the hidden layers, Gaussian, each its own; 0 in the last layers, biases and logs."""
    model = model_of(dtype="float32", width=64, seed=5)
    for name, p in model.parameters().items():
        if name.endswith(("conv1/weight", "conv2/weight")):
            values = p.value.ravel().astype(np.float64)
            error = 0.05 / np.sqrt(values.size)  # of a mean; of a deviation, over sqrt(2)
            assert abs(values.mean()) < 5 * error and abs(
                values.std() - 0.05
            ) < 5 * error / np.sqrt(2), name
            assert stats.kstest(values / 0.05, "norm").pvalue > 1e-4, name
        elif not name.endswith("permutation/weight"):
            assert not p.value.any(), name
    hidden = [
        p.value.ravel()[:100]
        for name, p in model.parameters().items()
        if name.endswith("conv2/weight")
    ]
    # 5 deviations of 100 pairs
    assert np.abs(np.corrcoef(hidden) - np.eye(len(hidden))).max() < 0.5


@pytest.mark.parametrize("actnorm", ["openai", "paper"])
def test_a_constant_channel_is_refused(actnorm):
    x = np.random.default_rng(0).standard_normal((6, 4, 4, 3))
    x[..., 1] = 0.25
    with pytest.raises(GlowliteError, match=r"ActNorm\.initialize: channel 1 has zero variance"):
        ActNorm(3, actnorm).initialize(x)
    black = np.zeros((6, 8, 8, 3))
    with pytest.raises(GlowliteError, match="zero variance"):
        model_of(actnorm=actnorm).initialize(black)


# --- too few values for a mean and a deviation ---


def deep(**options):
    return model_of(L=3, **options)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_statistics_of_fewer_than_four_values_are_refused(n):
    with pytest.raises(GlowliteError, match=rf"{n} values per channel|zero variance"):
        deep().initialize(batch_of(n))
    model = deep()
    model.initialize(batch_of(4))
    assert model.initialized


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_training_that_starts_from_fewer_is_refused_before_anything_is_written(
    n, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    options = [
        "--data",
        "faces",
        "--L",
        "4",
        "--K",
        "1",
        "--width",
        "8",
        "--batch",
        str(n),
        "--out",
        "run",
    ]
    with pytest.raises(
        GlowliteError,
        match=rf"{n} values per channel at the top level \(1x1 pixels\); it needs at least 4",
    ):
        glowlite.commands.train.make_training(parse_arguments(options), OneProcess())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("batch", "L", "said"),
    [(4, 3, True), (15, 3, True), (16, 3, False), (3, 2, True), (4, 2, False)],
)
def test_a_start_from_few_values_is_said_in_a_line(batch, L, said, tmp_path, monkeypatch, capsys):
    line = check_start(GlowConfig((8, 8, 3), L=L), batch)
    assert (line is not None) == said and "\n" not in (line or "")
    assert not said or f"{batch * 4 ** (3 - L)} values per channel" in line
    monkeypatch.chdir(tmp_path)
    options = [
        "--data",
        "faces",
        "--L",
        str(L + 1),
        "--K",
        "1",
        "--width",
        "8",
        "--batch",
        str(batch),
        "--out",
        "run",
    ]
    glowlite.commands.train.make_training(parse_arguments(options), OneProcess())
    assert capsys.readouterr().err.count("bits/dim can start far too high") == said
    # a run that is resumed has begun already
    glowlite.commands.train.make_training(parse_arguments([*options, "--resume"]), OneProcess())
    assert capsys.readouterr().err == ""


def test_the_start_of_few_values_is_what_the_line_says():
    """Held-out bits/dim before the first step: a batch of 16 or more starts well, one of 4 does
    not.
    """
    held_out, starts = batch_of(40, "float32", seed=7), {}
    for n in (4, 16, 40):
        model = deep(dtype="float32", K=4)
        model.initialize(batch_of(n, "float32"))
        starts[n] = float(model.bits_per_dim(held_out, 5).mean())
    assert starts[4] > starts[40] + 5 and starts[16] < starts[40] + 1


def test_ranks_that_hold_parts_of_a_batch_count_it_whole():
    """`total` adds up over the ranks: two values here and two elsewhere are four."""
    x = batch_of(4)
    elsewhere = {}

    def total(vector):
        return vector + elsewhere.setdefault(len(elsewhere), vector)

    ActNorm(3).initialize(x[:1, :1, :2], total)
    with pytest.raises(GlowliteError, match="2 values per channel"):
        ActNorm(3).initialize(x[:1, :1, :2])
    settings = Settings(steps=1, batch=8, accumulate=4, evaluate_images=2)
    train(Training(deep(dtype="float32"), settings), dataset(), [])
