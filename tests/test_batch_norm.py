"""What normalises by the batch, in training: by what, what gradients go through it, and what the
running statistics follow. In evaluation the laws of every layer hold it, see `test_laws`.
"""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import strict_device
from layers import BATCH_NORMS, RESIDUALS, checkerboard_net, followed, residual
from strict_device.layers import OnDevice

from glowlite.arrays.batch_statistics import BatchStatistics, in_training
from glowlite.arrays.parameters import ParameterStore, parts_of
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.base import needs_cache
from glowlite.bijectors.batch_norm import BatchNorm
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.memory import Memory
from glowlite.conditioners.batch_norm import NetworkBatchNorm
from glowlite.errors import GlowliteError
from glowlite.models.realnvp_config import RealNVPConfig
from glowlite.models.realnvp_layers import realnvp_layers
from glowlite.testing import ModelAsLayer
from glowlite.testing.case import Case, random_like
from glowlite.testing.check import at_some_x
from glowlite.testing.gradient_check import check_gradient, rounding
from glowlite.testing.laws import inverse_of_forward, samples_are_independent
from glowlite.testing.parameters import parameters_of

SHAPE = (3, 4, 6, 4)
NOTHING = 1e-12  # of the largest gradient: rounding
PLACES = {"host": lambda layer: layer, "device": OnDevice}


def batch(shape=SHAPE, seed=1):
    return np.random.default_rng(seed).standard_normal(shape) * 1.5 + 0.5


def statistics_of(layer):
    return [part for part in parts_of(layer) if isinstance(part, BatchStatistics)]


def hold_gradients(layer, x):
    """dx and every gradient of sum(y dy) + sum(logdet dlogdet), or of sum(h dh), by differences, of
    a loss in which the statistics are those of the batch as it is changed.
    """

    def law(x):
        is_bijector = hasattr(layer, "inverse")
        y, *rest = layer.forward_with_cache(x) if is_bijector else layer.forward(x)
        dy, moved = random_like(y, 4), x.copy()
        for p in parameters_of(layer).values():
            p.grad[...] = 0
        if is_bijector:
            logdet, cache = rest
            dlogdet = random_like(logdet, 5)
            rebuilt, dx = layer.backward(y, dy, dlogdet, cache)
            np.testing.assert_allclose(rebuilt, x, rtol=0, atol=1e-11)
        else:
            logdet, dlogdet = np.zeros(1), np.zeros(1)
            dx = layer.backward(dy, rest[0])

        def loss_change():
            new_y, new_logdet = layer.forward(moved)
            new_logdet = new_logdet if is_bijector else logdet
            return float((dy * (new_y - y)).sum() + (dlogdet * (new_logdet - logdet)).sum())

        noise = rounding(dy * y) + rounding(dlogdet * logdet)
        check_gradient("dx", dx.copy(), moved, loss_change, noise)
        for name, p in parameters_of(layer).items():
            if np.abs(p.grad).max() > NOTHING * np.abs(dx).max():
                check_gradient(name, p.grad.copy(), p.value, loss_change, noise)
            else:  # only reaches a batch norm: nothing depends on it
                before = p.value.copy()
                p.value[...] += 0.1 * random_like(before, 6)
                assert abs(loss_change()) < 10 * noise, name
                p.value[...] = before

    at_some_x(law, x)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("changed", "counted"), BATCH_NORMS)
def test_gradients_go_through_the_statistics_of_a_layer(changed, counted, place):
    layer = followed(BatchNorm(4, changed, counted), np.random.default_rng(0))
    placed = PLACES[place](layer)
    with in_training(layer):
        hold_gradients(placed, batch())
        hold_gradients(placed, batch((7, 4)))  # vectors


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("gain", [True, False])
def test_gradients_go_through_the_statistics_of_a_norm(gain, place):
    net = followed(NetworkBatchNorm(4, gain=gain), np.random.default_rng(0))
    with in_training(net):
        hold_gradients(PLACES[place](net), batch())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", RESIDUALS)
def test_gradients_go_through_the_statistics_of_a_network(name, place):
    rng = np.random.default_rng(0)
    net = followed(residual(4, 3, rng, **RESIDUALS[name]), rng)
    with in_training(net), few_coordinates():
        hold_gradients(PLACES[place](net), batch())


@pytest.mark.parametrize("kept", ["even", "odd"])
def test_gradients_go_through_the_statistics_of_a_checkerboard(kept):
    """And those of a rebuilt backward are the same: the network runs again, by the same batch."""
    rng = np.random.default_rng(0)
    changed = "second" if kept == "even" else "first"
    layer = followed(AffineCoupling(4, checkerboard_net(2, rng, kept), changed, "exp"), rng)
    x = batch()
    with in_training(layer), few_coordinates():
        hold_gradients(layer, x)
        y, logdet, cache = layer.forward_with_cache(x)
        found = []
        for kept_of_it in (cache, None):
            for p in parameters_of(layer).values():
                p.grad[...] = 0
            _, dx = layer.backward(y, random_like(y, 4), random_like(logdet, 5), kept_of_it)
            found.append([dx, *(p.grad.copy() for p in parameters_of(layer).values())])
    for with_cache, rebuilt in zip(*found, strict=True):
        scale = max(1e-6, np.abs(with_cache).max())  # some are zero but for rounding
        np.testing.assert_allclose(rebuilt, with_cache, rtol=0, atol=1e-9 * scale)


@contextmanager
def few_coordinates():
    """One entry of each gradient, and a random direction: networks have many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glowlite.testing.gradient_check.COORDINATES", 1)
        yield


OPTIONS = {
    "authors": RealNVPConfig.authors,
    "paper": RealNVPConfig.paper,
    "chute": RealNVPConfig.chute,
    "fmu2": RealNVPConfig.fmu2,
}
IMAGE = (4, 8, 1)


def small_model(name, memory="256MB", **options):
    config = OPTIONS[name](IMAGE, levels=2, width=2, blocks=1, **options)
    model = followed(realnvp_layers(config, 0, Memory.parse(memory)), np.random.default_rng(3))
    return model, ModelAsLayer(model, config.latent_shapes())


class Whole:
    """A layer with one parameter, which is all of them."""

    def __init__(self, layer, store):
        self.layer, self.store = layer, store

    def parameters(self):
        return {"theta": SimpleNamespace(value=self.store.theta, grad=self.store.grad)}

    def __getattr__(self, name):
        return getattr(self.layer, name)


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_go_through_the_statistics_of_a_model(name):
    model, layer = small_model(name)
    whole = Whole(layer, ParameterStore(model, "float64"))
    with in_training(model), few_coordinates():
        hold_gradients(whole, batch((3, *IMAGE)))


@pytest.mark.parametrize("name", OPTIONS)
def test_budgets_of_memory_agree_in_training(name):
    found = []
    for memory in ("all", "0", "2KB", "0+anchored:2"):
        model, _ = small_model(name, memory)
        store, x = ParameterStore(model, "float64"), batch((3, *IMAGE))
        with in_training(model):
            latents, logdet, cache = model.forward_with_cache(x)
            dlatents = [random_like(z, i) for i, z in enumerate(latents)]
            _, dx = model.backward(latents, dlatents, random_like(logdet, 9), cache)
        found.append([*latents, logdet, dx, store.grad, store.change])
        assert store.grad.any() and store.change.any()
    for others in found[1:]:
        for own, first in zip(others, found[0], strict=True):
            np.testing.assert_allclose(own, first, rtol=0, atol=1e-9 * np.abs(first).max())


@pytest.mark.parametrize("name", OPTIONS)
def test_samples_depend_on_their_neighbours_in_training_alone(name):
    """The exception to the law of independent samples, and where it ends."""
    model, layer = small_model(name)
    x = batch((3, *IMAGE))
    samples_are_independent(Case(layer, x))
    with in_training(model):
        together, alone = layer.forward(x)[0], layer.forward(x[:1])[0]
    assert np.abs(together[:1] - alone).max() > 0.1
    samples_are_independent(Case(layer, x))


@pytest.mark.parametrize(("changed", "counted"), BATCH_NORMS)
def test_a_batch_is_normalised_as_if_its_statistics_were_constants(changed, counted):
    """In y and in log|det|; so the statistics are those of the batch, of what is counted."""
    rng, x = np.random.default_rng(0), batch()
    layer = followed(BatchNorm(4, changed, counted), rng)
    with in_training(layer):
        y, logdet = layer.forward(x)
    halves = {"first": [x[..., :2]], "second": [x[..., 2:]], "all": [x]}
    values = {
        "changed": halves[changed],
        "zeros": [*halves[changed], np.zeros_like(x[..., :2])],
        "both": [x[..., :2], x[..., 2:]],
    }[counted]
    values = np.concatenate(values).reshape(-1, values[0].shape[-1])
    layer.statistics.start_from(values.mean(axis=0), values.var(axis=0))
    expected = layer.forward(x)
    np.testing.assert_allclose(y, expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(logdet, expected[1], rtol=0, atol=1e-10)
    kept = {"first": y[..., 2:] - x[..., 2:], "second": y[..., :2] - x[..., :2], "all": np.zeros(1)}
    assert not kept[changed].any()
    if counted == "changed":
        part = {"first": y[..., :2], "second": y[..., 2:], "all": y}[changed]
        np.testing.assert_allclose(part.mean(axis=(0, 1, 2)), 0, atol=1e-12)
        np.testing.assert_allclose(part.var(axis=(0, 1, 2)), 1, rtol=1e-3)


def test_the_inverse_uses_the_running_statistics_in_training_too():
    layer, x = followed(BatchNorm(4), np.random.default_rng(0)), batch()
    expected = layer.inverse(x)
    with in_training(layer):
        assert np.array_equal(layer.inverse(x), expected)
    inverse_of_forward(Case(layer, x))


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize(("changed", "counted"), BATCH_NORMS)
def test_the_running_statistics_follow_a_batch_once_a_step(changed, counted, unbiased):
    """By a tenth of the way, times the share of the batch that is at hand; in training alone."""
    layer, x = BatchNorm(4, changed, counted, unbiased=unbiased), batch()
    store = ParameterStore(layer, "float64")
    layer.statistics.start_from(0.5, 2.0)
    values = layer.counted_values(x).reshape(-1, layer.statistics.mean.value.size)
    batch_mean, batch_variance = values.mean(axis=0), values.var(axis=0, ddof=int(unbiased))
    for share in (1.0, 0.25):
        store.change[...] = 0
        with in_training(layer, share):
            y, logdet, cache = layer.forward_with_cache(x)
            layer.forward(x)
            assert not store.change.any()
            layer.backward(y, y, logdet, cache)
        expected = 0.1 * share * np.concatenate((batch_mean - 0.5, batch_variance - 2.0))
        np.testing.assert_allclose(store.change, expected, rtol=1e-10)
    store.change[...] = 0
    y, logdet, cache = layer.forward_with_cache(x)
    layer.backward(y, y, logdet, cache)
    layer.backward(y, y, logdet)
    assert not store.change.any()


@pytest.mark.parametrize("unbiased", [True, False])
def test_the_running_statistics_of_a_network_follow_a_batch(unbiased):
    net, x = NetworkBatchNorm(4, unbiased=unbiased), batch()
    store = ParameterStore(net, "float64")
    with in_training(net):
        y, cache = net.forward(x)
        assert not store.change.any()
        net.backward(y, cache)
    values = x.reshape(-1, 4)
    mean, variance = values.mean(axis=0), values.var(axis=0, ddof=int(unbiased))
    np.testing.assert_allclose(store.change, 0.1 * np.concatenate((mean, variance - 1)), rtol=1e-10)


def test_training_inside_training_leaves_the_outer_one():
    layer = BatchNorm(4)
    with in_training(layer):
        with in_training(layer, 0.5):
            assert layer.statistics.share == 0.5
        assert layer.statistics.share == 1
    assert not layer.statistics.is_training


def test_a_layer_needs_its_cache_in_training_and_says_so():
    layer, x = BatchNorm(4), batch()
    chain = Chain({"norm": layer}, Memory(0))
    assert not needs_cache(layer) and not needs_cache(chain)
    y, logdet = layer.forward(x)
    layer.backward(y, y, logdet)
    with in_training(layer):
        assert needs_cache(layer) and needs_cache(chain)
        y, logdet = layer.forward(x)
        with pytest.raises(GlowliteError, match="give the cache of forward_with_cache") as caught:
            layer.backward(y, y, logdet)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", PLACES)
def test_a_model_starts_its_running_statistics_from_the_first_batch(place):
    """Then it gives in evaluation what it gives in training."""
    xp = strict_device.xp if place == "device" else np
    for name in OPTIONS:
        model, _ = small_model(name)
        ParameterStore(model, "float64", xp)
        x = xp.asarray(batch((5, *IMAGE)))
        latents = model.initialize(x)
        with in_training(model):
            in_train, _ = model.forward(x)
        for z, own, other in zip(latents, model.forward(x)[0], in_train, strict=True):
            z, own, other = (a if xp is np else a.get() for a in (z, own, other))
            np.testing.assert_allclose(own, z, rtol=0, atol=1e-10)
            np.testing.assert_allclose(other, z, rtol=0, atol=1e-10)
        for statistics in statistics_of(model):
            variance = statistics.variance.value
            assert float(abs(variance - 1).max()) > 0


@pytest.mark.parametrize(
    ("changed", "counted"), [("all", "zeros"), ("third", "changed"), ("all", "every")]
)
def test_what_no_layer_is_is_said_in_one_line(changed, counted):
    with pytest.raises(GlowliteError, match="BatchNorm: changed must be one of first") as caught:
        BatchNorm(4, changed, counted)
    assert "\n" not in str(caught.value)
