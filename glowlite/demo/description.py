"""Convert a model to a description of its layers for the page: JSON values, with the weights stored
separately.

A layer is {"layer": the name of its class, ...} with its options, the descriptions of its parts,
and the places of its arrays among the weights. glowlite/demo/flow has a function of that name for
each layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.arrays.backend import to_host
from glowlite.arrays.batch_statistics import BatchStatistics
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.batch_norm import BatchNorm
from glowlite.bijectors.chain import Chain, UniformChain
from glowlite.bijectors.checkerboard import Checkerboard
from glowlite.bijectors.class_prior import ClassPrior
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.bijectors.dequantizer import Dequantizer
from glowlite.bijectors.flatten import Flatten
from glowlite.bijectors.flow_step import FlowStep
from glowlite.bijectors.invertible_conv import Invertible1x1Conv, Invertible1x1ConvLU
from glowlite.bijectors.logit import Logit
from glowlite.bijectors.permutation import Permutation
from glowlite.bijectors.rescale import Rescale
from glowlite.bijectors.reversed import Reversed
from glowlite.bijectors.scaling import Scaling
from glowlite.bijectors.sigmoid import Sigmoid
from glowlite.bijectors.split import Split
from glowlite.bijectors.squeeze import Squeeze
from glowlite.bijectors.top_prior import TopPrior
from glowlite.bijectors.whitening import Whitening
from glowlite.conditioners.batch_norm import NetworkBatchNorm
from glowlite.conditioners.checkerboard_network import CheckerboardNetwork
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.conditioners.mlp import MLP
from glowlite.conditioners.residual_network import ResidualBlock, ResidualNetwork
from glowlite.conditioners.scaled_linear import ScaledLinear, ScatterConv
from glowlite.conditioners.tanh_scale import TanhScale
from glowlite.conditioners.weight_norm import WeightNormConv
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.demo.weights import Weights
from glowlite.errors import GlowliteError
from glowlite.models.level import Level
from glowlite.models.multiscale import Multiscale
from glowlite.models.preprocessed import Preprocessed

Node = dict[str, Any]


def describe(part: Any, weights: Weights) -> Any:
    """Return the description of a layer, not of its fast form; its arrays are added to `weights`.

    None gives None, and a list gives the list of its descriptions. Raises GlowliteError for a layer
    without JavaScript, such as a user-defined layer or subclass.
    """
    if part is None:
        return None
    if isinstance(part, list):
        return [describe(each, weights) for each in part]
    kind = type(part)
    if kind not in LAYERS:
        raise GlowliteError(
            f"{kind.__name__}: a page cannot run this layer; there is JavaScript only for the"
            " unmodified layers of Glow, NICE and RealNVP"
        )
    name = NAMES.get(kind) or kind.__name__
    return {"layer": name, **LAYERS[kind](part, weights)}


def _options(*names: str) -> Callable[[Any, Weights], Node]:
    return lambda part, weights: {name: getattr(part, name) for name in names}


def _parts(*names: str) -> Callable[[Any, Weights], Node]:
    return lambda part, weights: {name: describe(getattr(part, name), weights) for name in names}


def _arrays(*names: str, dtype: str = "float16") -> Callable[[Any, Weights], Node]:
    """Describe parameters and constants; None for one that is missing or None."""

    def found(part: Any, weights: Weights) -> Node:
        held = {name: getattr(part, name, None) for name in names}
        return {
            name: None if one is None else weights.add(name, to_host(one.value), dtype)
            for name, one in held.items()
        }

    return found


def _whole_numbers(*names: str) -> Callable[[Any, Weights], Node]:
    return lambda part, weights: {
        name: [int(number) for number in to_host(getattr(part, name).value)] for name in names
    }


def _all_of(*makers: Callable[[Any, Weights], Node]) -> Callable[[Any, Weights], Node]:
    def found(part: Any, weights: Weights) -> Node:
        node: Node = {}
        for make in makers:
            node |= make(part, weights)
        return node

    return found


def _chain(part: Chain, weights: Weights) -> Node:
    return {"layers": [describe(layer, weights) for layer in part.layers.values()]}


def _multiscale(part: Multiscale, weights: Weights) -> Node:
    levels = [_level(level, weights) for level in part.levels]
    return {"levels": levels, "top": describe(part.top, weights)}


def _level(level: Level, weights: Weights) -> Node:
    return _parts("squeeze", "steps", "split")(level, weights)


def _statistics(part: Any, weights: Weights) -> Node:
    statistics: BatchStatistics = part.statistics
    return _arrays("mean", "variance", dtype="float32")(statistics, weights) | {"eps": part.eps}


def _batch_norm(part: BatchNorm, weights: Weights) -> Node:
    changed = [[half.start, half.stop] for half in part.changed]
    return {**_statistics(part, weights), "changed": changed}


def _weight_norm(part: WeightNormConv, weights: Weights) -> Node:
    taps, in_channels, _ = part.v.value.shape
    node = _arrays("v", "g", "bias")(part, weights)
    return {**node, "taps": taps, "in_channels": in_channels}


def _mlp(part: MLP, weights: Weights) -> Node:
    def added(arrays: list[Any]) -> list[Node]:
        return [weights.add("MLP", to_host(array.value)) for array in arrays]

    return {"weights": added(part.weights), "biases": added(part.biases), "slope": part.slope}


def _dequantizer(part: Dequantizer, weights: Weights) -> Node:
    """Describe its couplings. Their networks see the image beside their input; the inner networks
    are described.
    """
    couplings = [layer for layer in part.layers.values() if isinstance(layer, AffineCoupling)]
    options = _options("changed", "scale", "shift", "bound")
    return {
        "couplings": [
            {**options(each, weights), "net": describe(each.net.net, weights)} for each in couplings
        ]
    }


_COUPLING = _all_of(_options("changed"), _parts("net"))
_LINEAR = _arrays("weight", "bias", "logs")
LAYERS: dict[type, Callable[[Any, Weights], Node]] = {
    ActNorm: _all_of(_options("parametrisation"), _arrays("scale", "bias", "logs")),
    AdditiveCoupling: _COUPLING,
    AffineCoupling: _all_of(_COUPLING, _options("scale", "shift", "bound")),
    BatchNorm: _batch_norm,
    Chain: _chain,
    Checkerboard: _options(),
    CheckerboardNetwork: _all_of(
        lambda part, weights: {"kept": "odd" if part.kept else "even"},
        _options("mask"),
        _parts("image"),
    ),
    ClassPrior: _all_of(_options("channels", "classes"), _parts("prior"), _arrays("by_class")),
    CouplingNetwork: _all_of(_options("border_in"), _parts("conv1", "conv2", "conv3")),
    Flatten: _options("image_shape"),
    FlowStep: _chain,
    Invertible1x1Conv: _arrays("weight"),
    Invertible1x1ConvLU: _all_of(
        _arrays("lower", "upper", "log_s", "sign_s"), _whole_numbers("rows")
    ),
    Logit: _options("low", "high"),
    MLP: _mlp,
    Multiscale: _multiscale,
    NetworkBatchNorm: _all_of(_statistics, _arrays("gain", "bias")),
    Permutation: _whole_numbers("indices"),
    Dequantizer: _dequantizer,
    Preprocessed: _parts("before", "flow"),
    Rescale: _options("low", "high"),
    ResidualBlock: _parts("norm1", "conv1", "norm2", "conv2", "skip"),
    ResidualNetwork: _all_of(
        _options("inputs", "doubled"),
        _parts("norm_in", "conv_in", "skip_in", "blocks", "norm_out", "conv_out"),
    ),
    Reversed: lambda part, weights: {"of": describe(part.layer, weights)},
    ScaledLinear: _LINEAR,
    Scaling: _all_of(_arrays("log_scale"), _options("factor")),
    ScatterConv: _all_of(_LINEAR, _options("in_channels", "with_border")),
    Sigmoid: _options(),
    Split: _parts("prior"),
    Squeeze: _options("order"),
    TanhScale: _all_of(_parts("raw"), _arrays("a", "b")),
    TopPrior: _all_of(_options("channels"), _parts("prior")),
    UniformChain: _chain,
    WeightNormConv: _weight_norm,
    # U is orthogonal up to rounding, which 16 bits would destroy
    Whitening: _arrays("mean", "rotation", "log_scale", dtype="float32"),
    ZeroConv: _parts("conv"),
}
# classes that use another class's function
NAMES: dict[type, str] = {FlowStep: "Chain", UniformChain: "Chain"}


def plane_order(vectors: np.ndarray, shapes: list[tuple[int, ...]]) -> np.ndarray:
    """Reorder vectors (..., D) of concatenated latents (h, w, c) as the page stores them: in each
    latent, channel after channel.
    """
    found, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        part = vectors[..., start : start + size]
        if len(shape) == 3:
            part = np.moveaxis(part.reshape(*part.shape[:-1], *shape), -1, -3)
        found.append(part.reshape(*vectors.shape[:-1], size))
        start += size
    return np.concatenate(found, axis=-1)
