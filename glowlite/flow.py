r"""Flow: an invertible map of data to noise, and the distribution of that noise.

    z, log|det dz/dx| = f(x)          log p(x) = log p_z(z) + log|det dz/dx|          x = f^-1(z)

`f` is any bijector: a layer, a Chain of layers, or a class of one's own with `forward`, `inverse`
and `backward`. `p_z` is a base: Normal, Logistic, or a class of one's own. `Glow` is a Flow, and
whatever trains, evaluates, draws or saves a model asks it for no more than what stands here.
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

# pixels of a pass of samples: fewer make slow products, more make one sample slow
HOST_BLOCK = 1 << 13
DEVICE_BLOCK = 1 << 16  # the same on a GPU, where a pass takes hundreds of launches
SMALLEST_IMAGE = 256  # pixels: smaller images do not make a pass of more images
VECTORS = 1 << 10  # samples of a pass where each is a vector


class Flow(Parameterized):
    """x (N, ...) <-> latents, a list of arrays, by `bijector`; the latents are distributed as
    `base`.

    bijector: has `forward(x) -> y, logdet`, `inverse(y) -> x`, `backward(y, dy, dlogdet) -> x, dx`,
    and, where it has any, `parameters()`, a dict of Parameters by name. One whose y is a list of
    arrays says so by an attribute `gives_list = True`. base: Normal() by default. seed: of what
    draws for the model itself. dtype: float32 or float64, of data, latents and parameters. workers:
    threads (CPU only). xp: numpy, or cupy for a GPU. event_shape: the shape of one x; by default
    that of the batch that `initialize` sees. plain: no layer is replaced by its fast form, see
    `glowlite.fast.accelerate`.

    `store.theta`, `store.grad`: all parameters and their gradients as flat vectors. `classes`: how
    many it could be `given`; 0 for none.
    """

    classes = 0
    variational = False  # whether it makes the noise of its images: see `of_noise`
    class_names: tuple[str, ...] = ()  # if they have names
    labels: Array | None = None  # of a flow that was given some

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
        self.initialized = False  # whether its layers have seen data; saved with the weights
        self.n_bits: int | None = None  # of the images it was trained on, if known; saved, too
        self.facts: dict[str, Any] = {}  # what else the file says that it was loaded from
        self.event_shape = None if event_shape is None else tuple(event_shape)
        self._latent_shapes: list[tuple[int, ...]] | None = None
        self.workers = workers or Workers()
        self.store, self.plain = ParameterStore(bijector, dtype, xp), plain
        self.bijector = bijector if plain else accelerate(bijector, self.workers, self.store)

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy` and `pickle`: a copy has parameters and gradients of its own."""
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
        """How many numbers one x has."""
        return prod(self._known_shape())

    def latent_shapes(self) -> list[tuple[int, ...]]:
        """The shape of each latent, without N."""
        if self._latent_shapes is None:
            self._known_shape()
            raise GlowliteError(
                f"{self._name}: the shapes of latents are known after initialize(x)"
            )
        return self._latent_shapes

    # --- the map ---

    def forward(self, x: Array) -> tuple[list[Array], Array]:
        """x (N, ...) -> latents, a list of arrays, and log|det|, (N,), nats."""
        self._check("forward", x)
        with self.workers:
            y, logdet = self.bijector.forward(x)
        return self._latents(y), logdet

    def forward_with_cache(self, x: Array) -> tuple[list[Array], Array, Any]:
        """`forward`, and what `backward` can use so that it need not rebuild it.

        None if nothing.
        """
        self._check("forward", x)
        with self.workers:
            y, logdet, cache = forward_with_cache(self.bijector, x)
        return self._latents(y), logdet, cache

    def inverse(self, latents: list[Array]) -> Array:
        """Latents, as `forward` gives them -> x (N, ...)."""
        self._check_latents("inverse", latents)
        with self.workers:
            x: Array = self.bijector.inverse(self._given(latents))
        return x

    def backward(
        self, latents: list[Array], dlatents: list[Array], dlogdet: Array, cache: Any = None
    ) -> tuple[Array, Array]:
        """From derivatives of a loss by latents and log|det| (N,): x, rebuilt, and dx.

        Gradients of the parameters are added into `store.grad`.
        """
        self._check_latents("backward", latents)
        y, dy = self._given(latents), self._given(dlatents)
        with self.workers:
            return backward(self.bijector, y, dy, dlogdet, cache)

    def trace(self, x: Array) -> Iterator[Visit]:
        """Every layer on the way of x, in order: see `glowlite.bijectors.trace`."""
        self._check("trace", x)
        return trace(self.bijector, x)

    # --- the density ---

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> None:
        """Set what depends on data, such as every ActNorm, from the batch x (N, ...), once.

        Where processes hold parts of the batch, `total` adds up a vector, float64, over all of
        them.
        """
        self._check("initialize", x)
        self.initialize_layers(x, total)

    def initialize_layers(self, x: Array, total: SumOverProcesses = this_process) -> None:
        """`initialize` with any x of floating type, whatever its range."""
        self._check("initialize", x)
        with self.workers:
            y = initialize(self.bijector, x, total)
        self.event_shape = tuple(x.shape[1:])
        self._latent_shapes = [tuple(z.shape[1:]) for z in self._latents(y)]
        self.initialized = True

    def log_prob(self, x: Array) -> Array:
        """log p(x), (N,), float64, nats, of any x, whatever its range. Cost: one forward pass."""
        latents, logdet = self.forward(x)
        return logdet + self.base.log_prob(latents)

    def bits_per_dim(self, x: Array, n_bits: int | None = None) -> Array:
        """bits/dim (N,): of the density of x itself, or, with `n_bits`, of images dequantised from
        them.

        Those are numbers in [-0.5, 0.5); raises DataError for others.
        """
        self._check("bits_per_dim", x)
        if n_bits is not None:
            check_n_bits(n_bits)
            check_range(f"{self._name}.bits_per_dim", x, strict=True)
        return bits_per_dim(self.log_prob(x), x[0].size, n_bits)

    def gradients(
        self, x: Array, n_bits: int | None = None, batch: int | None = None
    ) -> tuple[Array, Array]:
        """Add the gradients of mean bits/dim into `store.grad`; the loss and the drift, 0-d,
        float64.

        x: the share that is at hand of a `batch` of so many; by default it is all of it; as
        `as_continuous` gives it to a model that is `variational`, or is not. loss:
        bits/dim of x, by the size of the batch. drift: the largest error of a rebuilt input, as a
        part of the range of the data, which on a GPU nothing waits for. Cost: a forward and a
        backward pass.
        """
        batch = batch or len(x)
        flow, x = self.of_noise(x, n_bits)
        normalises = self.store.statistics  # by the batch: what does not need not be looked through
        with in_training(flow.bijector, len(x) / batch) if normalises else nullcontext():
            latents, logdet, cache = flow.forward_with_cache(x)
            log_prob = logdet + self.base.log_prob(latents)
            loss = bits_per_dim(log_prob, x[0].size, n_bits).sum() / batch
            rebuilt, _ = flow.backward(latents, *loss_gradients(latents, batch, self.base), cache)
        drift = worst_drift(cache, abs(rebuilt - x).max()).astype(loss.dtype)
        if n_bits is None:  # data that are no images have a range of their own
            drift = drift / namespace(x).maximum(abs(x).max(), 1)
        return loss, drift

    def of_noise(self, x: Array, n_bits: int | None) -> tuple[Self, Array]:
        """The flow whose density is that of x, and x: what `as_continuous` gave, (N, ...).

        They are this flow and x itself; but where a model makes the noise of its images, the flow
        of that noise, given the images, and the noise that it is made of.
        """
        return self, x

    def dequantized(self, x: Array, n_bits: int | None) -> Array:
        """What `forward` and `encode` take, (N, ...), of what `as_continuous` gave."""
        return x

    # --- samples and latents ---

    def encode(self, x: Array) -> list[Array]:
        """The latents of x (N, ...), each distributed as the base: a list. Cost: a forward pass.

        uint8 images (N, H, W, C), of either backend, are taken in the middle of their levels of
        `n_bits` bits. Raises GlowliteError for a model that was never initialised.
        """
        return self.forward(self._encodable(x))[0]

    def _encodable(self, x: Array) -> Array:
        check_initialized(f"{self._name}.encode", self.initialized)
        if not is_masked(x) and getattr(x, "dtype", None) == "uint8":
            if self.n_bits is None:
                raise GlowliteError(
                    f"{self._name}.encode: uint8 images need n_bits, and this model has none; set"
                    " model.n_bits"
                )
            x = dequantize_midpoint(x, self.n_bits, self.dtype.name, self.xp)
        self._check("encode", x)
        return x

    def decode(self, latents: list[Array]) -> Array:
        """The x (N, ...) of latents: the inverse of `encode`. `to_pixels` makes images of them
        uint8.

        Latents far from those of data can overflow: `glowlite.latent.walks.finite` says which x are
        whole.
        """
        check_initialized(f"{self._name}.decode", self.initialized)
        return self.inverse(latents)

    def sample(
        self, n: int, temperature: float = 1.0, seed: int = 0, rows: slice = slice(None)
    ) -> Array:
        """n samples (n, ...): latents drawn from the base, times `temperature`.

        `rows`: which of the n to make. Sample i depends on the weights, the temperature, the seed
        and i alone, and not on n, rows, threads or ranks: to the last bit on one kind of processor,
        with one NumPy and one size of tiles, since it is made at a fixed place in a pass of a fixed
        size. Cost: passes of `sample_block` samples, the last one whole.
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
        # whole blocks: the noise of a sample is the same in any number
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
        """The flow of data of these classes: see `glowlite.models.by_class`. Raises GlowliteError
        for a flow without classes.
        """
        raise GlowliteError(f"{self._name}.given: this model was made without classes")

    def rows(self, rows: Any) -> Self:
        """The flow of these samples of a batch: itself, unless it was given the class of each."""
        return self

    def _on_device(self, latents: list[np.ndarray]) -> list[Array]:
        return [to_device(z, self.xp) for z in latents]

    @property
    def sample_block(self) -> int:
        """How many samples a pass makes: a product's rounding depends on how many
        columns it has.
        """
        *sides, _ = self._known_shape()
        pixels = HOST_BLOCK if self.xp is np else DEVICE_BLOCK
        return max(1, pixels // max(prod(sides), SMALLEST_IMAGE)) if sides else VECTORS

    # --- files ---

    def header(self) -> dict[str, Any]:
        """What a file says of this model beside its weights: JSON values."""
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
        """Raise GlowliteError unless a file with this `header` can be of this flow."""
        self._check_form(header, path, checkpoint)
        if (base := header["flow"]["base"]) != type(self.base).__name__:
            raise GlowliteError(
                f"{path} is of another model: its base is {base}, not {type(self.base).__name__}"
            )

    def take_header(self, header: dict[str, Any]) -> None:
        """Set what a checked header says of the state of a model."""
        self.initialized, self.n_bits = header["initialized"], header.get("n_bits")
        flow = header.get("flow", {})
        if flow.get("event_shape") is not None:
            self.event_shape = tuple(flow["event_shape"])
        if flow.get("latent_shapes") is not None:
            self._latent_shapes = [tuple(shape) for shape in flow["latent_shapes"]]

    @classmethod
    def _check_form(cls, header: Any, path: Path, checkpoint: bool = False) -> None:
        """Raise GlowliteError unless a header is well formed, as that of a flow of one's own."""
        if isinstance(header, dict) and "config" in header and "flow" not in header:
            name = {"nice": "NICE", "realnvp": "RealNVP"}.get(str(header.get("model")), "Glow")
            raise GlowliteError(f"{path}: is a {name}; load it with {name}.load")
        check_header(header, path, "flow", checkpoint)

    def save(
        self,
        path: str | Path,
        arrays: dict[str, np.ndarray] | None = None,
        dtype: str | None = None,
        **header: Any,
    ) -> None:
        """Write parameters and constants by name, `header()`, and, beside them, `arrays` and
        `header`.

        `dtype`: of the weights in the file, if not the model's; `float16` halves it, and is float32
        again when loaded. The layers themselves are not written: `load` is given the same ones.
        """
        path, header = Path(path), {**self.header(), **header}
        self._check_form(header, path)  # what could not be loaded is not written
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
        """The flow of a file, or of the newest checkpoint in a folder, in its own dtype.

        `bijector`, `base`: made as those that were saved; the weights of `bijector` are
        overwritten. `weights`: `averaged`, where the run has averaged them, or `raw`, to train on.
        Raises GlowliteError where the names or shapes of its parameters are not those of the file.
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
        """Set this model to what `read_model` found in a file."""
        self.check_arrays(values, path)
        self.store.assign(values)
        state = averaged(self.store, arrays, header, path) if weights == "averaged" else None
        if state is not None:
            self.store.set_state(to_device(state, self.xp))
        self.take_header(header)
        self.facts = {name: value for name, value in header.items() if name not in OWN}

    def check_arrays(self, values: dict[str, np.ndarray], path: Path) -> None:
        """Raise GlowliteError unless `values` are arrays for every parameter and constant."""
        check_arrays(self.store, values, path)

    # --- the trainer's questions ---

    @property
    def penalized(self) -> list[slice]:
        """Where in `store.theta` the parameters lie that a penalty on scales holds small: none."""
        return []

    @property
    def first_images(self) -> int:
        """How many images `initialize` asks for, if there are as many; 0 if a batch will do."""
        return 0

    @property
    def memory(self) -> Memory | None:
        """The budget of what is kept from forward to backward; None for a bijector without one."""
        return getattr(self.bijector, "memory", None)

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self.bijector.memory = memory

    def kept(self, images: int) -> Kept | None:
        """What a pass of so many images keeps; None for a bijector without a budget, or
        where the shape of x is not known. Cost: passes of one and two images.
        """
        memory, bijector, shape = self.memory, self.bijector, self.event_shape
        if memory is None or shape is None or not hasattr(bijector, "cost_table"):
            return None
        few = self.xp.zeros((min(2, images), *shape), self.dtype)
        with self.workers, np.errstate(all="ignore"):  # layers that zeros are nothing for
            return Kept(memory, bijector.plans(few, images), bijector.cost_table(few, images))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of what `gradients` takes of one sample."""
        return self._known_shape()

    @property
    def shrink(self) -> str:
        """What to do where a step does not fit the memory, in words."""
        return "take smaller batches, or layers with fewer parameters"

    def step_bytes(self, images: int) -> int:
        """What a training step takes at the least: theta, its gradient, Adam's two vectors, and
        what is kept.
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
                f"{self._name}: the shape of its data is not known; call initialize(x) with a batch"
                " of them"
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
        """What the bijector gives, as a list."""
        if isinstance(y, (list, tuple)) != self._gives_list:
            raise GlowliteError(
                f"{self._name}: {type(self.bijector).__name__} gives"
                f" {'one array' if self._gives_list else 'several arrays'}; a bijector whose y is a"
                " list of arrays has the attribute gives_list = True, and no other has"
            )
        return as_list(y)

    def _given(self, latents: list[Array]) -> Any:
        """Latents as the bijector takes them."""
        return latents if self._gives_list else latents[0]

    @property
    def _gives_list(self) -> bool:
        return bool(getattr(self.bijector, "gives_list", False))


def read_model(
    path: str | Path, weights: str
) -> tuple[Path, dict[str, np.ndarray], dict[str, Any]]:
    """The file that `path` means, its arrays and its header."""
    if weights not in ("raw", "averaged"):
        raise GlowliteError(f"weights must be 'raw' or 'averaged', got {shown(weights)}")
    path = resolve(path)
    return path, *read_arrays(path)
