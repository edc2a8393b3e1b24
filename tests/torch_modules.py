"""Small modules of PyTorch: one map in the spellings of many codes; some that are right, though not
simple; and some with a bug.
"""

import torch
from torch import nn


class Affine(nn.Module):
    """y = e^s x + t."""

    def __init__(self):
        super().__init__()
        self.s = nn.Parameter(torch.tensor([0.3, -0.7]))
        self.t = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forth(self, x):
        return x * self.s.exp() + self.t

    def back(self, y):
        return (y - self.t) * (-self.s).exp()


class Inverse(Affine):
    def forward(self, x):
        return self.forth(x), self.s.sum()

    def inverse(self, y):
        return self.back(y)


class InverseWithLogdet(Inverse):
    def inverse(self, y):
        return self.back(y), -self.s.sum().expand(len(y))


class LogdetInAColumn(Inverse):
    def forward(self, x):
        return self.forth(x), self.s.sum().expand(len(x), 1)


class ReverseMethod(Affine):
    def forward(self, x):
        return self.forth(x), self.s.sum()

    def reverse(self, y):
        return self.back(y)


class Reverse(Affine):
    def forward(self, x, reverse=False):
        return (self.back(x), -self.s.sum()) if reverse else (self.forth(x), self.s.sum())


class Rev(Affine):
    def forward(self, x, rev=False):
        return self.back(x) if rev else (self.forth(x), self.s.sum())


class Mode(Affine):
    def forward(self, inputs, cond_inputs=None, mode="direct"):
        if mode == "direct":
            return self.forth(inputs), self.s.sum().expand(len(inputs), 1)
        return self.back(inputs), -self.s.sum().expand(len(inputs), 1)


class Sum(Affine):
    def forward(self, x, logdet, reverse=False):
        if reverse:
            return self.back(x), logdet - self.s.sum()
        return self.forth(x), logdet + self.s.sum()


class SumOrNone(Affine):
    def forward(self, x, sldj=None, reverse=False):
        y = self.back(x) if reverse else self.forth(x)
        sign = -1 if reverse else 1
        return y, None if sldj is None else sldj + sign * self.s.sum()


class Beside(Affine):
    def forward(self, x):
        return self.forth(x)

    def inverse(self, y):
        return self.back(y)

    def log_abs_det_jacobian(self, x, y):
        return self.s.sum().expand(len(x))


class BesideOfX(Affine):
    def forward(self, x):
        return self.forth(x)

    def inverse(self, y):
        return self.back(y)

    def log_det(self, x):
        return self.s.sum()


class NoModule:
    """With tensors, but no nn.Module."""

    def __init__(self):
        self.s = torch.tensor([0.3, -0.7], requires_grad=True)

    def forward(self, x):
        return x * self.s.exp(), self.s.sum()

    def inverse(self, y):
        return y * (-self.s).exp()


class Centred(nn.Module):
    """y = e^s (x - mean), the mean that of the last batch in training."""

    def __init__(self):
        super().__init__()
        self.s = nn.Parameter(torch.randn(2))
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        if self.training:
            self.mean.copy_(x.mean(dim=0))
        return (x - self.mean) * self.s.exp(), self.s.sum().expand(len(x))

    def inverse(self, y):
        return y * (-self.s).exp() + self.mean, -self.s.sum().expand(len(y))


class WithDropout(Centred):
    """Right in evaluation mode, random in training."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout()

    def forward(self, x):
        y, logdet = super().forward(x)
        return self.dropout(y), logdet


class KeptByVersion(Centred):
    """What it keeps, it keeps until torch says that s has moved."""

    def __init__(self):
        super().__init__()
        self.kept, self.version = None, -1

    def inverse(self, y):
        if torch.is_grad_enabled():
            return super().inverse(y)
        if self.version != self.s._version:
            self.kept, self.version = (-self.s).exp(), self.s._version
        return y * self.kept + self.mean, -self.s.sum().expand(len(y))


class KeptGraph(Centred):
    """What is left of a graph stays with it: such a tensor torch does not copy."""

    def forward(self, x):
        self.scale = self.s.exp()
        return (x - self.mean) * self.scale, self.s.sum().expand(len(x))


class FrozenPart(Centred):
    def __init__(self):
        super().__init__()
        self.more = nn.Parameter(torch.randn(2), requires_grad=False)

    def forward(self, x):
        y, logdet = super().forward(x)
        return y + self.more, logdet

    def inverse(self, y):
        return super().inverse(y - self.more)


class ReturnsItsInput(nn.Module):
    def forward(self, x):
        return x, 0

    def inverse(self, y):
        return y, 0


class WrongSign(Centred):
    def inverse(self, y):
        return super().inverse(y)[0], self.s.sum().expand(len(y))


class Unregistered(Centred):
    def __init__(self):
        super().__init__()
        self.more = [nn.Parameter(torch.randn(2))]

    def forward(self, x):
        y, logdet = super().forward(x)
        return y + self.more[0], logdet

    def inverse(self, y):
        return super().inverse(y - self.more[0])


class BufferLost(Centred):
    def __init__(self):
        super().__init__()
        del self.mean
        self.mean = torch.zeros(2)


class DetachedInverse(Centred):
    def inverse(self, y):
        return y * (-self.s.detach()).exp() + self.mean, -self.s.sum().expand(len(y))


class DetachedLogdet(Centred):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y, logdet.detach()


class ChangesItsInput(Centred):
    def forward(self, x):
        x *= self.s.exp()
        return x - self.mean * self.s.exp(), self.s.sum().expand(len(x))


class ChangesItsInputBack(Centred):
    def inverse(self, y):
        y *= (-self.s).exp()
        return y + self.mean, -self.s.sum().expand(len(y))


class LogdetOfEachEntry(Centred):
    def forward(self, x):
        return super().forward(x)[0], self.s.expand(len(x), 2)


class LogdetInFloat32(Centred):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y, logdet.float()


class Stale(Centred):
    def __init__(self):
        super().__init__()
        self.kept = None

    def inverse(self, y):
        if self.kept is None:
            self.kept = (-self.s).exp().detach()
        return y * self.kept + self.mean, -self.s.sum().expand(len(y))


class NeedsContiguous(Centred):
    def forward(self, x):
        return super().forward(x.view(-1).view(len(x), 2))


class InTrainingMode(Centred):
    """Says it is never in evaluation mode."""

    def forward(self, x):
        self.mean.copy_(x.mean(dim=0))
        return super().forward(x)
