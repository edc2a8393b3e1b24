r"""The steps of a level as they run on many tiles: what depends on their parameters alone, once for all of them.

ActNorm and a 1x1 convolution are affine maps of the channels, and one after the other they are one:

    y = W (s x + b)  =  A x + W b,  A = W diag(s)        x = A^-1 y - b / s        log|det| = H W (log|det W| + sum log|s|)

A and the rest depend on the parameters alone. `Fused` works them out once for all steps of a level, with one call for each
thing; tiles then share them. On a GPU, where calls are dear, the folded matrices of the coupling networks, too; a host folds
a network when it runs, so that depth takes no memory. With G, g and l the gradients by
A, W b and log|det W|:

    dW = G diag(s) + g b^T (+ l W^-T)        s ds = s sum_rows G W + l        db = W^T g
"""

from __future__ import annotations

from collections.abc import Sequence

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_images
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.slices import cut
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.base import Bijector, Kept
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.coupling import Coupling
from glowlite.bijectors.flow_step import FlowStep
from glowlite.bijectors.invertible_conv import ChannelMixing, inverse
from glowlite.conditioners.coupling_network import Folds, PixelMLP
from glowlite.fast.stacks import side_by_side, stacked
from glowlite.fast.threads import Workers


class ChannelAffine(Bijector):
    """y = A x + a at every pixel, x = A^-1 y + a_inverse: what a FlowStep's first two layers are while a level runs.

    `matrix` (C, C) and `shift` (C,) are parameters so that their gradients have a place. `logdet` (1,): of every image.
    """

    def __init__(
        self, matrix: Parameter, shift: Parameter, logdet: Array, matrix_inverse: Array, shift_inverse: Array
    ) -> None:
        self.matrix, self.shift, self.logdet = matrix, shift, logdet
        self.matrix_inverse, self.shift_inverse = matrix_inverse, shift_inverse

    def forward(self, x: Array) -> tuple[Array, Array]:
        check_images("FlowStep.forward", x, len(self.matrix.value), self.matrix.value.dtype)
        y = self.matrix.value @ pixel_matrix(x)
        y += self.shift.value[:, None]
        return to_images(y, x.shape), namespace(x).broadcast_to(self.logdet, (len(x),))

    def inverse(self, y: Array) -> Array:
        check_images("FlowStep.inverse", y, len(self.matrix.value), self.matrix.value.dtype)
        x = self.matrix_inverse @ pixel_matrix(y)
        x += self.shift_inverse[:, None]
        return to_images(x, y.shape)

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        """x and dx; the gradient by `logdet` is that of `Fused`, since it is the same for every step."""
        x = self.inverse(y) if kept is None else kept
        columns = pixel_matrix(dy)
        self.matrix.add(namespace(dy).matmul(columns, pixel_matrix(x).T, out=self.matrix.room()))
        self.shift.add(columns.sum(axis=1, out=self.shift.room()))
        return x, to_images(self.matrix.value.T @ columns, dy.shape)


class Fused:
    """The layers of a level as they run on tiles: ActNorm and 1x1 convolution as one ChannelAffine; networks folded (GPU).

    `chain`: the same names, in order. Layers that are no FlowSteps stay as they are, and so does a fixed permutation.
    `pixels`: H W of the images. Determinants and inverses are taken if `forward`, `inverse` says so.
    """

    def __init__(
        self, chain: Chain, pixels: int, workers: Workers | None = None, forward: bool = False, inverse: bool = False
    ) -> None:
        layers, self._stacks = dict(chain.layers), []
        for names, twin in _stacks_of(chain):
            steps = [chain.layers[name] for name in names]
            stack = _Stack(steps, twin, pixels, workers, forward, inverse)  # type: ignore[arg-type]
            layers.update({name: stack.step(i) for i, name in enumerate(names)})
            self._stacks.append(stack)
        self.chain = Chain(layers, chain.memory)

    def add_gradients(self, dlogdet: Array) -> None:
        """Add what the gradients of the layers of `chain` mean for the parameters, after its backward with dlogdet (N,)."""
        total = dlogdet.sum() if self._stacks else None
        for stack in self._stacks:
            stack.add_gradients(total)


def _stacks_of(chain: Chain) -> list[tuple[list[str], FlowStep]]:
    """The FlowSteps of a chain as stacks, by name: all as one, if they lie side by side, else each alone.

    They are views of the parameters, and are kept in the chain's memo until these move to another ParameterStore.
    """
    steps = {name: layer for name, layer in chain.layers.items() if isinstance(layer, FlowStep)}
    if not steps:
        return []
    home = next(iter(next(iter(steps.values()))._leaves(Parameter, "")))[1].home  # type: ignore[union-attr]
    store = None if home is None else home[0]
    if store is None or chain.memo is None or chain.memo[0] is not store:
        groups = [list(steps)] if side_by_side(list(steps.values())) else [[name] for name in steps]
        chain.memo = store, [(names, stacked([steps[name] for name in names])) for names in groups]
    return list(chain.memo[1])


class _Stack:
    """Steps of a level, side by side: what depends on their parameters alone, with the step as the first axis."""

    def __init__(
        self,
        steps: Sequence[FlowStep],
        twin: FlowStep,
        pixels: int,
        workers: Workers | None,
        forward: bool,
        inverse: bool,
    ) -> None:
        self._steps, self._pixels = steps, pixels
        self._actnorm, self._permutation, coupling = twin.layers.values()
        self._folds: Folds | None = None
        if isinstance(coupling, Coupling) and isinstance(coupling.net, PixelMLP) and coupling.net.on_device():
            self._folds = coupling.net.fold()
        self._fused = isinstance(self._permutation, ChannelMixing)
        if self._fused:
            assert isinstance(self._permutation, ChannelMixing) and isinstance(self._actnorm, ActNorm)
            W = self._W = self._permutation.matrix()  # (steps, C, C), as all that follows
            s, b, log_s = self._actnorm.scale_and_shift()
            xp = namespace(W)
            self._s, self._b = s[:, None, :], b[:, None, :]
            self._A, self._a = W * self._s, (W @ b[:, :, None])[:, :, 0]
            self._dA, self._da = xp.empty_like(self._A), xp.empty_like(self._a)
            none = xp.full(len(W), xp.nan)
            self._logdet = none
            if forward:
                self._logdet = pixels * (self._permutation.log_abs_det() + log_s.sum(axis=1, dtype=xp.float64))
            self._W_inverse = inverses(W, workers) if inverse else none
            self._A_inverse = self._W_inverse / s[:, :, None] if inverse else none
            self._a_inverse = -b / s

    def step(self, i: int) -> Bijector:
        """What the i-th step is while the level runs."""
        layers = dict(self._steps[i].layers)
        coupling = layers["coupling"]
        if self._folds is not None and isinstance(coupling, Coupling):
            coupling = coupling.with_net(self._folds.layer(i))
        if not self._fused:
            return Chain({**layers, "coupling": coupling}, self._steps[i].memory)
        affine = ChannelAffine(
            Parameter(self._A[i], self._dA[i], fresh=True),
            Parameter(self._a[i], self._da[i], fresh=True),
            self._logdet[i : i + 1],
            self._A_inverse[i],
            self._a_inverse[i],
        )
        return Chain({"affine": affine, "coupling": coupling}, self._steps[i].memory)

    def add_gradients(self, dlogdet: Array) -> None:
        """Add what the gradients of the steps mean for the parameters; dlogdet: summed over the images, 0-d."""
        if self._folds is not None:
            self._folds.net.collect(self._folds)
        if self._fused:
            assert isinstance(self._permutation, ChannelMixing) and isinstance(self._actnorm, ActNorm)
            dlog = (self._pixels * dlogdet).astype(self._W.dtype)
            dW = self._dA * self._s + self._da[:, :, None] * self._b
            s_ds = self._s[:, 0] * (self._dA * self._W).sum(axis=1) + dlog
            db = (self._da[:, None, :] @ self._W)[:, 0]
            self._permutation.add_gradients(dW, dlog, self._W_inverse)
            self._actnorm.add_gradients(s_ds, db)


def inverses(matrices: Array, workers: Workers | None = None) -> Array:
    """The inverse of each matrix of a stack (n, C, C), taken in float64; `workers` take a share each."""
    if workers is None:
        return inverse(matrices)
    shares = cut(len(matrices), min(len(matrices), workers.threads))
    return namespace(matrices).concatenate(workers.map(lambda share: inverse(matrices[share]), shares))
