"""What is promised to the last bit, and what to rounding.

A product's rounding depends on its shape: on AVX2, a column is rounded in another way in a product
of more columns. So .ci/run runs all tests that are marked `bits` under two core types of OpenBLAS.
"""

import numpy as np
import pytest
from small_runs import dataset

from glowlite import Glow, GlowConfig
from glowlite.distributed.communicator import OneProcess
from glowlite.fast.threads import Workers
from glowlite.training.scoring import sample_images, scores

pytestmark = pytest.mark.bits


def trained_alike(shape=(8, 8, 3), dtype="float32", threads=1, **options):
    """A small model whose couplings are not the identity."""
    model = Glow(
        GlowConfig(shape, **{"K": 2, "L": 2, "width": 16, **options}),
        dtype=dtype,
        workers=Workers(threads),
    )
    model.store.theta[...] += 0.05 * np.random.default_rng(0).standard_normal(
        len(model.store)
    ).astype(dtype)
    model.initialized = True  # as a file of trained weights says
    return model


class Part(OneProcess):
    """One of `size` ranks, whose results stay apart."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


def by_ranks(size, work):
    return np.concatenate([work(Part(rank, size)) for rank in range(size)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(8, 8, 3), (4, 16, 1), (24, 24, 2)])
def test_a_sample_is_the_same_however_many_are_made(shape, dtype, monkeypatch):
    monkeypatch.setattr("glowlite.flow.HOST_BLOCK", 1024)
    one, two = (trained_alike(shape, dtype, threads) for threads in (1, 2))
    assert one.sample_block == {(24, 24, 2): 1}.get(shape, 4)
    images = one.sample(11, 0.7, seed=1)
    assert images.shape == (11, *shape) and len(np.unique(images[:, 0, 0, 0])) == 11
    for n in (1, 2, 3, 4, 5, 10):
        assert np.array_equal(two.sample(n, 0.7, seed=1), images[:n]), n
    for rows in (
        slice(3, 4),
        slice(3, 9),
        slice(8, None),
        slice(5, 5),
        slice(1, 11, 3),
        slice(None, None, -2),
    ):
        assert np.array_equal(one.sample(11, 0.7, 1, rows), images[rows]), rows


@pytest.mark.parametrize("n", [1, 7, 40, 70])
def test_ranks_make_the_samples_that_one_process_makes(n):
    model = trained_alike()
    expected = sample_images(model, n, 0.7, 0)
    assert expected.shape == (n, 8, 8, 3) and model.sample_block == 32
    for size in (2, 3, 5):
        assert np.array_equal(
            by_ranks(size, lambda rank: sample_images(model, n, 0.7, 0, rank)), expected
        ), size


def test_ranks_score_as_one_process_does():
    model, images = trained_alike(), dataset(60).train
    expected = scores(model, images, 5, 8, 0)
    for size in (2, 3, 5):
        assert np.array_equal(
            by_ranks(size, lambda rank: scores(model, images, 5, 8, 0, ranks=rank)), expected
        ), size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_a_pass_change_a_score_by_rounding_alone(dtype):
    """4 products a step of flow, one after the other, each off by half an eps:
    4 K L eps / 2 of a latent near 1.

    d log p = eps d eps, so that is what bits/dim are off by, over ln 2,
    for each of the two that are compared.
    """
    model, images = trained_alike(dtype=dtype), dataset(60).train
    expected = scores(model, images, 5, 64, 0)
    bound = 4 * model.config.K * model.config.L * np.finfo(dtype).eps / np.log(2)
    for batch in (1, 7, 32):
        np.testing.assert_allclose(scores(model, images, 5, batch, 0), expected, rtol=0, atol=bound)
