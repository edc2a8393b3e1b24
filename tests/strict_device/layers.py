"""Layers and models on the stand-in for a GPU, seen by the laws as layers of the host."""

import copy
from types import SimpleNamespace

import numpy as np

from glowlite.arrays.parameters import ParameterStore
from glowlite.testing import ModelAsLayer, SplitAsLayer

from . import ndarray, xp


class OnDevice:
    """A layer whose parameters live on the device,
    with methods that take and give arrays of the host.

    Arrays share memory with those on the device, so that a law sees whether one was changed,
    or an alias given out.
    """

    def __init__(self, layer):
        self.layer = layer
        if not hasattr(layer, "store"):
            ParameterStore(layer, "float64", xp)

    def parameters(self):
        return {
            name: SimpleNamespace(value=p.value._host, grad=p.grad._host)
            for name, p in self.layer.parameters().items()
        }

    def __deepcopy__(self, memo):
        return OnDevice(copy.deepcopy(self.layer, memo))

    def __getattr__(self, name):
        method = getattr(self.layer, name)
        if not callable(method):
            return method
        return lambda *arguments: to_host(method(*(to_device(argument) for argument in arguments)))


def to_device(value):
    if isinstance(value, np.ndarray):
        return ndarray(value)
    return type(value)(map(to_device, value)) if isinstance(value, (list, tuple)) else value


def to_host(value):
    assert not isinstance(value, np.ndarray), "an array of the host came from the device"
    if isinstance(value, ndarray):
        return value._host
    return type(value)(map(to_host, value)) if isinstance(value, (list, tuple)) else value


def on_device(layer):
    """The layer, or what the adapter around it holds, on the device."""
    if isinstance(layer, SplitAsLayer):
        return SplitAsLayer(OnDevice(layer.split))
    if isinstance(layer, ModelAsLayer):
        return ModelAsLayer(OnDevice(layer.model), layer.shapes)
    return OnDevice(layer)
