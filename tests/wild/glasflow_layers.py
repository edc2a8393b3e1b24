"""Layers of glasflow, and of the fork of nflows that comes with it, with random parameters."""

from glasflow import RealNVP
from glasflow.nflows import transforms
from recipe import layer, shaken
from torch import nn

PACKAGE, VERSION = "glasflow", "0.4.1"


class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), nn.Linear(6, outputs))

    def forward(self, x, context=None):
        return self.layers(x)


@layer(4)
def naive_linear():
    return shaken(transforms.NaiveLinear(4, orthogonal_initialization=False))


@layer(4)
def lu_linear():
    return shaken(transforms.LULinear(4, identity_init=False))


@layer(4)
def svd_linear():
    return shaken(transforms.SVDLinear(4, num_householder=4, identity_init=False))


@layer(4)
def affine_coupling_of_general_scales():
    module = transforms.AffineCouplingTransform(
        (1, 0, 1, 0),
        Net,
        scale_activation=transforms.AffineCouplingTransform.GENERAL_SCALE_ACTIVATION,
    )
    return shaken(module)


@layer(4)
def piecewise_linear_cdf():
    return transforms.PiecewiseLinearCDF([4], num_bins=5, tails="linear", tail_bound=3.0)


@layer(2, 4, 4)
def squeeze():
    return transforms.SqueezeTransform()


@layer(2, slow=True)
def real_nvp():
    return shaken(RealNVP(2, 2, n_neurons=6, n_blocks_per_transform=1), by=0.1)
