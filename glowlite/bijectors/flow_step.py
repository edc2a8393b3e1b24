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

    `matrix` (C, C), `shift` (C,) and `log_abs_det` (0-d) are parameters so that their gradients have a place.
    """

    def __init__(self, A: Array, a: Array, A_inverse: Array, a_inverse: Array, log_abs_det: Array) -> None:
        self.matrix, self.shift, self.log_abs_det = Parameter(A), Parameter(a), Parameter(log_abs_det)
        self.matrix_inverse, self.shift_inverse = A_inverse, a_inverse

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
            matrices = [mixing.matrix() for mixing in mixings]
            xp = namespace(matrices[0])
            none = xp.full(len(mixings), xp.nan)
            determinants = type(mixings[0]).log_abs_dets(mixings) if forward else none
            self._inverses = inverses(xp.stack(matrices), workers) if inverse else none
            for i, (name, step) in enumerate(self._steps.items()):
                s, b, log_s = cast(ActNorm, step.layers["actnorm"]).scale_and_shift()
                affine = ChannelAffine(
                    A=matrices[i] * s,
                    a=matrices[i] @ b,
                    A_inverse=self._inverses[i] / s[:, None],
                    a_inverse=-b / s,
                    log_abs_det=determinants[i] + log_s.sum(dtype=xp.float64),
                )
                layers[name] = Chain({"affine": affine, "coupling": step.layers["coupling"]}, step.memory)
        self.chain = Chain(layers, chain.memory)

    def add_gradients(self) -> None:
        """Add what the gradients of the ChannelAffines mean for the parameters of their steps."""
        for i, (name, step) in enumerate(self._steps.items()):
            affine = cast(ChannelAffine, cast(Chain, self.chain.layers[name]).layers["affine"])
            actnorm, mixing = cast(ActNorm, step.layers["actnorm"]), cast(ChannelMixing, step.layers["permutation"])
            G, g, dlog_abs_det = affine.matrix.grad, affine.shift.grad, affine.log_abs_det.grad
            W = mixing.matrix()
            s, b, _ = actnorm.scale_and_shift()
            mixing.add_gradients(G * s + g[:, None] * b, dlog_abs_det, self._inverses[i])
            actnorm.add_gradients(s * (G * W).sum(axis=0) + dlog_abs_det.astype(G.dtype), W.T @ g)


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
