"""Linear maps from a tensor as another code stores it to our parameter, each with its adjoint.

`load` converts values; `back`, its adjoint, converts gradients in the other direction. Reorderings
are orthogonal, so their `back` is also the inverse. The result of `back` for an array of our shape
has the shape that their tensor must have. Layouts are composed with `>>`; the first one is applied
to their tensor first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Map = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Layout:
    """`load`: their tensor -> our parameter. `back`: our gradient -> their gradient."""

    load: Map
    back: Map

    def __rshift__(self, then: Layout) -> Layout:
        return Layout(lambda t: then.load(self.load(t)), lambda g: self.back(then.back(g)))


def vector(*shape: int) -> Layout:
    """One number per channel, (C,), stored in `shape`, where -1 stands for C: (1, -1, 1, 1) is (1,
    C, 1, 1).
    """
    return Layout(lambda t: t.reshape(-1), lambda g: g.reshape(shape))


def times(factor: float) -> Layout:
    """Our parameter is `factor` times theirs; the gradient is converted accordingly."""
    return Layout(lambda t: t * factor, lambda g: g * factor)


def _rows(side: int) -> Layout:
    return Layout(
        lambda t: t.reshape(-1, t.shape[-1]), lambda g: g.reshape(side, side, -1, g.shape[-1])
    )


def _interleaved(shift_first: bool) -> Layout:
    def order(channels: int) -> np.ndarray:
        first, second = np.split(np.arange(channels), 2)
        return np.stack((first, second) if shift_first else (second, first), axis=1).ravel()

    # channels are the last axis: of the weight, of the bias, and of the log-scale
    return Layout(
        lambda t: t[..., order(t.shape[-1])], lambda g: g[..., order(g.shape[-1]).argsort()]
    )


SAME = Layout(lambda t: t, lambda g: g)
TRANSPOSED = Layout(lambda t: t.T, lambda g: g.T)

# Convolution kernels: first to (dy, dx, in, out), the order of TensorFlow; then to ours. PyTorch's
# (out, in, dy, dx)
OIHW = Layout(lambda t: t.transpose(2, 3, 1, 0), lambda g: g.transpose(3, 2, 0, 1))
GATHERED = _rows(3)  # conv1: (9 C_in, width)
POINTWISE = _rows(1)  # conv2: (width, width)
# a zero convolution: (C_in, 9, C_out), rotated by 180 degrees, see conditioners/zero_conv.py
SCATTERED = Layout(
    lambda t: t[::-1, ::-1].transpose(2, 0, 1, 3).reshape(t.shape[2], 9, -1),
    lambda g: g.reshape(len(g), 3, 3, -1).transpose(1, 2, 0, 3)[::-1, ::-1],
)
# a matrix stored as a 1x1 kernel
PIXEL_MATRIX = Layout(lambda t: t[:, :, 0, 0], lambda g: g[:, :, None, None])

# Padding of the hidden activation with ones: each input channel sends its weight from outside the
# image, like one border channel with the sum of the weights. So a weight acts twice, and its
# gradient is a sum of two.
ONES_PADDED = Layout(
    lambda t: np.concatenate((t, t.sum(axis=0, keepdims=True))), lambda g: g[:-1] + g[-1:]
)


# A top prior that sees C channels of zeros, where ours sees 2C: the weights of the others are zero,
# and learn nothing.
def _half_of_the_zeros(g: np.ndarray) -> np.ndarray:
    return np.concatenate((g[: len(g) // 2], g[-1:]))


HALF_OF_THE_ZEROS = Layout(
    lambda t: np.concatenate((t[:-1], np.zeros_like(t[:-1]), t[-1:])), _half_of_the_zeros
)

# The output of a network as two blocks of channels; ours is interleaved: shift (or mean),
# log-scale, shift, log-scale ...
SHIFT_THEN_SCALE = _interleaved(shift_first=True)
SCALE_THEN_SHIFT = _interleaved(shift_first=False)

# Constants: they have no gradient, and `back` is the inverse of `load` for every constant tensor.
PERMUTATION_MATRIX = Layout(
    lambda t: t.argmax(axis=1), lambda rows: np.eye(len(rows))[rows.astype(int)]
)
OF_PIXELS = Layout(lambda t: t - 0.5, lambda g: g + 0.5)  # in [0, 1] there, [-1/2, 1/2) here
INDICES = Layout(lambda t: t.argsort().argsort(), lambda g: g)  # of a permutation, itself
SIGNS = Layout(lambda t: np.where(t < 0, -1.0, 1.0), lambda g: g)

# kernels (dy, dx, in, out) as (dy dx, in, out)
TAPS = Layout(
    lambda t: t.reshape(-1, *t.shape[2:]),
    lambda g: g.reshape(*[3 if len(g) == 9 else 1] * 2, *g.shape[1:]),
)


def every_other(start: int) -> Layout:
    """Select rows start, start + 2, ...; the others are not used, and have no gradient."""

    def back(g: np.ndarray) -> np.ndarray:
        whole = np.zeros((2 * len(g), *g.shape[1:]), g.dtype)
        whole[start::2] = g
        return whole

    return Layout(lambda t: t[start::2], back)
