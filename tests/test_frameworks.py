"""The adapters of frameworks: real layers obey the laws through them, bugs are not hidden by them.
What needs a framework is skipped where that is missing.
"""

import copy
import subprocess
import sys

import numpy as np
import pytest
from framework_layers import REAL, VERSIONS

from glowlite.testing import Broken, Case, DoesNotApply, as_layer, check_layer
from glowlite.testing.check import decide
from glowlite.testing.frameworks import from_seed
from glowlite.testing.laws import chosen
from glowlite.testing.museum import stale_inverse

NEEDS = {"distrax": ("jax",), "flowjax": ("jax",), "jax": (), "torch": ()}
NEEDS["tensorflow_probability"] = ("jax",)
X = np.random.default_rng(0).standard_normal((3, 2))


def needs(package):
    for name in (*NEEDS.get(package, ("torch",)), package):
        pytest.importorskip(name)


def makes(thing):
    """A factory of layers; initialised: after a first pass of X."""

    def make(seed=0, initialised=False):
        with from_seed(seed):
            made = thing()
        return as_layer(made, initialise_with=X if initialised else None)

    return make


def breaks(law, layer, x, make=None):
    """Whether the layer breaks the law; DoesNotApply is raised."""
    case = Case(layer, x, make)
    try:
        decide(chosen(law)[0], case)
    except Broken:
        return True
    return False


# --- real layers ---


def with_version(name):
    return f"{name} of {REAL[name].package} {VERSIONS[REAL[name].package]}"


@pytest.mark.filterwarnings("ignore")  # of the libraries
@pytest.mark.parametrize("name", REAL, ids=with_version)
def test_a_real_layer_obeys_the_laws(name):
    real = REAL[name]
    needs(real.package)
    make = lambda: real.layer(initialised=False)  # noqa: E731
    check_layer(real.layer(), real.x(), real.laws, make, real.condition())


MODELS = [
    "nflows Flow",
    "normflows NormalizingFlow",
    "normflows MultiscaleFlow",
    "zuko MAF",
    "distrax Transformed",
    "flowjax masked_autoregressive_flow",
    "tfp TransformedDistribution",
]
CONDITIONAL = [
    "nflows Flow with a context",
    "normflows ConditionalNormalizingFlow",
    "zuko MAF with a context",
    "flowjax masked_autoregressive_flow with a condition",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*MODELS, *CONDITIONAL])
def test_a_model_goes_from_data_to_noise(name):
    # log p(x) = log N(z) + log|det dz/dx|
    real = REAL[name]
    needs(real.package)
    model, x = real.layer(), real.x()
    z, logdet = model.forward(x)
    normal = -0.5 * (z * z).sum(axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi)
    np.testing.assert_allclose(model.log_prob(x), normal + logdet, rtol=1e-10)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*MODELS, *CONDITIONAL])
def test_samples_are_those_of_the_seed(name):
    real = REAL[name]
    needs(real.package)
    model = real.layer()
    once, again, other = model.sample(3, 1), model.sample(3, 1), model.sample(3, 2)
    assert once.shape == (3, *real.shape) and once.dtype == np.float64
    assert np.array_equal(once, again) and not np.isclose(once, other).any()


@pytest.mark.filterwarnings("ignore")
def test_a_layer_without_an_inverse_has_the_laws_that_need_none():
    real = REAL["normflows Planar"]
    needs("normflows")
    layer, x = real.layer(), real.x()
    assert not breaks("logdet_is_that_of_the_jacobian", layer, x)
    with pytest.raises(DoesNotApply, match=r"Planar: .*no algebraic inverse"):
        layer.inverse(x)
    with pytest.raises(DoesNotApply, match=r"Planar: .*no algebraic inverse"):
        breaks("inverse_needs_no_forward", layer, x, real.layer)


# --- PyTorch ---


SPELLINGS = ["Inverse", "InverseWithLogdet", "LogdetInAColumn", "ReverseMethod", "Reverse", "Rev"]
SPELLINGS += ["Mode", "Sum", "SumOrNone", "Beside", "BesideOfX"]


@pytest.fixture
def modules():
    pytest.importorskip("torch")
    import torch_modules

    return torch_modules


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_is_understood(name, modules):
    layer = as_layer(getattr(modules, name)())
    y, logdet = layer.forward(X)
    np.testing.assert_allclose(logdet, np.full(3, -0.4), rtol=1e-7)
    back = layer.inverse(y)
    if isinstance(back, tuple):
        back, logdet_back = back
        np.testing.assert_array_equal(logdet_back, -logdet)
    np.testing.assert_allclose(back, X, rtol=1e-12)
    check_layer(layer, X, "gradients_through_logdet")


def test_what_is_no_module_is_torch_s_if_one_says_so(modules):
    layer = as_layer(modules.NoModule(), framework="torch")
    assert list(layer.parameters()) == ["s"]
    check_layer(layer, X)
    with pytest.raises(TypeError, match="NoModule has no backward"):
        as_layer(modules.NoModule())


RIGHT = ["Centred", "WithDropout", "KeptByVersion", "KeptGraph", "FrozenPart", "ReturnsItsInput"]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_module_obeys_every_law(name, modules):
    make = makes(getattr(modules, name))
    check_layer(make(initialised=True), X, make=lambda: make(1))


BROKEN = {
    "WrongSign": ["logdet_of_the_inverse"],
    "Unregistered": ["every_acting_parameter_is_named", "state_survives_saving"],
    "BufferLost": ["every_acting_parameter_is_named", "state_survives_saving"],
    "DetachedInverse": ["gradients_of_the_inverse"],
    "DetachedLogdet": ["gradients_through_logdet"],
    "ChangesItsInput": ["nothing_passed_in_is_changed"],
    "ChangesItsInputBack": ["nothing_passed_in_is_changed"],
    "LogdetOfEachEntry": ["logdet_is_that_of_the_jacobian"],
    "LogdetInFloat32": ["logdet_is_that_of_the_jacobian"],
    "Stale": ["caches_follow_parameters"],
    "NeedsContiguous": ["memory_order_does_not_matter"],
    "InTrainingMode": ["samples_are_independent"],
}


@pytest.mark.parametrize(
    ("name", "law"), [(name, law) for name, laws in BROKEN.items() for law in laws]
)
def test_a_bug_of_a_module_is_seen(name, law, modules):
    make = makes(getattr(modules, name))
    right = makes(modules.Centred)
    assert not breaks(law, right(initialised=True), X.copy(), lambda: right(1))
    assert breaks(law, make(initialised=True), X.copy(), lambda: make(1))


def test_a_parameter_is_the_module_s_own(modules):
    module = modules.Inverse()
    layer = as_layer(module)
    p = layer.parameters()["s"]
    p.value[...] = [1.0, 2.0]
    assert module.s.tolist() == [1.0, 2.0]
    np.testing.assert_allclose(layer.forward(X)[1], 3.0)
    module.s.data = module.s.data + 1.0  # other memory
    np.testing.assert_array_equal(p.value, [2.0, 3.0])
    p.grad[...] = 5.0
    assert module.s.grad.tolist() == [5.0, 5.0]


def test_a_copy_has_memory_of_its_own(modules):
    layer = makes(modules.KeptGraph)(initialised=True)
    y, logdet = layer.forward(X)
    layer.backward(y, np.ones_like(y), logdet)
    new = copy.deepcopy(layer)
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(new.parameters()[name].grad, p.grad)
        p.value[...] += 1.0
        p.grad[...] += 1.0
        assert not np.isclose(new.parameters()[name].value, p.value).any()
        assert not np.isclose(new.parameters()[name].grad, p.grad).any()
    np.testing.assert_array_equal(new.forward(X)[0], y)


def test_state_has_what_torch_would_save_in_its_dtype(modules):
    import torch

    layer = makes(modules.Centred)(initialised=True)
    layer.module.register_buffer("steps", torch.tensor(3))
    state = layer.state()
    assert {name: value.dtype.name for name, value in state.items()} == {
        "s": "float64",
        "mean": "float64",
        "steps": "int64",
    }
    np.testing.assert_array_equal(state["mean"], X.mean(axis=0))
    state["s"] += 1.0  # a copy
    assert not np.isclose(layer.state()["s"], state["s"]).any()
    layer.set_state(state | {"steps": np.array(4)})
    assert layer.module.steps.item() == 4 and np.array_equal(layer.state()["s"], state["s"])
    with pytest.raises(RuntimeError, match="mean"):
        layer.set_state({"s": state["s"], "steps": np.array(4)})


def test_an_array_that_is_read_only_is_lent_as_a_copy(modules):
    x = X.copy()
    x.setflags(write=False)
    layer = makes(modules.Centred)(initialised=True)
    np.testing.assert_array_equal(layer.forward(x)[0], layer.forward(X)[0])
    with pytest.raises(ValueError, match="read-only"):
        makes(modules.ChangesItsInput)().forward(x)


def test_what_a_module_changes_in_a_view_is_changed_there(modules):
    layer = makes(modules.ChangesItsInput)()
    expected = X.copy()
    layer.forward(expected)
    assert not np.isclose(expected, X).any()
    x = np.flip(X).copy()
    layer.forward(np.flip(x))  # strides below zero: no tensor can have them
    np.testing.assert_array_equal(np.flip(x), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_in_another_dtype_is_a_new_one(dtype, modules):
    layer = makes(modules.Centred)(initialised=True)
    new = layer.cast(dtype)
    y, logdet = new.forward(X.astype(dtype))
    assert y.dtype == dtype and logdet.dtype == np.float64
    assert all(p.value.dtype == p.grad.dtype == dtype for p in new.parameters().values())
    assert layer.parameters()["s"].value.dtype == np.float64
    np.testing.assert_allclose(y, layer.forward(X)[0], rtol=1e-5)


def test_torch_is_left_as_it_was(modules):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    layer = makes(modules.Centred)(seed=1)
    layer.backward(X, X, X[:, 0])
    assert torch.equal(torch.rand(3), expected) and torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled() and np.random.randint(1000) == 867


@pytest.mark.parametrize("name", ["context", "condition", "cond", "cond_inputs", "c", "y"])
def test_a_condition_goes_to_the_argument_of_its_name(name, modules):
    import torch

    forward = f"lambda self, x, {name}=None: (x * {name}.exp(), {name}.sum(dim=1))"
    inverse = f"lambda self, x, {name}=None: x * (-{name}).exp()"
    kind = type("Scaled", (torch.nn.Module,), {"forward": eval(forward), "inverse": eval(inverse)})
    c = np.random.default_rng(1).standard_normal((3, 2))
    layer = as_layer(kind(), condition=c)
    np.testing.assert_allclose(layer.forward(X)[0], X * np.exp(c))
    np.testing.assert_allclose(layer.given(c[:1]).forward(X)[0], X * np.exp(c[:1]))
    check_layer(layer, X, condition=c)
    with pytest.raises(ValueError, match="expected a condition of 2 rows or of 1, got 3"):
        layer.forward(X[:2])


def test_a_condition_that_nothing_takes_is_an_error(modules):
    layer = as_layer(modules.Inverse(), condition=np.zeros((1, 2)))
    with pytest.raises(TypeError, match=r"Inverse\.forward takes no condition: expected an arg"):
        layer.forward(X)
    assert not hasattr(as_layer(modules.Inverse()), "given")  # it may take one and not use it


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("lambda self, x: x", "Odd has no log-determinant: expected forward"),
        ("lambda self, x: (x, None)", "Odd has no log-determinant: expected forward"),
        ("lambda self, x: (x, 0, 0)", r"Odd\.forward gives 3 values \(Tensor, int, int\)"),
        ("lambda self, x: {'y': x}", r"Odd\.forward gives one dict; expected a tensor"),
    ],
)
def test_what_is_missing_is_said_at_the_first_pass(method, message, modules):
    import torch

    odd = type("Odd", (torch.nn.Module,), {"forward": eval(method)})
    with pytest.raises(TypeError, match=message):
        as_layer(odd(), initialise_with=X)
    with pytest.raises(DoesNotApply, match=r"Odd has no inverse: expected a method inverse\(y\)"):
        as_layer(odd()).inverse(X)


@pytest.mark.parametrize(
    ("name", "inverse_lives"), [("SigmoidTransform", (0, 1)), ("ExpTransform", (0, np.inf))]
)
def test_a_transform_says_where_x_lives(name, inverse_lives, modules):
    transforms = pytest.importorskip("torch.distributions.transforms")
    transform = getattr(transforms, name)()
    assert as_layer(transform).domain == (-np.inf, np.inf)
    assert as_layer(transform.inv).domain == inverse_lives
    assert not hasattr(as_layer(modules.Inverse()), "domain")


def test_a_distribution_is_not_the_module_that_makes_it():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="Normal: expected a module or transform of torch"):
        as_layer(torch.distributions.Normal(0.0, 1.0))


# --- JAX ---


@pytest.fixture
def flows():
    pytest.importorskip("jax")
    import jax_functions

    return jax_functions


BROKEN_IN_JAX = {
    "wrong_sign": "logdet_of_the_inverse",
    "not_in_params": "state_survives_saving",
    "detached_inverse": "gradients_of_the_inverse",
    "detached_logdet": "gradients_through_logdet",
    "stale": "caches_follow_parameters",
    "logdet_of_each_entry": "logdet_is_that_of_the_jacobian",
    "logdet_in_float32": "logdet_is_that_of_the_jacobian",
    "gradient_by_hand": "gradients_through_y",
}


@pytest.mark.parametrize("name", BROKEN_IN_JAX)
def test_a_bug_of_a_flow_of_jax_is_seen(name, flows):
    law = BROKEN_IN_JAX[name]
    right, broken = flows.right, getattr(flows, name)
    assert not breaks(law, as_layer(right(0)), X, lambda: as_layer(right(1)))
    assert breaks(law, as_layer(broken(0)), X, lambda: as_layer(broken(1)))


def test_functions_may_be_compiled(flows):
    layer = as_layer(flows.compiled(0))
    check_layer(layer, X, ["inverse_of_forward", "gradients_through_y", "gradients_of_the_inverse"])


def test_leaves_are_read_at_every_call(flows):
    layer = as_layer(flows.right(0))
    p = layer.parameters()["['s']"]
    p.value[...] = [1.0, 2.0]
    np.testing.assert_allclose(layer.forward(X)[1], 3.0)
    new = copy.deepcopy(layer)
    p.value[...] = 0.0
    np.testing.assert_allclose(new.forward(X)[1], 3.0)
    np.testing.assert_allclose(layer.forward(X)[1], 0.0)


def test_numbers_and_what_is_no_number_in_a_tree(flows):
    import jax.numpy as jnp

    def forward(p, x):
        return x * jnp.exp(p["s"]), p["s"] * x.shape[1]

    layer = as_layer(
        (forward, lambda p, y: y * jnp.exp(-p["s"]), {"s": 0.5, "name": None, "steps": np.array(3)})
    )
    assert list(layer.parameters()) == ["['s']"]
    assert sorted(layer.state()) == ["['s']", "['steps']"]
    check_layer(layer, X, ["gradients_through_y", "float32_agrees_with_float64"])


def test_what_flowjax_froze_is_state_and_no_parameter(flows):
    pytest.importorskip("flowjax")
    import jax.numpy as jnp
    from flowjax import bijections
    from paramax import non_trainable

    frozen = non_trainable(bijections.Affine(jnp.array([0.5, -1.0]), jnp.array([2.0, 0.7])))
    layer = as_layer(frozen)
    assert layer.parameters() == {} and len(layer.state()) == 2
    check_layer(layer, X, "gradients_through_y")


def test_an_object_of_distrax_is_made_in_float64(flows):
    pytest.importorskip("distrax")
    import distrax
    import jax.numpy as jnp

    thing = distrax.ScalarAffine(jnp.zeros(2, jnp.float32), jnp.full(2, 3.0, jnp.float32))
    with pytest.raises(ValueError, match="ScalarAffine was made in float32: make it after"):
        as_layer(thing)


def test_objects_that_differ_in_their_arrays_alone_are_compiled_once(flows):
    pytest.importorskip("flowjax")
    from flowjax import bijections

    layers = [as_layer(bijections.Loc(np.full(2, number))) for number in (1.0, 2.0)]
    other = as_layer(bijections.Invert(bijections.Loc(np.ones(2))))
    assert layers[0]._program is layers[1]._program is not other._program
    moved = [layer.forward(X)[0] for layer in layers]
    np.testing.assert_allclose(moved[1] - moved[0], np.ones_like(X))


def test_a_make_of_another_closure_is_compiled_anew(flows):
    pytest.importorskip("flowjax")
    from flowjax import bijections

    def layer(number):
        return as_layer((lambda p: bijections.Loc(p + number), np.zeros(2)))

    moved = [layer(number).forward(X)[0] for number in (1.0, 2.0)]
    np.testing.assert_allclose(moved[1] - moved[0], np.ones_like(X))


def test_a_make_says_where_x_lives(flows):
    pytest.importorskip("flowjax")
    from flowjax import bijections

    def make(params):
        return bijections.Power(params, (2,))

    make.domain = (1.0, 8.0)
    layer = as_layer((make, np.array(1.7)))
    assert layer.domain == copy.deepcopy(layer).domain == (1.0, 8.0)
    assert layer.cast(np.float32).domain == (1.0, 8.0)
    assert not hasattr(as_layer(bijections.Loc(np.zeros(2))), "domain")
    check_layer(layer, 1 + 7 * np.random.default_rng(0).random((3, 2)), "tails_and_edges")


def test_a_condition_in_jax(flows):
    import jax.numpy as jnp

    c = np.random.default_rng(1).standard_normal((3, 2))
    layer = as_layer(
        (
            lambda p, x, c: (x * jnp.exp(c * p), (c * p).sum(axis=1)),
            lambda p, y, c: y * jnp.exp(-c * p),
            np.array([0.4, 0.9]),
        ),
        condition=c,
    )
    check_layer(layer, X, ["condition_acts", "gradients_through_logdet"], condition=c)
    with pytest.raises(ValueError, match="expected a condition of 2 rows or of 1, got 3"):
        layer.forward(X[:2])


@pytest.mark.parametrize(
    "thing",
    [(lambda p, x: x, lambda p, y: y, {}), (lambda p, x: (x, 0, 0), lambda p, y: y, {})],
    ids=["y alone", "three values"],
)
def test_what_is_missing_of_a_function_is_said(thing, flows):
    with pytest.raises(TypeError, match="has no log-determinant: expected y, logdet"):
        as_layer(thing).forward(X)


# --- the choice ---


def test_what_has_the_protocol_is_returned_as_it_is():
    layer = stale_inverse.clean(0)
    assert as_layer(layer) is layer and as_layer(layer, "numpy", initialise_with=X) is layer


def test_a_layer_with_given_is_returned_at_the_condition():
    from glowlite.testing.museum import condition_of_another_sample

    layer, c = condition_of_another_sample.clean(0), np.ones((1, 2))
    found = as_layer(layer, condition=c)
    np.testing.assert_array_equal(
        found.forward(np.ones((2, 3)))[0], layer.given(c).forward(np.ones((2, 3)))[0]
    )


class Half:
    def forward(self, x):
        return x, np.zeros(len(x))


class Density:
    def log_prob(self, x):
        return np.zeros(len(x))


def test_a_density_without_a_map_is_returned_as_it_is():
    density = Density()
    assert as_layer(density) is density


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Half(), "Half has no inverse, backward: expected a layer with forward, inverse and"),
        (3, "int has no forward, inverse, backward: expected"),
        (Half, "Half is a class or a function: expected the object that it returns when called"),
        (lambda seed: Half(), "<lambda> is a class or a function: expected the object that"),
        ((1, 2), r"a tuple of int, int: expected \(forward, inverse, params\) or \(make, params\)"),
        ((), r"a tuple of nothing: expected \(forward, inverse, params\)"),
    ],
)
def test_anything_else_is_an_error_that_says_what_is_missing(thing, message):
    if isinstance(thing, tuple):
        pytest.importorskip("jax")
    with pytest.raises(TypeError, match=message) as error:
        as_layer(thing)
    assert "\n" not in str(error.value)


def test_a_condition_for_a_layer_that_takes_none():
    with pytest.raises(TypeError, match=r"has no given\(condition\), so it takes no condition"):
        as_layer(stale_inverse.clean(0), condition=np.zeros((1, 2)))


def test_a_framework_that_is_not_known():
    with pytest.raises(ValueError, match="expected one of auto, numpy, torch, jax, got 'keras'"):
        as_layer(Half(), framework="keras")


def test_no_framework_is_imported_before_it_is_needed():
    code = """
import sys, glowlite.testing as testing
from glowlite.testing.museum import stale_inverse
testing.as_layer(stale_inverse.clean(0))
print(sorted({"torch", "jax"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_name_that_the_package_lacks():
    import glowlite.testing

    with pytest.raises(AttributeError, match="has no attribute 'keras_layer'"):
        _ = glowlite.testing.keras_layer
