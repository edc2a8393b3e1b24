"""One flat theta and one flat grad: names, order, counts, and views that cannot come loose."""

import itertools
import re

import numpy as np
import pytest
from layers import CONDITIONERS, LAYERS

from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.arrays.parameters import (
    Parameter,
    Parameterized,
    ParameterStore,
    parameters_of,
    replica,
)
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.chain import Chain, UniformChain
from glowlite.bijectors.invertible_conv import Invertible1x1ConvLU
from glowlite.bijectors.permutation import Permutation
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.fast.accelerate import accelerate
from glowlite.fast.threads import Workers
from glowlite.testing import check_layer
from glowlite.testing.parameters import parameters_of as found_by_the_laws


def small_glow(**options):
    return Glow(GlowConfig((8, 8, 3), **{"K": 2, "L": 2, "width": 4, **options}), dtype="float64")


@pytest.mark.parametrize("attribute", ["value", "grad"])
def test_a_view_cannot_be_rebound(attribute):
    p = Parameter(np.ones(3))
    with pytest.raises(AttributeError):
        setattr(p, attribute, np.zeros(3))
    with pytest.raises(AttributeError):
        p.other = 1  # nor can a slip of the pen make a new attribute


@pytest.mark.parametrize("attribute", ["value", "grad"])
def test_an_addition_in_place_fills_the_view(attribute):
    whole = np.zeros(4)
    parameter = Parameter(np.zeros(2), np.zeros(2))
    parameter.bind(*(whole[:2], whole[2:]))
    parameter.value += 1
    parameter.grad += 2
    assert whole.tolist() == [1, 1, 2, 2]
    with pytest.raises(AttributeError, match=re.escape(f"write p.{attribute}[...]")):
        setattr(parameter, attribute, np.ones(2))


def test_a_parameter_is_bound_only_to_memory_of_its_shape():
    p = Parameter(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"expected \(2, 3\)"):
        p.bind(np.zeros(6), np.zeros(6))
    with pytest.raises(ValueError, match=r"expected \(2, 3\)"):
        p.bind(np.zeros((2, 3)), np.zeros((3, 2)))


def test_every_view_is_its_slice_of_the_flat_vectors():
    store = small_glow().store
    store.theta[...] = np.arange(len(store))
    for name, p in store.parameters.items():
        where = store.offsets[name]
        assert p.value.shape == p.grad.shape
        assert np.shares_memory(p.value, store.theta) and np.shares_memory(p.grad, store.grad)
        np.testing.assert_array_equal(p.value.ravel(), np.arange(where.start, where.stop))
        p.grad[...] += p.value + 1
    # so every element belongs to just one parameter
    np.testing.assert_array_equal(store.grad, store.theta + 1)


def test_the_store_keeps_the_values_and_casts_floats_but_not_indices():
    rng = np.random.default_rng(0)
    layer = Chain({"lu": Invertible1x1ConvLU(6, rng), "shuffle": Permutation.shuffle(6, rng)})
    before = {name: p.value.copy() for name, p in layer.parameters().items()}
    store = ParameterStore(layer, "float32")
    for name, p in layer.parameters().items():
        assert p.value.dtype == p.grad.dtype == np.float32
        np.testing.assert_array_equal(p.value, before[name].astype(np.float32))
        assert not p.grad.any()
    kinds = {name: c.value.dtype for name, c in store.constants.items()}
    assert kinds == {"lu/rows": np.int64, "lu/sign_s": np.float32, "shuffle/indices": np.int64}


def test_names_are_paths_in_the_order_of_the_forward_pass():
    net = [
        f"coupling/net/{conv}/{part}"
        for conv in ("conv1", "conv2", "conv3")
        for part in ("weight", "bias", "logs")
    ]
    step = ["actnorm/bias", "actnorm/logs", "permutation/weight", *net]
    prior = ["conv/weight", "conv/bias", "conv/logs"]
    expected = [f"level0/step{k}/{name}" for k in range(2) for name in step]
    expected += [f"level0/split/prior/{name}" for name in prior]
    expected += [f"level1/step{k}/{name}" for k in range(2) for name in step]
    expected += [f"top/prior/{name}" for name in prior]
    store = small_glow().store
    assert list(store.parameters) == list(store.offsets) == expected
    edges = [(where.start, where.stop) for where in store.offsets.values()]
    assert edges[0][0] == 0 and edges[-1][1] == len(store)
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(edges))


def test_an_element_of_the_flat_vector_is_named():
    store = small_glow().store
    for name, where in store.offsets.items():
        assert store.name_at(where.start) == store.name_at(where.stop - 1) == name


@pytest.mark.parametrize("permutation", ["lu", "shuffle", "conv1x1,reverse"])
def test_constants_are_named_beside_the_parameters_and_not_trained(permutation):
    store = small_glow(permutation=permutation).store
    kinds = {name.rpartition("/")[2] for name in store.constants}
    assert kinds == ({"rows", "sign_s"} if permutation == "lu" else {"indices"})
    assert not set(store.constants) & set(store.parameters)


@pytest.mark.parametrize(("border", "count"), [("all", 44_603_604), ("none", 44_135_856)])
def test_the_openai_cifar10_model_has_the_published_number_of_parameters(border, count):
    model = Glow(GlowConfig.openai((32, 32, 3), L=3, border=border))
    assert model.parameter_count() == len(model.store) == model.store.theta.size == count


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    config = GlowConfig((8, 8, 3), K=1, L=2, width=4)
    theta = Glow(config, seed=3).store.theta
    np.testing.assert_array_equal(Glow(config, seed=3).store.theta, theta)
    assert not np.array_equal(Glow(config, seed=4).store.theta, theta)


@pytest.mark.bits
def test_a_replica_shares_values_and_adds_its_gradients_elsewhere():
    rng = np.random.default_rng(1)
    net = CouplingNetwork(2, 4, 8, rng)
    store = ParameterStore(net, "float64")
    store.theta[...] = 0.1 * rng.standard_normal(len(store))
    elsewhere = np.zeros(len(store) + 5)  # scratch memory may be longer than it has to be
    twin, pairs = replica(net, elsewhere)
    assert [original for original, _ in pairs] == list(net.parameters().values())
    x = rng.standard_normal((2, 4, 4, 2))
    h, cache = twin.forward(x)
    dh = rng.standard_normal(h.shape)
    dx = twin.backward(dh, cache)

    assert not store.grad.any()
    np.testing.assert_array_equal(net.forward(x)[0], h)
    np.testing.assert_array_equal(net.backward(dh, net.forward(x)[1]), dx)
    np.testing.assert_array_equal(elsewhere[: len(store)], store.grad)
    assert store.grad.any() and not elsewhere[len(store) :].any()
    store.theta[...] *= 2  # values are shared, not copied
    np.testing.assert_array_equal(twin.forward(x)[0], net.forward(x)[0])


def test_a_replica_of_a_chain_keeps_names_order_and_constants():
    rng = np.random.default_rng(2)
    chain = Chain(
        {
            "actnorm": ActNorm(4),
            "permutation": Permutation.shuffle(4, rng),
            "lu": Invertible1x1ConvLU(4, rng),
        }
    )
    ParameterStore(chain, "float64")
    twin, _ = replica(chain, np.zeros(chain.parameter_count()))
    assert list(twin.parameters()) == list(chain.parameters())
    assert [
        c.value is d.value
        for c, d in zip(twin.constants().values(), chain.constants().values(), strict=True)
    ] == [True] * 3
    for name, p in chain.parameters().items():
        assert np.shares_memory(twin.parameters()[name].value, p.value)
        assert not np.shares_memory(twin.parameters()[name].grad, p.grad)


# --- one set of parameters, however they are kept ---


class Affine:
    """y = e^a x + b, a layer of the protocol and of no class of glowlite.

    `keep` says where its Parameters are.
    """

    def __init__(self, keep):
        self.kept = keep(Parameter(np.zeros(1)), Parameter(np.zeros(1)))

    def numbers(self):
        return list(parameters_of(self).values())

    def forward(self, x):
        a, b = self.numbers()
        return np.exp(a.value) * x + b.value, np.full(len(x), x[0].size * float(a.value[0]))

    def inverse(self, y):
        a, b = self.numbers()
        return (y - b.value) * np.exp(-a.value)

    def backward(self, y, dy, dlogdet):
        a, b = self.numbers()
        x = self.inverse(y)
        dx = np.exp(a.value) * dy
        a.grad[...] += (dx * x).sum() + x[0].size * dlogdet.sum()
        b.grad[...] += dy.sum()
        return x, dx


class Named(Affine):
    def parameters(self):
        a, b = self.kept
        return {"log scale": a, "shift": b}

    def numbers(self):
        return list(self.kept)


class Pair(Parameterized):
    def __init__(self, a, b):
        self.first, self.others = a, {"b": [b]}


KEPT = {
    "a list": (Affine, lambda a, b: [a, b], ["kept/0", "kept/1"]),
    "a tuple": (Affine, lambda a, b: (a, b), ["kept/0", "kept/1"]),
    "a dict": (Affine, lambda a, b: {"W": a, "b": b}, ["kept/W", "kept/b"]),
    "a list in a dict": (Affine, lambda a, b: {"both": [a, [b]]}, ["kept/both/0", "kept/both/1/0"]),
    "a part": (Affine, Pair, ["kept/first", "kept/others/b/0"]),
    "its own parameters()": (Named, lambda a, b: [a, b], ["log scale", "shift"]),
}


def own(kept):
    kind, keep, _ = KEPT[kept]
    return kind(keep)


@pytest.mark.parametrize("kept", KEPT)
def test_parameters_are_found_wherever_they_are_kept(kept):
    layer = own(kept)
    assert list(parameters_of(layer)) == KEPT[kept][2]
    x = np.random.default_rng(0).standard_normal((3, 2, 2, 4))
    chain = Chain([ActNorm(4), layer])
    store = ParameterStore(chain, "float64")
    assert list(store.parameters) == ["0/bias", "0/logs", *(f"1/{name}" for name in KEPT[kept][2])]
    assert list(store.parameters.values()) == list(chain.parameters().values())
    store.theta[...] = 0.1 * np.arange(1, 11)
    check_layer(chain, x)
    assert list(found_by_the_laws(layer).items()) == list(parameters_of(layer).items())
    check_layer(layer, x)


@pytest.mark.bits
@pytest.mark.parametrize("kept", KEPT)
def test_on_tiles_one_and_two_threads_agree_to_the_last_bit(kept):
    results = []
    for threads in (1, 2):
        rng = np.random.default_rng(1)
        chain = UniformChain([ActNorm(4), own(kept), ActNorm(4)])
        store = ParameterStore(chain, "float64")
        store.theta[...] = 0.1 * rng.standard_normal(len(store))
        tiles = accelerate(chain, Workers(threads, 64 / 2**18), store)
        x, dy, dlogdet = (
            rng.standard_normal((7, 4, 4, 4)),
            rng.standard_normal((7, 4, 4, 4)),
            rng.standard_normal(7),
        )
        y, logdet = tiles.forward(x)
        results.append([y, logdet, *tiles.backward(y, dy, dlogdet), store.grad.copy()])
    assert results[0][-1].all()
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    plain_grad = ParameterStore(chain, "float64").grad
    chain.backward(chain.forward(x)[0], dy, dlogdet)
    np.testing.assert_allclose(results[0][-1], plain_grad, rtol=1e-12)


@pytest.mark.parametrize("name", [*LAYERS, *CONDITIONERS])
def test_the_store_finds_what_parameters_names(name):
    shape, rng = (2, 4, 4, 4), np.random.default_rng(0)
    layer = LAYERS[name][1](shape, rng) if name in LAYERS else CONDITIONERS[name](shape, rng)
    layer = getattr(layer, "split", layer)
    named = layer.parameters()
    store = ParameterStore(layer, "float64")
    assert (
        list(store.parameters.items()) == list(named.items()) == list(parameters_of(layer).items())
    )
    twin, pairs = replica(layer, np.zeros(len(store)))
    assert [id(p) for p, _ in pairs] == [id(p) for p in named.values()]
    assert list(parameters_of(twin)) == list(named)


class BareArray(Affine):
    def parameters(self):
        return {"w": np.ones(3)}


class NoDict(Affine):
    def parameters(self):
        return list(self.kept)


class Elsewhere(Affine):
    def parameters(self):
        return {"w": Parameter(np.ones(3))}


class OfAnotherProtocol:
    def forward(self, x):
        return x


def list_of(a, b):
    return [a, b]


REFUSED = {
    "a bare array": (
        lambda: BareArray(lambda a, b: [a, b]),
        r"BareArray: parameters\(\) names 'w'.*keep it as Parameter\(array\)",
    ),
    "no dict": (lambda: NoDict(list_of), r"NoDict: parameters\(\) must be a dict"),
    "kept elsewhere": (lambda: Elsewhere(list_of), "names 'w', which is none of its attributes"),
    "no inverse": (OfAnotherProtocol, "Chain: layer '0': OfAnotherProtocol has no inverse"),
    "a number": (lambda: 3.0, "Chain: layer '0': float has no forward"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_registered_is_refused_where_it_is_put_in(what):
    make, line = REFUSED[what]
    with pytest.raises(GlowliteError, match=line) as caught:
        Chain([make()])
    assert "\n" not in str(caught.value)
