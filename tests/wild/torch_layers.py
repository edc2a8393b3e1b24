"""The transforms of torch.distributions that keep the number of dimensions."""

import torch
from recipe import layer
from torch.distributions import Normal, transforms

PACKAGE, VERSION = "torch", "2.14.1"


@layer(4)
def affine():
    return transforms.AffineTransform(torch.randn(4), torch.rand(4) + 0.5, event_dim=1)


@layer(4)
def affine_of_negative_scales():
    return transforms.AffineTransform(0.3, torch.tensor([-1.5, 0.5, -0.3, 2.0]))


@layer(4)
def exponential():
    return transforms.ExpTransform()


@layer(4)
def power():
    return transforms.PowerTransform(torch.tensor([0.5, 1.5, 2.0, 3.0]))


@layer(4)
def power_of_a_negative_exponent():
    return transforms.PowerTransform(-1.5)


@layer(4)
def sigmoid():
    return transforms.SigmoidTransform()


@layer(4)
def tanh():
    return transforms.TanhTransform()


@layer(4)
def softplus():
    return transforms.SoftplusTransform()


@layer(4)
def cumulative_distribution_of_a_normal():
    return transforms.CumulativeDistributionTransform(Normal(0.3, 1.7))


@layer(4)
def inverse_of_a_sigmoid():
    return transforms.SigmoidTransform().inv


@layer(4)
def compose():
    parts = [transforms.AffineTransform(0.1, 0.7), transforms.TanhTransform()]
    return transforms.ComposeTransform(parts)


@layer(4)
def compose_with_caches():
    parts = [
        transforms.AffineTransform(0.1, 0.7, cache_size=1),
        transforms.SigmoidTransform(cache_size=1),
    ]
    return transforms.ComposeTransform(parts, cache_size=1)


@layer(2, 3)
def independent():
    return transforms.IndependentTransform(transforms.ExpTransform(), 2)


@layer(2, 3)
def reshape():
    return transforms.ReshapeTransform((2, 3), (6,))


@layer(4)
def stack():
    parts = [
        transforms.ExpTransform(),
        transforms.AffineTransform(1.0, 2.0),
        transforms.TanhTransform(),
        transforms.SoftplusTransform(),
    ]
    return transforms.StackTransform(parts, dim=-1)


@layer(4)
def cat():
    parts = [transforms.ExpTransform(), transforms.TanhTransform()]
    return transforms.CatTransform(parts, dim=-1, lengths=[1, 3])
