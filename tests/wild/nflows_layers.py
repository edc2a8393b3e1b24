"""Layers of nflows, each with random parameters."""

import torch
from nflows import transforms
from nflows.distributions.normal import ConditionalDiagonalNormal, DiagonalNormal, StandardNormal
from nflows.flows import Flow, MaskedAutoregressiveFlow, SimpleRealNVP
from nflows.transforms.nonlinearities import CauchyCDF, CauchyCDFInverse
from recipe import layer, shaken
from torch import nn

PACKAGE, VERSION = "nflows", "0.14"
MASK = (1, 0, 1, 0)


class Net(nn.Module):
    """Parameters of a map, from one part of x, and of the context where there is one."""

    def __init__(self, inputs, outputs, context=0, layer=nn.Linear):
        super().__init__()
        first, last = layer(inputs + context, 6), layer(6, outputs)
        self.layers = nn.Sequential(first, nn.Tanh(), last)

    def forward(self, x, context=None):
        return self.layers(x if context is None else torch.cat((x, context), dim=1))


def net_of_context(inputs, outputs):
    return Net(inputs, outputs, context=2)


def image_net(inputs, outputs):
    return Net(inputs, outputs, layer=lambda a, b: nn.Conv2d(a, b, 3, padding=1))


MADE = {"num_blocks": 0, "use_residual_blocks": False, "activation": torch.tanh}


# --- normalisation, linear maps, permutations ---


@layer(4)
def actnorm():
    return shaken(transforms.ActNorm(4))


@layer(3, 2, 2)
def actnorm_of_images():
    return shaken(transforms.ActNorm(3))


@layer(4)
def batch_norm():
    return shaken(transforms.BatchNorm(4))


@layer(4)
def naive_linear():
    return shaken(transforms.NaiveLinear(4, orthogonal_initialization=False))


@layer(4)
def lu_linear():
    return shaken(transforms.LULinear(4, identity_init=False))


@layer(4)
def lu_linear_cached():
    return shaken(transforms.LULinear(4, using_cache=True, identity_init=False))


@layer(4)
def qr_linear():
    return shaken(transforms.QRLinear(4, num_householder=4))


@layer(4)
def svd_linear():
    return shaken(transforms.SVDLinear(4, num_householder=4, identity_init=False))


@layer(4)
def householder():
    return shaken(transforms.HouseholderSequence(4, num_transforms=3))


@layer(4, 2, 2)
def one_by_one_convolution():
    return shaken(transforms.OneByOneConvolution(4, identity_init=False))


@layer(4)
def permutation():
    return transforms.Permutation(torch.tensor([2, 0, 3, 1]))


@layer(5)
def random_permutation():
    return transforms.RandomPermutation(5)


@layer(2, 5)
def reverse_permutation_of_dim_2():
    return transforms.ReversePermutation(5, dim=2)


@layer(4)
def pointwise_affine():
    return transforms.PointwiseAffineTransform(torch.randn(4), torch.rand(4) + 0.5)


@layer(3, 2, 2)
def pointwise_affine_of_one_scale():
    return transforms.PointwiseAffineTransform(0.3, 1.7)


@layer(4)
def identity():
    return transforms.IdentityTransform()


@layer(2, 4, 4)
def squeeze():
    return transforms.SqueezeTransform()


@layer(1, 3, 6)
def squeeze_by_3():
    return transforms.SqueezeTransform(factor=3)


# --- elementwise functions ---


@layer(4)
def sigmoid():
    return transforms.Sigmoid()


@layer(4)
def sigmoid_of_a_learned_temperature():
    return shaken(transforms.Sigmoid(learn_temperature=True))


@layer(4)
def logit():
    module = transforms.Logit()
    module.domain = (0.0, 1.0)
    return module


@layer(4)
def tanh():
    return transforms.Tanh()


@layer(4)
def log_tanh():
    return transforms.LogTanh()


@layer(4)
def leaky_relu():
    return transforms.LeakyReLU()


@layer(4)
def cauchy_cdf():
    return CauchyCDF()


@layer(4)
def cauchy_cdf_inverse():
    module = CauchyCDFInverse()
    module.domain = (0.0, 1.0)
    return module


@layer(4, condition=(4,))
def gated_linear_unit():
    return transforms.GatedLinearUnit()


@layer(1, condition=(1,))
def gated_linear_unit_of_one_feature():
    return transforms.GatedLinearUnit()


@layer(4)
def piecewise_linear_cdf():
    return transforms.PiecewiseLinearCDF([4], num_bins=5, tails="linear", tail_bound=3.0)


@layer(4)
def piecewise_quadratic_cdf():
    return transforms.PiecewiseQuadraticCDF([4], num_bins=5, tails="linear", tail_bound=3.0)


@layer(4)
def piecewise_quadratic_cdf_at_the_identity():
    return shaken(piecewise_quadratic_cdf(), by=0.0, keep=0.0)


@layer(4, slow=True)
def piecewise_cubic_cdf():
    return transforms.PiecewiseCubicCDF([4], num_bins=5, tails="linear", tail_bound=3.0)


@layer(4)
def piecewise_cubic_cdf_at_the_identity():
    return shaken(piecewise_cubic_cdf(), by=0.0, keep=0.0)


@layer(4)
def piecewise_cubic_cdf_near_the_identity():
    return shaken(piecewise_cubic_cdf(), by=0.0, keep=1e-4)


@layer(4)
def piecewise_rational_quadratic_cdf():
    return transforms.PiecewiseRationalQuadraticCDF([4], 5, tails="linear", tail_bound=3.0)


@layer(4)
def piecewise_rational_quadratic_cdf_of_an_interval():
    module = transforms.PiecewiseRationalQuadraticCDF([4], 5)
    module.domain = (0.0, 1.0)
    return module


@layer(4)
def composite_cdf():
    return transforms.CompositeCDFTransform(
        transforms.Sigmoid(), transforms.PiecewiseRationalQuadraticCDF([4], 5)
    )


# --- couplings ---


@layer(4)
def affine_coupling():
    return shaken(transforms.AffineCouplingTransform(MASK, Net))


@layer(4, condition=(2,))
def affine_coupling_of_a_context():
    return shaken(transforms.AffineCouplingTransform(MASK, net_of_context))


@layer(4, 2, 2)
def affine_coupling_of_images():
    return shaken(transforms.AffineCouplingTransform(MASK, image_net))


@layer(4)
def additive_coupling():
    return shaken(transforms.AdditiveCouplingTransform(MASK, Net))


@layer(4, slow=True)
def linear_coupling():
    return shaken(
        transforms.PiecewiseLinearCouplingTransform(
            MASK,
            Net,
            num_bins=5,
            tails="linear",
            tail_bound=3.0,
            apply_unconditional_transform=True,
        )
    )


@layer(4, slow=True)
def quadratic_coupling():
    return shaken(
        transforms.PiecewiseQuadraticCouplingTransform(
            MASK,
            Net,
            num_bins=5,
            tails="linear",
            tail_bound=3.0,
            apply_unconditional_transform=True,
        )
    )


@layer(4, slow=True)
def cubic_coupling():
    return shaken(
        transforms.PiecewiseCubicCouplingTransform(
            MASK, Net, num_bins=5, tails="linear", tail_bound=3.0
        )
    )


@layer(4, slow=True)
def rational_quadratic_coupling():
    return shaken(
        transforms.PiecewiseRationalQuadraticCouplingTransform(
            MASK,
            Net,
            num_bins=5,
            tails="linear",
            tail_bound=3.0,
            apply_unconditional_transform=True,
        )
    )


@layer(2, 2, 2, slow=True)
def rational_quadratic_coupling_of_images():
    return shaken(
        transforms.PiecewiseRationalQuadraticCouplingTransform(
            (1, 0), image_net, num_bins=4, tails="linear", tail_bound=3.0
        )
    )


# --- autoregressive transforms ---


@layer(4)
def affine_autoregressive():
    return shaken(transforms.MaskedAffineAutoregressiveTransform(4, 8, **MADE))


@layer(4, condition=(2,))
def affine_autoregressive_of_a_context():
    return shaken(transforms.MaskedAffineAutoregressiveTransform(4, 8, context_features=2, **MADE))


@layer(3)
def affine_autoregressive_of_a_random_mask():
    return shaken(transforms.MaskedAffineAutoregressiveTransform(3, 8, random_mask=True, **MADE))


@layer(3)
def linear_autoregressive():
    module = shaken(transforms.MaskedPiecewiseLinearAutoregressiveTransform(5, 3, 8, **MADE))
    module.domain = (0.0, 1.0)
    return module


@layer(3, slow=True)
def quadratic_autoregressive():
    return shaken(
        transforms.MaskedPiecewiseQuadraticAutoregressiveTransform(
            3, 8, num_bins=5, tails="linear", tail_bound=3.0, **MADE
        )
    )


@layer(3, slow=True)
def cubic_autoregressive():
    module = shaken(transforms.MaskedPiecewiseCubicAutoregressiveTransform(5, 3, 8, **MADE))
    module.domain = (0.0, 1.0)
    return module


@layer(3, slow=True)
def rational_quadratic_autoregressive():
    return shaken(
        transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            3, 8, num_bins=5, tails="linear", tail_bound=3.0, **MADE
        )
    )


# --- what is made of several ---


@layer(4, slow=True)
def composite():
    return shaken(
        transforms.CompositeTransform(
            [
                transforms.LULinear(4, identity_init=False),
                transforms.AffineCouplingTransform(MASK, Net),
                transforms.RandomPermutation(4),
                transforms.InverseTransform(transforms.ActNorm(4)),
            ]
        )
    )


@layer(4)
def inverse_of_autoregressive():
    return transforms.InverseTransform(affine_autoregressive())


@layer(2, 4, 2, slow=True)
def multiscale():
    module = transforms.MultiscaleCompositeTransform(num_transforms=2)
    first = transforms.CompositeTransform(
        [transforms.SqueezeTransform(), transforms.OneByOneConvolution(8)]
    )
    shape = module.add_transform(first, (8, 2, 1))
    module.add_transform(transforms.OneByOneConvolution(shape[0]), shape)
    return shaken(module)


# --- models ---


@layer(2, slow=True)
def flow_of_a_standard_normal():
    return Flow(shaken(transforms.AffineCouplingTransform((0, 1), Net)), StandardNormal([2]))


@layer(2, condition=(2,), slow=True)
def flow_of_a_conditional_normal():
    transform = shaken(transforms.AffineCouplingTransform((0, 1), net_of_context))
    return Flow(transform, ConditionalDiagonalNormal([2], nn.Linear(2, 4)), nn.Linear(2, 2))


@layer(2)
def flow_of_a_diagonal_normal():
    return shaken(Flow(transforms.ActNorm(2), DiagonalNormal([2])))


@layer(2, slow=True)
def masked_autoregressive_flow():
    return shaken(
        MaskedAutoregressiveFlow(
            2, 6, num_layers=1, num_blocks_per_layer=1, batch_norm_between_layers=True
        )
    )


@layer(2, slow=True)
def real_nvp():
    return shaken(SimpleRealNVP(2, 6, num_layers=2, num_blocks_per_layer=1))
