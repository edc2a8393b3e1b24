"""Layers of flowjax, each with random parameters."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import paramax
import recipe
from flowjax import bijections, distributions, flows

PACKAGE, VERSION = "flowjax", "19.1.2"
SMALL = {"nn_width": 6, "nn_depth": 1, "nn_activation": jnp.tanh}


def layer(*shape, **options):
    """As in recipe.py; what is made of one seed is made once, since compiling it takes seconds and
    an object of flowjax never changes.
    """
    return lambda function: recipe.layer(*shape, **options)(functools.cache(function))


def shaken(thing, seed, by=0.3):
    """The object with normal noise added to every array that it trains."""
    rng = np.random.default_rng([seed, 7])

    def moved(leaf):
        return leaf + by * rng.standard_normal(leaf.shape) if eqx.is_inexact_array(leaf) else leaf

    return jax.tree_util.tree_map(moved, thing, is_leaf=is_frozen)


def is_frozen(node):
    return isinstance(node, paramax.NonTrainable)


def in_interval(low, high, thing):
    """Say for the laws that x lies between two numbers."""

    def make(params):
        return eqx.combine(params, rest)

    params, rest = eqx.partition(thing, eqx.is_inexact_array)
    make.domain = (low, high)
    return make, params


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng([seed, 7]).standard_normal(shape))


def spline():
    return bijections.RationalQuadraticSpline(knots=4, interval=3)


def each(make, size):
    """A bijection of numbers as one of vectors, each entry with parameters of its own."""
    return bijections.Vmap(eqx.filter_vmap(make, axis_size=size)(), in_axes=eqx.if_array(0))


# --- affine maps, permutations ---


@layer(3)
def affine(seed):
    return bijections.Affine(normal(seed, 3), jnp.exp(normal(seed + 10, 3)))


@layer(3)
def loc(seed):
    return bijections.Loc(normal(seed, 3))


@layer(2, 3)
def scale(seed):
    return bijections.Scale(jnp.exp(normal(seed, 2, 3)))


@layer(3, slow=True)
def triangular_affine(seed):
    matrix = normal(seed + 10, 3, 3)
    matrix = matrix.at[jnp.diag_indices(3)].set(jnp.exp(jnp.diag(matrix)))
    return bijections.TriangularAffine(normal(seed, 3), matrix)


@layer(3, slow=True)
def triangular_affine_upper(seed):
    matrix = normal(seed + 10, 3, 3)
    matrix = matrix.at[jnp.diag_indices(3)].set(jnp.exp(jnp.diag(matrix)))
    return bijections.TriangularAffine(normal(seed, 3), matrix, lower=False)


@layer(4)
def householder(seed):
    return bijections.Householder(normal(seed, 4))


@layer(4)
def discrete_cosine(seed):
    return bijections.DiscreteCosine((4,))


@layer(2, 3)
def permute(seed):
    return bijections.Permute(jr.permutation(jr.key(seed), jnp.arange(6)).reshape(2, 3))


@layer(2, 3)
def flip(seed):
    return bijections.Flip((2, 3))


@layer(3)
def identity(seed):
    return bijections.Identity((3,))


@layer(3, condition=(2,), slow=True)
def additive_condition(seed):
    net = eqx.nn.MLP(2, 3, 5, 1, jnp.tanh, key=jr.key(seed))
    return bijections.AdditiveCondition(net, (3,), (2,))


# --- elementwise functions ---


@layer(3)
def tanh(seed):
    return bijections.Tanh((3,))


@layer(3)
def leaky_tanh(seed):
    return bijections.LeakyTanh(1.5, (3,))


@layer(3)
def sigmoid(seed):
    return bijections.Sigmoid((3,))


@layer(3)
def exp(seed):
    return bijections.Exp((3,))


@layer(3)
def soft_plus(seed):
    return bijections.SoftPlus((3,))


@layer(3)
def power(seed):
    return in_interval(1.0, 8.0, bijections.Power(1.7, (3,)))


@layer(3)
def inverse_of_exp(seed):
    return in_interval(0.0, 8.0, bijections.Invert(bijections.Exp((3,))))


@layer(3, slow=True)
def rational_quadratic_spline(seed):
    return shaken(each(spline, 3), seed, by=1.0)


@layer(3, slow=True)
def sandwich(seed):
    inner = each(lambda: bijections.RationalQuadraticSpline(knots=4, interval=1), 3)
    return shaken(bijections.Sandwich(inner, bijections.LeakyTanh(3, (3,))), seed, by=1.0)


# --- networks inside ---


@layer(4, slow=True)
def coupling(seed):
    made = bijections.Coupling(
        jr.key(seed), transformer=bijections.Affine(), untransformed_dim=1, dim=4, **SMALL
    )
    return shaken(made, seed)


@layer(3, condition=(2,), slow=True)
def coupling_of_splines(seed):
    made = bijections.Coupling(
        jr.key(seed), transformer=spline(), untransformed_dim=1, dim=3, cond_dim=2, **SMALL
    )
    return shaken(made, seed)


@layer(3, slow=True)
def masked_autoregressive(seed):
    made = bijections.MaskedAutoregressive(
        jr.key(seed), transformer=bijections.Affine(), dim=3, **SMALL
    )
    return shaken(made, seed)


@layer(3, condition=(2,), slow=True)
def masked_autoregressive_of_splines(seed):
    made = bijections.MaskedAutoregressive(
        jr.key(seed), transformer=spline(), dim=3, cond_dim=2, **SMALL
    )
    return shaken(made, seed)


@layer(3, condition=(2,), slow=True)
def block_autoregressive_network(seed):
    made = bijections.BlockAutoregressiveNetwork(
        jr.key(seed), dim=3, cond_dim=2, depth=1, block_dim=3
    )
    return shaken(made, seed, by=0.1)


@layer(3, slow=True)
def planar(seed):
    return shaken(bijections.Planar(jr.key(seed), dim=3), seed, by=1.0)


@layer(3)
def planar_of_leaky_relu(seed):
    return shaken(bijections.Planar(jr.key(seed), dim=3, negative_slope=0.2), seed, by=1.0)


@layer(3, condition=(2,), slow=True)
def planar_of_a_condition(seed):
    made = bijections.Planar(
        jr.key(seed), dim=3, cond_dim=2, negative_slope=0.2, width_size=5, depth=1
    )
    return shaken(made, seed)


# --- what is made of several ---


@layer(3, slow=True)
def chain(seed):
    return bijections.Chain([triangular_affine(seed), leaky_tanh(seed), permute_of_3(seed)])


def permute_of_3(seed):
    return bijections.Permute(jr.permutation(jr.key(seed), jnp.arange(3)))


@layer(3, slow=True)
def scan(seed):
    def one(loc, scale):
        return bijections.Chain([bijections.Affine(loc, scale), bijections.LeakyTanh(3.0, (3,))])

    many = eqx.filter_vmap(one)(normal(seed, 4, 3), jnp.exp(0.3 * normal(seed + 10, 4, 3)))
    return bijections.Scan(many)


@layer(3, 2, slow=True)
def concatenate(seed):
    parts = [bijections.Affine(normal(seed, 1, 2), 2.0), bijections.Flip((2, 2))]
    return bijections.Concatenate(parts)


@layer(2, 3, slow=True)
def concatenate_of_an_axis(seed):
    parts = [bijections.Affine(normal(seed, 2, 1), 2.0), bijections.LeakyTanh(1.0, (2, 2))]
    return bijections.Concatenate(parts, axis=-1)


@layer(2, 3, slow=True)
def stack(seed):
    return bijections.Stack([affine(seed), leaky_tanh(seed)])


@layer(3, 2, slow=True)
def stack_of_an_axis(seed):
    return bijections.Stack([affine(seed), leaky_tanh(seed)], axis=1)


@layer(4, slow=True)
def indexed(seed):
    return bijections.Indexed(affine(seed), jnp.array([2, 0, 3]), (4,))


@layer(2, 3, slow=True)
def reshape(seed):
    return bijections.Reshape(coupling_of_6(seed), (2, 3))


def coupling_of_6(seed):
    made = bijections.Coupling(
        jr.key(seed), transformer=bijections.Affine(), untransformed_dim=3, dim=6, **SMALL
    )
    return shaken(made, seed)


@layer(3, condition=(4,), slow=True)
def embed_condition(seed):
    net = eqx.nn.MLP(4, 2, 5, 1, jnp.tanh, key=jr.key(seed))
    return bijections.EmbedCondition(additive_condition(seed), net, (4,))


@layer(3, slow=True)
def invert(seed):
    return bijections.Invert(masked_autoregressive(seed))


# --- models ---


@layer(2, condition=(2,), slow=True)
def coupling_flow(seed):
    base = distributions.Normal(jnp.zeros(2))
    made = flows.coupling_flow(jr.key(seed), base_dist=base, cond_dim=2, flow_layers=2, **SMALL)
    return shaken(made, seed)


@layer(2, slow=True)
def coupling_flow_of_splines(seed):
    base = distributions.Normal(jnp.zeros(2))
    made = flows.coupling_flow(
        jr.key(seed), base_dist=base, transformer=spline(), flow_layers=2, **SMALL
    )
    return shaken(made, seed)


@layer(2, condition=(2,), slow=True)
def masked_autoregressive_flow(seed):
    base = distributions.Normal(jnp.zeros(2))
    made = flows.masked_autoregressive_flow(
        jr.key(seed), base_dist=base, cond_dim=2, flow_layers=2, **SMALL
    )
    return shaken(made, seed)


@layer(1, slow=True)
def block_neural_autoregressive_flow(seed):
    base = distributions.Normal(jnp.zeros(1))
    made = flows.block_neural_autoregressive_flow(jr.key(seed), base_dist=base, nn_block_dim=3)
    return shaken(made, seed, by=0.1)


@layer(2, condition=(2,), slow=True)
def planar_flow(seed):
    base = distributions.Normal(jnp.zeros(2))
    made = flows.planar_flow(
        jr.key(seed),
        base_dist=base,
        cond_dim=2,
        flow_layers=2,
        negative_slope=0.3,
        width_size=5,
        depth=1,
    )
    return shaken(made, seed)


@layer(1, slow=True)
def triangular_spline_flow(seed):
    base = distributions.StudentT(5 * jnp.ones(1))
    made = flows.triangular_spline_flow(jr.key(seed), base_dist=base, flow_layers=2, knots=4)
    return shaken(made, seed)
