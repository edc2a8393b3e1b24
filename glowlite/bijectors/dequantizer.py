r"""Dequantisation noise from a flow that sees the image (Flow++, Ho et al. 2019, section 3.1).

    a0 = u0 - 1/2,   u0 ~ U(0, 1)^D          a = g(a0; image),   u = a + 1/2 in (0, 1)^D
    h0 = logit(u0) -> squeeze -> conditional couplings -> unsqueeze -> h,   u = sigmoid(h)

    log q(u | image) = log 1 - log|det du/du0|          the uniform density of u0 is 1

g is a bijector of the unit cube. Its couplings start as the identity, so u = u0 at first, which is
uniform dequantisation. The noise is centred at 0, a = u - 1/2, since floating-point numbers are
finer near 0 than near 1/2; log|det| is the same.
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
# scales images in [-1/2, 1/2) to a standard deviation near 1, like that of the noise
CONDITION_SCALE = 4.0


class Dequantizer(Chain):
    """a0, a: (N, H, W, C) in (-1/2, 1/2), H and W even; `given(images)` is a bijector.

    channels: C. width: hidden channels of each of the `couplings` networks, which see the pixels
    that stay (those of one colour of a checkerboard) and the image. If it keeps anything for
    backward, it keeps everything. Cost: `couplings` CouplingNetworks of C_in = 6 C, C_out = 4 C on
    a quarter of the pixels.
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
        """Return the bijector for these images, (N, H, W, C) in [-1/2, 1/2), or for one image, (1,
        H, W, C), shared by all samples.
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
