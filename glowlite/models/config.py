"""The configuration of a Glow: every choice, and every difference between the paper and the
original code, has a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from glowlite.arrays.arguments import shown, whole_number
from glowlite.arrays.checks import check_even
from glowlite.arrays.labels import MAX_CLASSES
from glowlite.errors import GlowliteError
from glowlite.models.image_config import ImageConfig

CHOICES = {
    "coupling": ("affine", "additive"),
    "scale": ("exp", "sigmoid", "bounded"),
    "shift": ("before", "after"),
    "changed": ("first", "second"),
    "actnorm": ("paper", "openai"),
    "border": ("none", "last", "all"),
    "split_prior": ("learned", "unit"),
    "top_prior": ("learned", "unit"),
    "class_map": ("pixels", "channels"),
}
PERMUTATIONS = ("conv1x1", "lu", "shuffle", "reverse")
# The two columns of docs/paper_and_code.md, except for K and L, which depend on the data
OPENAI_MODEL: dict[str, Any] = {
    "width": 512, "scale": "sigmoid", "shift": "before", "changed": "second", "actnorm": "openai",
    "hidden_actnorm": True, "output_scale": True, "border": "all", "split_prior": "learned",
    "top_prior": "learned", "class_map": "channels",
}  # fmt: skip
PAPER_MODEL: dict[str, Any] = {
    "width": 512, "scale": "exp", "shift": "after", "changed": "first", "actnorm": "paper",
    "hidden_actnorm": False, "output_scale": False, "border": "none", "split_prior": "unit",
    "top_prior": "unit",
}  # fmt: skip
MAX_BOUND = 80.0  # nats: exp of a larger number overflows float32
MAX_SIZES = {"K": 1 << 12, "L": 16, "width": 1 << 16}  # far beyond what any machine can train


def usual_levels(image_shape: tuple[int, int, int]) -> int:
    """Return the number of levels that leaves latents of 4x4 or a little larger: 2 for 16x16, 3 for
    32x32, 4 for 64x64 and 6 for 256x256. The last three are the paper's for CIFAR-10, ImageNet and
    CelebA-HQ.
    """
    height, width, _ = image_shape
    levels = 1
    while min(height, width) >= 4 << levels + 1 and (height | width) % (2 << levels) == 0:
        levels += 1
    return levels


@dataclass(frozen=True)
class GlowConfig(ImageConfig):
    """The shape of a Glow (section 3.6, figure 2b) and its options (`docs/paper_and_code.md` has
    them as a table).

    image_shape: (H, W, C), H and W divisible by 2^L. K: steps of flow per level. L: levels. width:
    hidden channels. coupling: affine or additive. scale, bound: s(h) of an affine coupling, and c
    of `bounded`, nats; shift: t before or after the scale; changed: which half a coupling changes.
    permutation: one name, or one per level, comma-separated. actnorm: how scale and shift are
    parametrised. hidden_actnorm, output_scale, border: options of the coupling network.
    split_prior, top_prior: N(0, I) or a learned Gaussian. classes: number of image classes, each
    with its own top prior; 0 for one prior of all images. class_map: whether a class sets the prior
    per latent or per channel. Raises GlowliteError for a value that is not allowed; MAX_SIZES has
    the largest allowed sizes.
    """

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
    classes: int = 0
    class_map: str = "pixels"

    choices: ClassVar[dict[str, tuple[str, ...]]] = CHOICES
    largest: ClassVar[dict[str, int]] = MAX_SIZES
    reals: ClassVar[dict[str, float]] = {"bound": MAX_BOUND}
    flags: ClassVar[tuple[str, ...]] = ("hidden_actnorm", "output_scale")
    shrink: ClassVar[tuple[str, ...]] = ("K", "width")

    @classmethod
    def openai(cls, image_shape: tuple[int, int, int], **changes: Any) -> Self:
        """The original code: OPENAI_MODEL with K=32."""
        return cls(image_shape, **{"K": 32, **OPENAI_MODEL, **changes})

    @classmethod
    def paper(cls, image_shape: tuple[int, int, int], **changes: Any) -> Self:
        """The paper taken literally (Table 1, N(0, I) for every latent, plain convolutions):
        PAPER_MODEL with K=32.
        """
        return cls(image_shape, **{"K": 32, **PAPER_MODEL, **changes})

    def __post_init__(self) -> None:
        super().__post_init__()
        classes = whole_number("GlowConfig", "classes", self.classes, 0, MAX_CLASSES)
        object.__setattr__(self, "classes", classes)
        if not classes:  # then there is no class map
            object.__setattr__(self, "class_map", GlowConfig.class_map)
        if classes == 1 or (classes and self.top_prior != "learned"):
            raise GlowliteError(
                "GlowConfig: classes must be 0, or at least 2 with top_prior learned, got"
                f" {classes} and {shown(self.top_prior)}"
            )
        if not isinstance(self.permutation, str):
            raise GlowliteError(
                f"GlowConfig: permutation must be a text, got {shown(self.permutation)}"
            )
        names = self.permutation.split(",")
        if set(names) - set(PERMUTATIONS) or len(names) not in (1, self.L):
            raise GlowliteError(
                f"GlowConfig: permutation must be one of {', '.join(PERMUTATIONS)}, or L={self.L}"
                f" of them separated by commas, got {shown(self.permutation)}"
            )
        check_even("GlowConfig: image_shape", *self.image_shape[:2], divisor=2**self.L)

    def permutation_of(self, level: int) -> str:
        names = self.permutation.split(",")
        return names[level if len(names) > 1 else 0]

    def latent_shapes(self) -> list[tuple[int, ...]]:
        """(h, w, c) of each latent, one per level: (H/2, W/2, 2C), (H/4, W/4, 4C), ....

        The last one has twice the channels.
        """
        height, width, channels = self.image_shape
        shapes = [(height >> i, width >> i, channels << i) for i in range(1, self.L + 1)]
        last_height, last_width, half = shapes.pop()
        return [*shapes, (last_height, last_width, 2 * half)]

    def least_parameters(self) -> int:
        """Count the weights of the hidden convolutions, a lower bound on the number of
        parameters.
        """
        # input channels of a coupling's network
        halves = [self.image_shape[2] << (level + 1) for level in range(self.L)]
        return self.K * sum((9 * half + self.width) * self.width for half in halves)

    def least_arrays(self) -> int:
        return self.K * self.L

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; fields about classes only if there are classes."""
        left_out = () if self.classes else ("classes", "class_map")
        return {name: value for name, value in super().to_dict().items() if name not in left_out}
