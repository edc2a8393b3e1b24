"""Two moons, and a flow for them whose layer and network a reader has written: docs/your_own_flow.md has it, too."""

import numpy as np

from glowlite.arrays.parameters import Parameter
from glowlite.flow import Flow


def two_moons(n, seed=0):
    rng = np.random.default_rng(seed)
    t, upper = np.pi * rng.random(n), rng.random(n) < 0.5
    x = np.where(upper, np.cos(t), 1 - np.cos(t))
    y = np.where(upper, np.sin(t), 0.5 - np.sin(t))
    return (np.stack([x, y], axis=1) + 0.1 * rng.standard_normal((n, 2))).astype(np.float32)


class Net:
    """A hidden layer of 32 numbers; its parameters are in a dict."""

    def __init__(self, seed):
        w = np.random.default_rng(seed).standard_normal((1, 32))
        self.p = {
            "w": Parameter(w),
            "b": Parameter(np.zeros(32)),
            "v": Parameter(np.zeros((32, 2))),
        }

    def parameters(self):
        return self.p

    def forward(self, x):
        return np.tanh(x @ self.p["w"].value + self.p["b"].value) @ self.p["v"].value

    def backward(self, x, dout):
        h = np.tanh(x @ self.p["w"].value + self.p["b"].value)
        dh = (dout @ self.p["v"].value.T) * (1 - h**2)
        self.p["v"].grad[...] += h.T @ dout
        self.p["w"].grad[...] += x.T @ dh
        self.p["b"].grad[...] += dh.sum(axis=0)
        return dh @ self.p["w"].value.T


class Shear:
    """y = (a, b e^s + t), (s, t) = net(a): a coupling of two numbers; `first`: which of the two is a."""

    def __init__(self, first, seed):
        self.first, self.net = first, Net(seed)

    def parameters(self):
        return self.net.parameters()

    def halves(self, x):
        return x[:, self.first : self.first + 1], x[:, 1 - self.first : 2 - self.first]

    def whole(self, a, b):
        return np.concatenate([a, b][:: 1 - 2 * self.first], axis=1)

    def forward(self, x):
        a, b = self.halves(x)
        s, t = np.split(self.net.forward(a), 2, axis=1)
        return self.whole(a, b * np.exp(s) + t), s[:, 0].astype(np.float64)

    def inverse(self, y):
        a, b = self.halves(y)
        s, t = np.split(self.net.forward(a), 2, axis=1)
        return self.whole(a, (b - t) * np.exp(-s))

    def backward(self, y, dy, dlogdet):
        (a, b), (da, db) = self.halves(y), self.halves(dy)
        s, t = np.split(self.net.forward(a), 2, axis=1)
        x2, dx2 = (b - t) * np.exp(-s), db * np.exp(s)
        ds = dx2 * x2 + dlogdet[:, None].astype(y.dtype)
        da = da + self.net.backward(a, np.concatenate([ds, db], axis=1))
        return self.whole(a, x2), self.whole(da, dx2)


class Several:
    """Layers one after the other, in plain Python: what Chain does."""

    def __init__(self, count):
        self.layers = [Shear(i % 2, i) for i in range(count)]

    def parameters(self):
        return {f"{i}/{name}": p for i, f in enumerate(self.layers) for name, p in f.parameters().items()}

    def forward(self, x):
        total = np.zeros(len(x))
        for layer in self.layers:
            x, logdet = layer.forward(x)
            total = total + logdet
        return x, total

    def inverse(self, y):
        for layer in reversed(self.layers):
            y = layer.inverse(y)
        return y

    def backward(self, y, dy, dlogdet):
        for layer in reversed(self.layers):
            y, dy = layer.backward(y, dy, dlogdet)
        return y, dy


def moons_flow(count=4, dtype="float32", base=None):
    return Flow(Several(count), base, dtype=dtype)
