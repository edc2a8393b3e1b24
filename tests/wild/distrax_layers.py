"""Layers of distrax, each with random parameters."""

import distrax
import jax.numpy as jnp
import numpy as np
from recipe import layer

PACKAGE, VERSION = "distrax", "0.1.9"


def normal(seed, *shapes):
    """Arrays of normal numbers, of these shapes."""
    rng = np.random.default_rng([seed, 7])  # not the numbers of the batch
    return [rng.standard_normal(shape) for shape in shapes]


def mlp(p, x):
    """A network of one hidden layer; p: its four arrays."""
    return jnp.tanh(x @ p[0] + p[1]) @ p[2] + p[3]


def mlp_parameters(seed, inputs, outputs, hidden=5):
    w, b, v, c = normal(seed, (inputs, hidden), hidden, (hidden, outputs), outputs)
    return [w, 0.5 * b, 0.4 * v, 0.5 * c]


def in_interval(low, high):
    """Say for the laws that x lies between two numbers."""

    def said(make):
        make.domain = (low, high)
        return make

    return said


# --- affine maps ---


@layer(3)
def scalar_affine(seed):
    return make_scalar_affine, normal(seed, 3, 3)


def make_scalar_affine(p):
    return distrax.Block(distrax.ScalarAffine(shift=p[0], log_scale=p[1]), 1)


@layer(3)
def scalar_affine_by_scale(seed):
    shift, scale = normal(seed, 3, 3)
    return make_scalar_affine_by_scale, [shift, scale + np.sign(scale)]


def make_scalar_affine_by_scale(p):
    return distrax.ScalarAffine(shift=p[0], scale=p[1])


@layer(3)
def shift(seed):
    return distrax.Shift, normal(seed, 3)[0]


@layer(3)
def diag_linear(seed):
    d = normal(seed, 3)[0]
    return distrax.DiagLinear, d + np.sign(d)


@layer(3, slow=True)
def diag_plus_low_rank_linear(seed):
    return make_low_rank, normal(seed, 3, (3, 2), (3, 2))


def make_low_rank(p):
    return distrax.DiagPlusLowRankLinear(2 + jnp.tanh(p[0]), 0.5 * p[1], 0.5 * p[2])


@layer(3)
def triangular_linear(seed):
    return distrax.TriangularLinear, normal(seed, (3, 3))[0] + 2 * np.eye(3)


@layer(3)
def upper_triangular_linear(seed):
    return make_upper, normal(seed, (3, 3))[0] + 2 * np.eye(3)


def make_upper(p):
    return distrax.TriangularLinear(p, is_lower=False)


@layer(3)
def lower_upper_triangular_affine(seed):
    matrix, bias = normal(seed, (3, 3), 3)
    return make_lower_upper, [matrix + 2 * np.eye(3), bias]


def make_lower_upper(p):
    return distrax.LowerUpperTriangularAffine(*p)


@layer(3, slow=True)
def unconstrained_affine(seed):
    return make_unconstrained, normal(seed, (3, 3), 3)


def make_unconstrained(p):
    return distrax.UnconstrainedAffine(*p)


# --- elementwise functions ---


@layer(3)
def sigmoid(seed):
    return distrax.Sigmoid()


@layer(3)
def tanh(seed):
    return distrax.Tanh()


@layer(3)
def gumbel_cdf(seed):
    return distrax.GumbelCDF()


@layer(3)
def lambda_of_a_function(seed):
    return distrax.Lambda(jnp.sinh, jnp.arcsinh)


@layer(3)
def lambda_of_its_forward_alone(seed):
    return distrax.Lambda(forward=lambda x: jnp.sinh(2 * x + 1))


@layer(3, slow=True)
def rational_quadratic_spline(seed):
    return make_spline, normal(seed, (3, 3 * 4 + 1))[0]


def make_spline(p):
    return distrax.RationalQuadraticSpline(p, range_min=-3.0, range_max=3.0)


@layer(3, slow=True)
def rational_quadratic_spline_of_identity_tails(seed):
    return make_spline_of_identity, normal(seed, (3, 3 * 4 + 1))[0]


def make_spline_of_identity(p):
    return distrax.RationalQuadraticSpline(p, -3.0, 3.0, boundary_slopes="identity")


@layer(3, slow=True)
def rational_quadratic_spline_circular(seed):
    return make_circular_spline, normal(seed, (3, 3 * 4 + 1))[0]


@in_interval(-3.0, 3.0)
def make_circular_spline(p):
    return distrax.RationalQuadraticSpline(p, -3.0, 3.0, boundary_slopes="circular")


# --- couplings ---


def affine_of(h):
    return distrax.ScalarAffine(shift=h[..., 0], log_scale=jnp.tanh(h[..., 1]))


def spline_of(h):
    return distrax.RationalQuadraticSpline(h, range_min=-3.0, range_max=3.0)


def by(p, outputs):
    """A network that gives `outputs` numbers for each of the entries of x."""
    return lambda x: mlp(p, x).reshape(*x.shape[:-1], -1, outputs)


@layer(4)
def masked_coupling(seed):
    return make_masked_coupling, mlp_parameters(seed, 4, 4 * 2)


def make_masked_coupling(p):
    mask = jnp.array([True, False, True, False])
    return distrax.MaskedCoupling(mask, by(p, 2), affine_of)


@layer(4, slow=True)
def masked_coupling_of_splines(seed):
    return make_masked_spline, mlp_parameters(seed, 4, 4 * 13)


def make_masked_spline(p):
    mask = jnp.array([True, False, True, False])
    return distrax.MaskedCoupling(mask, by(p, 13), spline_of)


@layer(2, 2, slow=True)
def masked_coupling_of_matrices(seed):
    return make_masked_coupling_of_matrices, mlp_parameters(seed, 4, 4 * 2)


def make_masked_coupling_of_matrices(p):
    def conditioner(x):
        return mlp(p, x.reshape(*x.shape[:-2], 4)).reshape(*x.shape, 2)

    mask = jnp.array([[True, False], [False, True]])
    return distrax.MaskedCoupling(mask, conditioner, affine_of)


@layer(5, slow=True)
def split_coupling(seed):
    return make_split_coupling, mlp_parameters(seed, 2, 3 * 2)


def make_split_coupling(p):
    return distrax.SplitCoupling(2, 1, by(p, 2), affine_of)


@layer(5, slow=True)
def split_coupling_swapped(seed):
    return make_swapped_coupling, mlp_parameters(seed, 3, 2 * 2)


def make_swapped_coupling(p):
    return distrax.SplitCoupling(2, 1, by(p, 2), affine_of, swap=True)


@layer(4, slow=True)
def split_coupling_of_splines(seed):
    return make_split_spline, mlp_parameters(seed, 2, 2 * 13)


def make_split_spline(p):
    return distrax.SplitCoupling(2, 1, by(p, 13), spline_of)


@layer(3, 2, slow=True)
def split_coupling_of_an_axis(seed):
    return make_split_of_axis, mlp_parameters(seed, 2, 4 * 2)


def make_split_of_axis(p):
    def conditioner(x):
        return mlp(p, x[..., 0, :]).reshape(*x.shape[:-2], 2, 2, 2)

    return distrax.SplitCoupling(1, 2, conditioner, affine_of, split_axis=-2)


# --- what is made of several ---


@layer(4, slow=True)
def chain(seed):
    matrix, bias = normal(seed + 100, (4, 4), 4)
    return make_chain, [matrix + 2 * np.eye(4), bias, mlp_parameters(seed, 4, 4 * 2)]


def make_chain(p):
    return distrax.Chain([make_masked_coupling(p[2]), make_lower_upper(p[:2])])


@layer(4, slow=True)
def inverse(seed):
    return make_inverse, mlp_parameters(seed, 4, 4 * 13)


def make_inverse(p):
    return distrax.Inverse(make_masked_spline(p))


@layer(2, 3)
def block(seed):
    return make_block, normal(seed, (2, 3), (2, 3))


def make_block(p):
    return distrax.Block(distrax.ScalarAffine(shift=p[0], log_scale=p[1]), 2)


# --- models ---


@layer(2, slow=True)
def transformed(seed):
    matrix, bias = normal(seed + 100, (2, 2), 2)
    return make_transformed, [matrix + 2 * np.eye(2), bias, mlp_parameters(seed, 2, 2 * 2)]


def make_transformed(p):
    coupling = distrax.MaskedCoupling(jnp.array([True, False]), by(p[2], 2), affine_of)
    base = distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))
    return distrax.Transformed(base, distrax.Chain([coupling, make_lower_upper(p[:2])]))


@layer(2, slow=True)
def transformed_by_splines(seed):
    return make_transformed_by_splines, mlp_parameters(seed, 2, 2 * 13)


def make_transformed_by_splines(p):
    coupling = distrax.MaskedCoupling(jnp.array([True, False]), by(p, 13), spline_of)
    base = distrax.Independent(distrax.Normal(jnp.zeros(2), jnp.ones(2)), 1)
    return distrax.Transformed(base, coupling)


@layer(1, slow=True)
def transformed_by_a_sigmoid(seed):
    return make_transformed_by_a_sigmoid, normal(seed, 1)


@in_interval(0.0, 1.0)
def make_transformed_by_a_sigmoid(p):
    base = distrax.Independent(distrax.Normal(p[0], jnp.ones(1)), 1)
    return distrax.Transformed(base, distrax.Block(distrax.Sigmoid(), 1))


@layer(2, slow=True)
def multivariate_normal_tri(seed):
    return make_normal_tri, normal(seed, 2, (2, 2))


def make_normal_tri(p):
    return distrax.MultivariateNormalTri(p[0], 2 * jnp.eye(2) + jnp.tril(p[1]))
