r"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2016): levels of affine couplings over checkerboards and
over channels, after a logit.

    x -> logit -> level -> level -> ... -> z ~ N(0, I)

Its networks, and in most variants its couplings, normalise with the statistics of a batch. So a
batch cannot be split in training. There, log|det| is that of a map whose means and variances are
constants, although gradients flow through them. In evaluation, running statistics take their place.
"""

from __future__ import annotations

from typing import ClassVar

from glowlite.bijectors.logit import Logit
from glowlite.bijectors.memory import Memory
from glowlite.models.image_config import ImageConfig
from glowlite.models.image_model import ImageModel
from glowlite.models.preprocessed import Preprocessed
from glowlite.models.realnvp_config import RealNVPConfig
from glowlite.models.realnvp_layers import realnvp_layers

LOGITS = {"code": (0.05, 0.95), "paper": (0.05, 1.0)}


class RealNVP(ImageModel):
    """A RealNVP of `config` with random weights from `seed`.

    See ImageModel for the other arguments.
    """

    config: RealNVPConfig
    kind: ClassVar[str] = "realnvp"
    configuration: ClassVar[type[ImageConfig]] = RealNVPConfig

    @property
    def penalized(self) -> list[slice]:
        """The trained g of weight normalisation, and a of checkerboard couplings, as in the
        released code.
        """
        return [
            where
            for name, where in self.store.offsets.items()
            if name.endswith("/g") or (name.endswith("/net/a") and "/pixels" in name)
        ]

    def _layers(self, config: RealNVPConfig, seed: int, memory: Memory) -> Preprocessed:
        before = {"logit": Logit(*LOGITS[config.logit])}
        return Preprocessed(before, realnvp_layers(config, seed, memory))
