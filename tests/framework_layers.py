"""Layers of public libraries, small, that obey every law that applies to them; each by what makes
it. A library is imported when one of its layers is made.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from glowlite.testing import LAWS, as_layer
from glowlite.testing.frameworks import from_seed

VERSIONS = {  # those that the layers were held with, on a CPU, on 26 November 2026
    "torch": "2.14.1",
    "nflows": "0.14",
    "normflows": "1.7.3",
    "FrEIA": "0.2",
    "zuko": "1.6.0",
    "jax": "0.10.2",
    "distrax": "0.1.9",
    "flowjax": "19.1.2",
    "tensorflow_probability": "0.26.0.dev20261027",  # tfp-nightly
}


@dataclass(frozen=True)
class Real:
    """make: gives the thing of the library. shape: of one sample; condition_shape: of its
    condition. laws: those that it is held to.
    """

    package: str
    make: Any
    shape: tuple[int, ...] = (2,)
    condition_shape: tuple[int, ...] | None = None
    laws: tuple[Any, ...] = LAWS

    def x(self) -> np.ndarray:
        return np.random.default_rng(0).standard_normal((3, *self.shape))

    def condition(self) -> np.ndarray | None:
        if self.condition_shape is None:
            return None
        return np.random.default_rng(1).standard_normal((3, *self.condition_shape))

    def layer(self, initialised: bool = True) -> Any:
        """The same one every time, after a first pass of x, or before it."""
        with from_seed(0):
            thing = self.make()
        return as_layer(
            thing, condition=self.condition(), initialise_with=self.x() if initialised else None
        )


def perceptron(n_in, n_out):
    from torch import nn

    return nn.Sequential(nn.Linear(n_in, 3), nn.Tanh(), nn.Linear(3, n_out))


# --- nflows ---


def nflows_transform(name, *args, **options):
    def make():
        from nflows import transforms

        return getattr(transforms, name)(*args, **options)

    return make


def nflows_coupling(context=0):
    import torch
    from nflows import transforms

    class Network(torch.nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.net = perceptron(n_in + context, n_out)

        def forward(self, x, context=None):
            return self.net(x if context is None else torch.cat((x, context), dim=1))

    return transforms.AffineCouplingTransform(torch.tensor([1, 0]), Network)


def nflows_flow(context=0):
    def make():
        from nflows import distributions, flows, transforms

        parts = [nflows_coupling(context), transforms.LULinear(2, identity_init=False)]
        return flows.Flow(transforms.CompositeTransform(parts), distributions.StandardNormal([2]))

    return make


# --- normflows ---


def normflows_flow(name, *args, **options):
    def make():
        from normflows import flows

        return getattr(flows, name)(*args, **options)

    return make


def normflows_model():
    import normflows

    flows = [
        normflows.flows.AffineCouplingBlock(normflows.nets.MLP([1, 3, 2], leaky=1.0)),
        normflows.flows.LULinearPermute(2),
        normflows.flows.ActNorm(2),
    ]
    return normflows.NormalizingFlow(normflows.distributions.DiagGaussian(2), flows)


def normflows_conditional():
    import normflows
    import torch

    flow = normflows.flows.MaskedAffineAutoregressive(
        2, 3, context_features=1, num_blocks=1, activation=torch.tanh
    )
    for p in flow.parameters():  # it starts as the identity, but for 0.1 percent
        p.data += 0.5 * torch.randn(p.shape)
    return normflows.ConditionalNormalizingFlow(normflows.distributions.DiagGaussian(2), [flow])


def normflows_glow():
    import normflows

    def level(channels):
        block = normflows.flows.GlowBlock(channels, 2, init_zeros=False)
        return [block, normflows.flows.Squeeze()]

    bases = [normflows.distributions.DiagGaussian(shape) for shape in ((8, 1, 1), (2, 2, 2))]
    flows, merges = [level(8), level(4)], [normflows.flows.Merge()]
    return normflows.MultiscaleFlow(bases, flows, merges, class_cond=False)


# --- FrEIA ---


def freia_module(name, shape=(2,), **options):
    def make():
        from FrEIA import modules

        return getattr(modules, name)([shape], **options)

    return make


def freia_sequence():
    from FrEIA import framework, modules

    flow = framework.SequenceINN(2)
    flow.append(modules.AllInOneBlock, subnet_constructor=perceptron)
    flow.append(modules.PermuteRandom)
    flow.append(modules.NICECouplingBlock, subnet_constructor=perceptron)
    return flow


def freia_graph():
    from FrEIA import framework, modules

    condition, x = framework.ConditionNode(1), framework.InputNode(2)
    options = {"subnet_constructor": perceptron}
    coupling = framework.Node(x, modules.GLOWCouplingBlock, options, conditions=condition)
    return framework.GraphINN([x, condition, coupling, framework.OutputNode(coupling)])


# --- zuko, and torch.distributions ---


def zuko_flow(name, *args, **options):
    def make():
        import torch
        from zuko import flows

        options_of_net = {"hidden_features": (3,), "activation": torch.nn.Tanh}
        return getattr(flows, name)(*args, **options_of_net, **options)

    return make


def zuko_transform():
    from zuko import transforms

    return transforms.SoftclipTransform(3.0)


def torch_transform():
    import torch
    from torch.distributions import transforms

    loc = torch.tensor([0.5, -1.0], requires_grad=True)
    scale = torch.tensor([2.0, 0.7], requires_grad=True)
    return transforms.ComposeTransform(
        [transforms.TanhTransform(), transforms.AffineTransform(loc, scale)]
    )


# --- distrax ---


def distrax_object():
    import distrax
    import jax.numpy as jnp

    return distrax.Chain(
        [
            distrax.Block(distrax.ScalarAffine(jnp.array([0.5, -1.0]), jnp.array([2.0, 0.7])), 1),
            distrax.Block(distrax.Tanh(), 1),
        ]
    )


def distrax_scalar():
    import distrax
    import jax.numpy as jnp

    return distrax.ScalarAffine(jnp.array([0.5, -1.0]), jnp.array([2.0, 0.7]))


def distrax_coupling(params):
    import distrax
    import jax.numpy as jnp

    return distrax.MaskedCoupling(
        mask=jnp.array([True, False]),
        conditioner=lambda x: jnp.tanh(x @ params["w"]) @ params["v"],
        bijector=lambda p: distrax.ScalarAffine(p[..., :2], log_scale=p[..., 2:]),
    )


def distrax_made():
    rng = np.random.default_rng(2)
    params = {"w": rng.standard_normal((2, 3)), "v": rng.standard_normal((3, 4))}
    return distrax_coupling, params


def distrax_model():
    import distrax
    import jax.numpy as jnp

    make, params = distrax_made()
    base = distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))
    return (lambda p: distrax.Transformed(base, make(p))), params


# --- flowjax ---


def flowjax_affine():
    import jax.numpy as jnp
    from flowjax import bijections

    return bijections.Chain(
        [
            bijections.Affine(jnp.array([0.5, -1.0]), jnp.array([2.0, 0.7])),
            bijections.Permute(jnp.array([1, 0])),
        ]
    )


def flowjax_model(condition=None):
    def make():
        import jax
        import jax.numpy as jnp
        from flowjax import distributions, flows

        return flows.masked_autoregressive_flow(
            jax.random.key(0),
            base_dist=distributions.StandardNormal((2,)),
            cond_dim=condition,
            flow_layers=1,
            nn_width=4,
            nn_activation=jnp.tanh,
        )

    return make


# --- TensorFlow Probability on JAX ---


def tfp_bijector():
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as tfp

    scale = tfp.bijectors.ScaleMatvecTriL(jnp.array([[2.0, 0.0], [0.5, -0.7]]))
    return tfp.bijectors.Chain([tfp.bijectors.Sinh(), tfp.bijectors.Shift(jnp.ones(2)), scale])


def tfp_model():
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as tfp

    def make(p):
        base = tfp.distributions.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))
        return tfp.distributions.TransformedDistribution(base, tfp.bijectors.ScaleMatvecTriL(p))

    return make, np.array([[2.0, 0.0], [0.5, -0.7]])


# --- functions ---


def functions():
    import jax.numpy as jnp

    def forward(p, x):
        return x * jnp.exp(p["log_s"]) + p["t"], p["log_s"].sum()

    def inverse(p, y):
        return (y - p["t"]) * jnp.exp(-p["log_s"])

    return forward, inverse, {"log_s": np.array([0.3, -0.7]), "t": np.array([1.0, 2.0])}


OF_A_MODEL = (  # that takes a minute for all
    "inverse_of_forward",
    "logdet_is_that_of_the_jacobian",
    "logdet_of_the_inverse",
    "density_integrates_to_one",
    "samples_follow_the_density",
    "backward_rebuilds_the_input",
    "gradients_through_y",
    "condition_acts",
    "state_survives_saving",
)
IMAGE = (2, 2, 2)  # (C, H, W)
OF_A_NET = {"subnet_constructor": perceptron}
REAL = {
    "nflows ActNorm": Real("nflows", nflows_transform("ActNorm", 2), IMAGE),
    "nflows BatchNorm": Real("nflows", nflows_transform("BatchNorm", 2)),
    "nflows LULinear": Real("nflows", nflows_transform("LULinear", 2, identity_init=False)),
    "nflows OneByOneConvolution": Real("nflows", nflows_transform("OneByOneConvolution", 2), IMAGE),
    "nflows AffineCouplingTransform": Real("nflows", nflows_coupling),
    "nflows Flow": Real("nflows", nflows_flow()),
    "nflows Flow with a context": Real("nflows", nflows_flow(1), (2,), (1,)),
    "normflows ActNorm": Real("normflows", normflows_flow("ActNorm", (2, 1, 1)), IMAGE),
    "normflows Invertible1x1Conv": Real("normflows", normflows_flow("Invertible1x1Conv", 2), IMAGE),
    "normflows Planar": Real("normflows", normflows_flow("Planar", (2,))),
    "normflows NormalizingFlow": Real("normflows", normflows_model),
    "normflows MultiscaleFlow": Real("normflows", normflows_glow, (1, 4, 4), laws=OF_A_MODEL),
    "normflows ConditionalNormalizingFlow": Real("normflows", normflows_conditional, (2,), (1,)),
    "FrEIA AllInOneBlock": Real("FrEIA", freia_module("AllInOneBlock", **OF_A_NET)),
    "FrEIA SequenceINN": Real("FrEIA", freia_sequence),
    "FrEIA GraphINN": Real("FrEIA", freia_graph, (2,), (1,)),
    "zuko SoftclipTransform": Real("zuko", zuko_transform),
    "zuko MaskedAutoregressiveTransform": Real(
        "zuko", zuko_flow("MaskedAutoregressiveTransform", 2)
    ),
    "zuko MAF": Real("zuko", zuko_flow("MAF", 2, transforms=1)),
    "zuko MAF with a context": Real("zuko", zuko_flow("MAF", 2, 1, transforms=1), (2,), (1,)),
    "torch ComposeTransform": Real("torch", torch_transform),
    "distrax Chain": Real("distrax", distrax_object),
    "distrax ScalarAffine": Real("distrax", distrax_scalar),
    "distrax MaskedCoupling": Real("distrax", distrax_made),
    "distrax Transformed": Real("distrax", distrax_model),
    "flowjax Chain": Real("flowjax", flowjax_affine),
    "flowjax masked_autoregressive_flow": Real("flowjax", flowjax_model(), laws=OF_A_MODEL),
    "flowjax masked_autoregressive_flow with a condition": Real(
        "flowjax", flowjax_model(1), (2,), (1,), OF_A_MODEL
    ),
    "tfp Chain": Real("tensorflow_probability", tfp_bijector),
    "tfp TransformedDistribution": Real("tensorflow_probability", tfp_model, laws=OF_A_MODEL),
    "functions": Real("jax", functions),
}
