"""No draw comes twice: what is random differs from step to step, and from one purpose, seed and sample to another."""

import numpy as np
from small_runs import images

from glowlite.batches import batches
from glowlite.data.images import ArrayImages


def test_the_noise_of_every_step_is_new():
    taken = list(batches(ArrayImages(images(16)), 8, 0, 6, 0, "float64"))  # three epochs of two steps
    draws = np.concatenate([batch.noise.ravel() for batch in taken])
    assert len(np.unique(draws)) == len(draws)
