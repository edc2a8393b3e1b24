"""The correspondence between our model and its tensors in another code: one list of rules, used in
both directions.

    our parameter = product over `theirs` of layout.load(tensor) almost always one tensor their
    gradient = sum over the rules of layout.back(our gradient * the other factors)

A `Kind` is one other code: its names, its storage layouts, and its conventions.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.errors import GlowliteError
from glowlite.interop.layouts import Layout

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Rule:
    """`ours`: the path of a parameter or constant.

    `theirs`: the names of the tensors whose product it is.
    """

    ours: str
    theirs: tuple[str, ...]
    layout: Layout

    def under(self, ours: str, theirs: str) -> Self:
        """Return the same rule for a part of the model, with the names of the part here and
        there.
        """
        names = tuple(theirs + name for name in self.theirs)
        return dataclasses.replace(self, ours=ours + self.ours, theirs=names)

    def load(self, tensors: Tensors) -> np.ndarray:
        return reduce(np.multiply, [self.layout.load(tensors[name]) for name in self.theirs])

    def gradients(self, grad: np.ndarray, tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
        """Yield what `grad`, of our parameter, contributes to the gradient of each of their
        tensors.
        """
        for name in self.theirs:
            others = [self.layout.load(tensors[other]) for other in self.theirs if other != name]
            yield name, self.layout.back(reduce(np.multiply, others, grad))

    def their_shape(self, our_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layout.back(np.zeros(our_shape)).shape


@dataclass(frozen=True, kw_only=True)
class Kind(ABC):
    """Another code; `name` and `aliases` are its names, ignoring case.

    `channels_last`: whether its images are channels-last. `beside`: tensors that belong to the
    model but not to its state dict; a golden file has them beside the others.
    """

    name: str
    aliases: tuple[str, ...]
    channels_last: bool
    beside: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f"from_weights, kind {self.name}"

    @abstractmethod
    def is_of(self, names: Iterable[str]) -> bool:
        """Whether tensors with these names are of this kind."""

    @abstractmethod
    def config_from(
        self, tensors: Tensors, image_size: tuple[int, int] | None, overrides: dict[str, Any]
    ) -> Any:
        """Return the configuration of a model with these tensors.

        `overrides`: fields of it, used as given. Raises GlowliteError, in one line.
        """

    @abstractmethod
    def rules(self, config: Any) -> list[Rule]:
        """Return a rule for every parameter and constant of a model of `config`, and for some that
        it may not have.
        """

    def idle_tensors(self, config: Any) -> dict[str, np.ndarray | None]:
        """Return tensors that may exist but need not be imported: by name, the value that they must
        have, a number for all entries, or None.
        """
        return {}

    def counters(self, config: Any) -> dict[str, str]:
        """Return, for tensors that count batches, the name of our running mean that follows the
        same batches.
        """
        return {}

    def described(self, config: Any) -> str:
        """Describe a configuration in errors, to say how the tensors were interpreted."""
        return str(config.sizes())

    def options_in(self, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Return what the metadata of a golden file say about fields that no tensor determines."""
        return {}

    def images(self, name: str, t: np.ndarray) -> np.ndarray:
        """Return these images of a golden file as (N, H, W, C)."""
        if t.ndim != 4 or 0 in t.shape:
            raise GlowliteError(f"{name} must have four axes, none of them empty, got {t.shape}")
        return np.ascontiguousarray(t if self.channels_last else t.transpose(0, 2, 3, 1))

    def sides(self, image_size: tuple[int, int] | None) -> tuple[int, int]:
        """Return (H, W). Raises GlowliteError for anything else."""
        if image_size is None:
            raise GlowliteError(
                f"{self.where}: the weights do not determine the size of the images; give"
                " image_size=(H, W)"
            )
        if not isinstance(image_size, (tuple, list)) or len(image_size) != 2:
            raise GlowliteError(
                f"{self.where}: image_size must be (H, W) in pixels, got {shown(image_size)}"
            )
        return image_size[0], image_size[1]

    def check_overrides(self, overrides: Mapping[str, Any], allowed: Iterable[str]) -> None:
        """Raise GlowliteError for a field that cannot be chosen."""
        if refused := sorted(set(overrides) - set(allowed)):
            those = ", ".join(allowed) or "nothing"
            raise GlowliteError(
                f"{self.where}: {refused[0]} cannot be overridden, it follows from the kind and the"
                f" tensors; {those} can"
            )
