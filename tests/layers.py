"""The layers under test: one list of (name, how to make it from a Hypothesis draw), each with
random, non-zero weights.
"""

import itertools

import numpy as np
from hypothesis import strategies as st

from glowlite import Glow, GlowConfig, Memory
from glowlite.arrays.backend import namespace
from glowlite.arrays.batch_statistics import BatchStatistics
from glowlite.arrays.parameters import ParameterStore, parts_of
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.batch_norm import BatchNorm
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.checkerboard import Checkerboard
from glowlite.bijectors.class_prior import ClassPrior
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.bijectors.dequantizer import Dequantizer
from glowlite.bijectors.flatten import Flatten
from glowlite.bijectors.invertible_conv import (
    Invertible1x1Conv,
    Invertible1x1ConvLU,
    random_rotation,
)
from glowlite.bijectors.logit import Logit
from glowlite.bijectors.permutation import Permutation
from glowlite.bijectors.rescale import Rescale
from glowlite.bijectors.reversed import Reversed
from glowlite.bijectors.scaling import Scaling
from glowlite.bijectors.sigmoid import Sigmoid
from glowlite.bijectors.split import Split
from glowlite.bijectors.squeeze import Squeeze
from glowlite.bijectors.top_prior import TopPrior
from glowlite.bijectors.whitening import Whitening
from glowlite.conditioners.batch_norm import NetworkBatchNorm
from glowlite.conditioners.checkerboard_network import CheckerboardNetwork
from glowlite.conditioners.classifier import Classifier
from glowlite.conditioners.conditioned import Conditioned
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.conditioners.residual_network import ResidualNetwork
from glowlite.conditioners.tanh_scale import TanhScale
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.fast.accelerate import accelerate
from glowlite.fast.threads import Workers
from glowlite.models.steps import flow_step
from glowlite.testing import ModelAsLayer, SplitAsLayer

WIDTH = 8
NETS = list(itertools.product((True, False), ("none", "last", "all"), (True, False)))


def shapes(even_channels=False, even_sides=False):
    """(N, H, W, C): N 1-3, H and W 2-8, C 1-12."""
    side = st.sampled_from((2, 4, 6, 8)) if even_sides else st.integers(2, 8)
    channels = st.sampled_from((2, 4, 6, 8, 10, 12)) if even_channels else st.integers(1, 12)
    return st.tuples(st.integers(1, 3), side, side, channels)


def shaken(layer, rng, scale=0.1):
    """The layer with every weight moved at random, so that none is zero or one.

    Those of a network by more.
    """
    for name, p in layer.parameters().items():
        shake = (
            0.3 if "conv" in name and name.endswith("weight") else scale
        ) * rng.standard_normal(p.value.shape)
        p.value[...] += namespace(p.value).asarray(shake)
    return layer


def followed(layer, rng):
    """The layer, shaken, with random running statistics in everything that has some."""
    for part in parts_of(layer):
        if isinstance(part, BatchStatistics):
            size = part.mean.value.shape
            part.start_from(rng.standard_normal(size), np.exp(0.3 * rng.standard_normal(size)))
    return shaken(layer, rng)


def residual(c_in, c_out, rng, **options):
    return ResidualNetwork(c_in, c_out, 4, 1, rng, **options)


def checkerboard_net(c_in, rng, kept="even", mask=True, channel=False, offset=False):
    """RealNVP's network of a checkerboard of 2 c_in channels, as it stands in a coupling."""
    image = residual(c_in + mask, 2 * c_in, rng, mask=mask, doubled=True)
    network = CheckerboardNetwork(image, kept, mask)
    return TanhScale(network, c_in if channel else None, 0.7, offset)


def checkerboard_coupling(changed, shift):
    def make(shape, rng):
        network = checkerboard_net(shape[3] // 2, rng, "odd" if changed == "first" else "even")
        return followed(AffineCoupling(shape[3], network, changed, "exp", shift), rng)

    return make


def net(c_in, c_out, rng, options):
    hidden_actnorm, border, output_scale = options
    return CouplingNetwork(c_in, c_out, WIDTH, rng, hidden_actnorm, border, output_scale)


def affine(options, scale="sigmoid", shift="before", changed="second"):
    def make(shape, rng):
        c = shape[3]
        return shaken(
            AffineCoupling(c, net(c // 2, c, rng, options), changed, scale, shift, bound=1.5), rng
        )

    return make


def additive(options, changed="second"):
    def make(shape, rng):
        c = shape[3]
        return shaken(AdditiveCoupling(c, net(c // 2, c // 2, rng, options), changed), rng)

    return make


def actnorm_paper(shape, rng):
    layer = shaken(ActNorm(shape[3], "paper"), rng, 0.2)
    layer.scale.value[...] *= rng.choice((-1, 1), shape[3])  # nothing says that a scale is positive
    return layer


def class_prior(shape, rng, sides=None):
    """With a class that is the same for every sample, so that laws may take one alone."""
    layer = shaken(ClassPrior(shape[3], 3, sides=sides), rng)
    layer.by_class.value[...] = 0.4 * rng.standard_normal(layer.by_class.value.shape)
    return layer.given(rng.integers(3, size=1))


def bare_dequantizer(shape, rng):
    """Without an image; with weights that keep the noise off the ends of its interval, where a
    round trip loses all digits.
    """
    layer = Dequantizer(shape[3], rng, width=4, couplings=2)
    for p in layer.parameters().values():
        p.value[...] += 0.05 * rng.standard_normal(p.value.shape)
    return layer


def dequantizer(shape, rng):
    """With an image that is the same for every sample."""
    return bare_dequantizer(shape, rng).given(rng.random((1, *shape[1:])) - 0.5)


def conditioned(shape, rng):
    """A network that sees three more channels, the same for every sample."""
    network = Conditioned(shaken(net(shape[3] + 3, 3, rng, NETS[0]), rng))
    return network.given(rng.standard_normal((1, *shape[1:3], 3)))


def whitening(shape, rng):
    layer = Whitening(int(np.prod(shape[1:])))
    layer.mean.value[...] = rng.standard_normal(layer.mean.value.size)
    layer.rotation.value[...] = random_rotation(layer.mean.value.size, rng)
    layer.log_scale.value[...] = 0.5 * rng.standard_normal(layer.mean.value.size)
    return layer


def step(shape, rng, **options):
    """One step of flow: an ActNorm, a permutation and a coupling."""
    config = GlowConfig((8, 8, 3), width=WIDTH, **options)
    return shaken(flow_step(config, shape[3], 0, rng), rng, 0.05)


def chain(memory):
    def make(shape, rng):
        steps = {
            f"step{k}": step(shape, rng, permutation=p, scale="bounded")
            for k, p in enumerate(("conv1x1", "lu", "shuffle"))
        }
        return Chain(steps, Memory.parse(memory))

    return make


def fast_form(layer, xp=np):
    """The layer with every fast form in place, over the same parameters, in float64: on a host,
    with tiles of one image.
    """
    workers = Workers(2, 64 / 2**18)
    return accelerate(layer, workers, ParameterStore(layer, "float64", xp))


def split(border, output_scale):
    def make(shape, rng):
        c = shape[3]
        return SplitAsLayer(shaken(Split(c, ZeroConv(c // 2, c, border, output_scale)), rng))

    return make


ANY, EVEN, SQUARES = shapes(), shapes(even_channels=True), shapes(even_sides=True)
FOURS = shapes(even_channels=True).map(lambda s: (*s[:3], 4 * (s[3] // 4 + 1)))

LAYERS = {
    "actnorm-paper": (ANY, actnorm_paper),
    "actnorm-openai": (ANY, lambda s, rng: shaken(ActNorm(s[3], "openai"), rng)),
    "reverse": (ANY, lambda s, rng: Permutation.reverse(s[3])),
    "shuffle": (ANY, lambda s, rng: Permutation.shuffle(s[3], rng)),
    "even-odd": (ANY, lambda s, rng: Permutation.even_odd(s[3])),
    "scaling": (ANY, lambda s, rng: shaken(Scaling(s[1:]), rng)),
    "whitening": (ANY, whitening),
    "logit-authors": (ANY, lambda s, rng: Logit()),
    "logit-paper": (ANY, lambda s, rng: Logit(0.05, 1.0)),
    "sigmoid": (ANY, lambda s, rng: Sigmoid()),
    "dequantizer": (SQUARES, dequantizer),
    "flatten": (ANY, lambda s, rng: Flatten(s[1:])),
    "rescale": (ANY, lambda s, rng: Rescale(-1.0, 2.5)),
    "squeeze": (SQUARES, lambda s, rng: Squeeze()),
    "squeeze-corners": (SQUARES, lambda s, rng: Squeeze("corners")),
    "unsqueeze": (FOURS, lambda s, rng: Reversed(Squeeze())),
    "unsqueeze-corners": (FOURS, lambda s, rng: Reversed(Squeeze("corners"))),
    "checkerboard": (SQUARES, lambda s, rng: Checkerboard()),
    "image-of-a-checkerboard": (EVEN, lambda s, rng: Reversed(Checkerboard())),
    "conv1x1": (ANY, lambda s, rng: shaken(Invertible1x1Conv(s[3], rng), rng, 0.05)),
    "lu": (ANY, lambda s, rng: shaken(Invertible1x1ConvLU(s[3], rng), rng, 0.05)),
    "top-prior": (ANY, lambda s, rng: shaken(TopPrior(s[3]), rng)),
    "top-prior-plain": (
        ANY,
        lambda s, rng: shaken(TopPrior(s[3], with_border=False, output_scale=False), rng),
    ),
    "class-prior-channels": (ANY, class_prior),
    "class-prior-pixels": (ANY, lambda s, rng: class_prior(s, rng, s[1:3])),
    "split-unit": (EVEN, lambda s, rng: SplitAsLayer(Split(s[3], None))),
    "split-plain": (EVEN, split(border=False, output_scale=False)),
    "split-openai": (EVEN, split(border=True, output_scale=True)),
    "chain-rebuilt": (EVEN, chain("0")),
    "chain-anchored": (EVEN, chain("0+anchored:2")),
    "chain-kept": (EVEN, chain("all")),
}
for scale, shift, changed in itertools.product(
    ("exp", "sigmoid", "bounded"), ("before", "after"), ("first", "second")
):
    LAYERS[f"affine-{scale}-{shift}-{changed}"] = (
        EVEN,
        affine((True, "all", True), scale, shift, changed),
    )
BATCH_NORMS = [
    (changed, counted)
    for changed, counted in itertools.product(
        ("first", "second", "all"), ("changed", "zeros", "both")
    )
    if (changed, counted) != ("all", "zeros")
]
for changed, counted in BATCH_NORMS:
    LAYERS[f"batch-norm-{changed}-{counted}"] = (
        EVEN,
        lambda s, rng, c=changed, n=counted: followed(BatchNorm(s[3], c, n), rng),
    )
for changed, shift in (("first", "before"), ("second", "after")):
    LAYERS[f"affine-checkerboard-{changed}"] = (EVEN, checkerboard_coupling(changed, shift))
for options in NETS:
    LAYERS["affine-net-{}-{}-{}".format(*options)] = (EVEN, affine(options))
for changed in ("first", "second"):
    LAYERS[f"additive-{changed}"] = (EVEN, additive((True, "all", True), changed))

# layers that are given a condition by the laws themselves, with one for each sample
GIVEN = {"dequantizer": (bare_dequantizer, lambda s, rng: rng.random(s) - 0.5)}

# layers of numbers between bounds: what makes such of any
RANGES = dict.fromkeys(("logit-authors", "logit-paper", "dequantizer"), lambda x: 0.45 * np.tanh(x))


def inputs(name, shape, rng):
    """A batch that the layer of this name can be given, on the host."""
    return RANGES.get(name, np.asarray)(rng.standard_normal(shape))


CONDITIONERS = {
    "network-{}-{}-{}".format(*options): lambda s, rng, options=options: shaken(
        net(s[3], 3, rng, options), rng
    )
    for options in NETS
}
CONDITIONERS |= {
    f"zero-conv-{border}-{scaled}": lambda s, rng, b=border, o=scaled: shaken(
        ZeroConv(s[3], 5, b, o), rng
    )
    for border, scaled in itertools.product((True, False), (True, False))
}

RESIDUALS = {
    "authors": {},
    "doubled": {"doubled": True},
    "masked": {"mask": True},
    "no-norm": {"batch_norm": False},
    "gain": {"gain": True, "eps": 1e-2, "unbiased": True},
    "all-g-torch": {"trains_g": "all", "start": "torch"},
    "zero": {"start": "zero"},
}


def residual_network(options):
    def make(shape, rng):
        mask = options.get("mask", False) and shape[3] > 1
        return followed(residual(shape[3], 3, rng, **{**options, "mask": mask}), rng)

    return make


CONDITIONERS |= {
    f"residual-{name}": residual_network(options) for name, options in RESIDUALS.items()
}
CONDITIONERS |= {
    f"checkerboard-net-{kept}-{mask}": lambda s, rng, k=kept, m=mask: followed(
        checkerboard_net(s[3], rng, k, m, channel=m, offset=k == "odd"), rng
    )
    for kept, mask in itertools.product(("even", "odd"), (True, False))
}
CONDITIONERS |= {
    f"network-batch-norm-{gain}": lambda s, rng, g=gain: followed(
        NetworkBatchNorm(s[3], gain=g), rng
    )
    for gain in (True, False)
}
CONDITIONERS["conditioned"] = conditioned
CONDITIONERS["classifier-channels"] = lambda s, rng: shaken(Classifier(s[3], 4), rng, 0.5)
CONDITIONERS["classifier-pixels"] = lambda s, rng: shaken(
    Classifier(s[3], 4, s[1] * s[2]), rng, 0.5
)

# every value of every option of GlowConfig, most with two levels and C of 1 to 3
GLOWS = {
    "openai": {},
    "paper": "paper",
    "lu": {"permutation": "lu"},
    "shuffle-additive": {"permutation": "shuffle", "coupling": "additive"},
    "reverse-exp": {"permutation": "reverse", "scale": "exp", "shift": "after"},
    "per-level": {"permutation": "conv1x1,lu", "scale": "bounded", "changed": "first"},
    "paper-actnorm": {"actnorm": "paper", "hidden_actnorm": False, "border": "last"},
    "classes-pixels": {"classes": 3},
    "classes-channels": {"classes": 3, "class_map": "channels"},
    "unit-priors": {
        "split_prior": "unit",
        "top_prior": "unit",
        "border": "none",
        "output_scale": False,
    },
}


@st.composite
def glow_cases(draw, options, xp=np):
    n, k = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    shape = (*draw(st.sampled_from(((4, 4), (4, 8), (8, 4)))), draw(st.integers(1, 3)))
    seed = draw(st.integers(0, 2**16))
    if options == "paper":
        config = GlowConfig.paper(shape, K=k, L=2, width=4)
    else:
        config = GlowConfig(shape, K=k, L=2, width=4, **options)
    rng = np.random.default_rng(seed)
    model = shaken(Glow(config, seed, "float64", workers=Workers(2), xp=xp), rng, 0.05)
    model = model.given(seed % config.classes) if config.classes else model
    return ModelAsLayer(model, config.latent_shapes()), rng.standard_normal((n, *shape))
