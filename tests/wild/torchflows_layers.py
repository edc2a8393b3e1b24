"""Bijections of torchflows, each with random parameters."""

import torch
from recipe import layer, shaken
from torch import nn
from torchflows.bijections.finite import matrix
from torchflows.bijections.finite.autoregressive import layers
from torchflows.bijections.finite.autoregressive.transformers.linear.affine import Affine
from torchflows.bijections.finite.multiscale import base as multiscale
from torchflows.bijections.finite.residual.planar import Planar
from torchflows.bijections.finite.residual.radial import Radial
from torchflows.bijections.finite.residual.sylvester import HouseholderSylvester, Sylvester
from torchflows.flows import Flow

PACKAGE, VERSION = "torchflows", "1.2.1"
SMALL = {"conditioner_kwargs": {"hidden_size": 6, "n_layers": 2}}
ONE_KERNEL = {"kernels": (2,)}


def shape(*sizes):
    return torch.Size(sizes)


def no_way_back(z):
    raise NotImplementedError("of this one there is a formula in one direction alone")


def one_way(module):
    """A residual flow: `inverse` has a formula, and is the map here; `forward` has none."""
    module.forward, module.inverse = module.inverse, no_way_back
    return module


class Model(nn.Module):
    """A flow with the map of its bijection."""

    def __init__(self, flow):
        super().__init__()
        self.flow = flow

    def forward(self, x):
        return self.flow.bijection.forward(x)

    def inverse(self, z):
        return self.flow.bijection.inverse(z)

    def log_prob(self, x):
        return self.flow.log_prob(x)

    def sample(self, n):
        return self.flow.sample((n,))


# --- matrices ---


@layer(4)
def lower_triangular():
    return shaken(matrix.LowerTriangularInvertibleMatrix(shape(4)))


@layer(4)
def upper_triangular():
    return shaken(matrix.UpperTriangularInvertibleMatrix(shape(4)))


@layer(4)
def lu_matrix():
    return shaken(matrix.LUMatrix((4,)))


@layer(4)
def qr_matrix():
    return shaken(matrix.QRMatrix((4,)))


@layer(4)
def householder():
    return shaken(matrix.HouseholderProductMatrix(shape(4), n_factors=2))


@layer(5)
def reverse_permutation():
    return matrix.ReversePermutationMatrix(shape(5))


@layer(5)
def random_permutation():
    return matrix.RandomPermutationMatrix(shape(5))


# --- elementwise ---


@layer(4)
def actnorm():
    return layers.ActNorm(shape(4))


@layer(4)
def elementwise_affine():
    return layers.ElementwiseAffine(shape(4))


@layer(4)
def elementwise_scale():
    return layers.ElementwiseScale(shape(4))


@layer(4)
def elementwise_shift():
    return layers.ElementwiseShift(shape(4))


@layer(4)
def elementwise_spline():
    return layers.ElementwiseRQSpline(shape(4))


@layer(3, condition=(2,))
def elementwise_affine_of_a_context():
    return shaken(layers.ElementwiseAffine(shape(3), context_shape=shape(2)))


# --- couplings ---


@layer(4)
def affine_coupling():
    return shaken(layers.AffineCoupling(shape(4), **SMALL))


@layer(4, condition=(2,))
def affine_coupling_of_a_context():
    return shaken(layers.AffineCoupling(shape(4), context_shape=shape(2), **SMALL))


@layer(4)
def inverse_affine_coupling():
    return shaken(layers.InverseAffineCoupling(shape(4), **SMALL))


@layer(4)
def shift_coupling():
    return shaken(layers.ShiftCoupling(shape(4), **SMALL))


@layer(4, slow=True)
def linear_rational_spline_coupling():
    return shaken(layers.LRSCoupling(shape(4), **SMALL))


@layer(4, slow=True)
def rational_quadratic_spline_coupling():
    return shaken(layers.RQSCoupling(shape(4), **SMALL))


@layer(2, slow=True)
def deep_sigmoidal_coupling():
    return shaken(layers.DeepSigmoidalCoupling(shape(2), **SMALL))


@layer(2, slow=True)
def dense_sigmoidal_coupling():
    return shaken(layers.DenseSigmoidalCoupling(shape(2)))


# --- autoregressive ---


@layer(3)
def affine_autoregressive():
    return shaken(layers.AffineForwardMaskedAutoregressive(shape(3)))


@layer(3)
def inverse_affine_autoregressive():
    return shaken(layers.AffineInverseMaskedAutoregressive(shape(3)))


@layer(2, slow=True)
def rational_quadratic_spline_autoregressive():
    return shaken(layers.RQSForwardMaskedAutoregressive(shape(2)))


@layer(2, slow=True)
def unconstrained_monotonic_autoregressive():
    return shaken(layers.UMNNMaskedAutoregressive(shape(2)))


# --- images ---


@layer(2, 4, 4)
def squeeze():
    return multiscale.Squeeze(shape(2, 4, 4))


@layer(2, 2, 2, slow=True)
def checkerboard_coupling():
    return multiscale.CheckerboardCoupling(shape(2, 2, 2), Affine, conditioner_kwargs=ONE_KERNEL)


@layer(4, 2, 2, slow=True)
def one_by_one_convolution_coupling():
    return multiscale.Invertible1x1ConvolutionalCoupling(
        shape(4, 2, 2), conditioner_kwargs=ONE_KERNEL
    )


# --- residual flows ---


@layer(4)
def planar():
    return one_way(Planar(shape(4)))


@layer(4)
def radial():
    return one_way(Radial(shape(4)))


@layer(4)
def sylvester():
    return one_way(Sylvester(shape(4)))


@layer(4, fails="einsum(): subscript i has size 2 for operand 1")
def householder_sylvester():
    return one_way(HouseholderSylvester(shape(4)))


@layer(4)
def householder_sylvester_of_all_dimensions():
    return one_way(HouseholderSylvester(shape(4), m=4))


# --- models ---


@layer(2, slow=True)
def flow():
    return Model(shaken(Flow(layers.AffineCoupling(shape(2), **SMALL))))
