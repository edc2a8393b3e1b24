"""A plain PyTorch Glow, written in the usual way: the same layers as glowlite's, with autograd and
ordinary convolutions.

It is for a fair comparison. Its log-likelihoods equal those of a glowlite model with the same
weights and `border="none"` (`tests/test_bench.py`). Padding is with zeros, without the border
channel, which would only slow it down.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import normflows
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glowlite.models.config import GlowConfig

if TYPE_CHECKING:
    from glowlite.bench.job import Job


class ActNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.logs = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x + self.bias) * torch.exp(3 * self.logs), 3 * self.logs.sum() * x.shape[
            2
        ] * x.shape[3]


class ZeroConv(nn.Module):
    def __init__(self, given: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, channels, 3, padding=1)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)
        self.logs = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * torch.exp(3 * self.logs)


class Step(nn.Module):
    """ActNorm, 1x1 convolution, affine or additive coupling of the second half."""

    def __init__(self, config: GlowConfig, channels: int) -> None:
        super().__init__()
        half, width, self.affine, self.scale = (
            channels // 2,
            config.width,
            config.coupling == "affine",
            config.scale,
        )
        self.bound = config.bound
        self.actnorm = ActNorm(channels)
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(channels, channels)))
        self.conv1, self.norm1 = nn.Conv2d(half, width, 3, padding=1, bias=False), ActNorm(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 1, bias=False), ActNorm(width)
        self.conv3 = ZeroConv(width, channels if self.affine else half)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x, logdet = self.actnorm(x)
        x = F.conv2d(x, self.weight[:, :, None, None])
        logdet = logdet + torch.linalg.slogdet(self.weight)[1] * x.shape[2] * x.shape[3]
        x1, x2 = x.chunk(2, 1)
        h = F.relu(self.norm1(self.conv1(x1))[0])
        h = F.relu(self.norm2(self.conv2(h))[0])
        raw = self.conv3(h)
        if not self.affine:
            return torch.cat((x1, x2 + raw), 1), logdet.expand(len(x))
        t, h = raw[:, 0::2], raw[:, 1::2]
        if self.scale == "sigmoid":
            log_s = F.logsigmoid(h + 2)
        else:
            log_s = (
                h
                if self.scale == "exp"
                else (2 / math.pi * self.bound) * torch.atan(h / self.bound)
            )
        return torch.cat((x1, (x2 + t) * torch.exp(log_s)), 1), logdet + log_s.sum((1, 2, 3))


class TorchGlow(nn.Module):
    """log p(x), (N,), of images (N, C, H, W)."""

    def __init__(self, config: GlowConfig) -> None:
        super().__init__()
        self.levels, self.splits = nn.ModuleList(), nn.ModuleList()
        for i in range(config.L):
            channels = config.image_shape[2] << (i + 2)
            self.levels.append(nn.ModuleList(Step(config, channels) for _ in range(config.K)))
            if i < config.L - 1:
                self.splits.append(ZeroConv(channels // 2, channels))
        # mean and logs, like ours on an image without a border
        self.top = nn.Parameter(torch.zeros(2, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        log_prob = x.new_zeros(len(x))
        for i, level in enumerate(self.levels):
            x = F.pixel_unshuffle(x, 2)
            for step in level:
                x, logdet = step(x)
                log_prob = log_prob + logdet
            if i < len(self.splits):
                x, z = x.chunk(2, 1)
                raw = self.splits[i](x)
                log_prob = log_prob + log_normal(z, raw[:, 0::2], raw[:, 1::2])
        return log_prob + log_normal(x, self.top[0], self.top[1])


def log_normal(z: Tensor, mean: Tensor, logs: Tensor) -> Tensor:
    return (-0.5 * ((z - mean) * torch.exp(-logs)) ** 2 - 0.5 * math.log(2 * math.pi) - logs).sum(
        (1, 2, 3)
    )


def normflows_glow(config: GlowConfig) -> nn.Module:
    """Build a Glow as the documentation of normflows does: LU 1x1 convolutions, and Gaussian bases
    with a mean and a scale each.
    """
    height, width, channels = config.image_shape
    bases, merges, flows = [], [], []
    for i in range(config.L):
        block: Any = [
            normflows.flows.GlowBlock(
                channels << (config.L + 1 - i), config.width, split_mode="channel", scale=True
            )
            for _ in range(config.K)
        ]
        flows.append([*block, normflows.flows.Squeeze()])
        if i > 0:
            merges.append(normflows.flows.Merge())
            shape = (channels << (config.L - i), height >> (config.L - i), width >> (config.L - i))
        else:
            shape = (channels << (config.L + 1), height >> config.L, width >> config.L)
        bases.append(normflows.distributions.DiagGaussian(shape))
    model: nn.Module = normflows.MultiscaleFlow(bases, flows, merges)
    return model


def training_task(name: str, job: Job) -> Callable[[], float]:
    """Return a training step, including Adam, of one of the RIVALS."""
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    x = torch.from_numpy(np.ascontiguousarray(job.images().transpose(0, 3, 1, 2)))
    model = normflows_glow(job.config) if name == "normflows" else TorchGlow(job.config)
    if name == "torch channels-last":
        model, x = (
            model.to(memory_format=torch.channels_last),
            x.contiguous(memory_format=torch.channels_last),
        )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    run: Any = torch.compile(model) if name == "torch compiled" else model

    def step() -> float:
        optimizer.zero_grad()
        loss = -model.log_prob(x, None).mean() if name == "normflows" else -run(x).mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step
