"""One step of flow (figure 2a): ActNorm, a permutation of the channels, and a coupling."""

from __future__ import annotations

from typing import Any

from glowlite.bijectors.chain import Chain
from glowlite.bijectors.memory import Memory


class FlowStep(Chain):
    """The chain of `actnorm`, `permutation` and `coupling`. x, y: (N, H, W, C)."""

    def __init__(self, actnorm: Any, permutation: Any, coupling: Any) -> None:
        layers = {"actnorm": actnorm, "permutation": permutation, "coupling": coupling}
        super().__init__(layers, Memory("all"))  # if it keeps anything, it keeps everything
