"""Present maps with several outputs as layers with one output, so that the same laws apply."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np

from glowlite.testing.comparison import DoesNotApply


class SplitAsLayer:
    """A split, x -> h, eps, as a layer x -> y with h and eps side by side on the last axis."""

    def __init__(self, split: Any) -> None:
        self.split = split

    def parameters(self) -> dict[str, Any]:
        return self.split.parameters()

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        h, eps, logdet = self.split.forward(x)
        return np.concatenate((h, eps), axis=-1), logdet

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return self.split.inverse(*np.split(y, 2, axis=-1))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.split.backward(*np.split(y, 2, axis=-1), *np.split(dy, 2, axis=-1), dlogdet)


class ModelAsLayer:
    """A model, x -> list of latents, as a layer x -> y (N, D), the concatenated latents.

    `latent_shapes`: the shape of each latent without N.
    """

    def __init__(self, model: Any, latent_shapes: list[tuple[int, ...]]) -> None:
        self.model = model
        self.shapes = latent_shapes

    def parameters(self) -> dict[str, Any]:
        return self.model.parameters()

    def _flat(self, latents: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([z.reshape(len(z), -1) for z in latents], axis=1)

    def _parts(self, y: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        parts = np.split(y, ends, axis=1)
        return [
            part.reshape(len(y), *shape) for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        latents, logdet = self.model.forward(x)
        return self._flat(latents), logdet

    def forward_with_cache(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any]:
        latents, logdet, kept = self.model.forward_with_cache(x)
        return self._flat(latents), logdet, kept

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return self.model.inverse(self._parts(y))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray, kept: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.model.backward(self._parts(y), self._parts(dy), dlogdet, kept)

    def cast(self, dtype: type) -> Self:
        """Return a copy in another dtype, of a model with a `store`: a new store with its
        parameters and constants. Raises DoesNotApply for a model without a store.
        """
        if not hasattr(self.model, "store"):
            raise DoesNotApply(
                f"{type(self.model).__name__} has no store that could be converted to {dtype}"
            )
        new = copy.copy(self)
        new.model = copy.deepcopy(self.model)
        store = new.model.store
        new.model.store = type(store)(new.model.bijector, np.dtype(dtype).name, new.model.xp)
        new.model.dtype = np.dtype(dtype)
        return new


class FlowAsLayer(ModelAsLayer):
    """A `glowlite.Flow` in float64, or an object with its methods, as a layer and a model under
    test.

    A flow gives a list of latents, samples by `sample(n, seed=seed)`, and bits/dim of x in [-1/2,
    1/2); laws need concatenated latents, `sample(n, seed)`, and bits/dim of bytes.
    """

    def __init__(self, flow: Any) -> None:
        super().__init__(flow, [])

    @property
    def event_shape(self) -> tuple[int, ...] | None:
        """The shape of one x, if the flow knows it."""
        return getattr(self.model, "event_shape", None)

    def _flat(self, latents: list[np.ndarray]) -> np.ndarray:
        self.shapes = [z.shape[1:] for z in latents]
        return super()._flat(latents)

    def _parts(self, y: np.ndarray) -> list[np.ndarray]:
        if not self.shapes:
            self.shapes = self.model.latent_shapes()
        return super()._parts(y)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return self.model.log_prob(x)

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.model.sample(n, seed=seed)

    def bits_per_dim(self, images: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(0).random(images.shape)
        return self.model.bits_per_dim((images + noise) / 256 - 0.5, 8)
