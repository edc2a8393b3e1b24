"""Transforms of Pyro, each with random parameters."""

import torch
from pyro.distributions import transforms
from recipe import layer, shaken
from torch import nn

PACKAGE, VERSION = "pyro-ppl", "1.9.2"


class Conditioned(nn.Module):
    """A transform of a condition: `forward(c)` gives it, as zuko's lazy transforms do."""

    inv = property()

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, c):
        return self.module.condition(c)


@layer(3)
def affine_autoregressive():
    return shaken(transforms.affine_autoregressive(3, hidden_dims=[6]))


@layer(3)
def affine_autoregressive_stable():
    return shaken(transforms.affine_autoregressive(3, hidden_dims=[6], stable=True))


@layer(3, condition=(2,))
def conditional_affine_autoregressive():
    module = transforms.conditional_affine_autoregressive(3, context_dim=2, hidden_dims=[6])
    return Conditioned(shaken(module))


@layer(4)
def affine_coupling():
    return shaken(transforms.affine_coupling(4, hidden_dims=[6]))


@layer(4, condition=(2,))
def conditional_affine_coupling():
    module = transforms.conditional_affine_coupling(4, context_dim=2, hidden_dims=[6])
    return Conditioned(shaken(module))


@layer(4)
def batch_norm():
    return shaken(transforms.batchnorm(4))


@layer(3)
def block_autoregressive():
    return shaken(transforms.block_autoregressive(3, hidden_factors=[2]))


@layer(3)
def block_autoregressive_gated():
    return shaken(transforms.block_autoregressive(3, hidden_factors=[2], residual="gated"))


@layer(4)
def elu():
    return transforms.elu()


@layer(4)
def leaky_relu():
    return transforms.leaky_relu()


@layer(5)
def discrete_cosine():
    return transforms.DiscreteCosineTransform(smooth=0.7)


@layer(5)
def haar():
    return transforms.HaarTransform(flip=True)


@layer(3, 2, 2)
def generalized_channel_permute():
    return shaken(transforms.generalized_channel_permute(channels=3))


@layer(4)
def householder():
    return shaken(transforms.householder(4))


@layer(4)
def lower_cholesky_affine():
    scale_tril = torch.randn(4, 4).tril(-1) + torch.diag(torch.rand(4) + 0.5)
    return transforms.LowerCholeskyAffine(torch.randn(4), scale_tril)


@layer(3)
def matrix_exponential():
    return shaken(transforms.matrix_exponential(3), by=0.2)


@layer(3)
def matrix_exponential_of_more_terms():
    return shaken(transforms.matrix_exponential(3, iterations=24), by=0.2)


@layer(3)
def neural_autoregressive():
    return shaken(transforms.neural_autoregressive(3, hidden_dims=[6], width=4))


@layer(4)
def ordered():
    return transforms.OrderedTransform()


@layer(5)
def permute():
    return transforms.permute(5)


@layer(4)
def planar():
    return shaken(transforms.planar(4))


@layer(3)
def polynomial():
    return shaken(transforms.polynomial(3, hidden_dims=[6]))


@layer(4)
def positive_power():
    return transforms.PositivePowerTransform(torch.tensor(1.5))


@layer(4)
def radial():
    return shaken(transforms.radial(4))


@layer(4)
def softplus():
    return transforms.SoftplusTransform()


@layer(4, slow=True)
def spline_linear():
    return shaken(transforms.spline(4, count_bins=4))


@layer(4)
def spline_quadratic():
    return shaken(transforms.spline(4, count_bins=4, order="quadratic"))


@layer(2, slow=True)
def spline_autoregressive():
    return shaken(transforms.spline_autoregressive(2, hidden_dims=[6], count_bins=4))


@layer(4, slow=True)
def spline_coupling():
    return shaken(transforms.spline_coupling(4, hidden_dims=[6], count_bins=4))


@layer(4)
def sylvester():
    return shaken(transforms.sylvester(4))
