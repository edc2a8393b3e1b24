"""Bugs that make a random draw come twice, or not at all."""

from __future__ import annotations

from . import Bug

LAW = "no draw comes twice"

BUGS = [
    Bug(
        LAW,
        "the same noise at every step",
        "batches.py",
        'dequantisation_noise(seed, "dequantise", step, share.start, part.shape, dtype)',
        'dequantisation_noise(seed, "dequantise", 0, share.start, part.shape, dtype)',
        ("tests/test_draws.py::test_the_noise_of_every_step_is_new",),
    ),
]
