r"""Flow: an invertible map from data to noise, and the distribution of that noise.

    z, log|det dz/dx| = f(x)          log p(x) = log p_z(z) + log|det dz/dx|          x = f^-1(z)

`f` is any bijector: a layer, a Chain of layers, or your own class with `forward`, `inverse` and
`backward`. `p_z` is a base: Normal, Logistic, or your own class. `Glow` is a Flow. Everything that
trains, evaluates, draws or saves a model uses only the methods in this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np

from glowlite.arrays.arguments import check_seed, shown
from glowlite.arrays.backend import Array, Namespace, namespace, to_device
from glowlite.arrays.batch_statistics import in_training
from glowlite.arrays.checks import (
    check_array,
    check_data,
    check_initialized,
    check_latents,
    check_range,
    check_sampling,
    is_masked,
)
from glowlite.arrays.parameters import Parameterized, ParameterStore
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import backward, check_part, forward_with_cache, initialize
from glowlite.bijectors.chain import worst_drift
from glowlite.bijectors.memory import Kept, Memory
from glowlite.bijectors.trace import Visit, as_list, trace
from glowlite.errors import GlowliteError
from glowlite.fast.accelerate import accelerate
from glowlite.fast.threads import Workers
from glowlite.files.header import OWN, check_header
from glowlite.files.saved_weights import averaged, check_arrays, named_arrays, rounded, weights_in
from glowlite.files.storage import read_arrays, resolve, write_arrays
from glowlite.objective import (
    Base,
    Normal,
    bits_per_dim,
    check_n_bits,
    dequantize_midpoint,
    loss_gradients,
)

# pixels per sampling pass: with fewer, matrix products are slow; with more, a single sample is slow
HOST_BLOCK = 1 << 13
DEVICE_BLOCK = 1 << 16  # the same on a GPU, where a pass takes hundreds of launches
# pixels: images smaller than this do not increase the number of images per pass
SMALLEST_IMAGE = 256
VECTORS = 1 << 10  # samples per pass if each is a vector


class Flow(Parameterized):
    """x (N, ...) <-> latents, a list of arrays, through `bijector`; the latents follow `base`.

    bijector: has `forward(x) -> y, logdet`, `inverse(y) -> x`, `backward(y, dy, dlogdet) -> x, dx`
    and, if it has parameters, `parameters()`, a dict of Parameters by name. If its y is a list of
    arrays, it has the attribute `gives_list = True`. base: Normal() by default. seed: for the
    model's own random draws. dtype: float32 or float64, for data, latents and parameters. workers:
    threads (CPU only). xp: numpy, or cupy for a GPU. event_shape: the shape of one x; by default
    taken from the batch that `initialize` sees. plain: do not replace layers by their fast forms,
    see `glowlite.fast.accelerate`.

    `store.theta`, `store.grad`: all parameters and their gradients as flat vectors. `classes`:
    number of classes that `given` accepts; 0 for a model without classes.
    """

    classes = 0
    variational = False  # whether it makes its own dequantisation noise: see `of_noise`
    class_names: tuple[str, ...] = ()  # the names of the classes, if they have any
    labels: Array | None = None  # the labels given to this flow, if any

    def __init__(
        self,
        bijector: Any,
        base: Base | None = None,
        seed: int = 0,
        dtype: str = "float32",
        workers: Workers | None = None,
        xp: Namespace = np,
        event_shape: tuple[int, ...] | None = None,
        plain: bool = False,
    ) -> None:
        name = type(self).__name__
        if dtype not in ("float32", "float64"):
            raise GlowliteError(f"{name}: dtype must be float32 or float64, got {shown(dtype)}")
        if workers is not None and not isinstance(workers, Workers):
            raise GlowliteError(
                f"{name}: workers must be Workers, such as Workers(2), got {shown(workers)}"
            )
        check_part(name, bijector, "forward", "inverse", "backward")
        self.base = base or Normal()
        self.seed, self.dtype, self.xp = check_seed(name, seed), np.dtype(dtype), xp
        # whether its layers were initialised from data; saved with the weights
        self.initialized = False
        self.n_bits: int | None = None  # bits of the images it was trained on, if known; also saved
        self.facts: dict[str, Any] = {}  # other facts from the file that it was loaded from
        self.event_shape = None if event_shape is None else tuple(event_shape)
        self._latent_shapes: list[tuple[int, ...]] | None = None
        self.workers = workers or Workers()
        self.store, self.plain = ParameterStore(bijector, dtype, xp), plain
        self.bijector = bijector if plain else accelerate(bijector, self.workers, self.store)

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy` and `pickle`: a copy has its own parameters and gradients."""
        return {name: value for name, value in self.__dict__.items() if name != "xp"}  # a module

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.xp = namespace(self.store.theta)

    def children(self) -> Iterator[tuple[str, Any]]:
        if isinstance(self.bijector, Parameterized):
            yield from self.bijector.children()
        else:
            yield from self.store.parameters.items()
            yield from self.store.constants.items()

    @property
    def dimensions(self) -> int:
        """The number of components of one x."""
        return prod(self._known_shape())

    def latent_shapes(self) -> list[tuple[int, ...]]:
        """The shape of each latent, without N."""
        if self._latent_shapes is None:
            self._known_shape()
            raise GlowliteError(
                f"{self._name}: the shapes of the latents are known only after initialize(x)"
            )
        return self._latent_shapes

    # --- the map ---

    def forward(self, x: Array) -> tuple[list[Array], Array]:
        """Map x (N, ...) to the list of latents, and return log|det|, (N,), nats."""
        self._check("forward", x)
        with self.workers:
            y, logdet = self.bijector.forward(x)
        return self._latents(y), logdet

    def forward_with_cache(self, x: Array) -> tuple[list[Array], Array, Any]:
        """Like `forward`; also return a cache, so that `backward` need not rebuild inputs.

        The cache is None if nothing is kept.
        """
        self._check("forward", x)
        with self.workers:
            y, logdet, cache = forward_with_cache(self.bijector, x)
        return self._latents(y), logdet, cache

    def inverse(self, latents: list[Array]) -> Array:
        """Map latents, as `forward` returns them, to x (N, ...)."""
        self._check_latents("inverse", latents)
        with self.workers:
            x: Array = self.bijector.inverse(self._given(latents))
        return x

    def backward(
        self, latents: list[Array], dlatents: list[Array], dlogdet: Array, cache: Any = None
    ) -> tuple[Array, Array]:
        """From derivatives of a loss with respect to the latents and log|det| (N,), return the
        rebuilt x, and dx.

        Gradients of the parameters are added into `store.grad`.
        """
        self._check_latents("backward", latents)
        y, dy = self._given(latents), self._given(dlatents)
        with self.workers:
            return backward(self.bijector, y, dy, dlogdet, cache)

    def trace(self, x: Array) -> Iterator[Visit]:
        """Visit every layer that x passes through, in order: see `glowlite.bijectors.trace`."""
        self._check("trace", x)
        return trace(self.bijector, x)

    # --- the density ---

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> None:
        """Initialise everything that depends on data, such as every ActNorm, from the batch x (N,
        ...), once.

        If several processes each have a part of the batch, `total` adds up a float64 vector over
        all of them.
        """
        self._check("initialize", x)
        self.initialize_layers(x, total)

    def initialize_layers(self, x: Array, total: SumOverProcesses = this_process) -> None:
        """Like `initialize`, for any floating-point x, whatever its range."""
        self._check("initialize", x)
        with self.workers:
            y = initialize(self.bijector, x, total)
        self.event_shape = tuple(x.shape[1:])
        self._latent_shapes = [tuple(z.shape[1:]) for z in self._latents(y)]
        self.initialized = True

    def log_prob(self, x: Array) -> Array:
        """Return log p(x), (N,), float64, nats, for any x, whatever its range. Cost: one forward
        pass.
        """
        latents, logdet = self.forward(x)
        return logdet + self.base.log_prob(latents)

    def bits_per_dim(self, x: Array, n_bits: int | None = None) -> Array:
        """Return bits/dim (N,) of the density of x itself or, with `n_bits`, of images that were
        dequantised from that many bits.

        Such images are numbers in [-0.5, 0.5); raises DataError for others.
        """
        self._check("bits_per_dim", x)
        if n_bits is not None:
            check_n_bits(n_bits)
            check_range(f"{self._name}.bits_per_dim", x, strict=True)
        return bits_per_dim(self.log_prob(x), x[0].size, n_bits)

    def gradients(
        self, x: Array, n_bits: int | None = None, batch: int | None = None
    ) -> tuple[Array, Array]:
        """Add the gradients of mean bits/dim into `store.grad`; return the loss and the drift, 0-d,
        float64.

        x: this process's share of a batch of `batch` samples (by default, the whole batch), as
        `as_continuous` returns it for this model. loss: the sum of the bits/dim of x divided by the
        batch size. drift: the largest error of a rebuilt input, as a fraction of the range of the
        data; on a GPU, nothing waits for it. Cost: a forward and a backward pass.
        """
        batch = batch or len(x)
        flow, x = self.of_noise(x, n_bits)
        normalises = self.store.statistics  # by the batch; other layers need not be searched
        with in_training(flow.bijector, len(x) / batch) if normalises else nullcontext():
            latents, logdet, cache = flow.forward_with_cache(x)
            log_prob = logdet + self.base.log_prob(latents)
            loss = bits_per_dim(log_prob, x[0].size, n_bits).sum() / batch
            rebuilt, _ = flow.backward(latents, *loss_gradients(latents, batch, self.base), cache)
        drift = worst_drift(cache, abs(rebuilt - x).max()).astype(loss.dtype)
        if n_bits is None:  # data other than images have their own range
            drift = drift / namespace(x).maximum(abs(x).max(), 1)
        return loss, drift

    def of_noise(self, x: Array, n_bits: int | None) -> tuple[Self, Array]:
        """Return the flow that gives the density of x, and x itself, as `as_continuous` returned
        it, (N, ...).

        For most models these are this flow and x. If a model makes its own dequantisation noise,
        they are the flow of that noise, given the images, and the uniform noise that it starts
        from.
        """
        return self, x

    def dequantized(self, x: Array, n_bits: int | None) -> Array:
        """Return the input for `forward` and `encode`, (N, ...), from what `as_continuous`
        returned.
        """
        return x

    # --- samples and latents ---

    def encode(self, x: Array) -> list[Array]:
        """Return the list of latents of x (N, ...); each follows the base. Cost: a forward pass.

        uint8 images (N, H, W, C), from either backend, are mapped to the middle of their
        `n_bits`-bit levels. Raises GlowliteError for a model that was never initialised.
        """
        return self.forward(self._encodable(x))[0]

    def _encodable(self, x: Array) -> Array:
        check_initialized(f"{self._name}.encode", self.initialized)
        if not is_masked(x) and getattr(x, "dtype", None) == "uint8":
            if self.n_bits is None:
                raise GlowliteError(
                    f"{self._name}.encode: uint8 images need n_bits, but this model has none; set"
                    " model.n_bits"
                )
            x = dequantize_midpoint(x, self.n_bits, self.dtype.name, self.xp)
        self._check("encode", x)
        return x

    def decode(self, latents: list[Array]) -> Array:
        """Return the x (N, ...) of these latents: the inverse of `encode`. `to_pixels` converts
        images to uint8.

        Latents far from those of data can overflow. `glowlite.latent.walks.finite` says which x are
        finite.
        """
        check_initialized(f"{self._name}.decode", self.initialized)
        return self.inverse(latents)

    def sample(
        self, n: int, temperature: float = 1.0, seed: int = 0, rows: slice = slice(None)
    ) -> Array:
        """Return n samples (n, ...): latents drawn from the base and multiplied by `temperature`.

        `rows`: which of the n samples to make. Sample i depends only on the weights, the
        temperature, the seed and i, not on n, rows, threads or processes. This is exact to the last
        bit on one kind of processor, with one NumPy version and one tile size, since sample i
        always has the same place in a pass of fixed size. Cost: passes of `sample_block` samples;
        the last pass is a whole one.
        """
        where = f"{self._name}.sample"
        if self.event_shape is None:
            check_initialized(where, self.initialized)
        n, temperature, seed = check_sampling(where, n, temperature, seed, rows, self.dimensions)
        check_initialized(where, self.initialized)
        numbers, size = range(n)[rows], self.sample_block
        if not numbers:
            return self.xp.empty((0, *self._known_shape()), self.dtype)
        low, high = min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])
        # whole blocks, so that a sample's noise does not depend on the number of samples
        drawn = -(-n // size) * size
        shapes = enumerate(self.latent_shapes())
        noise = [
            temperature * self.base.sample(seed, i, (drawn, *shape), self.dtype.name)
            for i, shape in shapes
        ]
        starts = range(low // size * size, high + 1, size)
        made = [
            self.rows(slice(start, start + size)).inverse(
                self._on_device([z[start : start + size] for z in noise])
            )
            for start in starts
        ]
        return self.xp.concatenate(made)[low - starts[0] : high + 1 - starts[0]][:: numbers.step]

    def given(self, labels: Any, label_weight: float = 0.0) -> Self:
        """Return the flow of data of these classes: see `glowlite.models.by_class`. Raises
        GlowliteError for a flow without classes.
        """
        raise GlowliteError(f"{self._name}.given: this model was made without classes")

    def rows(self, rows: Any) -> Self:
        """Return the flow for these samples of a batch: itself, unless it was given the class of
        each sample.
        """
        return self

    def _on_device(self, latents: list[np.ndarray]) -> list[Array]:
        return [to_device(z, self.xp) for z in latents]

    @property
    def sample_block(self) -> int:
        """The number of samples per pass. It is fixed because a matrix product's rounding depends
        on its number of columns.
        """
        *sides, _ = self._known_shape()
        pixels = HOST_BLOCK if self.xp is np else DEVICE_BLOCK
        return max(1, pixels // max(prod(sides), SMALLEST_IMAGE)) if sides else VECTORS

    # --- files ---

    def header(self) -> dict[str, Any]:
        """Return what a file stores about this model besides its weights, as JSON values."""
        flow = {
            "bijector": type(self.bijector).__name__,
            "base": type(self.base).__name__,
            "event_shape": None if self.event_shape is None else list(self.event_shape),
            "latent_shapes": None
            if self._latent_shapes is None
            else [list(s) for s in self._latent_shapes],
        }
        return {
            "flow": flow,
            "seed": self.seed,
            "initialized": self.initialized,
            "n_bits": self.n_bits,
        }

    def check_header(self, header: Any, path: Path, checkpoint: bool = False) -> None:
        """Raise GlowliteError unless a file with this `header` can belong to this flow."""
        self._check_form(header, path, checkpoint)
        if (base := header["flow"]["base"]) != type(self.base).__name__:
            raise GlowliteError(
                f"{path}: belongs to another model: its base is {base}, not"
                f" {type(self.base).__name__}"
            )

    def take_header(self, header: dict[str, Any]) -> None:
        """Set the state of the model from a checked header."""
        self.initialized, self.n_bits = header["initialized"], header.get("n_bits")
        flow = header.get("flow", {})
        if flow.get("event_shape") is not None:
            self.event_shape = tuple(flow["event_shape"])
        if flow.get("latent_shapes") is not None:
            self._latent_shapes = [tuple(shape) for shape in flow["latent_shapes"]]

    @classmethod
    def _check_form(cls, header: Any, path: Path, checkpoint: bool = False) -> None:
        """Raise GlowliteError unless a header is well formed for a user-defined flow."""
        if isinstance(header, dict) and "config" in header and "flow" not in header:
            name = {"nice": "NICE", "realnvp": "RealNVP"}.get(str(header.get("model")), "Glow")
            raise GlowliteError(f"{path}: contains a {name}; load it with {name}.load")
        check_header(header, path, "flow", checkpoint)

    def save(
        self,
        path: str | Path,
        arrays: dict[str, np.ndarray] | None = None,
        dtype: str | None = None,
        **header: Any,
    ) -> None:
        """Write the parameters and constants by name and `header()`, and in addition `arrays` and
        `header`.

        `dtype`: dtype of the weights in the file, by default the model's. `float16` halves the file
        and becomes float32 again when loaded. The layers themselves are not written; pass the same
        layers to `load`.
        """
        path, header = Path(path), {**self.header(), **header}
        self._check_form(header, path)  # do not write what could not be loaded
        values = rounded(named_arrays(self.store), dtype or self.dtype.name)
        write_arrays(path, {**values, **(arrays or {})}, header)

    @classmethod
    def load(
        cls,
        path: str | Path,
        bijector: Any,
        base: Base | None = None,
        weights: str = "averaged",
        workers: Workers | None = None,
        xp: Namespace = np,
    ) -> Self:
        """Load the flow of a file, or of the newest checkpoint in a folder, in its stored dtype.

        `bijector`, `base`: constructed as for the saved flow; the weights of `bijector` are
        overwritten. `weights`: `averaged`, if the run has averaged them, or `raw`, to continue
        training. Raises GlowliteError if the names or shapes of the parameters differ from those in
        the file.
        """
        path, arrays, header = read_model(path, weights)
        cls._check_form(header, path)
        values, dtype = weights_in(arrays, path)
        flow = cls(bijector, base, header["seed"], dtype, workers, xp)
        flow.check_header(header, path)
        flow._take(values, arrays, header, path, weights)
        return flow

    def _take(
        self,
        values: dict[str, np.ndarray],
        arrays: dict[str, np.ndarray],
        header: dict[str, Any],
        path: Path,
        weights: str,
    ) -> None:
        """Set this model to what `read_model` read from a file."""
        self.check_arrays(values, path)
        self.store.assign(values)
        state = averaged(self.store, arrays, header, path) if weights == "averaged" else None
        if state is not None:
            self.store.set_state(to_device(state, self.xp))
        self.take_header(header)
        self.facts = {name: value for name, value in header.items() if name not in OWN}

    def check_arrays(self, values: dict[str, np.ndarray], path: Path) -> None:
        """Raise GlowliteError unless `values` has a suitable array for every parameter and
        constant.
        """
        check_arrays(self.store, values, path)

    # --- what the trainer asks ---

    @property
    def penalized(self) -> list[slice]:
        """The slices of `store.theta` to which a penalty on scales applies: none by default."""
        return []

    @property
    def first_images(self) -> int:
        """The number of images that `initialize` wants, if there are that many; 0 if a batch is
        enough.
        """
        return 0

    @property
    def memory(self) -> Memory | None:
        """The budget for what is kept from forward to backward; None for a bijector without one."""
        return getattr(self.bijector, "memory", None)

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self.bijector.memory = memory

    def kept(self, images: int) -> Kept | None:
        """Return what a pass of so many images keeps, or None if the bijector has no budget or the
        shape of x is unknown. Cost: passes of one and two images.
        """
        memory, bijector, shape = self.memory, self.bijector, self.event_shape
        if memory is None or shape is None or not hasattr(bijector, "cost_table"):
            return None
        few = self.xp.zeros((min(2, images), *shape), self.dtype)
        # for layers whose domain does not contain zeros
        with self.workers, np.errstate(all="ignore"):
            return Kept(memory, bijector.plans(few, images), bijector.cost_table(few, images))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample of the input of `gradients`."""
        return self._known_shape()

    @property
    def shrink(self) -> str:
        """Return advice for a step that does not fit into memory."""
        return "take smaller batches, or layers with fewer parameters"

    def step_bytes(self, images: int) -> int:
        """Return the least memory of a training step, in bytes: theta, its gradient, Adam's two
        vectors, and what is kept.
        """
        kept = self.kept(images)
        return 4 * len(self.store) * self.dtype.itemsize + (0 if kept is None else kept.size)

    # --- checks ---

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _known_shape(self) -> tuple[int, ...]:
        if self.event_shape is None:
            raise GlowliteError(
                f"{self._name}: the shape of its data is not known; call initialize(x) with a"
                " batch of data"
            )
        return self.event_shape

    def _check(self, where: str, x: Array) -> None:
        where = f"{self._name}.{where}"
        check_array(where, x, self.xp, "the data")
        check_data(where, x, self.event_shape, self.dtype)

    def _check_latents(self, where: str, latents: list[Array]) -> None:
        where = f"{self._name}.{where}"
        check_latents(where, latents, self._latent_shapes, self.dtype, self.xp)

    def _latents(self, y: Any) -> list[Array]:
        """Return the bijector's output as a list."""
        if isinstance(y, (list, tuple)) != self._gives_list:
            raise GlowliteError(
                f"{self._name}: {type(self.bijector).__name__} gives"
                f" {'one array' if self._gives_list else 'several arrays'}; a bijector whose y is"
                " a list of arrays must have the attribute gives_list = True, and other"
                " bijectors must not"
            )
        return as_list(y)

    def _given(self, latents: list[Array]) -> Any:
        """Return latents in the form that the bijector takes."""
        return latents if self._gives_list else latents[0]

    @property
    def _gives_list(self) -> bool:
        return bool(getattr(self.bijector, "gives_list", False))


def read_model(
    path: str | Path, weights: str
) -> tuple[Path, dict[str, np.ndarray], dict[str, Any]]:
    """Return the file that `path` means, its arrays and its header."""
    if weights not in ("raw", "averaged"):
        raise GlowliteError(f"weights must be 'raw' or 'averaged', got {shown(weights)}")
    path = resolve(path)
    return path, *read_arrays(path)
