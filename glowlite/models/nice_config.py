"""The configuration of a NICE (Dinh, Krueger & Bengio 2014, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from glowlite.arrays.arguments import real_number
from glowlite.errors import GlowliteError
from glowlite.models.image_config import ImageConfig

NICE_SIZES = {"couplings": 64, "hidden_layers": 32, "width": 1 << 16}
# initial scales of the published NICE
FROM_ZERO: dict[str, Any] = {"scaling_start": "zero", "scaling_factor": 1.0}
INPUTS = {"unit": (0.0, 1.0), "symmetric": (-1.0, 1.0), "whitened": None}


@dataclass(frozen=True)
class NICEConfig(ImageConfig):
    """The shape of a NICE: image_shape (H, W, C), D = H W C even.

    couplings: number of couplings; each changes half of the components. hidden_layers, width: sizes
    of their networks, whose activations have this `slope` below 0. base: the distribution of the
    latents. input: how pixels are transformed: `unit` to [0, 1], `symmetric` to [-1, 1], or
    `whitened` by ZCA. changed_first: whether the first coupling changes the even or the odd
    positions, counted from 0. scaling_start: whether the scales start from the standard deviation
    of the first images, or at zero, as published. scaling_factor: log-scales are this many times
    their parameters; published: 1. Raises GlowliteError for a value that is not allowed.
    """

    couplings: int = 4
    hidden_layers: int = 5
    width: int = 1000
    slope: float = 0.0
    base: str = "logistic"
    input: str = "unit"
    changed_first: str = "even"
    scaling_start: str = "data"
    scaling_factor: float = 15.0

    choices: ClassVar[dict[str, tuple[str, ...]]] = {
        "base": ("logistic", "normal"),
        "input": tuple(INPUTS),
        "changed_first": ("even", "odd"),
        "scaling_start": ("data", "zero"),
    }
    largest: ClassVar[dict[str, int]] = NICE_SIZES
    reals: ClassVar[dict[str, float]] = {"scaling_factor": 1e3}

    @classmethod
    def mnist(cls, image_shape: tuple[int, int, int] = (28, 28, 1), **changes: Any) -> Self:
        """The paper's model for MNIST: 5 hidden layers of 1000, logistic, [0, 1]."""
        return cls(image_shape, **{**FROM_ZERO, **changes})

    @classmethod
    def cifar10(cls, image_shape: tuple[int, int, int] = (32, 32, 3), **changes: Any) -> Self:
        """The paper's model for CIFAR-10 and SVHN: 4 hidden layers of 2000, logistic, ZCA."""
        published = {"hidden_layers": 4, "width": 2000, "input": "whitened", **FROM_ZERO}
        return cls(image_shape, **{**published, **changes})

    def __post_init__(self) -> None:
        super().__post_init__()
        slope = real_number("NICEConfig", "slope", self.slope, 0, 1)
        object.__setattr__(self, "slope", slope)
        if self.dimensions % 2:
            raise GlowliteError(
                f"NICEConfig: an image of shape {self.image_shape} has {self.dimensions}"
                " components, but their number must be even; crop or pad it"
            )

    def latent_shapes(self) -> list[tuple[int, ...]]:
        """(D,): one latent."""
        return [(self.dimensions,)]

    def least_parameters(self) -> int:
        half, width = self.dimensions // 2, self.width
        return self.couplings * (2 * half * width + (self.hidden_layers - 1) * width**2)

    def least_arrays(self) -> int:
        return 2 * self.couplings * (self.hidden_layers + 1)
