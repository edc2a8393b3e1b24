"""Layers of FrEIA, each with random parameters."""

import torch
from FrEIA import modules
from FrEIA.framework import (
    GraphINN,
    InputNode,
    Node,
    OutputNode,
    SequenceINN,
)
from recipe import layer, shaken
from torch import nn

PACKAGE, VERSION = "FrEIA", "0.2"
D = [(4,)]
IMAGES = [(3, 2, 2)]


def net(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), nn.Linear(6, outputs))


def image_net(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, outputs, 3, padding=1)
    )


def matrix(n):
    return torch.eye(n) + 0.4 * torch.randn(n, n)


# --- the block of everything ---


@layer(4)
def all_in_one():
    return shaken(modules.AllInOneBlock(D, subnet_constructor=net))


@layer(3, 2, 2)
def all_in_one_of_images():
    return shaken(modules.AllInOneBlock(IMAGES, subnet_constructor=image_net))


@layer(4, condition=(2,))
def all_in_one_of_a_condition():
    return shaken(modules.AllInOneBlock(D, [(2,)], subnet_constructor=net))


@layer(4)
def all_in_one_of_gin():
    return shaken(modules.AllInOneBlock(D, subnet_constructor=net, gin_block=True))


@layer(4)
def all_in_one_by_sigmoid():
    return shaken(modules.AllInOneBlock(D, subnet_constructor=net, global_affine_type="SIGMOID"))


@layer(4)
def all_in_one_by_exp():
    return shaken(modules.AllInOneBlock(D, subnet_constructor=net, global_affine_type="EXP"))


@layer(4)
def all_in_one_of_a_soft_permutation():
    return shaken(modules.AllInOneBlock(D, subnet_constructor=net, permute_soft=True))


@layer(4)
def all_in_one_of_householder_reflections():
    return shaken(
        modules.AllInOneBlock(D, subnet_constructor=net, learned_householder_permutation=2)
    )


@layer(4)
def all_in_one_between_permutations():
    return shaken(
        modules.AllInOneBlock(
            D, subnet_constructor=net, learned_householder_permutation=2, reverse_permutation=True
        )
    )


# --- couplings ---


@layer(4)
def nice_coupling():
    return shaken(modules.NICECouplingBlock(D, subnet_constructor=net))


@layer(4, slow=True)
def rnvp_coupling():
    return shaken(modules.RNVPCouplingBlock(D, subnet_constructor=net))


@layer(5)
def glow_coupling():
    return shaken(modules.GLOWCouplingBlock([(5,)], subnet_constructor=net))


@layer(3, 2, 2)
def glow_coupling_of_images():
    return shaken(modules.GLOWCouplingBlock(IMAGES, subnet_constructor=image_net))


@layer(4, condition=(2,))
def glow_coupling_of_a_condition():
    return shaken(modules.GLOWCouplingBlock(D, [(2,)], subnet_constructor=net))


@layer(4)
def gin_coupling():
    return shaken(modules.GINCouplingBlock(D, subnet_constructor=net, clamp_activation="TANH"))


@layer(4)
def one_sided_coupling():
    return shaken(
        modules.AffineCouplingOneSided(D, subnet_constructor=net, clamp_activation="SIGMOID")
    )


@layer(4, condition=(2,))
def conditional_affine():
    return shaken(modules.ConditionalAffineTransform(D, [(2,)], subnet_constructor=net))


# --- fixed and learned maps ---


@layer(4)
def actnorm():
    return modules.ActNorm(D)


@layer(3, 2, 2)
def actnorm_of_images():
    return modules.ActNorm(IMAGES)


@layer(5)
def permute():
    return modules.PermuteRandom([(5,)])


@layer(4)
def fixed_linear():
    return modules.FixedLinearTransform(D, M=matrix(4), b=torch.randn(4))


@layer(3, 2, 2)
def fixed_1x1_convolution():
    return modules.Fixed1x1Conv(IMAGES, M=matrix(3))


@layer(4)
def sigmoid():
    return modules.InvertibleSigmoid(D)


@layer(3, 2, 2)
def sigmoid_of_images():
    return modules.InvertibleSigmoid(IMAGES)


@layer(4)
def orthogonal():
    return modules.OrthogonalTransform(D)


@layer(4)
def householder():
    return shaken(modules.HouseholderPerm(D, n_reflections=3))


@layer(4)
def householder_fixed():
    return modules.HouseholderPerm(D, n_reflections=2, fixed=True)


@layer(3, condition=(6,), fails="mat2 must be a matrix")
def householder_of_a_condition():
    return modules.HouseholderPerm([(3,)], [(6,)], n_reflections=2)


@layer(3, 2, 2)
def inv_auto_act():
    return shaken(modules.InvAutoAct(IMAGES))


@layer(4)
def inv_auto_act_two_sided():
    return shaken(modules.InvAutoActTwoSided(D))


@layer(4)
def elementwise_scaling():
    return shaken(modules.LearnedElementwiseScaling(D))


@layer(4)
def inv_auto_fc():
    return modules.InvAutoFC(D)


@layer(4, fails="does not require grad")
def iresnet():
    module = modules.IResNetLayer(D, internal_size=6)
    module.lipschitz_correction()
    return module


# --- shapes ---


@layer(3, 2, 4)
def irevnet_downsampling():
    return modules.IRevNetDownsampling([(3, 2, 4)])


@layer(3, 2, 4)
def irevnet_downsampling_of_old():
    return modules.IRevNetDownsampling([(3, 2, 4)], legacy_backend=True)


@layer(8, 1, 2)
def irevnet_upsampling():
    return modules.IRevNetUpsampling([(8, 1, 2)])


@layer(3, 2, 4)
def haar_downsampling():
    return modules.HaarDownsampling([(3, 2, 4)])


@layer(2, 2, 4)
def haar_downsampling_by_wavelet():
    return modules.HaarDownsampling([(2, 2, 4)], order_by_wavelet=True, rebalance=0.5)


@layer(8, 1, 2)
def haar_upsampling():
    return modules.HaarUpsampling([(8, 1, 2)], rebalance=0.5)


@layer(3, 2, 2)
def flatten():
    return modules.Flatten(IMAGES)


@layer(3, 2, 2)
def reshape():
    return modules.Reshape(IMAGES, output_dims=(4, 3))


# --- what is made of several ---


@layer(4, slow=True)
def sequence():
    module = SequenceINN(4)
    module.append(modules.ActNorm)
    module.append(modules.AllInOneBlock, subnet_constructor=net)
    module.append(modules.PermuteRandom)
    return shaken(module)


@layer(2, 4, 4, slow=True)
def graph_of_a_split():
    start = InputNode(2, 4, 4, name="in")
    small = Node(start, modules.IRevNetDownsampling, {})
    halves = Node(small, modules.Split, {"section_sizes": [3, 5]})
    half = Node(halves.out1, modules.GLOWCouplingBlock, {"subnet_constructor": image_net})
    joined = Node([halves.out0, half.out0], modules.Concat, {})
    return shaken(GraphINN([start, small, halves, half, joined, OutputNode(joined)]))
