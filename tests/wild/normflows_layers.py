"""Layers of normflows, each with random parameters. Their `forward` goes from noise to data."""

import normflows as nf
import torch
from normflows import flows
from normflows.nets import MLP, ConvNet2d, LipschitzMLP
from recipe import layer, shaken
from torch import nn

PACKAGE, VERSION = "normflows", "1.7.3"
MASK = torch.tensor([1.0, 0.0, 1.0, 0.0])


def net(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), nn.Linear(6, outputs))


# --- normalisation, linear maps, permutations ---


@layer(4)
def actnorm():
    return flows.ActNorm((4,))


@layer(3, 2, 2)
def actnorm_of_images():
    return flows.ActNorm((3, 1, 1))


@layer(4)
def affine_const():
    return shaken(flows.AffineConstFlow((4,)))


@layer(3, 2, 2)
def affine_const_of_channels():
    return shaken(flows.AffineConstFlow((3, 1, 1)))


@layer(4, condition=(3,))
def class_conditional_affine():
    return shaken(flows.CCAffineConst((4,), num_classes=3))


@layer(4)
def batch_norm():
    return flows.BatchNorm()


@layer(4, 2, 2)
def invertible_1x1_convolution():
    return shaken(flows.Invertible1x1Conv(4))


@layer(4, 2, 2)
def invertible_1x1_convolution_by_lu():
    return shaken(flows.Invertible1x1Conv(4, use_lu=True))


@layer(4)
def invertible_affine():
    return shaken(flows.InvertibleAffine(4, use_lu=False))


@layer(4)
def invertible_affine_by_lu():
    return shaken(flows.InvertibleAffine(4))


@layer(4)
def lu_linear_permute():
    return shaken(flows.LULinearPermute(4))


@layer(5)
def permute():
    return flows.Permute(5)


@layer(5)
def permute_by_swapping():
    return flows.Permute(5, mode="swap")


@layer(4, 2, 2)
def squeeze():
    return flows.Squeeze()


# --- elementwise functions ---


@layer(3, 2, 2)
def logit():
    return nf.transforms.Logit()


@layer(4)
def shift():
    return nf.transforms.Shift()


@layer(4)
def periodic_shift():
    module = flows.PeriodicShift([0, 2], bound=2.0, shift=0.7)
    module.domain = (-2.0, 2.0)
    return module


@layer(4)
def periodic_wrap():
    module = flows.PeriodicWrap([0, 2], bound=2.0)
    module.domain = (-2.0, 2.0)
    return module


# --- flows of a direction or a point ---


@layer(4)
def planar():
    return shaken(flows.Planar((4,)))


@layer(4)
def planar_of_a_leaky_relu():
    return shaken(flows.Planar((4,), act="leaky_relu"))


@layer(4)
def radial():
    return shaken(flows.Radial((4,)))


# --- couplings ---


@layer(4, slow=True)
def masked_affine():
    return shaken(flows.MaskedAffineFlow(MASK, net(4, 4), net(4, 4)))


@layer(4)
def masked_affine_of_shifts():
    return shaken(flows.MaskedAffineFlow(MASK, net(4, 4)))


@layer(5)
def affine_coupling_block():
    return shaken(flows.AffineCouplingBlock(MLP([3, 6, 4], leaky=0.3)))


@layer(5)
def affine_coupling_block_of_the_other_half():
    return shaken(flows.AffineCouplingBlock(net(2, 6), split_mode="channel_inv"))


@layer(4)
def affine_coupling_block_by_sigmoid():
    return shaken(flows.AffineCouplingBlock(net(2, 4), scale_map="sigmoid"))


@layer(4)
def affine_coupling_block_by_inverse_sigmoid():
    return shaken(flows.AffineCouplingBlock(net(2, 4), scale_map="sigmoid_inv"))


@layer(4)
def additive_coupling_block():
    return shaken(flows.AffineCouplingBlock(net(2, 2), scale=False))


@layer(2, 2, 4)
def affine_coupling_block_on_a_checkerboard():
    return shaken(
        flows.AffineCouplingBlock(ConvNet2d((2, 4, 4), (3, 1), 0.3), split_mode="checkerboard")
    )


@layer(4, 2, 2, slow=True)
def glow_block():
    return shaken(flows.GlowBlock(4, 4, init_zeros=False, leaky=0.3))


@layer(3, 2, 2, slow=True)
def glow_block_by_exp_and_no_lu():
    return shaken(flows.GlowBlock(3, 4, scale_map="exp", use_lu=False, leaky=0.3), by=0.1)


# --- splines ---


@layer(4, slow=True)
def coupled_spline():
    return shaken(flows.CoupledRationalQuadraticSpline(4, 0, 6, num_bins=4))


@layer(3, condition=(2,), slow=True)
def coupled_spline_of_a_context():
    return shaken(
        flows.CoupledRationalQuadraticSpline(
            3, 0, 6, num_context_channels=2, num_bins=4, reverse_mask=True
        )
    )


@layer(3, slow=True)
def circular_coupled_spline():
    module = shaken(
        flows.CircularCoupledRationalQuadraticSpline(3, 0, 6, ind_circ=[0, 1, 2], num_bins=4)
    )
    module.domain = (-3.0, 3.0)
    return module


@layer(3, slow=True)
def circular_coupled_spline_of_one_angle():
    return shaken(flows.CircularCoupledRationalQuadraticSpline(3, 0, 6, ind_circ=[0], num_bins=4))


@layer(3, slow=True)
def autoregressive_spline():
    return shaken(flows.AutoregressiveRationalQuadraticSpline(3, 0, 6, num_bins=4))


@layer(3, slow=True)
def autoregressive_spline_of_permuted_masks():
    return shaken(
        flows.AutoregressiveRationalQuadraticSpline(3, 0, 6, num_bins=4, permute_mask=True)
    )


@layer(3, slow=True)
def circular_autoregressive_spline():
    module = shaken(
        flows.CircularAutoregressiveRationalQuadraticSpline(3, 0, 6, ind_circ=[0, 1, 2], num_bins=4)
    )
    module.domain = (-3.0, 3.0)
    return module


@layer(3, slow=True)
def circular_autoregressive_spline_of_one_angle():
    return shaken(
        flows.CircularAutoregressiveRationalQuadraticSpline(3, 0, 6, ind_circ=[0], num_bins=4)
    )


# --- others ---


@layer(3)
def masked_affine_autoregressive():
    return shaken(flows.MaskedAffineAutoregressive(3, 6, num_blocks=1, activation=torch.tanh))


@layer(2, slow=True)
def residual():
    net = LipschitzMLP([2, 6, 2], init_zeros=False, lipschitz_const=0.9)
    return flows.Residual(net, reverse=False, reduce_memory=False)


@layer(4, slow=True)
def composite():
    return shaken(
        flows.Composite([flows.InvertibleAffine(4), flows.AffineCouplingBlock(net(2, 4))])
    )


@layer(4)
def reverse():
    return shaken(flows.Reverse(flows.AffineCouplingBlock(net(2, 4))))


# --- models ---


@layer(2, slow=True)
def normalizing_flow():
    q0 = nf.distributions.DiagGaussian(2)
    maps = [flows.MaskedAffineFlow(MASK[:2], net(2, 2)), flows.LULinearPermute(2)]
    return shaken(nf.NormalizingFlow(q0, maps))


@layer(2)
def normalizing_flow_of_a_mixture():
    q0 = nf.distributions.GaussianMixture(2, 2)
    return shaken(nf.NormalizingFlow(q0, [flows.InvertibleAffine(2)]))


@layer(2, condition=(2,))
def conditional_normalizing_flow():
    q0 = nf.distributions.base.ConditionalDiagGaussian(2, nn.Linear(2, 4))
    maps = [flows.MaskedAffineAutoregressive(2, 6, context_features=2, num_blocks=0)]
    return shaken(nf.ConditionalNormalizingFlow(q0, maps))
