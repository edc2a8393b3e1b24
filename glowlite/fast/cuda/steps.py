r"""The steps of a level on a GPU, where calls are expensive: what depends only on parameters is
computed in one call for all steps.

ActNorm and a 1x1 convolution are affine maps of the channels, and one after the other they are one:

    y = W (s x + b)  =  A x + W b,  A = W diag(s)        x = A^-1 y - b / s
    log|det| = H W (log|det W| + sum log|s|)

A, these quantities, and the folded matrices of the coupling networks are computed for all steps of
a level together. With G, g and l the gradients with respect to A, W b and log|det W|:

    dW = G diag(s) + g b^T (+ l W^-T)        s ds = s sum_rows G W + l        db = W^T g
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_images
from glowlite.arrays.layout import pixel_matrix, positions, to_images
from glowlite.arrays.parameters import Parameter, ParameterStore, leaves
from glowlite.bijectors.base import Bijector, Cache
from glowlite.bijectors.chain import Chain, ChainCache
from glowlite.bijectors.flow_step import FlowStep
from glowlite.bijectors.invertible_conv import Invertible1x1Conv, Invertible1x1ConvLU, inverse
from glowlite.bijectors.memory import Plan
from glowlite.fast.chain_form import ChainForm
from glowlite.fast.cuda.stacks import side_by_side, stacked
from glowlite.fast.folding import Folded, Prepared, collect, fold


class CudaSteps(ChainForm):
    """`chain`, whose FlowSteps share computations. Parameters and names are the chain's."""

    def __init__(self, chain: Chain, store: ParameterStore, width: int) -> None:
        super().__init__(chain, width)
        self.store = store
        self._stacks: list[tuple[list[str], FlowStep]] | None = None  # views of the store

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stacks": None}  # a copy has its own store

    def map_children(self, change: Callable[[Any], Any]) -> Self:
        return type(self)(self.chain.map_children(change), self.store, self.width)

    def forward(self, x: Array) -> tuple[Array, Array]:
        return Shared(self, x, forward=True).chain.forward(x)

    def forward_with_cache(
        self, x: Array, plan: Plan | None = None
    ) -> tuple[Array, Array, ChainCache]:
        plan = plan or self.plans(x[:2], len(x))[0]
        return Shared(self, x, forward=True).chain.forward_with_cache(x, plan)

    def inverse(self, y: Array) -> Array:
        return Shared(self, y, inverse=True).chain.inverse(y)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: ChainCache | None = None
    ) -> tuple[Array, Array]:
        shared = Shared(self, y, inverse=True)
        x, dx = shared.chain.backward(y, dy, dlogdet, cache)
        shared.add_gradients(dlogdet)
        return x, dx

    def stacks(self) -> list[tuple[list[str], FlowStep]]:
        """Return the FlowSteps as stacks, by name: all as one stack if they are adjacent, otherwise
        one stack each.
        """
        moved = [
            name
            for names, _ in self._stacks or ()
            for name in names
            if self.store.place_of(first_parameter(self.chain.layers[name])) is None
        ]
        if self._stacks is None or moved:
            steps = {name: f for name, f in self.chain.layers.items() if _is_known(f)}
            groups = [[name] for name in steps]
            if steps and side_by_side(list(steps.values()), self.store):
                groups = [list(steps)]
            self._stacks = [
                (names, stacked([steps[name] for name in names], self.store)) for names in groups
            ]
        return self._stacks


def first_parameter(layer: Any) -> Parameter:
    return next(iter(leaves(layer, Parameter)))[1]


def _is_known(step: Any) -> bool:
    """Whether this is a FlowStep made of layers that can be computed together.

    User-defined layers run unchanged.
    """
    if type(step) is not FlowStep:
        return False
    actnorm, _, coupling = step.layers.values()
    kinds = [type(part) for part in (actnorm, coupling, getattr(coupling, "net", None))]
    return all("computed_together" in vars(kind) for kind in kinds)  # defined in the class itself


class ChannelAffine(Bijector):
    """y = A x + a at every pixel, x = A^-1 y + a_inverse: a FlowStep's first two layers in one.

    `matrix` (C, C), `shift` (C,), and both of the inverse; `logdet` (1,): of every image.
    `gradients`: those of matrix and shift, after `backward`; the gradient with respect to `logdet`
    is the same for every step.
    """

    def __init__(
        self,
        matrix: Array,
        shift: Array,
        logdet: Array,
        matrix_inverse: Array,
        shift_inverse: Array,
    ) -> None:
        self.matrix, self.shift, self.logdet = matrix, shift, logdet
        self.matrix_inverse, self.shift_inverse = matrix_inverse, shift_inverse
        self.gradients: tuple[Array, Array] | None = None

    def forward(self, x: Array) -> tuple[Array, Array]:
        check_images("FlowStep.forward", x, len(self.matrix), self.matrix.dtype)
        y = self.matrix @ pixel_matrix(x)
        y += self.shift[:, None]
        return to_images(y, x.shape), namespace(x).broadcast_to(self.logdet, (len(x),))

    def inverse(self, y: Array) -> Array:
        check_images("FlowStep.inverse", y, len(self.matrix), self.matrix.dtype)
        x = self.matrix_inverse @ pixel_matrix(y)
        x += self.shift_inverse[:, None]
        return to_images(x, y.shape)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        x = self.inverse(y) if cache is None else cache
        columns = pixel_matrix(dy)
        self.gradients = columns @ pixel_matrix(x).T, columns.sum(axis=1)
        return x, to_images(self.matrix.T @ columns, dy.shape)


class Shared:
    """A pass over a level: `chain` has the same names in order, with the shared quantities of its
    FlowSteps computed.
    """

    def __init__(
        self, steps: CudaSteps, x: Array, forward: bool = False, inverse: bool = False
    ) -> None:
        layers = dict(steps.chain.layers)
        self._stacks = []
        for names, twin in steps.stacks():
            members = [layers[name] for name in names]
            stack = _Stack(members, twin, positions(x), forward, inverse)
            layers.update({name: stack.step(i) for i, name in enumerate(names)})
            self._stacks.append(stack)
        self.chain = steps.chain.shallow_copy()
        self.chain.layers = layers

    def add_gradients(self, dlogdet: Array) -> None:
        """Convert the gradients of the layers of `chain` after its backward, and add them to those
        of the parameters.
        """
        total = dlogdet.sum() if self._stacks else None
        for stack in self._stacks:
            stack.add_gradients(total)


class _Stack:
    """Adjacent steps: quantities that depend only on their parameters, with the step as the first
    axis.
    """

    def __init__(
        self, steps: Sequence[FlowStep], twin: FlowStep, pixels: int, forward: bool, backward: bool
    ) -> None:
        self._steps, self._pixels = steps, pixels
        self._actnorm, self._permutation, coupling = twin.layers.values()
        self._net = coupling.net
        self._folded = fold(self._net)
        self._prepared = [
            Prepared(Folded(*(matrix[i] for matrix in self._folded))) for i in range(len(steps))
        ]
        self._affine: list[ChannelAffine] = []
        if type(self._permutation) in (Invertible1x1Conv, Invertible1x1ConvLU):
            self._affine = self._affine_maps(forward, backward)

    def _affine_maps(self, forward: bool, backward: bool) -> list[ChannelAffine]:
        W = self._W = self._permutation.matrix()  # (steps, C, C), like everything below
        s, b, log_s = self._actnorm.scale_and_shift()
        xp = namespace(W)
        self._s, self._b = s[:, None, :], b[:, None, :]
        A, a = W * self._s, (W @ b[:, :, None])[:, :, 0]
        logdet = A_inverse = xp.full(len(W), xp.nan)  # not needed in this pass
        if forward:
            log_s_sum = log_s.sum(axis=1, dtype=xp.float64)
            logdet = self._pixels * (self._permutation.log_abs_det() + log_s_sum)
        if backward:
            self._W_inverse = inverse(W)
            A_inverse = self._W_inverse / s[:, :, None]
        a_inverse = -b / s
        return [
            ChannelAffine(A[i], a[i], logdet[i : i + 1], A_inverse[i], a_inverse[i])
            for i in range(len(W))
        ]

    def step(self, i: int) -> Bijector:
        """Return the i-th step of this pass."""
        layers = dict(self._steps[i].layers)
        coupling = layers["coupling"].shallow_copy()
        coupling.net = coupling.net.shallow_copy()
        coupling.net.prepared = self._prepared[i]
        first = (
            {"affine": self._affine[i]}
            if self._affine
            else {name: layers[name] for name in ("actnorm", "permutation")}
        )
        step = self._steps[i].shallow_copy()
        step.layers = {**first, "coupling": coupling}
        return step

    def add_gradients(self, dlogdet: Array) -> None:
        """Convert the gradients of the steps, and add them to those of the parameters.

        dlogdet: summed over the images, 0-d.
        """
        xp = namespace(self._folded.first)
        gradients = [prepared.gradients for prepared in self._prepared]
        *matrices, dbias = (xp.stack(parts) for parts in zip(*gradients, strict=True))
        collect(self._net, self._folded, Folded(*matrices), dbias)
        if not self._affine:
            return
        dA, da = (
            xp.stack(parts) for parts in zip(*(f.gradients for f in self._affine), strict=True)
        )
        dlog = (self._pixels * dlogdet).astype(self._W.dtype)
        dW = dA * self._s + da[:, :, None] * self._b
        s_ds = self._s[:, 0] * (dA * self._W).sum(axis=1) + dlog
        db = (da[:, None, :] @ self._W)[:, 0]
        self._permutation.add_gradients(dW, dlog, self._W_inverse)
        self._actnorm.add_gradients(s_ds, db)
