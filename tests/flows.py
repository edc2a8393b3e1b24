"""Small flows of two numbers, right and wrong, to hold the suite of laws itself to."""

import numpy as np

SHAPE = (2,)


class Parameter:
    def __init__(self, value):
        self.value = np.array(value, dtype=float)
        self.grad = np.zeros_like(self.value)


class Scale:
    """y = e^log_s x, (N, 2)."""

    def __init__(self, seed=0):
        self.log_s = Parameter(np.random.default_rng(seed).standard_normal(2) / 2)

    def parameters(self):
        return {"log_s": self.log_s}

    def forward(self, x):
        s = self.log_s.value
        return x * np.exp(s), np.full(len(x), s.sum(), s.dtype)

    def inverse(self, y):
        return y * np.exp(-self.log_s.value)

    def backward(self, y, dy, dlogdet):
        self.log_s.grad[...] += (dy * y).sum(axis=0) + dlogdet.sum()
        return self.inverse(y), dy * np.exp(self.log_s.value)


class DoubledLogdet(Scale):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y, 2 * logdet


class WrongBeyondAHalf(Scale):
    """Its inverse is wrong where the second number is more than 1/2."""

    def inverse(self, y):
        x = super().inverse(y)
        return x + 0.1 * (x > 0.5) * np.array([0, 1], x.dtype)


class OfItsNeighbours(Scale):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y + 1e-3 * (x.mean(axis=0) - x), logdet


class Elementwise:
    """y = f(x), (N, ...), with f and its inverse, and log f' and the derivative of that."""

    def parameters(self):
        return {}

    def forward(self, x):
        return self.f(x), self.log_slope(x).reshape(len(x), -1).sum(axis=1)

    def inverse(self, y):
        return self.of_y(y)

    def backward(self, y, dy, dlogdet):
        x = self.of_y(y)
        each = dlogdet.reshape(-1, *[1] * (x.ndim - 1))
        return x, dy * np.exp(self.log_slope(x)) + each * self.bend(x)


class Tanh(Elementwise):
    f, of_y = staticmethod(np.tanh), staticmethod(np.arctanh)
    log_slope = staticmethod(lambda x: -2 * np.log(np.cosh(x)))
    bend = staticmethod(lambda x: -2 * np.tanh(x))


class Exp(Elementwise):
    f, of_y = staticmethod(np.exp), staticmethod(np.log)
    log_slope, bend = staticmethod(lambda x: x), staticmethod(np.ones_like)


class Log(Elementwise):
    """Of positive numbers."""

    domain = (0.0, np.inf)
    of_y, bend = staticmethod(np.exp), staticmethod(lambda x: -1 / x)
    log_slope = staticmethod(lambda x: -np.log(x))

    @staticmethod
    def f(x):
        if (x <= 0).any():
            raise ValueError("x has to be positive")
        return np.log(x)


class LogOfNegative(Elementwise):
    """Of negative numbers, y = -log(-x)."""

    domain = (-np.inf, 0.0)
    of_y, bend = staticmethod(lambda y: -np.exp(-y)), staticmethod(lambda x: -1 / x)
    log_slope = staticmethod(lambda x: -np.log(-x))

    @staticmethod
    def f(x):
        if (x >= 0).any():
            raise ValueError("x has to be negative")
        return -np.log(-x)


class Logit(Elementwise):
    """Of numbers between 2 and 3."""

    domain = (2.0, 3.0)
    of_y = staticmethod(lambda y: 2 + 1 / (1 + np.exp(-y)))
    log_slope = staticmethod(lambda x: -np.log((x - 2) * (3 - x)))
    bend = staticmethod(lambda x: 1 / (3 - x) - 1 / (x - 2))

    @staticmethod
    def f(x):
        if ((x <= 2) | (x >= 3)).any():
            raise ValueError("x has to lie between 2 and 3")
        return np.log((x - 2) / (3 - x))


class Between(Elementwise):
    """Into numbers between 2 and 3, as it says."""

    codomain = (2.0, 3.0)
    f = staticmethod(lambda x: 2 + 1 / (1 + np.exp(-x)))
    log_slope = staticmethod(lambda x: -x - 2 * np.log1p(np.exp(-x)))
    bend = staticmethod(lambda x: -np.tanh(x / 2))

    @staticmethod
    def of_y(y):
        if ((y <= 2) | (y >= 3)).any():
            raise ValueError("y has to lie between 2 and 3")
        return np.log((y - 2) / (3 - y))


class Uncopyable(Scale):
    def __deepcopy__(self, memo):
        raise RuntimeError("it holds a lock")


class Remembers(Uncopyable):
    """The second call adds a little."""

    calls = 0

    def forward(self, x):
        y, logdet = super().forward(x)
        self.calls += 1
        return y + (0.1 if self.calls > 1 else 0), logdet


class OneBuffer(Scale):
    """It hands out the same array of each shape every time."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.buffers = {}

    def inverse(self, y):
        x = self.buffers.setdefault(y.shape, np.empty_like(y))
        x[...] = super().inverse(y)
        return x


class Shifted(Scale):
    """y = e^log_s x + shift."""

    shift = 0.0

    def forward(self, x):
        y, logdet = super().forward(x)
        return y + np.asarray(self.shift, x.dtype), logdet

    def inverse(self, y):
        return super().inverse(y - np.asarray(self.shift, y.dtype))

    def backward(self, y, dy, dlogdet):
        scaled = y - np.asarray(self.shift, y.dtype)
        self.log_s.grad[...] += (dy * scaled).sum(axis=0) + dlogdet.sum()
        return self.inverse(y), dy * np.exp(self.log_s.value)


class FarOff(Shifted):
    """Results so large that no difference of them tells a gradient."""

    shift = 1e8


class OfACondition(Shifted):
    """The shift is the condition."""

    def given(self, condition):
        layer = type(self)()
        layer.log_s, layer.shift = self.log_s, np.array(condition)
        layer.shift.flags.writeable = False
        return layer


def make(seed):
    return Scale(seed)


def broken(seed):
    return DoubledLogdet(seed)


def of_nothing():
    return Scale()


def broken_at_one(seed):
    return DoubledLogdet(seed) if seed == 1 else Scale(seed)


clean, wrong = Scale(), DoubledLogdet()
