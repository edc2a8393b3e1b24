r"""Glow: L levels of squeeze, K steps of flow, split (figure 2b); a step is ActNorm, permutation, coupling (figure 2a).

    x -> squeeze -> K steps -> split -> squeeze -> K steps -> split ... -> squeeze -> K steps -> top prior
                                 \-> eps_0                      \-> eps_1                           \-> eps_{L-1}

Every latent eps_i is N(0, I) under the model, so log p(x) = sum_i log N(eps_i; 0, I) + log|det|; temperature is one
multiplication, and interpolation and editing happen in one space.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from glowlite.arrays.arguments import check_seed, shown
from glowlite.arrays.backend import Array, Namespace, namespace, to_device
from glowlite.arrays.checks import check_images
from glowlite.arrays.machine import available_bytes
from glowlite.arrays.parameters import Constant, Parameter, Parameterized, ParameterStore
from glowlite.arrays.randomness import generator, normal
from glowlite.arrays.statistics import Total, of_one
from glowlite.bijectors.base import Bijector, zero_logdet
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.memory import Memory
from glowlite.bijectors.split import Split
from glowlite.bijectors.top_prior import TopPrior
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.errors import GlowliteError, ShapeError
from glowlite.fast.threads import Workers
from glowlite.fast.tiles import Tiled
from glowlite.files.storage import read_arrays, resolve, write_arrays
from glowlite.models.checks import (
    check_array,
    check_initialized,
    check_latents,
    check_parts,
    check_range,
    check_sampling,
    warn_of_range,
)
from glowlite.models.config import GlowConfig
from glowlite.models.header import check_size, config_in
from glowlite.models.level import GlowTrail, Level
from glowlite.models.pretrained import pretrained_file
from glowlite.models.saved_weights import averaged, check_arrays, named_arrays, rounded, weights_in
from glowlite.models.steps import flow_step
from glowlite.objective import bits_per_dim, check_n_bits, log_normal, loss_gradients, middles

HOST_BLOCK = 1 << 13  # pixels of a pass of samples: fewer make slow products, more make a single sample slow
DEVICE_BLOCK = 1 << 16  # the same on a GPU, where a pass takes hundreds of launches
SMALLEST_IMAGE = 256  # pixels: smaller images do not make a pass of more images

OWN = ("config", "seed", "initialized", "n_bits")  # of a file's header: what becomes of the model itself


def check_room(config: GlowConfig, dtype: str = "float32") -> None:
    """Raise GlowliteError if the parameters of such a Glow alone are more than this machine's memory."""
    wanted, there = np.dtype(dtype).itemsize * config.least_parameters(), available_bytes()
    if wanted > there:
        raise GlowliteError(
            f"Glow: parameters of {wanted / 2**30:.1f} GiB at least, and this machine has {there / 2**30:.1f} GiB;"
            " lower K or width"
        )


class Glow(Parameterized):
    """A Glow of `config` with random weights of `seed`; couplings start as the identity, so `initialize` comes first.

    `dtype`: float32 or float64, of images, latents and parameters. `xp`: numpy, or cupy for a GPU. `memory`: see Memory.
    `workers`: threads for tiles of the batch (CPU only). `store.theta`, `store.grad`: all parameters and gradients, flat.
    """

    def __init__(
        self,
        config: GlowConfig,
        seed: int = 0,
        dtype: str = "float32",
        memory: Memory | None = None,
        workers: Workers | None = None,
        xp: Namespace = np,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise GlowliteError(f"Glow: dtype must be float32 or float64, got {shown(dtype)}")
        if not isinstance(config, GlowConfig):
            raise GlowliteError(f"Glow: expected a GlowConfig, got {shown(config)}")
        check_parts(memory, workers)
        check_room(config, dtype)
        self.config, self.seed, self.dtype, self.xp = config, check_seed("Glow", seed), np.dtype(dtype), xp
        self.initialized = False  # whether ActNorm has seen data; saved with the weights
        self.n_bits: int | None = None  # of the images it was trained on, where that is known; saved, too
        self.facts: dict[str, Any] = {}  # what else the file says that it was loaded from
        self.workers = workers or Workers()
        rng = generator(seed, "weights")
        border, scaled = config.border != "none", config.output_scale
        self.levels: list[Level] = []
        for i in range(config.L):
            channels = config.image_shape[2] << (i + 2)
            threads = self.workers if xp is np else None
            steps: dict[str, Bijector] = {f"step{k}": flow_step(config, channels, i, rng, threads) for k in range(config.K)}
            chain = Tiled(Chain(steps, memory or Memory()), threads, config.width)
            split = None
            if i < config.L - 1:
                learned = config.split_prior == "learned"
                split = Split(channels, ZeroConv(channels // 2, channels, border, scaled) if learned else None)
            self.levels.append(Level(chain, split))
        channels = config.image_shape[2] << (config.L + 1)
        self.top = TopPrior(channels, border, scaled) if config.top_prior == "learned" else None
        self.store = ParameterStore(self, dtype, xp)

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy` and `pickle`: a copy has parameters and gradients of its own, on the same kind of device."""
        return {name: value for name, value in self.__dict__.items() if name != "xp"}  # a module cannot be copied

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.xp = namespace(self.store.theta)

    def children(self) -> Iterator[tuple[str, Parameter | Constant | Parameterized]]:
        for i, level in enumerate(self.levels):
            yield f"level{i}", level
        if self.top is not None:
            yield "top", self.top

    def forward(self, x: Array) -> tuple[list[Array], Array]:
        """Images x (N, H, W, C) -> latents, one array (N, h, w, c) a level, and log|det|, (N,), nats."""
        return self._forward(x, None)

    def forward_keeping(self, x: Array) -> tuple[list[Array], Array, GlowTrail]:
        """`forward`, and what `backward` needs under the memory policy."""
        trail = GlowTrail()
        return *self._forward(x, trail), trail

    def _forward(self, x: Array, trail: GlowTrail | None) -> tuple[list[Array], Array]:
        self._check("forward", x)
        latents, logdet = [], zero_logdet(x)
        with self.workers:
            for level in self.levels:
                x, _ = level.squeeze.forward(x)
                if trail is None:
                    x, steps_logdet = level.steps.forward(x)
                else:
                    x, steps_logdet, kept = level.steps.forward_keeping(x)
                    trail.levels.append(kept)
                x, eps, split_logdet = level.leave(x)
                latents.append(eps)
                logdet = logdet + steps_logdet + split_logdet
            if self.top is not None:
                latents[-1], top_logdet = self.top.forward(x)
                logdet = logdet + top_logdet
        return latents, logdet

    def inverse(self, latents: list[Array]) -> Array:
        """Latents, as `forward` gives them -> images (N, H, W, C)."""
        self._check_latents("inverse", latents)
        with self.workers:
            h = latents[-1] if self.top is None else self.top.inverse(latents[-1])
            for level, eps in zip(reversed(self.levels), reversed(latents), strict=True):
                if level.split is not None:
                    h = level.split.inverse(h, eps)
                h = level.squeeze.inverse(level.steps.inverse(h))
        return h

    def backward(
        self, latents: list[Array], dlatents: list[Array], dlogdet: Array, kept: GlowTrail | None = None
    ) -> tuple[Array, Array]:
        """From derivatives of a loss by latents and log|det| (N,): x, rebuilt, and dx; parameter gradients are added."""
        self._check_latents("backward", latents)
        h, dh = latents[-1], dlatents[-1]
        with self.workers:
            if self.top is not None:
                h, dh = self.top.backward(h, dh, dlogdet)
            for i, level in reversed(list(enumerate(self.levels))):
                if level.split is not None:
                    h, dh = level.split.backward(h, latents[i], dh, dlatents[i], dlogdet)
                h, dh = level.steps.backward(h, dh, dlogdet, None if kept is None else kept.levels[i])
                h, dh = level.squeeze.backward(h, dh, dlogdet)
        return h, dh

    def gradients(self, x: Array, n_bits: int, batch: int | None = None) -> tuple[Array, Array]:
        """Add the gradients of mean bits/dim to `store.grad`; the loss and the drift, 0-d, float64.

        x: the share that is at hand of a `batch` of so many images; by default it is all of it. loss:
        bits/dim of x, by the size of the batch. drift: the largest error of a rebuilt input, which
        nothing waits for on a GPU.
        """
        batch = batch or len(x)
        latents, logdet, kept = self.forward_keeping(x)
        log_prob = sum((log_normal(eps) for eps in latents), start=logdet)
        loss = bits_per_dim(log_prob, self.config.dimensions, n_bits).sum() / batch
        rebuilt, _ = self.backward(latents, *loss_gradients(latents, batch), kept)
        return loss, kept.worst_drift(abs(rebuilt - x).max()).astype(loss.dtype)

    def initialize(self, x: Array, total: Total = of_one) -> None:
        """Set every ActNorm from the batch x, (N, H, W, C), so that it leaves each with zero mean and unit variance.

        Where processes hold parts of the batch, `total` adds up a vector, float64, over all of them.
        """
        self._check("initialize", x)
        check_range("Glow.initialize", x)
        self.initialize_layers(x, total)

    def initialize_layers(self, x: Array, total: Total = of_one) -> None:
        """`initialize` with any x of floating type, whatever its range."""
        self._check("initialize", x)
        with self.workers:
            for level in self.levels:
                x = level.steps.initialize(level.squeeze.forward(x)[0], total)
                x, _, _ = level.leave(x)
        self.initialized = True

    def log_prob(self, x: Array) -> Array:
        """log p(x), (N,), float64, nats, of any x, whatever its range. Cost: one forward pass."""
        latents, logdet = self.forward(x)
        for eps in latents:
            logdet = logdet + log_normal(eps)
        return logdet

    def bits_per_dim(self, x: Array, n_bits: int) -> Array:
        """bits/dim (N,) of images dequantised from n_bits: numbers in [-0.5, 0.5). Raises DataError for others."""
        check_n_bits(n_bits)
        self._check("bits_per_dim", x)
        check_range("Glow.bits_per_dim", x, strict=True)
        return bits_per_dim(self.log_prob(x), self.config.dimensions, n_bits)

    def step_bytes(self, images: int) -> int:
        """About what a training step takes at the least: theta, gradient, Adam's two vectors, and what the policy keeps."""
        config, numbers = self.config, 4 * len(self.store)
        for i, level in enumerate(self.levels):
            channels = config.image_shape[2] << (i + 2)
            pixels = images * config.image_shape[0] * config.image_shape[1] >> (2 * i + 2)
            memory = level.steps.chain.memory
            if memory.kind == "stored":  # both hidden maps, the patches, and the thin arrays around them
                numbers += config.K * pixels * (2 * config.width + 5 * channels + 3 * channels)
            elif memory.kind == "anchored":
                numbers += config.K // memory.every * pixels * channels
        return numbers * self.dtype.itemsize

    def encode(self, x: Array) -> list[Array]:
        """The latents of x, (N, h, w, c) a level, each N(0, I) under the model: a list of arrays. Cost: a forward pass.

        x: floating point, as `forward` takes it; or uint8 images (N, H, W, C) of either backend, which are taken in the
        middle of their levels of `n_bits` bits: to_pixels(decode(encode(images)), n_bits) has every level again.
        Images that are not finite, or of another range, such as 0..1, are taken with a warning.
        Raises GlowliteError for uint8 images if `n_bits` is not known; set it; and for a model that was never initialised.
        """
        check_initialized("Glow.encode", self.initialized)
        if not isinstance(x, np.ma.MaskedArray) and getattr(x, "dtype", None) == "uint8":
            if self.n_bits is None:
                raise GlowliteError("Glow.encode: uint8 images need n_bits, and this model has none; set model.n_bits")
            x = middles(x, self.n_bits, self.dtype.name, self.xp)
        self._check("encode", x)
        warn_of_range("Glow.encode", x)
        return self.forward(x)[0]

    def decode(self, latents: list[Array]) -> Array:
        """The images of latents, floating point, about [-0.5, 0.5): the inverse of `encode`. `to_pixels` makes them uint8.

        Latents far from those of images can overflow: `glowlite.latent.walks.finite` says which images are whole.
        """
        check_initialized("Glow.decode", self.initialized)
        return self.inverse(latents)

    def sample(self, n: int, temperature: float = 1.0, seed: int = 0, rows: slice = slice(None)) -> Array:
        """n images (n, H, W, C) in about [-0.5, 0.5): latents drawn from N(0, temperature^2), at every level.

        `rows`: which of the n to make. Image i depends on the weights, the temperature, the seed and i alone, and not on
        n, rows, threads or ranks: to the last bit on one kind of processor, with one NumPy and one size of tiles, since
        it is made at a fixed place in a pass of a fixed size. Cost: passes of `sample_block` images, the last one whole.
        """
        n, temperature, seed = check_sampling("Glow.sample", n, temperature, seed, rows, self.config.dimensions)
        check_initialized("Glow.sample", self.initialized)
        numbers, size = range(n)[rows], self.sample_block
        if not numbers:
            return self.xp.empty((0, *self.config.image_shape), self.dtype)
        low, high = min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])
        drawn = -(-n // size) * size  # whole blocks: the noise of an image is the same however many follow it
        shapes = enumerate(self.config.latent_shapes())
        noise = [temperature * normal(seed, "sample", i, (drawn, *shape), self.dtype.name) for i, shape in shapes]
        starts = range(low // size * size, high + 1, size)
        made = [self.inverse([to_device(z[start : start + size], self.xp) for z in noise]) for start in starts]
        return self.xp.concatenate(made)[low - starts[0] : high + 1 - starts[0]][:: numbers.step]

    @property
    def sample_block(self) -> int:
        """How many images a pass of `sample` makes: a product's rounding depends on how many columns it has."""
        height, width, _ = self.config.image_shape
        pixels = HOST_BLOCK if self.xp is np else DEVICE_BLOCK
        return max(1, pixels // max(height * width, SMALLEST_IMAGE))

    def save(
        self, path: str | Path, arrays: dict[str, np.ndarray] | None = None, dtype: str | None = None, **header: Any
    ) -> None:
        """Write parameters, constants and configuration; and, beside them, `arrays` and `header` (JSON values).

        `dtype`: of the weights in the file, if not the model's; `float16` halves it, and is float32 again when loaded.
        """
        own = {"config": self.config.to_dict(), "seed": self.seed, "initialized": self.initialized, "n_bits": self.n_bits}
        path, header = Path(path), {**own, **header}
        config_in(header, path)  # what could not be loaded is not written
        values = rounded(named_arrays(self.store), dtype or self.dtype.name)
        write_arrays(path, {**values, **(arrays or {})}, header)

    @classmethod
    def load(
        cls,
        path: str | Path,
        weights: str = "averaged",
        memory: Memory | None = None,
        workers: Workers | None = None,
        xp: Namespace = np,
    ) -> Self:
        """The model of a file, or of the newest checkpoint in the folder of a run, in its own dtype (float16: float32).

        `weights`: `averaged`, where the run has averaged them, or `raw`, to train on. Raises GlowliteError.
        """
        if weights not in ("raw", "averaged"):
            raise GlowliteError(f"weights must be 'raw' or 'averaged', got {shown(weights)}")
        path = resolve(path)
        arrays, header = read_arrays(path)
        config = config_in(header, path)
        values, dtype = weights_in(arrays, path)
        check_size(config, values, path)
        model = cls(config, header["seed"], dtype, memory, workers, xp)
        check_arrays(model.store, values, path)
        model.store.assign(values)
        theta = averaged(model.store, arrays, header, path) if weights == "averaged" else None
        if theta is not None:
            model.store.theta[...] = to_device(theta, xp)
        model.initialized, model.n_bits = header["initialized"], header.get("n_bits")
        model.facts = {name: value for name, value in header.items() if name not in OWN}
        return model

    @classmethod
    def pretrained(
        cls, name: str = "faces", memory: Memory | None = None, workers: Workers | None = None, xp: Namespace = np
    ) -> Self:
        """A trained model that comes with glowlite, in float32: `faces`, of 16x16x3 at 5 bits, averaged weights.

        `facts` has the training command, and held-out bits/dim. Raises GlowliteError, naming those there are, for another.
        """
        with pretrained_file(name) as path:
            return cls.load(path, memory=memory, workers=workers, xp=xp)

    def _check(self, where: str, x: Array) -> None:
        check_array(f"Glow.{where}", x, self.xp)
        check_images(f"Glow.{where}", x, self.config.image_shape[2], self.dtype)
        if x.shape[1:] != self.config.image_shape:
            raise ShapeError(
                f"Glow.{where}: images must be {self.config.image_shape}, got {x.shape[1:]}; resize or crop them"
            )

    def _check_latents(self, where: str, latents: list[Array]) -> None:
        check_latents(f"Glow.{where}", latents, self.config.latent_shapes(), self.dtype, self.xp)
