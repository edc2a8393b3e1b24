r"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2016): levels of affine couplings over checkerboards and
over channels, behind a logit.

    x -> logit -> level -> level -> ... -> z ~ N(0, I)

Its networks, and in most of its forms its couplings, normalise by the statistics of a batch. While
it is trained a batch is one whole: log|det| is then that of a map whose means and variances are
constants, though gradients flow through them. Elsewhere running statistics stand in their place.
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
    """A RealNVP of `config` with random weights of `seed`.

    See ImageModel for what else it is made with.
    """

    config: RealNVPConfig
    kind: ClassVar[str] = "realnvp"
    configuration: ClassVar[type[ImageConfig]] = RealNVPConfig

    @property
    def penalized(self) -> list[slice]:
        """The trained g of weight normalisation, and a of couplings of pixels, as in the released
        code.
        """
        return [
            where
            for name, where in self.store.offsets.items()
            if name.endswith("/g") or (name.endswith("/net/a") and "/pixels" in name)
        ]

    def _layers(self, config: RealNVPConfig, seed: int, memory: Memory) -> Preprocessed:
        before = {"logit": Logit(*LOGITS[config.logit])}
        return Preprocessed(before, realnvp_layers(config, seed, memory))
