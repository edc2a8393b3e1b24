"""What the configurations of all image models have in common: the image shape, checks of fields,
and their form in a file.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from glowlite.arrays.arguments import real_number, shown, whole_number
from glowlite.arrays.checks import check_even
from glowlite.errors import GlowliteError, ShapeError

DEQUANTISE = ("uniform", "variational")
MAX_SIDE, MAX_CHANNELS = 1 << 16, 1 << 12  # sizes of images


@dataclass(frozen=True)
class ImageConfig(ABC):
    """image_shape: (H, W, C). dequantise: `uniform` noise, or `variational` noise from a second
    flow that is trained along, for which H and W must be even. Each image model has a configuration
    class that adds its own fields.

    `choices`: the allowed words of a field. `largest`: the largest value of a whole-number field,
    which is at least `least`, or 1. `reals`: the largest value of a field that is a positive
    number.
    """

    image_shape: tuple[int, int, int]
    dequantise: str = field(default="uniform", kw_only=True)

    choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    largest: ClassVar[dict[str, int]] = {}
    least: ClassVar[dict[str, int]] = {}
    reals: ClassVar[dict[str, float]] = {}
    flags: ClassVar[tuple[str, ...]] = ()
    shrink: ClassVar[tuple[str, ...]] = ("width",)  # what to lower if memory is too small

    def __post_init__(self) -> None:
        where = type(self).__name__
        object.__setattr__(self, "image_shape", _image_shape(where, self.image_shape))
        for name, most in self.largest.items():
            value = whole_number(where, name, getattr(self, name), self.least.get(name, 1), most)
            object.__setattr__(self, name, value)
        for name, bound in self.reals.items():
            real = real_number(where, name, getattr(self, name), 0, bound)
            object.__setattr__(self, name, real)
            if real == 0:
                raise GlowliteError(f"{where}: {name} must be positive, got 0")
        for name in self.flags:
            flag = getattr(self, name)
            if not isinstance(flag, (bool, np.bool_)):
                raise GlowliteError(f"{where}: {name} must be True or False, got {shown(flag)}")
            object.__setattr__(self, name, bool(flag))
        for name, allowed in {"dequantise": DEQUANTISE, **self.choices}.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in allowed:
                raise GlowliteError(
                    f"{where}: {name} must be one of {', '.join(allowed)}, got {shown(value)}"
                )
        if self.variational:
            check_even(f"{where}: dequantise variational: image_shape", *self.image_shape[:2])

    @property
    def variational(self) -> bool:
        """Whether the dequantisation noise is a part of the model."""
        return self.dequantise == "variational"

    @property
    def dimensions(self) -> int:
        """D = H W C, the number of components of an image."""
        height, width, channels = self.image_shape
        return height * width * channels

    @abstractmethod
    def latent_shapes(self) -> list[tuple[int, ...]]:
        """The shape of each latent, without N."""

    @abstractmethod
    def least_parameters(self) -> int:
        """Return a lower bound on the number of parameters."""

    @abstractmethod
    def least_arrays(self) -> int:
        """Return a lower bound on the number of parameter arrays."""

    def sizes(self) -> str:
        """Return a text with the fields that determine the model's size."""
        names = [f"{name}={getattr(self, name)}" for name in self.largest]
        return f"{', '.join(names)}, images {self.image_shape}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = {**dataclasses.asdict(self), "image_shape": list(self.image_shape)}
        if not self.variational:  # as in files of versions without this choice
            del values["dequantise"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises GlowliteError that names a field that is unknown or
        missing.
        """
        where = cls.__name__
        if not isinstance(values, dict):
            raise GlowliteError(f"{where}: expected fields by name, got {shown(values)}")
        fields = {f.name for f in dataclasses.fields(cls)}
        if set(values) - fields or "image_shape" not in values:
            found = shown(sorted(map(str, set(values) - fields)) or ["image_shape"])
            raise GlowliteError(
                f"{where}: unknown or missing fields {found}; was this written by a newer glowlite?"
            )
        return cls(**values)


def _image_shape(where: str, shape: Any) -> tuple[int, int, int]:
    """Return (H, W, C) as plain ints. Raises ShapeError."""
    try:
        height, width, channels = shape
        return (
            whole_number("", "H", height, 1, MAX_SIDE),
            whole_number("", "W", width, 1, MAX_SIDE),
            whole_number("", "C", channels, 1, MAX_CHANNELS),
        )
    except (TypeError, ValueError, GlowliteError):
        raise ShapeError(
            f"{where}: image_shape must be (H, W, C), whole numbers from 1 to {MAX_SIDE}, C at"
            f" most {MAX_CHANNELS}, got {shown(shape)}"
        ) from None
