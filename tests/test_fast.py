"""What is fast equals what is plain: the law of every fast form, on a host and on the stand-in for
a GPU.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import strict_device
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import CONDITIONERS, GLOWS, LAYERS, fast_form, inputs, shapes, step

from glowlite import Glow, GlowConfig, Memory
from glowlite.arrays.batch_statistics import in_training
from glowlite.arrays.parameters import ParameterStore
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.chain import Chain, UniformChain
from glowlite.bijectors.flow_step import FlowStep
from glowlite.bijectors.invertible_conv import Invertible1x1Conv
from glowlite.bijectors.split import Split
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.fast.accelerate import DEVICE, HOST, accelerate, retyped
from glowlite.fast.blocked_network import BlockedResidualNetwork
from glowlite.fast.cuda.actnorm import CudaActNorm
from glowlite.fast.cuda.affine_coupling import CudaAffineCoupling
from glowlite.fast.cuda.coupling_network import CudaNetwork
from glowlite.fast.cuda.steps import CudaSteps
from glowlite.fast.folded_network import FoldedNetwork
from glowlite.fast.threads import Workers
from glowlite.fast.tiles import Tiles
from glowlite.models.steps import flow_step
from glowlite.objective import loss_gradients
from glowlite.testing.parameters import parameters_of

PACKAGE = Path(__file__).parent.parent / "glowlite"
SEEDS = st.integers(0, 2**16)
LIBRARIES = {"host": np, "device": strict_device.xp}
# of the largest entry, in float64: sums in another order, and factors multiplied in another
TOLERANCE = 1e-10


def results(layer, x, seed):
    """Everything that a layer or a network gives at x, and the gradients that it adds to ones, on
    the host.
    """
    xp, rng = np if isinstance(x, np.ndarray) else strict_device.xp, np.random.default_rng(seed)

    def like(a):
        return xp.asarray(rng.standard_normal(a.shape))

    parameters = parameters_of(layer)
    for p in parameters.values():
        p.grad[...] = 1.0
    if isinstance(layer, Split):
        h, eps, logdet = layer.forward(x)
        found = [h, eps, logdet, layer.inverse(h, eps)]
        found += layer.backward(h, eps, like(h), like(eps), like(logdet))
    elif hasattr(layer, "inverse"):
        y, logdet = layer.forward(x)
        dy, dlogdet = like(y), like(logdet)
        found = [y, logdet, layer.inverse(y), *layer.backward(y, dy, dlogdet)]
        *again, cache = layer.forward_with_cache(x)
        found += [*again, *layer.backward(y, dy, dlogdet, cache)]
    else:
        h, cache = layer.forward(x)
        found = [h, layer.backward(like(h), cache)]
    found += [p.grad for p in parameters.values()]
    return [np.array(a.get() if hasattr(a, "get") else a) for a in found]


def hold_equal(plain, fast, x, seed):
    for expected, got in zip(results(plain, x, seed), results(fast, x, seed), strict=True):
        assert got.shape == expected.shape and got.dtype == expected.dtype
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", [*LAYERS, *CONDITIONERS])
def test_the_fast_form_of_a_layer_equals_the_plain_one(name, library):
    strategy, make = LAYERS[name] if name in LAYERS else (shapes(), CONDITIONERS[name])
    xp = LIBRARIES[library]

    @settings(max_examples=max(2, settings().max_examples // 4))
    @given(strategy, SEEDS)
    def holds(shape, seed):
        rng = np.random.default_rng(seed)
        plain = make(shape, rng)
        plain = getattr(plain, "split", plain)  # of the adapter that makes a layer of a split
        if isinstance(plain, Chain):
            plain = UniformChain(plain.layers, plain.memory)
        fast = fast_form(plain, xp)
        hold_equal(plain, fast, xp.asarray(inputs(name, shape, rng)), seed)

    holds()


@pytest.mark.parametrize("name", [name for name in CONDITIONERS if "residual" in name])
def test_the_fast_form_of_a_network_equals_the_plain_one_in_training(name):
    """Statistics of the batch, whose blocks meet; with the same bits for any number of threads."""
    shape, rng = (5, 4, 6, 4), np.random.default_rng(1)
    plain, x = CONDITIONERS[name](shape, rng), rng.standard_normal(shape)
    store = ParameterStore(plain, "float64")
    forms = [plain, *(accelerate(plain, Workers(n, 3000 / 2**18), store) for n in (1, 2, 3))]
    assert [type(form) for form in forms[1:]] == 3 * [BlockedResidualNetwork]
    found = []
    for form in forms:
        store.change[...] = 0
        with in_training(form):
            found.append([*results(form, x, 2), store.change.copy()])
    assert store.change.any() == bool(store.statistics)
    for expected, got in zip(found[0], found[1], strict=True):
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * scale)
    for others in found[2:]:
        assert all(map(np.array_equal, others, found[1]))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("permutation", ["conv1x1", "lu", "shuffle"])
@pytest.mark.parametrize("options", [{}, {"actnorm": "paper"}, {"coupling": "additive"}])
def test_the_fast_form_of_a_level_equals_its_plain_steps(options, permutation, library):
    """Tiles of one image with blocks of few pixels on a host.

    Steps that share their small matrices on a GPU.
    """
    rng, xp = np.random.default_rng(3), LIBRARIES[library]
    steps = {
        f"step{k}": step((3, 4, 4, 6), rng, permutation=permutation, **options) for k in range(2)
    }
    plain = UniformChain(steps)
    hold_equal(plain, fast_form(plain, xp), xp.asarray(rng.standard_normal((3, 4, 4, 6))), 5)


@pytest.mark.parametrize("between", ["an ActNorm", "another width", "a step of its own store"])
@pytest.mark.parametrize("permutation", ["conv1x1", "lu"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_steps_that_do_not_lie_side_by_side_are_as_one_by_one(library, permutation, between):
    """Steps of a level share their matrices where their parameters lie at equal distances, and only
    there.
    """
    rng, xp = np.random.default_rng(3), LIBRARIES[library]

    def a_step(width=8):
        config = GlowConfig((8, 8, 3), width=width, permutation=permutation, scale="bounded")
        return flow_step(config, 6, 0, rng)

    makers = {
        "an ActNorm": lambda: ActNorm(6),
        "another width": lambda: a_step(12),
        "a step of its own store": a_step,
    }
    middle = makers[between]()
    plain = UniformChain(
        {"step0": a_step(), "step1": a_step(), "middle": middle, "step2": a_step()}
    )
    for p in parameters_of(plain).values():
        p.value[...] += 0.05 * rng.standard_normal(p.value.shape)
    fast = fast_form(plain, xp)
    if between == "a step of its own store":
        own = ParameterStore(middle, "float64", xp)
        assert len(own) == sum(p.value.size for p in parameters_of(middle).values())
    hold_equal(plain, fast, xp.asarray(rng.standard_normal((5, 4, 4, 6))), 7)


PAPER = {
    name: value
    for name, value in GlowConfig.paper((8, 8, 3)).to_dict().items()
    if name not in ("image_shape", "K", "L", "width")
}


def made(plain, library="host", **options):
    config = GlowConfig((8, 8, 3), **{"K": 2, "L": 2, "width": 8, **options})
    workers = Workers(2, 256 / 2**18)
    xp = LIBRARIES[library]
    model = Glow(config, dtype="float64", workers=workers, xp=xp, plain=plain)
    shake = 0.05 * np.random.default_rng(1).standard_normal(len(model.store))
    model.store.theta[...] += xp.asarray(shake)
    model.initialized = True
    return model


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", GLOWS)
def test_a_plain_model_has_no_fast_form_and_gives_the_same(name, library):
    forms = {FoldedNetwork, Tiles, CudaNetwork, CudaSteps, CudaActNorm, CudaAffineCoupling}
    found = []
    for plain in (True, False):
        options = PAPER if GLOWS[name] == "paper" else GLOWS[name]
        model, xp = made(plain, library, **options), LIBRARIES[library]
        model = model.given(1) if model.classes else model
        kinds = {type(part) for part in parts(model)}
        assert plain == (CouplingNetwork in kinds) and plain == (UniformChain in kinds)
        assert not plain or not kinds & forms
        x = xp.asarray(np.random.default_rng(2).random((5, 8, 8, 3)) - 0.5)
        latents, logdet, cache = model.forward_with_cache(x)
        rebuilt = model.backward(latents, *loss_gradients(latents, 5), cache)
        arrays = [*latents, logdet, *rebuilt, model.store.grad, model.sample(3)]
        found.append([a.get() if hasattr(a, "get") else a for a in arrays])
    for expected, got in zip(*found, strict=True):
        np.testing.assert_allclose(
            got, expected, rtol=0, atol=1e-10 * max(1.0, np.abs(expected).max())
        )


def parts(model):
    """Every part of a model, at any depth."""
    for level in model.levels:
        yield from below(level.steps)
        if level.split is not None:
            yield from below(level.split)


def below(part):
    yield part
    for _, child in part.children() if hasattr(part, "children") else ():
        if hasattr(child, "children"):
            yield from below(child)


class OwnActNorm(ActNorm):
    def forward(self, x):
        y, logdet = super().forward(x)
        return 2 * y, logdet


class OwnNetwork(CouplingNetwork):
    pass


class OwnChain(UniformChain):
    pass


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_subclass_is_never_replaced(library):
    rng, xp = np.random.default_rng(0), LIBRARIES[library]
    for own in (OwnActNorm(4), OwnNetwork(2, 4, 8, rng), OwnChain({"actnorm": OwnActNorm(4)})):
        store = ParameterStore(own, "float64", xp)
        assert accelerate(own, Workers(1), store) is own
    net = CouplingNetwork(2, 4, 8, rng)
    plain = UniformChain(
        [FlowStep(OwnActNorm(4), Invertible1x1Conv(4, rng), AffineCoupling(4, net))]
    )
    x = rng.standard_normal((2, 4, 4, 4))
    expected = plain.forward(x)[0]
    fast = fast_form(plain, xp)
    got = fast.forward(xp.asarray(x))[0]
    assert type(fast.layers["0"].layers["actnorm"]) is OwnActNorm and type(net) is CouplingNetwork
    assert type(fast.layers["0"].layers["coupling"].net) is not CouplingNetwork
    np.testing.assert_allclose(got if xp is np else got.get(), expected, rtol=1e-10)


def test_a_table_has_no_form_for_a_class_and_its_subclass():
    for table in (HOST, DEVICE):
        for kind in table:
            assert not [other for other in table if other is not kind and issubclass(other, kind)]


def counting(kind, name, counted):
    """The method of a class, which counts its calls under the names of both."""
    method = getattr(kind, name)

    def call(self, *arguments):
        counted[kind.__name__, name] = counted.get((kind.__name__, name), 0) + 1
        return method(self, *arguments)

    return call


@pytest.mark.parametrize("memory", ["0", "256MB", "all"])
def test_a_training_pass_runs_what_is_read(monkeypatch, memory):
    """On a CPU, with fast forms: `forward` and `backward` of the layers' own files run, on every
    tile of every step.
    """
    model, counted = made(plain=False, scale="bounded"), {}
    model.memory = Memory(memory)
    for kind in (ActNorm, Invertible1x1Conv, AffineCoupling):
        for name in ("forward", "backward"):
            monkeypatch.setattr(kind, name, counting(kind, name, counted))
    x = np.random.default_rng(2).random((6, 8, 8, 3)) - 0.5
    latents, _, cache = model.forward_with_cache(x)
    model.backward(latents, *loss_gradients(latents, 6), cache)
    tiles = [len(model.workers.tiles(6, pixels, 8 if pixels == 16 else 48)) for pixels in (16, 4)]
    for kind in ("ActNorm", "Invertible1x1Conv", "AffineCoupling"):
        for name in ("forward", "backward"):
            assert counted[kind, name] >= 2 * sum(tiles), (kind, name)


class Doubling(AffineCoupling):
    def forward(self, x):
        y, logdet = super().forward(x)
        return 2 * y, logdet + x[0].size * np.log(2)


class DoublingStep(FlowStep):
    def forward(self, x):
        y, logdet = super().forward(x)
        return 2 * y, logdet + x[0].size * np.log(2)


@pytest.mark.parametrize("kind", [Doubling, DoublingStep])
def test_a_changed_forward_runs_where_everything_is_kept_too(kind):
    model, x = made(plain=False), np.random.default_rng(2).random((6, 8, 8, 3)) - 0.5
    steps = model.levels[0].steps.layers
    if kind is Doubling:
        coupling = steps["step0"].layers["coupling"]
        steps["step0"].layers["coupling"] = retyped(coupling, kind)
    else:
        steps["step0"] = retyped(steps["step0"], kind)
    expected = model.forward(x)
    for memory in ("0", "all"):
        model.memory = Memory(memory)
        latents, logdet, _ = model.forward_with_cache(x)
        assert all(map(np.array_equal, latents, expected[0]))
        assert np.array_equal(logdet, expected[1])


def test_a_changed_forward_changes_a_model():
    model, x = made(plain=False), np.random.default_rng(2).random((6, 8, 8, 3)) - 0.5
    before = model.log_prob(x)
    step = model.levels[0].steps.layers["step0"]
    own = OwnActNorm(12)
    for name, p in parameters_of(own).items():
        p.value[...] = parameters_of(step.layers["actnorm"])[name].value
    step.layers["actnorm"] = own
    assert np.abs(model.log_prob(x) - before).min() > 1.0


FORBIDDEN = {
    "a branch on the array library": r"\bis (not )?np\b|isinstance\([^)]*ndarray",
    "a kernel": r"launch\(|__global__|const T\*|RawKernel",
    "threads": r"\bWorkers\b|\bthreading\b|\bThreadPool",
    "tiles": r"\btiles?\b",
}
LAYERS_OF_THE_HOUSE = ("bijectors", "conditioners", "models", "objective.py")


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_files_of_layers_are_plain(what):
    files = [
        path
        for name in LAYERS_OF_THE_HOUSE
        for path in [PACKAGE / name, *(PACKAGE / name).rglob("*.py")]
    ]
    files = [path for path in files if path.is_file()]
    assert len(files) > 15
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in files
        for line in path.read_text().splitlines()
        if re.search(FORBIDDEN[what], line) and "glowlite.fast.tiles" not in line
    ]
    assert found == []
