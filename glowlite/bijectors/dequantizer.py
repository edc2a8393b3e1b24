r"""The noise that fills the space between two levels, drawn by a flow that sees the image (Flow++,
Ho et al. 2019, section 3.1).

    a0 = u0 - 1/2,   u0 ~ U(0, 1)^D          a = g(a0; image),   u = a + 1/2 in (0, 1)^D
    h0 = logit(u0) -> squeeze -> conditional couplings -> unsqueeze -> h,   u = sigmoid(h)

    log q(u | image) = log 1 - log|det du/du0|          the uniform density of u0 is 1

g is a bijector of the unit cube. Its couplings start as the identity, so u = u0: what is learned
starts as uniform dequantisation. Noise is written around 0, a = u - 1/2, since numbers near 0 have
more digits than numbers near 1/2; log|det| is the same.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.coupling import Coupling
from glowlite.bijectors.logit import Logit
from glowlite.bijectors.memory import Memory
from glowlite.bijectors.reversed import Reversed
from glowlite.bijectors.sigmoid import Sigmoid
from glowlite.bijectors.squeeze import Squeeze
from glowlite.conditioners.conditioned import Conditioned
from glowlite.conditioners.coupling_network import CouplingNetwork

COUPLINGS, WIDTH = 4, 32
# images in [-1/2, 1/2) come to the networks with a deviation near 1, as the noise does
CONDITION_SCALE = 4.0


class Dequantizer(Chain):
    """a0, a: (N, H, W, C) in (-1/2, 1/2), H and W even; `given(images)` is a bijector.

    channels: C. width: hidden channels of each of `couplings` networks, which see the half of the
    pixels that stays, those of one colour of a checkerboard, and the image. When asked to keep
    what its backward needs, it keeps all of it. Cost: `couplings` CouplingNetworks of C_in = 6 C,
    C_out = 4 C on a quarter of the pixels.
    """

    domain = codomain = (-0.5, 0.5)  # see `glowlite.testing`

    def __init__(
        self,
        channels: int,
        rng: np.random.Generator,
        width: int = WIDTH,
        couplings: int = COUPLINGS,
    ) -> None:
        layers: dict[str, Any] = {"logit": Logit(0.0, 1.0), "squeeze": Squeeze("corners")}
        for k in range(couplings):
            net = Conditioned(CouplingNetwork(6 * channels, 4 * channels, width, rng))
            changed = "second" if k % 2 == 0 else "first"
            layers[f"coupling{k}"] = AffineCoupling(4 * channels, net, changed)
        layers |= {"unsqueeze": Reversed(Squeeze("corners")), "sigmoid": Sigmoid()}
        super().__init__(layers, Memory("all"))

    def given(self, condition: Array) -> Self:
        """The bijector for these images, (N, H, W, C) in [-1/2, 1/2), or one, (1, H, W, C), for
        all samples.
        """
        squeezed, _ = self.layers["squeeze"].forward(CONDITION_SCALE * condition)
        twin = self.shallow_copy()
        twin.layers = {name: _given(layer, squeezed) for name, layer in self.layers.items()}
        return twin


def _given(layer: Any, condition: Array) -> Any:
    if not isinstance(layer, Coupling):
        return layer
    twin = layer.shallow_copy()
    twin.net = layer.net.given(condition)
    return twin
