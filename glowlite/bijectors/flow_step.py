r"""One step of flow (figure 2a): ActNorm, a permutation of the channels, a coupling; and its form for many tiles.

ActNorm and a 1x1 convolution are affine maps of the channels, and one after the other they are one:

    y = W (s x + b)  =  A x + W b,  A = W diag(s)        x = A^-1 y - b / s        log|det| = H W (log|det W| + sum log|s|)

A and the rest depend on the parameters alone. `fused` works them out once for all steps of a level, with one batched
inverse and one batched determinant; tiles then share them. With G, g and l the gradients by A, W b and log|det|:

    dW = G diag(s) + g b^T (+ l W^-T)        s ds = s sum_rows G W + l        db = W^T g
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeGuard, cast

from glowlite.backend import Array, namespace
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.base import Bijector, Kept
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.invertible_conv import ChannelMixing
from glowlite.parameters import Parameter, Parameterized
from glowlite.pixels import pixel_matrix, to_images
from glowlite.shapes import check_images
from glowlite.workers import Workers, cut


class FlowStep(Chain):
    """The chain of `actnorm`, `permutation` and `coupling`. x, y: (N, H, W, C)."""

    def __init__(self, actnorm: ActNorm, permutation: Bijector, coupling: Bijector) -> None:
        super().__init__({"actnorm": actnorm, "permutation": permutation, "coupling": coupling})

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        return type(self)(**{name: change(layer) for name, layer in self.layers.items()})  # type: ignore[arg-type]


class ChannelAffine(Bijector):
    """y = A x + a at every pixel, x = A^-1 y + a_inverse: what a FlowStep's first two layers are while a level runs.

    `matrix` (C, C), `shift` (C,) and `log_abs_det` (1,) are parameters so that their gradients have a place.
    """

    def __init__(
        self, matrix: Parameter, shift: Parameter, log_abs_det: Parameter, matrix_inverse: Array, shift_inverse: Array
    ) -> None:
        self.matrix, self.shift, self.log_abs_det = matrix, shift, log_abs_det
        self.matrix_inverse, self.shift_inverse = matrix_inverse, shift_inverse

    def forward(self, x: Array) -> tuple[Array, Array]:
        check_images("FlowStep.forward", x, len(self.matrix.value), self.matrix.value.dtype)
        xp = namespace(x)
        y = self.matrix.value @ pixel_matrix(x)
        y += self.shift.value[:, None]
        return to_images(y, x.shape), xp.zeros(len(x), xp.float64) + x.shape[1] * x.shape[2] * self.log_abs_det.value

    def inverse(self, y: Array) -> Array:
        check_images("FlowStep.inverse", y, len(self.matrix.value), self.matrix.value.dtype)
        x = self.matrix_inverse @ pixel_matrix(y)
        x += self.shift_inverse[:, None]
        return to_images(x, y.shape)

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        x = self.inverse(y) if kept is None else kept
        columns = pixel_matrix(dy)
        self.matrix.grad[...] += columns @ pixel_matrix(x).T
        self.shift.grad[...] += columns.sum(axis=1)
        self.log_abs_det.grad[...] += y.shape[1] * y.shape[2] * dlogdet.sum()
        return x, to_images(self.matrix.value.T @ columns, dy.shape)


class Fused:
    """The layers of a level, with each FlowStep's ActNorm and 1x1 convolution as one ChannelAffine.

    `chain`: the same names, in order. A step with a fixed permutation, and any other layer, stays as it is. Determinants
    and inverses are taken if `forward`, `inverse` says so.
    """

    def __init__(self, chain: Chain, workers: Workers | None = None, forward: bool = False, inverse: bool = False) -> None:
        self._steps = {name: layer for name, layer in chain.layers.items() if _can_be_fused(layer)}
        layers = dict(chain.layers)
        if self._steps:
            mixings = [cast(ChannelMixing, step.layers["permutation"]) for step in self._steps.values()]
            W = self._W = _stack([mixing.matrix() for mixing in mixings])  # (steps, C, C), as all that follows
            scales = [cast(ActNorm, step.layers["actnorm"]).scale_and_shift() for step in self._steps.values()]
            s, b, log_s = (_stack(list(parts)) for parts in zip(*scales, strict=True))
            xp = namespace(W)
            self._s, self._b = s[:, None, :], b[:, None, :]
            A, a = W * self._s, (W @ b[:, :, None])[:, :, 0]
            self._dA, self._da, self._dlog = xp.zeros_like(A), xp.zeros_like(a), xp.zeros(len(W), xp.float64)
            none = xp.full(len(W), xp.nan)
            log_abs_det = type(mixings[0]).log_abs_dets(mixings) + log_s.sum(axis=1, dtype=xp.float64) if forward else none
            self._W_inverse = inverses(W, workers) if inverse else none
            A_inverse = self._W_inverse / s[:, :, None] if inverse else none
            a_inverse = -b / s
            for i, (name, step) in enumerate(self._steps.items()):
                affine = ChannelAffine(
                    Parameter(A[i], self._dA[i]),
                    Parameter(a[i], self._da[i]),
                    Parameter(log_abs_det[i : i + 1], self._dlog[i : i + 1]),
                    A_inverse[i],
                    a_inverse[i],
                )
                layers[name] = Chain({"affine": affine, "coupling": step.layers["coupling"]}, step.memory)
        self.chain = Chain(layers, chain.memory)

    def add_gradients(self) -> None:
        """Add what the gradients of the ChannelAffines mean for the parameters of their steps."""
        if not self._steps:
            return
        dlog = self._dlog.astype(self._W.dtype)[:, None]
        dW = self._dA * self._s + self._da[:, :, None] * self._b
        s_ds = self._s[:, 0] * (self._dA * self._W).sum(axis=1) + dlog
        db = (self._da[:, None, :] @ self._W)[:, 0]
        for i, step in enumerate(self._steps.values()):
            cast(ChannelMixing, step.layers["permutation"]).add_gradients(dW[i], self._dlog[i], self._W_inverse[i])
            cast(ActNorm, step.layers["actnorm"]).add_gradients(s_ds[i], db[i])


def _stack(arrays: list[Array]) -> Array:
    return namespace(arrays[0]).stack(arrays)


def inverses(matrices: Array, workers: Workers | None = None) -> Array:
    """The inverse of each matrix of a stack (n, C, C), taken in float64; `workers` take a share each."""
    xp = namespace(matrices)

    def of(part: slice) -> Array:
        return xp.linalg.inv(matrices[part].astype(xp.float64)).astype(matrices.dtype)

    if workers is None:
        return of(slice(None))
    return xp.concatenate(workers.map(of, cut(len(matrices), min(len(matrices), workers.threads))))


def _can_be_fused(layer: Bijector) -> TypeGuard[FlowStep]:
    return isinstance(layer, FlowStep) and isinstance(layer.layers["permutation"], ChannelMixing)
