r"""The matrices of a coupling network with every small factor folded in, and the conversion of
their gradients.

A scale e = exp(3 logs) is never multiplied with W2, the only large matrix, or with a wide array:
since e > 0, relu(e u) = e relu(u). So e1 is folded into W1 and b1, and e2 and e3 into W3 and the
other factors of e3. The bias of conv1 is the weight of a row of ones. For M = e A, dA = e dM and
dlog e = sum dM M.

The border channel of the last convolution comes from every pixel outside: the contribution of all
pixels minus that of the pixels inside. So instead, every pixel of the image can send a constant,

    constant[k] = -e B[k],     and to itself     constant[0] = e (b + sum_{k != 0} B[k])

    db = e dconstant[0]        dB[k] = e (dconstant[0] - dconstant[k])

All code works along the last axes, and so also for the stacked layers of a level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from glowlite.arrays.backend import Array, namespace

if TYPE_CHECKING:
    from glowlite.conditioners.coupling_network import CouplingNetwork
    from glowlite.conditioners.scaled_linear import ScatterConv

CENTRE = 4  # of the nine taps, in the order dy, dx: the pixel itself


class Folded(NamedTuple):
    """`first` (..., 9 C_in [+ 9] + 1, width), `last` (..., width, 9 C_out), `constant`
    (..., 9 C_out).
    """

    first: Array
    last: Array
    constant: Array


@dataclass
class Prepared:
    """The folded matrices of one network of a level and, after its backward, their gradients and
    that of conv2's bias.

    A whole level folds its networks in one call, and converts the gradients in another.
    """

    folded: Folded
    gradients: tuple[Array, Array, Array, Array] | None = None


def fold(net: CouplingNetwork) -> Folded:
    """Return W1 e1 in the order of `gather`, with b1 e1 as its last row; and the last convolution,
    see `fold_scatter`.
    """
    weight, bias = net.conv1.weight.value, net.conv1.bias.value
    rows = [*_parts(net, weight), bias[..., None, :]]
    first = namespace(weight).concatenate(rows, axis=-2)
    first *= net.conv1.scale()[..., None, :]
    return Folded(first, *fold_scatter(net.conv3, net.conv2.scale()))


def collect(net: CouplingNetwork, folded: Folded, gradients: Folded, dbias2: Array) -> None:
    """Convert the gradients of the folded matrices and of conv2's bias, and add them to those of
    the parameters.

    The contents of `gradients` are lost.
    """
    c, dfirst = net.in_channels, gradients.first
    net.conv1.add_scale_gradient((dfirst * folded.first).sum(axis=-2))
    dfirst *= net.conv1.scale()[..., None, :]
    dweight = net.conv1.weight.grad
    stack, width = dweight.shape[:-2], dweight.shape[-1]
    taps = dweight.reshape(*stack, 9, c + net.border_in, width)
    taps[..., :c, :] += dfirst[..., : 9 * c, :].reshape(*stack, 9, c, width)
    if net.border_in:
        taps[..., c, :] += dfirst[..., 9 * c : 9 * c + 9, :]
    net.conv1.bias.grad[...] += dfirst[..., -1, :]
    net.conv2.bias.grad[...] += dbias2
    last, constant, gain = folded.last, folded.constant, net.conv2.scale()
    dlog_gain = collect_scatter(net.conv3, last, gradients.last, constant, gradients.constant, gain)
    net.conv2.add_scale_gradient(dlog_gain)


def _parts(net: CouplingNetwork, weight: Array) -> list[Array]:
    """Return conv1's weight as rows of `gather`: taps on x (..., 9 C_in, width), and on the border
    (..., 9, width).

    In the weight, each tap's border comes after its channels.
    """
    *stack, rows, width = weight.shape
    taps = weight.reshape(*stack, 9, rows // 9, width)
    channels = taps[..., : net.in_channels, :].reshape(*stack, 9 * net.in_channels, width)
    return [channels, taps[..., net.in_channels, :]] if net.border_in else [channels]


def fold_scatter(conv: ScatterConv, gain: Array | None = None) -> tuple[Array, Array]:
    """Return the matrix from a pixel to the values that it sends, (..., C_in, 9 C_out), and the
    constant that it sends, (..., 9 C_out).

    Both are scaled; the matrix also has a `gain` (..., C_in) on its input.
    """
    weight, b, e = conv.weight.value, conv.bias.value, conv.scale()
    *stack, _, _, c_out = weight.shape
    taps = weight[..., : conv.in_channels, :, :].reshape(*stack, conv.in_channels, 9 * c_out)
    taps = taps * _nine_times(e)
    if gain is not None:
        taps *= gain[..., None]
    constant = namespace(b).zeros((*stack, 9, c_out), b.dtype)
    constant[..., CENTRE, :] = b
    if conv.with_border:
        B = weight[..., -1, :, :]
        constant -= B
        constant[..., CENTRE, :] += B.sum(axis=-2)
    constant *= e[..., None, :]
    return taps, constant.reshape(*stack, 9 * c_out)


def collect_scatter(
    conv: ScatterConv,
    taps: Array,
    dtaps: Array,
    constant: Array,
    dconstant: Array,
    gain: Array | None = None,
) -> Array:
    """Convert the gradients of `fold_scatter`'s results, and add them to those of the parameters.

    Returns the gradient of log gain, (..., C_in). The contents of dtaps are lost.
    """
    *stack, c_in, _ = taps.shape
    c_out, e = conv.bias.value.shape[-1], conv.scale()
    product = dtaps * taps  # both results are linear in e:  dlog e = sum dM M
    dlog_e = (product.sum(axis=-2) + dconstant * constant).reshape(*stack, 9, c_out).sum(axis=-2)
    conv.add_scale_gradient(dlog_e)
    dtaps *= _nine_times(e)
    if gain is not None:
        dtaps *= gain[..., None]
    conv.weight.grad[..., :c_in, :, :] += dtaps.reshape(*stack, c_in, 9, c_out)
    scaled = dconstant.reshape(*stack, 9, c_out) * e[..., None, :]
    conv.bias.grad[...] += scaled[..., CENTRE, :]
    if conv.with_border:
        conv.weight.grad[..., -1, :, :] += scaled[..., CENTRE : CENTRE + 1, :] - scaled
    return product.sum(axis=-1)


def _nine_times(e: Array) -> Array:
    """Reshape (..., C) to (..., 1, 9 C): a long row, since NumPy is slow with many short ones."""
    return namespace(e).concatenate([e] * 9, axis=-1)[..., None, :]
