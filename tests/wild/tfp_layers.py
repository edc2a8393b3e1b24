"""Bijectors of TensorFlow Probability on JAX, each with random parameters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from recipe import layer
from tensorflow_probability.substrates import jax as tfp

PACKAGE, VERSION = "tfp-nightly", "0.26.0.dev20261027"
TRACED = "Shapes must be 1D sequences of concrete values of integer type"
tfb, tfd = tfp.bijectors, tfp.distributions


def normal(seed, *shapes):
    """Arrays of normal numbers, of these shapes."""
    rng = np.random.default_rng([seed, 7])  # not the numbers of the batch
    return [rng.standard_normal(shape) for shape in shapes]


def interval(low, high):
    """Say for the laws that x lies between two numbers."""

    def said(make):
        make.domain = (low, high)
        return make

    return said


positive = interval(0.2, 8.0)


def uncompiled(make, params):
    """The bijector make(params), called as it is, by functions: it cannot be compiled."""

    def forward(p, x):
        made = make(p)
        return made.forward(x), made.forward_log_det_jacobian(x, event_ndims=1)

    def inverse(p, y):
        made = make(p)
        return made.inverse(y), made.inverse_log_det_jacobian(y, event_ndims=1)

    return forward, inverse, params


def of(make, seed):
    """The bijector make(a, b) of two vectors of three normal numbers, which are its parameters."""
    return spread(make), normal(seed, 3, 3)


@functools.cache
def spread(make):
    """make(a, b) as a function of the pair, the same one every time: it is compiled once."""

    def of_pair(p):
        return make(*p)

    if hasattr(make, "domain"):
        of_pair.domain = make.domain
    return of_pair


# --- elementwise, everywhere ---


@layer(3, slow=True)
def scale_and_shift(seed):
    return of(make_scale_and_shift, seed)


def make_scale_and_shift(a, b):
    return tfb.Chain([tfb.Shift(a), tfb.Scale(log_scale=b)])


@layer(3)
def scale(seed):
    return of(make_scale, seed)


def make_scale(a, b):
    return tfb.Scale(a + jnp.sign(a))


@layer(3)
def sigmoid(seed):
    return of(make_sigmoid, seed)


def make_sigmoid(a, b):
    return tfb.Sigmoid()


@layer(3, slow=True)
def sigmoid_of_an_interval(seed):
    return of(make_sigmoid_of_an_interval, seed)


def make_sigmoid_of_an_interval(a, b):
    return tfb.Sigmoid(low=-jnp.exp(a), high=jnp.exp(b))


@layer(3)
def tanh(seed):
    return of(make_tanh, seed)


def make_tanh(a, b):
    return tfb.Tanh()


@layer(3)
def exp(seed):
    return of(make_exp, seed)


def make_exp(a, b):
    return tfb.Exp()


@layer(3)
def expm1(seed):
    return of(make_expm1, seed)


def make_expm1(a, b):
    return tfb.Expm1()


@layer(3, slow=True)
def softplus(seed):
    return of(make_softplus, seed)


def make_softplus(a, b):
    return tfb.Softplus(hinge_softness=jnp.exp(a), low=b)


@layer(3)
def softsign(seed):
    return of(make_softsign, seed)


def make_softsign(a, b):
    return tfb.Softsign()


@layer(3)
def sinh(seed):
    return of(make_sinh, seed)


def make_sinh(a, b):
    return tfb.Sinh()


@layer(3, slow=True)
def sinh_arcsinh(seed):
    return of(make_sinh_arcsinh, seed)


def make_sinh_arcsinh(a, b):
    return tfb.SinhArcsinh(skewness=a, tailweight=jnp.exp(b / 2))


@layer(3, slow=True)
def soft_clip(seed):
    return of(make_soft_clip, seed)


def make_soft_clip(a, b):
    return tfb.SoftClip(low=a - 1, high=a + 1 + jnp.exp(b), hinge_softness=0.5)


@layer(3, slow=True)
def soft_clip_from_below(seed):
    return of(make_soft_clip_from_below, seed)


def make_soft_clip_from_below(a, b):
    return tfb.SoftClip(low=a, hinge_softness=jnp.exp(b))


@layer(3)
def softfloor(seed):
    return of(make_softfloor, seed)


def make_softfloor(a, b):
    return tfb.Softfloor(temperature=jnp.exp(a / 2))


@layer(3, slow=True)
def lambert_w_tail(seed):
    return of(make_lambert_w_tail, seed)


def make_lambert_w_tail(a, b):
    return tfb.LambertWTail(shift=a, scale=jnp.exp(b), tailweight=0.2)


@layer(3, slow=True)
def lambert_w_tail_at_its_centre(seed):
    first = np.random.default_rng([seed, 0]).standard_normal(3)  # sample of the laws' batch
    return make_lambert, [first, *normal(seed, 3)]


def make_lambert(p):
    return tfb.LambertWTail(shift=p[0], scale=jnp.exp(p[1]), tailweight=0.2)


@layer(3, slow=True)
def normal_cdf(seed):
    return of(make_normal_cdf, seed)


def make_normal_cdf(a, b):
    return tfb.NormalCDF()


@layer(3, slow=True)
def gumbel_cdf(seed):
    return of(make_gumbel_cdf, seed)


def make_gumbel_cdf(a, b):
    return tfb.GumbelCDF(loc=a / 4, scale=2 * jnp.exp(b / 4))


@layer(3, slow=True)
def moyal_cdf(seed):
    return of(make_moyal_cdf, seed)


def make_moyal_cdf(a, b):
    return tfb.MoyalCDF(loc=a / 4, scale=2 * jnp.exp(b / 4))


@layer(3, slow=True)
def generalized_pareto(seed):
    return of(make_generalized_pareto, seed)


def make_generalized_pareto(a, b):
    return tfb.GeneralizedPareto(loc=a, scale=jnp.exp(b), concentration=0.5 * jnp.ones(3))


@layer(3, slow=True)
def generalized_pareto_of_an_interval(seed):
    return of(make_generalized_pareto_of_an_interval, seed)


def make_generalized_pareto_of_an_interval(a, b):
    return tfb.GeneralizedPareto(
        loc=jnp.zeros(3), scale=jnp.exp(b), concentration=-0.5 * jnp.ones(3)
    )


# --- elementwise, of positive numbers or an interval ---


@layer(3)
def log(seed):
    return of(make_log, seed)


@positive
def make_log(a, b):
    return tfb.Log()


@layer(3)
def log1p(seed):
    return of(make_log1p, seed)


@positive
def make_log1p(a, b):
    return tfb.Log1p()


@layer(3)
def square(seed):
    return of(make_square, seed)


@interval(1.0, 8.0)
def make_square(a, b):
    return tfb.Square()


@layer(3)
def reciprocal(seed):
    return of(make_reciprocal, seed)


@interval(1.0, 8.0)
def make_reciprocal(a, b):
    return tfb.Reciprocal()


@layer(3)
def power(seed):
    return of(make_power, seed)


@interval(1.0, 8.0)
def make_power(a, b):
    return tfb.Power(1.7)


@layer(3)
def power_transform(seed):
    return of(make_power_transform, seed)


@positive
def make_power_transform(a, b):
    return tfb.PowerTransform(0.6)


@layer(3, slow=True)
def weibull_cdf(seed):
    return of(make_weibull_cdf, seed)


@positive
def make_weibull_cdf(a, b):
    return tfb.WeibullCDF(scale=2 * jnp.exp(a / 4), concentration=jnp.exp(b / 4))


@layer(3, slow=True)
def frechet_cdf(seed):
    return of(make_frechet_cdf, seed)


@interval(1.0, 8.0)
def make_frechet_cdf(a, b):
    return tfb.FrechetCDF(loc=0.0, scale=jnp.exp(a / 4), concentration=jnp.exp(b / 4))


@layer(3, slow=True)
def rayleigh_cdf(seed):
    return of(make_rayleigh_cdf, seed)


@positive
def make_rayleigh_cdf(a, b):
    return tfb.RayleighCDF(scale=2 * jnp.exp(a / 4))


@layer(3, slow=True)
def gompertz_cdf(seed):
    return of(make_gompertz_cdf, seed)


@interval(0.0, 2.0)
def make_gompertz_cdf(a, b):
    return tfb.GompertzCDF(concentration=0.3 * jnp.exp(a / 4), rate=jnp.exp(b / 4))


@layer(3, slow=True)
def shifted_gompertz_cdf(seed):
    return of(make_shifted_gompertz_cdf, seed)


@positive
def make_shifted_gompertz_cdf(a, b):
    return tfb.ShiftedGompertzCDF(concentration=jnp.exp(a / 4), rate=0.5 * jnp.exp(b / 4))


@layer(3, slow=True)
def kumaraswamy_cdf(seed):
    return of(make_kumaraswamy_cdf, seed)


@interval(0.0, 1.0)
def make_kumaraswamy_cdf(a, b):
    return tfb.KumaraswamyCDF(jnp.exp(a / 2), jnp.exp(b / 2))


@layer(3, slow=True)
def generalized_extreme_value_cdf(seed):
    return of(make_generalized_extreme_value_cdf, seed)


@interval(-2.0, 2.0)
def make_generalized_extreme_value_cdf(a, b):
    return tfb.GeneralizedExtremeValueCDF(loc=a / 4, scale=2 * jnp.exp(b / 4), concentration=0.2)


# --- splines ---


def bins(p, size=2.0):
    """Five widths or heights that sum up to `size`, of any numbers."""
    return size * (0.05 + 0.75 * jax.nn.softmax(p))


def spline_of(p):
    """p (..., 14): five widths, five heights, four slopes; the interval is [-1, 1]."""
    slopes = jax.nn.softplus(p[..., 10:]) + 0.01
    return tfb.RationalQuadraticSpline(bins(p[..., :5]), bins(p[..., 5:10]), slopes, range_min=-1.0)


@layer(3, slow=True)
def rational_quadratic_spline(seed):
    return uncompiled(spline_of, normal(seed, (3, 14))[0])


@layer(3, fails=TRACED)
def rational_quadratic_spline_compiled(seed):
    made = spline_of(normal(seed, (3, 14))[0])
    jax.jit(made.forward)(jnp.zeros(3))
    return made


# --- vectors ---


def mlp(p, x):
    """A network of one hidden layer; p: its four arrays."""
    return jnp.tanh(x @ p[0] + p[1]) @ p[2] + p[3]


def mlp_parameters(seed, inputs, outputs, hidden=5):
    w, b, v, c = normal(seed, (inputs, hidden), hidden, (hidden, outputs), outputs)
    return [w, 0.5 * b, 0.4 * v, 0.5 * c]


@layer(3)
def scale_matvec_diag(seed):
    return tfb.ScaleMatvecDiag, normal(seed, 3)[0] + 2


@layer(3, slow=True)
def scale_matvec_tril(seed):
    return tfb.ScaleMatvecTriL, normal(seed, (3, 3))[0] + 2 * np.eye(3)


@layer(3, slow=True)
def scale_matvec_lu(seed):
    return uncompiled(make_lu, normal(seed, (3, 3))[0] + 2 * np.eye(3))


@layer(3, fails=TRACED)
def scale_matvec_lu_compiled(seed):
    made = make_lu(jnp.asarray(normal(seed, (3, 3))[0] + 2 * np.eye(3)))
    jax.jit(made.forward)(jnp.zeros(3))
    return made


def make_lu(p):
    return tfb.ScaleMatvecLU(p, jnp.array([2, 0, 1]))


@layer(3, slow=True)
def householder(seed):
    return make_householder, normal(seed, 3)[0]


def make_householder(p):
    return tfb.Householder(p / jnp.linalg.norm(p))


@layer(3)
def cumsum(seed):
    return of(make_cumsum, seed)


def make_cumsum(a, b):
    return tfb.Cumsum()


@layer(3)
def permute(seed):
    return of(make_permute, seed)


def make_permute(a, b):
    return tfb.Permute(jnp.array([2, 0, 1]))


@layer(3, slow=True)
def ascending(seed):
    return of(make_ascending, seed)


def make_ascending(a, b):
    return tfb.Ascending()


@layer(4, slow=True)
def blockwise(seed):
    return make_blockwise, normal(seed, 1, 3)


def make_blockwise(p):
    return tfb.Blockwise(
        [tfb.Scale(jnp.exp(p[0])), tfb.Chain([tfb.Sinh(), tfb.Shift(p[1])])], [1, 3]
    )


@layer(2, 3)
def transpose(seed):
    return tfb.Transpose(rightmost_transposed_ndims=2)


@layer(6)
def reshape(seed):
    return tfb.Reshape(event_shape_out=(2, 3), event_shape_in=(6,))


@layer(3, slow=True)
def invert(seed):
    return make_invert, normal(seed, 3, 3)


def make_invert(p):
    return tfb.Invert(tfb.Chain([tfb.Sinh(), tfb.Shift(p[0]), tfb.Scale(log_scale=p[1])]))


# --- networks inside ---


@layer(4, slow=True)
def real_nvp(seed):
    return make_real_nvp, mlp_parameters(seed, 2, 4)


def make_real_nvp(p):
    def shift_and_log_scale(x, units, **kwargs):
        h = mlp(p, x)
        return h[..., :units], jnp.tanh(h[..., units:])

    return tfb.RealNVP(num_masked=2, shift_and_log_scale_fn=shift_and_log_scale)


@layer(4, slow=True)
def real_nvp_of_the_last(seed):
    return make_real_nvp_of_the_last, mlp_parameters(seed, 1, 6)


def make_real_nvp_of_the_last(p):
    def shift_and_log_scale(x, units, **kwargs):
        h = mlp(p, x)
        return h[..., :units], jnp.tanh(h[..., units:])

    return tfb.RealNVP(num_masked=-1, shift_and_log_scale_fn=shift_and_log_scale)


@layer(4, slow=True)
def real_nvp_of_splines(seed):
    return uncompiled(make_real_nvp_of_splines, mlp_parameters(seed, 2, 2 * 14))


def make_real_nvp_of_splines(p):
    def bijector(x, units, **kwargs):
        return spline_of(mlp(p, x).reshape(*x.shape[:-1], units, 14))

    return tfb.RealNVP(num_masked=2, bijector_fn=bijector)


@layer(3, slow=True)
def masked_autoregressive_flow(seed):
    return make_maf, normal(seed, (3, 3), (3, 3), 3, 3)


def make_maf(p):
    def shift_and_log_scale(x):
        lower = jnp.tril(jnp.ones((3, 3)), -1)
        shift = jnp.tanh(x @ (p[0] * lower).T) + p[2]
        return jnp.stack([shift, 0.5 * jnp.tanh(x @ (p[1] * lower).T + p[3])], axis=-1)

    return tfb.MaskedAutoregressiveFlow(shift_and_log_scale)


@layer(2, slow=True)
def ffjord(seed):
    return make_ffjord, mlp_parameters(seed, 2, 2)


def make_ffjord(p):
    return tfb.FFJORD(
        lambda time, state: mlp(p, state),
        trace_augmentation_fn=tfb.ffjord.trace_jacobian_exact,
        dtype=p[0].dtype,
    )


# --- models ---


@layer(2, slow=True)
def transformed_distribution(seed):
    return make_transformed, [mlp_parameters(seed, 1, 2), *normal(seed + 100, (2, 2), 2)]


def make_transformed(p):
    def shift_and_log_scale(x, units, **kwargs):
        h = mlp(p[0], x)
        return h[..., :units], jnp.tanh(h[..., units:])

    return tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2)),
        tfb.Chain(
            [
                tfb.RealNVP(num_masked=1, shift_and_log_scale_fn=shift_and_log_scale),
                tfb.Shift(p[2]),
                tfb.ScaleMatvecTriL(p[1] + 2 * jnp.eye(2)),
            ]
        ),
    )


@layer(1, slow=True)
def sinh_arcsinh_distribution(seed):
    return make_sinh_arcsinh_distribution, normal(seed, 1, 1)


def make_sinh_arcsinh_distribution(p):
    base = tfd.Independent(tfd.Normal(p[0], jnp.ones(1)), 1)
    return tfd.TransformedDistribution(base, tfb.SinhArcsinh(p[1], 1.3))
