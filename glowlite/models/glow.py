"""Glow: a Flow with L levels (see `multiscale`), each with K steps of ActNorm, permutation and
coupling.

Every latent eps_i is N(0, I) under the model, so log p(x) = sum_i log N(eps_i; 0, I) + log|det|; a
temperature is one multiplication, and interpolation and editing happen in one space.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from glowlite.arrays.backend import Namespace
from glowlite.arrays.randomness import generator
from glowlite.bijectors.chain import UniformChain
from glowlite.bijectors.class_prior import ClassPrior
from glowlite.bijectors.memory import Memory
from glowlite.bijectors.split import Split
from glowlite.bijectors.top_prior import TopPrior
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.errors import GlowliteError
from glowlite.files.saved_weights import check_permutations, check_signs
from glowlite.flow import Flow, read_model
from glowlite.models.by_class import ByClass
from glowlite.models.checks import check_start
from glowlite.models.config import GlowConfig
from glowlite.models.image_config import ImageConfig
from glowlite.models.image_model import GLOW
from glowlite.models.level import Level
from glowlite.models.multiscale import Multiscale
from glowlite.models.pretrained import pretrained_file
from glowlite.models.steps import flow_step

Step = Callable[[int, np.random.Generator], Any]  # (channels, random generator) -> a bijector


class Glow(ByClass):
    """A Glow of `config` with random weights from `seed`. Its couplings start as the identity; call
    `initialize` before training.

    `dtype`: float32 or float64, for images, latents and parameters. `xp`: numpy, or cupy for a GPU.
    `memory`: see Memory. `workers`: CPU threads, see `glowlite.fast.threads`. `plain`: do not
    replace layers by their fast forms, see `glowlite.fast.accelerate`. `step`: a function
    `step(channels, rng)` that makes your own flow step: any bijector of (N, H, W, channels) that
    keeps the shape; `rng` is a seeded NumPy generator. `store.theta`, `store.grad`: all parameters
    and gradients.
    """

    config: GlowConfig
    kind: ClassVar[str] = GLOW
    configuration: ClassVar[type[ImageConfig]] = GlowConfig

    def __init__(
        self,
        config: GlowConfig,
        seed: int = 0,
        dtype: str = "float32",
        memory: Memory | None = None,
        workers: Any = None,
        xp: Namespace = np,
        plain: bool = False,
        step: Step | None = None,
    ) -> None:
        self.step = step
        super().__init__(config, seed, dtype, memory, workers, xp, plain)

    def _layers(self, config: GlowConfig, seed: int, memory: Memory) -> Multiscale:
        return _layers(config, seed, memory, self.step)

    def _check_room(self, config: Any, dtype: str) -> None:
        if self.step is None:  # otherwise the size of the steps is unknown
            super()._check_room(config, dtype)

    def check_start(self, batch: int) -> str | None:
        return check_start(self.config, batch)

    @property
    def levels(self) -> list[Level]:
        """The levels in the order of the forward pass: each is a squeeze, K steps and, except for
        the last, a split.
        """
        levels: list[Level] = self.bijector.levels
        return levels

    @property
    def top(self) -> TopPrior | None:
        """The learned prior of the last latents, or None."""
        top: TopPrior | None = self.bijector.top
        return top

    def header(self) -> dict[str, Any]:
        step = {} if self.step is None else {"flow_step": _step_name(self.step)}
        return {**super().header(), **step}

    def check_header(self, header: Any, path: Path, checkpoint: bool = False) -> None:
        super().check_header(header, path, checkpoint)
        if header.get("flow_step") != self.header().get("flow_step"):
            raise GlowliteError(
                f"{path}: its flow step is {header.get('flow_step') or 'that of a Glow'}; make or"
                " load the model with that step, as in Glow.load(path, step=...)"
            )

    def check_arrays(self, values: dict[str, np.ndarray], path: Path) -> None:
        Flow.check_arrays(self, values, path)
        if self.step is None:
            check_permutations(self.store, values, path)
            check_signs(self.store, values, path)

    @classmethod
    def load(  # type: ignore[override]
        cls,
        path: str | Path,
        weights: str = "averaged",
        memory: Memory | None = None,
        workers: Any = None,
        xp: Namespace = np,
        plain: bool = False,
        step: Step | None = None,
    ) -> Self:
        """Load the model of a file, or of the newest checkpoint in a run folder, in its stored
        dtype (float16 becomes float32).

        `weights`: `averaged`, if the run has averaged them, or `raw`, to continue training. `step`:
        the one that the model was made with. Raises GlowliteError.
        """
        path, arrays, header = read_model(path, weights)
        more = {} if step is None else {"step": step}
        return cls.from_file(path, arrays, header, weights, memory, workers, xp, plain, **more)

    @classmethod
    def pretrained(
        cls,
        name: str = "faces",
        memory: Memory | None = None,
        workers: Any = None,
        xp: Namespace = np,
    ) -> Self:
        """Return a trained model that comes with glowlite, in float32: `faces`, for 16x16x3 images
        at 5 bits, with averaged weights.

        `facts` has the training command and the held-out bits/dim. For an unknown name, raises
        GlowliteError that lists the known ones.
        """
        with pretrained_file(name) as path:
            return cls.load(path, memory=memory, workers=workers, xp=xp)


def _step_name(step: Step) -> str:
    return getattr(step, "__name__", type(step).__name__)


def _layers(config: GlowConfig, seed: int, memory: Memory, step: Step | None) -> Multiscale:
    """Make the levels of a Glow, with random weights from `seed`."""
    rng = generator(seed, "weights")
    with_border, scaled, levels = config.border != "none", config.output_scale, []
    for i in range(config.L):
        channels = config.image_shape[2] << (i + 2)
        steps = {
            f"step{k}": flow_step(config, channels, i, rng) if step is None else step(channels, rng)
            for k in range(config.K)
        }
        chain, split = UniformChain(steps), None
        if i < config.L - 1:
            learned = config.split_prior == "learned"
            split = Split(
                channels,
                ZeroConv(channels // 2, channels, with_border, scaled) if learned else None,
            )
        levels.append(Level(chain, split))
    channels = config.image_shape[2] << (config.L + 1)
    return Multiscale(levels, _top(config, channels, with_border, scaled), memory)


def _top(config: GlowConfig, channels: int, with_border: bool, scaled: bool) -> TopPrior | None:
    """Make the prior of the last latents; None for N(0, I)."""
    if config.classes:
        height, width, _ = config.latent_shapes()[-1]
        sides = (height, width) if config.class_map == "pixels" else None
        return ClassPrior(channels, config.classes, with_border, scaled, sides)
    return TopPrior(channels, with_border, scaled) if config.top_prior == "learned" else None
