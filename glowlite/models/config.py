"""What a Glow is made of: every choice, and every difference between the paper and the original
code, by name.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from glowlite.arrays.arguments import real_number, shown, whole_number
from glowlite.arrays.checks import check_even
from glowlite.errors import GlowliteError, ShapeError

CHOICES = {
    "coupling": ("affine", "additive"),
    "scale": ("exp", "sigmoid", "bounded"),
    "shift": ("before", "after"),
    "changed": ("first", "second"),
    "actnorm": ("paper", "openai"),
    "border": ("none", "last", "all"),
    "split_prior": ("learned", "unit"),
    "top_prior": ("learned", "unit"),
}
PERMUTATIONS = ("conv1x1", "lu", "shuffle", "reverse")
# The two columns of docs/paper_and_code.md, but for K and L, which depend on the data
OPENAI_MODEL: dict[str, Any] = {
    "width": 512, "scale": "sigmoid", "shift": "before", "changed": "second", "actnorm": "openai",
    "hidden_actnorm": True, "output_scale": True, "border": "all", "split_prior": "learned",
    "top_prior": "learned",
}  # fmt: skip
PAPER_MODEL: dict[str, Any] = {
    "width": 512, "scale": "exp", "shift": "after", "changed": "first", "actnorm": "paper",
    "hidden_actnorm": False, "output_scale": False, "border": "none", "split_prior": "unit",
    "top_prior": "unit",
}  # fmt: skip
MAX_SIDE, MAX_CHANNELS = 1 << 16, 1 << 12  # of images
MAX_BOUND = 80.0  # nats: exp of more leaves the range of float32
MAX_SIZES = {"K": 1 << 12, "L": 16, "width": 1 << 16}  # far beyond what any machine trains


def usual_levels(image_shape: tuple[int, int, int]) -> int:
    """How many levels leave latents of 4x4 or a little more: 2 for 16x16, 3 for 32x32, 4 for
    64x64 and 6 for 256x256, which are those of the paper for CIFAR-10, ImageNet and CelebA-HQ.
    """
    height, width, _ = image_shape
    levels = 1
    while min(height, width) >= 4 << levels + 1 and (height | width) % (2 << levels) == 0:
        levels += 1
    return levels


@dataclass(frozen=True)
class GlowConfig:
    """The shape of a Glow (section 3.6, figure 2b) and its options (`docs/paper_and_code.md` has
    them as a table).

    image_shape: (H, W, C), H and W divisible by 2^L. K: steps of flow per level. L: levels. width:
    hidden channels. coupling; scale, bound: s(h) of an affine coupling and c of `bounded`, nats;
    shift: t before or after the scale; changed: which half a coupling changes. permutation: one
    name, or one for each level, comma-separated. actnorm: how scale and shift are parametrised.
    hidden_actnorm, output_scale, border: options of the coupling network. split_prior, top_prior:
    N(0, I), or a Gaussian that is learned. Raises GlowliteError for a value that is not allowed;
    the largest ones are in MAX_SIZES.
    """

    image_shape: tuple[int, int, int]
    K: int = 8
    L: int = 3
    width: int = 128
    coupling: str = "affine"
    scale: str = "bounded"
    bound: float = 2.0
    shift: str = "before"
    changed: str = "second"
    permutation: str = "conv1x1"
    actnorm: str = "openai"
    hidden_actnorm: bool = True
    output_scale: bool = True
    border: str = "all"
    split_prior: str = "learned"
    top_prior: str = "learned"

    @classmethod
    def openai(cls, image_shape: tuple[int, int, int], **changes: Any) -> Self:
        """The original code: OPENAI_MODEL with K=32."""
        return cls(image_shape, **{"K": 32, **OPENAI_MODEL, **changes})

    @classmethod
    def paper(cls, image_shape: tuple[int, int, int], **changes: Any) -> Self:
        """The paper to the letter: Table 1, N(0, I) for every latent, plain convolutions:
        PAPER_MODEL with K=32.
        """
        return cls(image_shape, **{"K": 32, **PAPER_MODEL, **changes})

    def __post_init__(self) -> None:
        where = "GlowConfig"
        object.__setattr__(self, "image_shape", _image_shape(self.image_shape))
        for name, most in MAX_SIZES.items():
            object.__setattr__(self, name, whole_number(where, name, getattr(self, name), 1, most))
        object.__setattr__(self, "bound", real_number(where, "bound", self.bound, 0, MAX_BOUND))
        if self.bound == 0:
            raise GlowliteError("GlowConfig: bound must be positive, got 0")
        for name in ("hidden_actnorm", "output_scale"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise GlowliteError(
                    f"GlowConfig: {name} must be True or False, got {shown(getattr(self, name))}"
                )
            object.__setattr__(self, name, bool(getattr(self, name)))
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in allowed:
                raise GlowliteError(
                    f"GlowConfig: {name} must be one of {', '.join(allowed)}, got {shown(value)}"
                )
        if not isinstance(self.permutation, str):
            raise GlowliteError(
                f"GlowConfig: permutation must be a text, got {shown(self.permutation)}"
            )
        names = self.permutation.split(",")
        if set(names) - set(PERMUTATIONS) or len(names) not in (1, self.L):
            raise GlowliteError(
                f"GlowConfig: permutation must be one of {', '.join(PERMUTATIONS)}, or L={self.L}"
                f" of them with commas between, got {shown(self.permutation)}"
            )
        check_even("GlowConfig: image_shape", *self.image_shape[:2], divisor=2**self.L)

    def permutation_of(self, level: int) -> str:
        names = self.permutation.split(",")
        return names[level if len(names) > 1 else 0]

    @property
    def dimensions(self) -> int:
        """D = H W C, the numbers in an image."""
        height, width, channels = self.image_shape
        return height * width * channels

    def latent_shapes(self) -> list[tuple[int, int, int]]:
        """(h, w, c) of each latent, one per level: (H/2, W/2, 2C), (H/4, W/4, 4C), ....

        The last has twice the channels.
        """
        height, width, channels = self.image_shape
        shapes = [(height >> i, width >> i, channels << i) for i in range(1, self.L + 1)]
        return [*shapes[:-1], (*shapes[-1][:2], 2 * shapes[-1][2])]

    def least_parameters(self) -> int:
        """Count the weights of the hidden convolutions: a Glow of this configuration has no fewer
        parameters.
        """
        # channels that a coupling looks at
        halves = [self.image_shape[2] << (level + 1) for level in range(self.L)]
        return self.K * sum((9 * half + self.width) * self.width for half in halves)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {**dataclasses.asdict(self), "image_shape": list(self.image_shape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; a GlowliteError names a field that is unknown or missing."""
        if not isinstance(values, dict):
            raise GlowliteError(f"GlowConfig: expected fields by name, got {shown(values)}")
        fields = {f.name for f in dataclasses.fields(cls)}
        if set(values) - fields or "image_shape" not in values:
            found = shown(sorted(map(str, set(values) - fields)) or ["image_shape"])
            raise GlowliteError(
                f"GlowConfig: unknown or missing fields {found}; was this written by a newer"
                " glowlite?"
            )
        return cls(**values)


def _image_shape(shape: Any) -> tuple[int, int, int]:
    """(H, W, C) as plain ints. Raises ShapeError."""
    try:
        height, width, channels = shape
        return (
            whole_number("", "H", height, 1, MAX_SIDE),
            whole_number("", "W", width, 1, MAX_SIDE),
            whole_number("", "C", channels, 1, MAX_CHANNELS),
        )
    except (TypeError, ValueError, GlowliteError):
        raise ShapeError(
            f"GlowConfig: image_shape must be (H, W, C), whole numbers from 1 to {MAX_SIDE}, C to"
            f" {MAX_CHANNELS}, got {shown(shape)}"
        ) from None
