"""The configuration of a RealNVP: every choice, and every difference between the paper, the
released code and two other codes, has a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from glowlite.arrays.arguments import real_number
from glowlite.arrays.checks import check_even
from glowlite.models.image_config import ImageConfig

REALNVP_CHOICES = {
    "logit": ("code", "paper"),
    "widths": ("doubling", "constant"),
    "shift": ("before", "after"),
    "pixels": ("even", "odd"),
    "channels": ("first", "second"),
    "factor": ("scalar", "channel"),
    "coupling_norm": ("none", "changed", "zeros", "both", "whole"),
    "trains_g": ("all", "some"),
    "start": ("authors", "torch", "zero"),
}
FLAGS = ("offset", "doubled", "mask", "batch_norm", "gain", "unbiased")
# The columns of docs/paper_and_code.md, except for the sizes, which depend on the data
AUTHORS_MODEL: dict[str, Any] = {
    "widths": "doubling", "shift": "before", "pixels": "odd", "channels": "second",
    "factor": "scalar", "offset": False, "doubled": True, "mask": True, "batch_norm": True,
    "gain": False, "eps": 1e-4, "unbiased": False, "coupling_norm": "zeros", "trains_g": "some",
    "start": "authors", "a_pixels": 0.0, "a_channels": 1.0, "logit": "code",
}  # fmt: skip
AUTHORS_WITHOUT_NORM: dict[str, Any] = {
    "batch_norm": False, "doubled": False, "offset": True, "coupling_norm": "none",
}  # fmt: skip
PAPER_MODEL: dict[str, Any] = {
    **AUTHORS_MODEL, "shift": "after", "pixels": "even", "coupling_norm": "whole", "logit": "paper",
}  # fmt: skip
TORCH_NORM: dict[str, Any] = {"gain": True, "eps": 1e-5, "unbiased": True, "start": "torch"}
CHUTE_MODEL: dict[str, Any] = {
    **AUTHORS_MODEL, **TORCH_NORM, "pixels": "even", "channels": "first", "factor": "channel",
    "mask": False, "coupling_norm": "none", "trains_g": "all", "a_pixels": 1.0,
}  # fmt: skip
FMU2_MODEL: dict[str, Any] = {
    **AUTHORS_MODEL, **TORCH_NORM, "shift": "after", "offset": True, "doubled": False,
    "coupling_norm": "both", "a_channels": 0.0,
}  # fmt: skip
REALNVP_SIZES = {
    "levels": 16,
    "width": 1 << 16,
    "blocks": 1 << 12,
}  # far beyond what any machine can train
MAX_FACTOR = 80.0  # nats: exp of a larger number overflows float32


def usual_levels(image_shape: tuple[int, int, int]) -> int:
    """Return the number of levels that ends in maps of 4x4, or as near to that as the sides can be
    halved. It is 4 for 32x32 and 5 for 64x64, as in the paper.
    """
    height, width, _ = image_shape
    levels = 1
    while min(height, width) >= 4 << levels and (height | width) % (2 << levels) == 0:
        levels += 1
    return levels


@dataclass(frozen=True)
class RealNVPConfig(ImageConfig):
    """The shape of a RealNVP (sections 3.4 to 3.7) and its options (`docs/paper_and_code.md` has
    them as a table). The defaults are those of the released code.

    image_shape: (H, W, C), H and W divisible by 2^levels. levels: number of levels. width: channels
    of the first networks. blocks: residual blocks per network. widths: `doubling` each time the
    image is halved, or `constant`.

    shift: t before or after the scale. pixels, channels: which pixels of a checkerboard, and which
    half of the channels, the first coupling of each kind changes; later couplings alternate.
    factor: one a per coupling or per channel in log s = a tanh(r) + b; offset: whether there is a
    b. a_pixels, a_channels: initial values of a. doubled, mask: what the network of a checkerboard
    coupling sees.

    batch_norm: whether the networks have batch normalisation; gain, eps, unbiased: its settings
    (eps and unbiased also apply to the couplings' batch normalisation). coupling_norm: what follows
    a coupling: `none`; a batch normalisation of the changed values, whose statistics on a
    checkerboard count only the `changed` pixels, the kept ones as `zeros`, or `both` as they are;
    or one of the `whole` output. trains_g: which convolutions train g. start: initialisation of the
    weights; see ResidualNetwork. logit: of 0.05 + 0.9 v, as in the released `code`, or of 0.05 +
    0.95 v, as in the `paper`, v in [0, 1). Raises GlowliteError for a value that is not allowed.
    """

    levels: int = 2
    width: int = 32
    blocks: int = 4
    widths: str = "doubling"
    shift: str = "before"
    pixels: str = "odd"
    channels: str = "second"
    factor: str = "scalar"
    offset: bool = False
    a_pixels: float = 0.0
    a_channels: float = 1.0
    doubled: bool = True
    mask: bool = True
    batch_norm: bool = True
    gain: bool = False
    eps: float = 1e-4
    unbiased: bool = False
    coupling_norm: str = "zeros"
    trains_g: str = "some"
    start: str = "authors"
    logit: str = "code"

    choices: ClassVar[dict[str, tuple[str, ...]]] = REALNVP_CHOICES
    largest: ClassVar[dict[str, int]] = REALNVP_SIZES
    reals: ClassVar[dict[str, float]] = {"eps": 1.0}
    flags: ClassVar[tuple[str, ...]] = FLAGS
    shrink: ClassVar[tuple[str, ...]] = ("blocks", "width")

    @classmethod
    def authors(
        cls, image_shape: tuple[int, int, int], batch_norm: bool = True, **changes: Any
    ) -> Self:
        """The released code; without `batch_norm`, its settings for that case."""
        without = {} if batch_norm else AUTHORS_WITHOUT_NORM
        return cls(image_shape, **{**AUTHORS_MODEL, **without, **changes})

    @classmethod
    def paper(cls, image_shape: tuple[int, int, int], **changes: Any) -> Self:
        """The paper and, where it says nothing, the released code; as many levels as end in maps of
        4x4.
        """
        return cls(image_shape, **{"levels": usual_levels(image_shape), **PAPER_MODEL, **changes})

    @classmethod
    def chute(cls, image_shape: tuple[int, int, int], **changes: Any) -> Self:
        """chrischute/real-nvp."""
        return cls(image_shape, **{**CHUTE_MODEL, **changes})

    @classmethod
    def fmu2(
        cls, image_shape: tuple[int, int, int], coupling_bn: bool = True, **changes: Any
    ) -> Self:
        """fmu2/realNVP, whose `cifar10` has constant `widths`."""
        without = {} if coupling_bn else {"coupling_norm": "none"}
        return cls(image_shape, **{**FMU2_MODEL, **without, **changes})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("a_pixels", "a_channels"):
            value = real_number("RealNVPConfig", name, getattr(self, name), 0, MAX_FACTOR)
            object.__setattr__(self, name, value)
        check_even("RealNVPConfig: image_shape", *self.image_shape[:2], divisor=2**self.levels)

    def width_of(self, level: int, kind: str) -> int:
        """Return the channels of a level's networks, for checkerboard couplings (`pixels`) or for
        channel couplings (`channels`), which see images with half the sides.
        """
        halvings = level + (kind == "channels")
        return self.width << halvings if self.widths == "doubling" else self.width

    def latent_shapes(self) -> list[tuple[int, ...]]:
        """(h, w, c) of each latent, one per level: (H/2, W/2, 2C), (H/4, W/4, 4C), ....

        The last one is the input of its level, as large as the latent before.
        """
        height, width, channels = self.image_shape
        shapes = [(height >> i, width >> i, channels << i) for i in range(1, self.levels)]
        last = self.levels - 1
        return [*shapes, (height >> last, width >> last, channels << last)]

    def least_parameters(self) -> int:
        """Count the weights of the residual blocks (3x3, 3x3 and 1x1), a lower bound on the number
        of parameters.
        """
        widths = [self.width_of(level, kind) for level, kind, _ in self.couplings()]
        return sum(19 * self.blocks * width**2 for width in widths)

    def least_arrays(self) -> int:
        return len(self.couplings()) * (4 * self.blocks + 4)  # v of each convolution

    def couplings(self) -> list[tuple[int, str, int]]:
        """Return every coupling, in order: its level, its kind (`pixels` or `channels`), and its
        number among those of its kind in that level.
        """
        first = [(kind, k) for kind in ("pixels", "channels") for k in range(3)]
        last = [("pixels", k) for k in range(4)]
        return [
            (level, kind, k)
            for level in range(self.levels)
            for kind, k in (last if level == self.levels - 1 else first)
        ]
