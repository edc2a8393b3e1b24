"""Glow: a Flow of L levels (see `multiscale`), each of K steps of ActNorm, permutation and
coupling.

Every latent eps_i is N(0, I) under the model, so log p(x) = sum_i log N(eps_i; 0, I) + log|det|;
temperature is one multiplication, and interpolation and editing happen in one space.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from glowlite.arrays.arguments import check_seed, shown
from glowlite.arrays.backend import Array, Namespace
from glowlite.arrays.checks import check_array, check_images, check_range
from glowlite.arrays.machine import available_bytes
from glowlite.arrays.randomness import generator
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.chain import UniformChain
from glowlite.bijectors.memory import Memory
from glowlite.bijectors.split import Split
from glowlite.bijectors.top_prior import TopPrior
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.errors import GlowliteError, ShapeError
from glowlite.files.header import check_header
from glowlite.files.saved_weights import check_constants, weights_in
from glowlite.flow import Flow, read_model
from glowlite.models.checks import check_budget, check_size, warn_of_range
from glowlite.models.config import GlowConfig
from glowlite.models.level import Level
from glowlite.models.multiscale import Multiscale
from glowlite.models.pretrained import pretrained_file
from glowlite.models.steps import flow_step
from glowlite.objective import check_n_bits

Step = Callable[[int, np.random.Generator], Any]  # channels and random numbers -> a bijector


def check_room(config: GlowConfig, dtype: str = "float32") -> None:
    """Raise GlowliteError if the parameters of such a Glow alone are more than this machine's
    memory.
    """
    wanted, there = np.dtype(dtype).itemsize * config.least_parameters(), available_bytes()
    if wanted > there:
        raise GlowliteError(
            f"Glow: parameters of {wanted / 2**30:.1f} GiB at least, and this machine has"
            f" {there / 2**30:.1f} GiB; lower K or width"
        )


class Glow(Flow):
    """A Glow of `config` with random weights of `seed`; couplings start as the identity, so
    `initialize` comes first.

    `dtype`: float32 or float64, of images, latents and parameters. `xp`: numpy, or cupy for a GPU.
    `memory`: see Memory. `workers`: the threads of a CPU, see `glowlite.fast.threads`. `plain`: no
    layer is replaced by its fast form, see `glowlite.fast.accelerate`. `step`: how to make a flow
    step of one's own, `step(channels, rng)`: any bijector of (N, H, W, channels) that keeps the
    shape; `rng` is NumPy's, seeded. `store.theta`, `store.grad`: all parameters and gradients.
    """

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
        if dtype not in ("float32", "float64"):
            raise GlowliteError(f"Glow: dtype must be float32 or float64, got {shown(dtype)}")
        if not isinstance(config, GlowConfig):
            raise GlowliteError(f"Glow: expected a GlowConfig, got {shown(config)}")
        check_budget(memory)
        if step is None:
            check_room(config, dtype)
        check_seed("Glow", seed)
        self.config, self.step = config, step
        layers = _layers(config, seed, memory or Memory(), step)
        super().__init__(layers, None, seed, dtype, workers, xp, config.image_shape, plain)
        self._latent_shapes = list(config.latent_shapes())

    @property
    def levels(self) -> list[Level]:
        """Squeeze, K steps and a split each, in the order of the forward pass."""
        levels: list[Level] = self.bijector.levels
        return levels

    @property
    def top(self) -> TopPrior | None:
        """The learned prior of the last latents, or None."""
        top: TopPrior | None = self.bijector.top
        return top

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> None:
        """Set every ActNorm from the batch x, (N, H, W, C), so that it leaves each with zero mean
        and unit variance.

        Where processes hold parts of the batch, `total` adds up a vector, float64, over all of
        them.
        """
        self._check("initialize", x)
        check_range("Glow.initialize", x)
        self.initialize_layers(x, total)

    def bits_per_dim(self, x: Array, n_bits: int | None = None) -> Array:
        """bits/dim (N,) of images dequantised from n_bits, which has to be said: numbers in [-0.5,
        0.5).

        Raises DataError for others.
        """
        check_n_bits(n_bits)
        return super().bits_per_dim(x, n_bits)

    def encode(self, x: Array) -> list[Array]:
        """The latents of x, (N, h, w, c) a level, each N(0, I) under the model: a list of arrays.
        Cost: a forward pass.

        x: floating point, as `forward` takes it; or uint8 images (N, H, W, C) of either backend,
        which are taken in the middle of their levels of `n_bits` bits:
        to_pixels(decode(encode(images)), n_bits) has every level again. Images that are not finite,
        or of another range, such as 0..1, are taken with a warning. Raises GlowliteError for uint8
        images if `n_bits` is not known; set it; and for a model that was never initialised.
        """
        x = self._encodable(x)
        warn_of_range("Glow.encode", x)
        return self.forward(x)[0]

    def header(self) -> dict[str, Any]:
        own = {name: value for name, value in super().header().items() if name != "flow"}
        step = {} if self.step is None else {"flow_step": _step_name(self.step)}
        return {"config": self.config.to_dict(), **step, **own}

    @classmethod
    def _check_form(cls, header: Any, path: Path, checkpoint: bool = False) -> None:
        config_in(header, path, checkpoint)

    def check_header(self, header: Any, path: Path, checkpoint: bool = False) -> None:
        config = config_in(header, path, checkpoint)
        if config != self.config:
            raise GlowliteError(
                f"{path} is of another model: {config}; give the options it was trained with"
            )
        if header.get("flow_step") != self.header().get("flow_step"):
            raise GlowliteError(
                f"{path}: its flow step is {header.get('flow_step') or 'that of a Glow'}; make or"
                " load the model with it, as in Glow.load(path, step=...)"
            )

    def check_arrays(self, values: dict[str, np.ndarray], path: Path) -> None:
        super().check_arrays(values, path)
        if self.step is None:
            check_constants(self.store, values, path)

    @classmethod
    def load(  # type: ignore[override]  # the file says of which layers a Glow is
        cls,
        path: str | Path,
        weights: str = "averaged",
        memory: Memory | None = None,
        workers: Any = None,
        xp: Namespace = np,
        plain: bool = False,
        step: Step | None = None,
    ) -> Self:
        """The model of a file, or of the newest checkpoint in the folder of a run, in its own dtype
        (float16: float32).

        `weights`: `averaged`, where the run has averaged them, or `raw`, to train on. `step`: as
        the model was made with. Raises GlowliteError.
        """
        path, arrays, header = read_model(path, weights)
        config = config_in(header, path)
        values, dtype = weights_in(arrays, path)
        if step is None and "flow_step" not in header:
            check_size(config, values, path)
        model = cls(config, header["seed"], dtype, memory, workers, xp, plain, step)
        model.check_header(header, path)
        model._take(values, arrays, header, path, weights)
        return model

    @classmethod
    def pretrained(
        cls,
        name: str = "faces",
        memory: Memory | None = None,
        workers: Any = None,
        xp: Namespace = np,
    ) -> Self:
        """A trained model that comes with glowlite, in float32: `faces`, of 16x16x3 at 5 bits,
        averaged weights.

        `facts` has the training command, and held-out bits/dim. Raises GlowliteError, naming those
        there are, for another.
        """
        with pretrained_file(name) as path:
            return cls.load(path, memory=memory, workers=workers, xp=xp)

    def _check(self, where: str, x: Array) -> None:
        check_array(f"Glow.{where}", x, self.xp)
        check_images(f"Glow.{where}", x, self.config.image_shape[2], self.dtype)
        if x.shape[1:] != self.config.image_shape:
            raise ShapeError(
                f"Glow.{where}: images must be {self.config.image_shape}, got {x.shape[1:]}; resize"
                " or crop them"
            )


def _step_name(step: Step) -> str:
    return getattr(step, "__name__", type(step).__name__)


def _layers(config: GlowConfig, seed: int, memory: Memory, step: Step | None) -> Multiscale:
    """The levels of a Glow, with random weights of `seed`."""
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
    top = TopPrior(channels, with_border, scaled) if config.top_prior == "learned" else None
    return Multiscale(levels, top, memory)


def config_in(header: Any, path: Path, checkpoint: bool = False) -> GlowConfig:
    """The configuration in a header, all of which is checked.

    Raises GlowliteError that names the file and the field.
    """
    if isinstance(header, dict) and "flow" in header and "config" not in header:
        raise GlowliteError(f"{path}: is no Glow, but a flow of one's own; load it with Flow.load")
    check_header(header, path, "config", checkpoint)
    try:
        return GlowConfig.from_dict(header["config"])
    except GlowliteError as error:
        raise GlowliteError(f"{path}: header: {error}") from None
