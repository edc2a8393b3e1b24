r"""NICE (Dinh, Krueger & Bengio 2014): additive couplings, and one scale per component.

    x -> vector -> even components first -> h2 += m(h1), h1 += m'(h2), ... -> order as it was
      -> z_i = e^{s_i} h_i,     z_i independent, logistic or Gaussian

Every layer except the last preserves volume, so log p(x) = sum_i (log p(z_i) + s_i) plus a constant
that depends on the range of the pixels.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from glowlite.arrays.randomness import generator
from glowlite.bijectors.chain import UniformChain
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.bijectors.flatten import Flatten
from glowlite.bijectors.memory import Memory
from glowlite.bijectors.permutation import Permutation
from glowlite.bijectors.rescale import Rescale
from glowlite.bijectors.scaling import Scaling
from glowlite.bijectors.whitening import Whitening
from glowlite.conditioners.mlp import MLP
from glowlite.models.image_config import ImageConfig
from glowlite.models.image_model import ImageModel
from glowlite.models.nice_config import INPUTS, NICEConfig
from glowlite.models.preprocessed import Preprocessed
from glowlite.objective import Base, Logistic, Normal

# the distributions of a latent, and their standard deviations
BASES: dict[str, tuple[type[Base], float]] = {
    "logistic": (Logistic, math.pi / math.sqrt(3)),
    "normal": (Normal, 1.0),
}


class NICE(ImageModel):
    """A NICE of `config` with random weights from `seed`; its couplings start as the identity.

    See ImageModel for the other arguments.
    """

    config: NICEConfig
    kind: ClassVar[str] = "nice"
    configuration: ClassVar[type[ImageConfig]] = NICEConfig

    def _layers(self, config: NICEConfig, seed: int, memory: Memory) -> Preprocessed:
        before: dict[str, Any] = {"flatten": Flatten(config.image_shape)}
        bounds = INPUTS[config.input]
        if bounds is None:
            before["whitening"] = Whitening(config.dimensions)
        else:
            before["range"] = Rescale(*bounds)
        return Preprocessed(before, nice_layers(config, seed, memory))

    @property
    def first_images(self) -> int:
        """Ten times D, if the model needs a covariance or the standard deviations of components
        that seldom vary.
        """
        takes_none = self.config.input != "whitened" and self.config.scaling_start == "zero"
        return 0 if takes_none else 10 * self.dimensions

    def _base(self, config: NICEConfig) -> Base:
        return BASES[config.base][0]()


def nice_layers(config: NICEConfig, seed: int, memory: Memory) -> UniformChain:
    """Make the flow of vectors (N, D) itself."""
    D = config.dimensions
    even_first = Permutation.even_odd(D)
    rng = generator(seed, "weights")
    layers: dict[str, Any] = {"even_odd": even_first}
    for k in range(config.couplings):
        hidden = [config.width] * config.hidden_layers
        net = MLP(D // 2, D // 2, hidden, int(rng.integers(1 << 32)), config.slope)
        changes_even = (config.changed_first == "even") == (k % 2 == 0)
        layers[f"coupling{k}"] = AdditiveCoupling(D, net, "first" if changes_even else "second")
    layers["as_it_was"] = Permutation(even_first.indices.value.argsort())
    std = None if config.scaling_start == "zero" else BASES[config.base][1]
    layers["scaling"] = Scaling((D,), std, config.scaling_factor)
    return UniformChain(layers, memory)
