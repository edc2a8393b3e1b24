"""Two other NICE codes: how their tensors correspond to ours.

    nice-fmu2    github.com/fmu2/NICE (MIT)
    nice-daksh   github.com/DakshIdnani/pytorch-nice (MIT)

A network of nice-daksh sees all D components, with those that change set to zero, and returns D, of
which those that stay are discarded. This is a network from one half to the other. The unused
weights have no effect and no gradient.

No tensor of nice-fmu2 says whether the latents are logistic or Gaussian: give `base`. It is trained
on images minus their mean, which is not part of its state dict: add it to the tensors as `mean`,
(D,), of pixels in [0, 1], in the order of the vectors. Its ZCA matrix is not imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import mode
from typing import Any

import numpy as np

from glowlite.arrays.arguments import whole_number
from glowlite.arrays.backend import Array
from glowlite.errors import GlowliteError
from glowlite.interop.layouts import OF_PIXELS, TRANSPOSED, every_other, vector
from glowlite.interop.rules import Kind, Rule, Tensors
from glowlite.models.nice_config import NICEConfig


@dataclass(frozen=True, kw_only=True)
class NICEKind(Kind):
    """Another NICE code.

    `options`: fields of NICEConfig, the same for every model of this kind; `chosen`: fields that no
    tensor determines. `coupling_at`: the prefix of a coupling, a pattern of {k}. `linear_at`: the
    prefix of a linear layer in it, from its number and the number of layers. `sees_all`: whether a
    network has D inputs and outputs, or half of them. `log_scale`: the tensor with the scales.
    `white`: the value of a white pixel in its data; None if the noise is not as wide as a level.
    """

    options: dict[str, Any]
    chosen: tuple[str, ...]
    coupling_at: str
    linear_at: Callable[[int, int], str]
    sees_all: bool
    log_scale: str
    white: int | None = 1
    channels_last: bool = False

    def is_of(self, names: Iterable[str]) -> bool:
        return any(name.startswith(self.coupling_at.format(k=0)) for name in names)

    def rules(self, config: NICEConfig) -> list[Rule]:
        rules = [Rule("scaling/log_scale", (self.log_scale,), vector(1, -1))]
        rules += [Rule("input/whitening/mean", (name,), OF_PIXELS) for name in self.beside]
        last = config.hidden_layers
        for k in range(config.couplings):
            changes_even = (config.changed_first == "even") == (k % 2 == 0)
            kept, changed = every_other(int(changes_even)), every_other(int(not changes_even))
            for i in range(last + 1):
                weight, bias = TRANSPOSED, vector(-1)
                if self.sees_all and i == 0:
                    weight = TRANSPOSED >> kept
                if self.sees_all and i == last:
                    weight, bias = changed >> TRANSPOSED, changed
                ours = f"coupling{k}/net/"
                theirs = self.coupling_at.format(k=k) + self.linear_at(i, last + 1)
                rules += [
                    Rule(f"{ours}weights/{i}", (theirs + "weight",), weight),
                    Rule(f"{ours}biases/{i}", (theirs + "bias",), bias),
                ]
        return rules

    def options_in(self, metadata: Mapping[str, str]) -> dict[str, Any]:
        bases = NICEConfig.choices["base"]
        said = {
            "base": next((base for base in bases if base in metadata.get("prior", "")), None),
            "changed_first": {"0": "odd", "0.0": "odd", "1": "even", "1.0": "even"}.get(
                metadata.get("mask_config", "").strip()
            ),
        }
        return {name: value for name, value in said.items() if value and name in self.chosen}

    def images(self, name: str, t: np.ndarray) -> np.ndarray:
        """Return vectors (N, D)."""
        if t.ndim != 2 or 0 in t.shape:
            raise GlowliteError(f"{name} must have two axes, none of them empty, got {t.shape}")
        return t

    def config_from(
        self, tensors: Tensors, image_size: tuple[int, int] | None, overrides: dict[str, Any]
    ) -> NICEConfig:
        self.check_overrides(overrides, self.chosen)
        if "base" in self.chosen and "base" not in overrides:
            raise GlowliteError(
                f"{self.where}: no tensor determines the distribution of the latents; give"
                " base='logistic' or base='normal'"
            )
        coupling = re.escape(self.coupling_at).replace(r"\{k\}", r"(\d+)")
        weights = [m[1] for name in tensors if (m := re.fullmatch(coupling + r".*\.weight", name))]
        if not weights:
            first = self.coupling_at.format(k=0) + self.linear_at(0, 2)
            raise GlowliteError(f"{self.where}: no tensor with a name like {first}weight")
        numbers = sorted(set(weights))
        linears = mode(weights.count(k) for k in numbers)
        first = self.linear_at(0, linears) + "bias"
        read = {
            "couplings": len(numbers),
            "hidden_layers": linears - 1,
            "width": self._size(tensors, *(self.coupling_at.format(k=k) + first for k in numbers)),
            "input": "whitened" if set(self.beside) & set(tensors) else "unit",
            "scaling_factor": 1.0,
        }
        D = self._size(tensors, self.log_scale)
        shape = self._image_shape(D, image_size)
        return NICEConfig(shape, **{**self.options, **read, **overrides})

    def _size(self, tensors: Tensors, *names: str) -> int:
        """Return the size that most of these tensors have."""
        sizes = [tensors[name].size for name in names if name in tensors]
        if not sizes:
            raise GlowliteError(f"{self.where}: the tensor {names[0]} is missing")
        return mode(sizes)

    def _image_shape(self, D: int, image_size: tuple[int, int] | None) -> tuple[int, int, int]:
        """Return (H, W, C) of images that are vectors of D numbers."""
        height, width = (
            whole_number(self.where, name, side, 1)
            for name, side in zip(("H", "W"), self.sides(image_size), strict=True)
        )
        if D % (height * width):
            raise GlowliteError(
                f"{self.where}: image_size is {(height, width)}, but vectors of {D} numbers are"
                " not images of that size"
            )
        return height, width, D // (height * width)

    @staticmethod
    def joined(latents: list[Array]) -> Array:
        return latents[0]

    @staticmethod
    def parted(z: Array, config: NICEConfig) -> list[Array]:
        return [z]


FMU2_NICE = NICEKind(
    name="nice-fmu2",
    aliases=("fmu2/NICE",),
    beside=("mean",),
    options={},
    chosen=("base", "changed_first", "input"),
    coupling_at="coupling.{k}.",
    linear_at=lambda i, n: (
        "in_block.0." if i == 0 else "out_block." if i == n - 1 else f"mid_block.{i - 1}.0."
    ),
    sees_all=False,
    log_scale="scaling.scale",
)
DAKSH = NICEKind(
    name="nice-daksh",
    aliases=("DakshIdnani/pytorch-nice",),
    options={"base": "logistic", "slope": 0.2, "changed_first": "even"},
    chosen=("input",),
    coupling_at="coupling_layers.{k}.",
    linear_at=lambda i, n: f"m.{2 * i}.",
    sees_all=True,
    log_scale="scaling_layer.log_scale_vector",
    white=None,
)
