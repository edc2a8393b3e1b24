"""Flows and transforms of zuko, each with random parameters."""

import math

import torch
from recipe import layer, shaken
from torch import nn
from zuko import flows, transforms
from zuko.lazy import UnconditionalTransform

PACKAGE, VERSION = "zuko", "1.6.0"
SMALL = {"hidden_features": (6,), "activation": nn.Tanh}


EXACT = {"eps": 1e-13}  # of the bisection, whose tolerance is 1e-6 unless told otherwise


def of(transform, *parameters, **options):
    return UnconditionalTransform(transform, *parameters, **options)


# --- transforms with parameters ---


@layer(4)
def additive():
    return of(transforms.AdditiveTransform, torch.randn(4))


@layer(4)
def monotonic_affine():
    return of(transforms.MonotonicAffineTransform, torch.randn(4), torch.randn(4))


@layer(4)
def signed_power():
    return of(transforms.SignedPowerTransform, 0.3 * torch.randn(4))


@layer(4)
def rational_quadratic_spline():
    parts = torch.randn(4, 5), torch.randn(4, 5), torch.randn(4, 4)
    return of(transforms.MonotonicRQSTransform, *parts)


@layer(3, slow=True)
def bernstein():
    return of(transforms.BernsteinTransform, torch.randn(3, 8), **EXACT)


@layer(3)
def bounded_bernstein():
    return of(transforms.BoundedBernsteinTransform, torch.randn(3, 8), **EXACT)


@layer(3)
def gaussianization():
    return of(
        transforms.GaussianizationTransform, torch.randn(3, 4), 0.3 * torch.randn(3, 4), **EXACT
    )


@layer(3, slow=True)
def sum_of_squares_polynomial():
    return of(transforms.SOSPolynomialTransform, 0.3 * torch.randn(3, 2, 3), **EXACT)


@layer(4)
def permutation():
    return of(transforms.PermutationTransform, torch.tensor([2, 0, 3, 1]), buffer=True)


@layer(4)
def rotation():
    return of(transforms.RotationTransform, torch.randn(4, 4))


@layer(4)
def lu_linear():
    return of(transforms.LULinearTransform, torch.eye(4) + 0.3 * torch.randn(4, 4))


# --- transforms without ---


@layer(4)
def identity():
    return transforms.IdentityTransform()


@layer(4)
def cosine():
    return transforms.CosTransform()


@layer(4)
def sine():
    return transforms.SinTransform()


@layer(4)
def softclip():
    return transforms.SoftclipTransform(bound=5.0)


@layer(4)
def circular_shift():
    return transforms.CircularShiftTransform(bound=math.pi)


# --- lazy transforms ---


@layer(4)
def masked_autoregressive():
    return shaken(flows.MaskedAutoregressiveTransform(4, **SMALL))


@layer(4, condition=(2,))
def masked_autoregressive_of_a_context():
    return shaken(flows.MaskedAutoregressiveTransform(4, 2, passes=2, **SMALL))


@layer(4, condition=(2,))
def general_coupling():
    return shaken(flows.GeneralCouplingTransform(4, 2, **SMALL))


@layer(3, condition=(2,))
def element_wise():
    return shaken(flows.ElementWiseTransform(3, 2, **SMALL))


# --- flows: models ---


@layer(2, slow=True)
def maf():
    return shaken(flows.MAF(2, transforms=2, randperm=True, **SMALL))


@layer(2, condition=(2,), slow=True)
def maf_of_a_context():
    return shaken(flows.MAF(2, 2, transforms=2, **SMALL))


@layer(2, slow=True)
def nsf():
    return shaken(flows.NSF(2, transforms=1, bins=4, **SMALL))


@layer(2, slow=True)
def ncsf():
    module = shaken(flows.NCSF(2, transforms=1, bins=4, **SMALL))
    module.domain = (-math.pi, math.pi)
    return module


@layer(2, slow=True)
def nice():
    return shaken(flows.NICE(2, transforms=2, **SMALL))


@layer(2, slow=True)
def real_nvp():
    return shaken(flows.RealNVP(2, transforms=2, **SMALL))


@layer(1)
def gf():
    return shaken(flows.GF(1, transforms=1, components=4))


@layer(1, slow=True)
def bpf():
    return shaken(flows.BPF(1, transforms=1, degree=6, **SMALL))


@layer(1, slow=True)
def sospf():
    return shaken(flows.SOSPF(1, transforms=1, degree=2, polynomials=2, **SMALL), by=0.1)


@layer(1, slow=True)
def naf():
    return shaken(
        flows.NAF(1, transforms=1, signal=3, network={"hidden_features": (6,)}, **SMALL), by=0.1
    )


@layer(1, slow=True)
def unaf():
    return shaken(
        flows.UNAF(1, transforms=1, signal=3, network={"hidden_features": (6,)}, **SMALL), by=0.1
    )


@layer(1)
def cnf():
    return shaken(flows.CNF(1, hidden_features=(2,), freqs=1, atol=1e-3, rtol=1e-3), by=0.1)
