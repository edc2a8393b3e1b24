"""Optimisers against a plain loop over single numbers;
schedules, clipping and averages against their definitions.
"""

import itertools
import math

import numpy as np
import pytest

import glowlite.fast.threads
from glowlite import GlowliteError
from glowlite.arrays.slices import CHUNK
from glowlite.fast.threads import Workers
from glowlite.training.optimizers import (
    Adam,
    Adamax,
    AveragedWeights,
    clip_factor,
    gradient_norm,
    learning_rate,
)

STEPS = 50


def plain_adam(theta, m, v, g, t, lr, b1, b2, eps):
    """One number, as the paper writes it (Kingma & Ba 2015, algorithm 1)."""
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    return theta - lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps), m, v


def plain_adamax(theta, m, v, g, t, lr, b1, b2, eps):
    """One number, as the original Glow code has it."""
    m = b1 * m + (1 - b1) * g
    v = max(b2 * v, abs(g))
    return theta - lr * (m / (1 - b1**t)) / (v + eps), m, v


@pytest.mark.parametrize(("optimizer", "plain"), [(Adam, plain_adam), (Adamax, plain_adamax)])
@pytest.mark.parametrize(
    ("beta1", "beta2", "eps"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3), (0.0, 0.0, 1e-8)]
)
def test_fifty_steps_are_those_of_a_plain_loop(optimizer, plain, beta1, beta2, eps):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(7)
    expected = [(value, 0.0, 0.0) for value in theta]
    optimiser = optimizer(theta, beta1, beta2, eps)
    for t in range(1, STEPS + 1):
        g = rng.standard_normal(7) * 10.0 ** rng.integers(-4, 2, 7)
        lr, scale, handed = 0.1 / t, 0.5 + 0.01 * t, g.copy()
        optimiser.step(handed, lr, scale)
        np.testing.assert_array_equal(handed, g)  # the gradient is read and not changed
        expected = [
            plain(*state, scale * g_i, t, lr, beta1, beta2, eps)
            for state, g_i in zip(expected, g, strict=True)
        ]
        # 50 steps of a dozen roundings each, of numbers of order one
        np.testing.assert_allclose(theta, [state[0] for state in expected], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        optimiser.m, [state[1] for state in expected], rtol=1e-12, atol=1e-16
    )
    np.testing.assert_allclose(optimiser.v, [state[2] for state in expected], rtol=1e-12)
    assert optimiser.steps == STEPS


@pytest.mark.parametrize("optimizer", [Adam, Adamax])
def test_every_chunk_is_updated_alike(optimizer):
    """The same number everywhere stays the same number everywhere,
    across the edges of three chunks.
    """
    theta = np.ones(2 * CHUNK + 3, np.float32)
    optimiser = optimizer(theta)
    for g in (1.0, -0.5, 0.25):
        optimiser.step(np.full(theta.size, g, np.float32), 0.1)
    assert theta.dtype == optimiser.m.dtype == optimiser.v.dtype == np.float32
    assert theta[0] != 1 and (theta == theta[0]).all()


@pytest.mark.parametrize("optimizer", [Adam, Adamax])
def test_the_first_step_has_the_length_of_the_learning_rate(optimizer):
    """Bias correction: m / (1 - b1) = g, and the second moment is |g|,
    so theta moves by lr sign(g).
    """
    theta = np.zeros(4)
    optimizer(theta).step(np.array([3.0, -0.2, 1e-3, -40.0]), 0.01)
    # eps = 1e-8 beside g = 1e-3
    np.testing.assert_allclose(theta, [-0.01, 0.01, -0.01, 0.01], rtol=2e-5)


@pytest.mark.parametrize(
    "arguments",
    [(1.0, 0.9, 1e-8), (-0.1, 0.9, 1e-8), (0.9, 1.0, 1e-8), (0.9, 0.9, 0.0), (0.9, -1, 1)],
)
@pytest.mark.parametrize("optimizer", [Adam, Adamax])
def test_impossible_settings_are_refused(optimizer, arguments):
    with pytest.raises(GlowliteError, match="need 0 <= beta < 1 and eps > 0"):
        optimizer(np.zeros(2), *arguments)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_averaged_weights_are_the_weighted_mean_of_what_was_seen(decay):
    rng = np.random.default_rng(1)
    size = CHUNK + 2
    average = AveragedWeights(np.zeros(size), decay)
    history = rng.standard_normal((6, size))
    for theta in history:
        average.update(theta)
    weights = decay ** np.arange(5, -1, -1.0)  # the newest counts most
    np.testing.assert_allclose(
        average.value(), weights @ history / weights.sum(), rtol=1e-10, atol=1e-12
    )


def test_the_average_of_one_theta_is_that_theta_and_owns_its_memory():
    theta = np.array([1.0, -2.0])
    average = AveragedWeights(theta, 0.999)
    average.update(theta)
    value = average.value()
    np.testing.assert_allclose(value, [1.0, -2.0], rtol=1e-12)
    theta += 5
    np.testing.assert_allclose(average.value(), value)


def test_an_average_of_nothing_and_an_impossible_decay_are_refused():
    with pytest.raises(GlowliteError, match="before the first update"):
        AveragedWeights(np.zeros(2), 0.9).value()
    for decay in (1.0, -0.1):
        with pytest.raises(GlowliteError, match="need 0 <= decay < 1"):
            AveragedWeights(np.zeros(2), decay)


def test_the_norm_of_the_gradient_is_summed_over_all_chunks():
    rng = np.random.default_rng(2)
    grad = rng.standard_normal(2 * CHUNK + 5).astype(np.float32)
    norm = gradient_norm(grad)
    assert norm.dtype == np.float64 and norm.shape == ()
    np.testing.assert_allclose(norm, np.linalg.norm(grad.astype(np.float64)), rtol=1e-6)
    assert gradient_norm(grad, Workers(2)) == norm
    wide = grad.astype(np.float64)
    np.testing.assert_allclose(gradient_norm(wide), np.linalg.norm(wide), rtol=1e-14)
    np.testing.assert_allclose(gradient_norm(np.full(4, 1e-25, np.float32)), 2e-25, rtol=1e-6)
    assert gradient_norm(np.zeros(3, np.float32)) == 0
    assert np.isfinite(gradient_norm(np.full(3, 1e30, np.float32)))  # its square is beyond float32
    assert np.isnan(gradient_norm(np.array([1.0, np.nan], np.float32)))


def test_an_update_without_workers_looks_for_no_libraries(monkeypatch):
    def looks():
        raise AssertionError("scanned")

    monkeypatch.setattr(glowlite.fast.threads, "ThreadpoolController", looks)
    optimizer = Adam(np.ones(5))
    optimizer.step(np.ones(5), 0.1)
    assert (optimizer.theta < 1).all() and gradient_norm(np.ones(4)) == 2


@pytest.mark.parametrize(
    ("norm", "limit", "factor"),
    [(5.0, 0.0, 1.0), (5.0, 10.0, 1.0), (5.0, 5.0, 1.0), (5.0, 1.0, 0.2), (0.0, 1.0, 1.0)],
)
def test_clipping_shortens_what_is_too_long_and_leaves_the_rest(norm, limit, factor):
    assert clip_factor(np.float64(norm), limit) == factor


def test_warm_up_is_linear_and_the_cosine_falls_from_lr_to_zero():
    rates = [learning_rate(step, 110, 0.4, 10) for step in range(110)]
    np.testing.assert_allclose(rates[:10], 0.4 * np.arange(1, 11) / 10, rtol=1e-15)
    assert rates[10] == 0.4 == max(rates)
    np.testing.assert_allclose(
        rates[10:], 0.2 * (1 + np.cos(np.pi * np.arange(100) / 100)), rtol=1e-12
    )
    assert rates[60] == pytest.approx(0.2) and 0 < rates[-1] < 1e-3 * 0.4
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))


def test_a_constant_rate_stays_and_no_warm_up_starts_at_full_rate():
    assert [learning_rate(step, 5, 0.1, 0, "constant") for step in range(5)] == [0.1] * 5
    assert learning_rate(0, 5, 0.1, 0) == 0.1
    # fewer steps than warm-up: no division by zero
    assert learning_rate(0, 1, 0.1, 4) == pytest.approx(0.025)
    assert learning_rate(5, 5, 0.1, 5) == 0.1


def test_an_unknown_schedule_is_refused():
    with pytest.raises(GlowliteError, match="cosine, linear, constant, got 'steps'"):
        learning_rate(3, 5, 0.1, 0, "steps")


def test_the_linear_schedule_goes_straight_down_to_zero():
    rates = [learning_rate(step, 12, 0.4, 2, "linear") for step in range(13)]
    assert rates == pytest.approx([0.2, 0.4, *(0.4 * (1 - i / 10) for i in range(11))])
