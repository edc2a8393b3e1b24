"""ImageModel: a Flow of images described by a configuration. Glow, NICE and RealNVP are image
models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from glowlite.arrays.arguments import check_seed, shown
from glowlite.arrays.backend import Array, Namespace
from glowlite.arrays.checks import check_array, check_images, check_range
from glowlite.arrays.randomness import generator
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.dequantizer import Dequantizer
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError, ShapeError
from glowlite.files.header import check_header
from glowlite.files.saved_weights import check_permutations, check_statistics, weights_in
from glowlite.flow import Flow, read_model
from glowlite.models.checks import check_budget, check_room, check_size, warn_of_range
from glowlite.models.dequantized import Dequantized
from glowlite.models.image_config import ImageConfig
from glowlite.objective import Base, check_n_bits

GLOW = "glow"  # the kind of a file that does not name one


class ImageModel(Flow, ABC):
    """A flow of images (N, H, W, C) with values in [-0.5, 0.5), as `config` says, with random
    weights from `seed`.

    `dtype`: float32 or float64, for images, latents and parameters. `memory`: see Memory.
    `workers`: CPU threads, see `glowlite.fast.threads`. `xp`: numpy, or cupy for a GPU. `plain`: do
    not replace layers by their fast forms, see `glowlite.fast.accelerate`.
    """

    config: Any  # an ImageConfig of this model's kind
    kind: ClassVar[str]  # its name in `--model` and in a file's header
    configuration: ClassVar[type[ImageConfig]]

    def __init__(
        self,
        config: Any,
        seed: int = 0,
        dtype: str = "float32",
        memory: Memory | None = None,
        workers: Any = None,
        xp: Namespace = np,
        plain: bool = False,
    ) -> None:
        name = type(self).__name__
        if dtype not in ("float32", "float64"):
            raise GlowliteError(f"{name}: dtype must be float32 or float64, got {shown(dtype)}")
        if not isinstance(config, self.configuration):
            wanted = self.configuration.__name__
            raise GlowliteError(f"{name}: expected a {wanted}, got {shown(config)}")
        check_budget(name, memory)
        self._check_room(config, dtype)
        check_seed(name, seed)
        self.config = config
        layers, base = self._layers(config, seed, memory or Memory()), self._base(config)
        if config.variational:
            rng = generator(seed, "dequantizer weights")
            layers = Dequantized(layers, Dequantizer(config.image_shape[2], rng))
        super().__init__(layers, base, seed, dtype, workers, xp, config.image_shape, plain)
        self._latent_shapes = list(config.latent_shapes())

    @abstractmethod
    def _layers(self, config: Any, seed: int, memory: Memory) -> Any:
        """Make the bijector, with random weights from `seed`."""

    def _base(self, config: Any) -> Base | None:
        """Return the distribution of the latents; None for N(0, I)."""
        return None

    def _check_room(self, config: Any, dtype: str) -> None:
        check_room(type(self).__name__, config, dtype)

    def check_start(self, batch: int) -> str | None:
        """Return a warning to print before training starts from a batch of so many images, or None.

        Raises GlowliteError if the images are too few.
        """
        return None

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> None:
        """Initialise everything that depends on data from the batch x, (N, H, W, C).

        If several processes each have a part of the batch, `total` adds up a float64 vector over
        all of them.
        """
        self._check("initialize", x)
        check_range(f"{self._name}.initialize", x)
        self.initialize_layers(x, total)

    @property
    def variational(self) -> bool:  # type: ignore[override]
        """Whether it makes its own dequantisation noise, because `dequantise` is `variational`."""
        return bool(self.config.variational)

    @property
    def input_shape(self) -> tuple[int, ...]:
        *sides, channels = self.config.image_shape
        return (*sides, channels * (1 + self.variational))

    def of_noise(self, x: Array, n_bits: int | None) -> tuple[Self, Array]:
        """Return the flow of the noise of these images, whose density is p / q in
        `models.dequantized`, and the uniform noise that it starts from, (N, H, W, C). x: (N, H, W,
        2C), see `middles_and_noise`. For a model without a dequantizer, return this model and x
        itself.
        """
        if not self.variational:
            return self, x
        channels = self.config.image_shape[2]
        if getattr(x, "shape", ())[1:] != self.input_shape:
            raise ShapeError(
                f"{self._name}: makes its own dequantisation noise; expected (N,"
                f" {', '.join(map(str, self.input_shape))}), as objective.middles_and_noise makes"
                f" them, got {shown(x)}"
            )
        twin = self.shallow_copy()
        twin.bijector = self.bijector.at(x[..., :channels], 2 ** check_n_bits(n_bits))
        return twin, x[..., channels:]

    def dequantized(self, x: Array, n_bits: int | None) -> Array:
        flow, noise = self.of_noise(x, n_bits)
        if flow is self:
            return noise
        with self.workers:
            return flow.bijector.image(flow.bijector.dequantizer.forward(noise)[0])

    def bits_per_dim(self, x: Array, n_bits: int | None = None) -> Array:
        """Return bits/dim (N,) of images dequantised from `n_bits` bits, which must be given.
        Images are numbers in [-0.5, 0.5).

        Raises DataError for others.
        """
        check_n_bits(n_bits)
        return super().bits_per_dim(x, n_bits)

    def encode(self, x: Array) -> list[Array]:
        """Return the list of latents of x; under the model, each follows the base. Cost: a forward
        pass.

        x: floating point, as `forward` takes it, or uint8 images (N, H, W, C) from either backend,
        which are mapped to the middle of their `n_bits`-bit levels:
        to_pixels(decode(encode(images)), n_bits) recovers every level. Images that are not finite
        or have another range, such as 0..1, give a warning. Raises GlowliteError for uint8 images
        if `n_bits` is not known (set it), and for a model that was never initialised.
        """
        x = self._encodable(x)
        warn_of_range(f"{self._name}.encode", x)
        return self.forward(x)[0]

    # --- files ---

    def header(self) -> dict[str, Any]:
        own = {name: value for name, value in super().header().items() if name != "flow"}
        kind = {} if self.kind == GLOW else {"model": self.kind}
        return {**kind, "config": self.config.to_dict(), **own}

    @classmethod
    def _check_form(cls, header: Any, path: Path, checkpoint: bool = False) -> None:
        cls.config_in(header, path, checkpoint)

    @classmethod
    def config_in(cls, header: Any, path: Path, checkpoint: bool = False) -> Any:
        """Return the configuration in a header, after checking the whole header.

        Raises GlowliteError that names the file and the field.
        """
        if isinstance(header, dict):
            said = kind_in(header)
            if said is None and "flow" in header:
                name = cls.__name__
                raise GlowliteError(
                    f"{path}: is not a {name}, but a user-defined flow; load it with Flow.load"
                )
            if said not in (None, cls.kind):
                raise GlowliteError(
                    f"{path}: contains another kind of model, {shown(said)}, not {cls.kind}"
                )
        check_header(header, path, "config", checkpoint)
        try:
            return cls.configuration.from_dict(header["config"])
        except GlowliteError as error:
            raise GlowliteError(f"{path}: header: {error}") from None

    def check_header(self, header: Any, path: Path, checkpoint: bool = False) -> None:
        config = self.config_in(header, path, checkpoint)
        if config != self.config:
            raise GlowliteError(
                f"{path}: contains another model: {config}; give the options that it was trained"
                " with"
            )

    @property
    def shrink(self) -> str:
        fields = " or ".join(f"--{name.replace('_', '-')}" for name in self.config.shrink)
        return f"lower --batch, {fields}, raise --accumulate, or give a smaller --memory"

    def check_arrays(self, values: dict[str, np.ndarray], path: Path) -> None:
        super().check_arrays(values, path)
        check_permutations(self.store, values, path)
        check_statistics(self.store, values, path)

    @classmethod
    def load(  # type: ignore[override]  # the file says of which layers a model is
        cls,
        path: str | Path,
        weights: str = "averaged",
        memory: Memory | None = None,
        workers: Any = None,
        xp: Namespace = np,
        plain: bool = False,
    ) -> Self:
        """Load the model of a file, or of the newest checkpoint in a run folder, in its stored
        dtype (float16 becomes float32).

        `weights`: `averaged`, if the run has averaged them, or `raw`, to continue training. Raises
        GlowliteError.
        """
        path, arrays, header = read_model(path, weights)
        return cls.from_file(path, arrays, header, weights, memory, workers, xp, plain)

    @classmethod
    def from_file(
        cls,
        path: Path,
        arrays: dict[str, np.ndarray],
        header: dict[str, Any],
        weights: str = "averaged",
        memory: Memory | None = None,
        workers: Any = None,
        xp: Namespace = np,
        plain: bool = False,
        **more: Any,
    ) -> Self:
        """Make the model from what `read_model` found; `more`: further arguments of its class."""
        config = cls.config_in(header, path)
        values, dtype = weights_in(arrays, path)
        if not more and "flow_step" not in header:  # otherwise the size of its layers is unknown
            check_size(cls.__name__, config, values, path)
        model = cls(config, header["seed"], dtype, memory, workers, xp, plain, **more)
        model.check_header(header, path)
        model._take(values, arrays, header, path, weights)
        return model

    def _check(self, where: str, x: Array) -> None:
        where = f"{self._name}.{where}"
        check_array(where, x, self.xp)
        check_images(where, x, self.config.image_shape[2], self.dtype)
        if x.shape[1:] != self.config.image_shape:
            raise ShapeError(
                f"{where}: images must be {self.config.image_shape}, got {x.shape[1:]}; resize or"
                " crop them"
            )


def kind_in(header: dict[str, Any]) -> Any:
    """Return the kind of model of a header, as `--model` names it; None for a user-defined flow."""
    if "config" not in header:
        return None
    return header.get("model", GLOW)
