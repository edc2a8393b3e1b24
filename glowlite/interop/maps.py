"""How an array of another code becomes one of ours, and how a gradient goes back: linear maps and their adjoints.

If ours = M theirs, then d loss / d theirs = M^T d loss / d ours. Each function here returns such a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Linear:
    """`load`: their array -> ours. `back`: a gradient by ours -> by theirs, given the shape of theirs."""

    load: Function
    back: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]

    def then(self, after: Linear) -> Linear:
        """First this map, then `after`, for maps between which the shape follows from this one's input."""

        def back(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
            return self.back(after.back(gradient, self.load(np.zeros(shape)).shape), shape)

        return Linear(lambda theirs: after.load(self.load(theirs)), back)


def scaled(factor: float) -> Linear:
    """A vector under any shape with ones, such as (1, C, 1, 1), times `factor`."""
    return Linear(lambda theirs: theirs.ravel() * factor, lambda g, shape: (g * factor).reshape(shape))


def transposed() -> Linear:
    return Linear(lambda theirs: theirs.T, lambda g, shape: g.T)


def same() -> Linear:
    return Linear(lambda theirs: theirs, lambda g, shape: g)


def outputs_in_order(order: np.ndarray) -> Linear:
    """Our output channel i is their output channel order[i]; outputs are the last axis."""
    return Linear(lambda theirs: theirs[..., order], lambda g, shape: g[..., order.argsort()])


def hwio_from_oihw() -> Linear:
    """PyTorch's (O, I, 3, 3) or (O, I, 1, 1) -> TensorFlow's (3, 3, I, O)."""
    return Linear(lambda theirs: theirs.transpose(2, 3, 1, 0), lambda g, shape: g.transpose(3, 2, 0, 1))


def gather_weight() -> Linear:
    """(3, 3, I, O) or (1, 1, I, O) -> (9 I, O) or (I, O): the rows of `gather`."""
    return Linear(lambda theirs: theirs.reshape(-1, theirs.shape[-1]), lambda g, shape: g.reshape(shape))


def scatter_weight() -> Linear:
    """(3, 3, I, O) -> (I, 9, O), the kernel turned by 180 degrees: see `zero_conv`."""

    def load(theirs: np.ndarray) -> np.ndarray:
        return theirs[::-1, ::-1].transpose(2, 0, 1, 3).reshape(theirs.shape[2], 9, -1)

    def back(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return g.reshape(shape[2], 3, 3, shape[3]).transpose(1, 2, 0, 3)[::-1, ::-1]

    return Linear(load, back)


def border_of_ones(rows: int) -> Linear:
    """(I, 9, O), a convolution padded with ones in every channel -> (rows + 1, 9, O): zero rows up to `rows`, then the
    border channel, which is 1 outside the image: its weights are the sum over the channels."""

    def load(theirs: np.ndarray) -> np.ndarray:
        return np.concatenate((theirs, np.zeros((rows - len(theirs), *theirs.shape[1:])), theirs.sum(axis=0)[None]))

    return Linear(load, lambda g, shape: g[: shape[0]] + g[-1])
