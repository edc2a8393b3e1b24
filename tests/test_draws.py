"""No draw comes twice: over purpose, seed, epoch, step, level and sample,
all that is random differs and is uncorrelated.

What is drawn is looked at where it is used: in batches, in latents that samples are encoded to,
in weights, in noise.
"""

from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from small_runs import images, small_model

import glowlite.drawing.run_pictures
import glowlite.latent.directions
import glowlite.training.scoring
from glowlite import Glow, GlowConfig
from glowlite.data.batches import Augmentation, batches
from glowlite.data.dataset import held_out_indices
from glowlite.data.images import ArrayImages, ArrayPictures
from glowlite.data.preparation import Preparation, Prepared
from glowlite.fast.threads import Workers
from glowlite.training.scoring import scores, some_rows

SEEDS = (0, 1)
BY_CHANCE = 1e-6  # how likely a test may fail for draws that are as they should be
MANY = 300  # samples: more than are encoded or evaluated at once


def largest_correlation(count: int, pairs: int) -> float:
    """What no correlation of `pairs` pairs of `count` independent draws exceeds, but by chance.

    Each is N(0, 1/count), and any of the pairs may be the largest.
    """
    return NormalDist().inv_cdf(1 - BY_CHANCE / (2 * pairs)) / np.sqrt(count)


def check_uncorrelated(vectors: dict[str, np.ndarray]) -> None:
    """Every two of the vectors, as far as the shorter one goes."""
    pairs = list(combinations(vectors, 2))
    for one, other in pairs:
        count = min(vectors[one].size, vectors[other].size)
        r = np.corrcoef(vectors[one].ravel()[:count], vectors[other].ravel()[:count])[0, 1]
        assert abs(r) < largest_correlation(count, len(pairs)), (
            f"{one} and {other}: r = {r:.3f} over {count} draws"
        )


def check_differ(rows: np.ndarray) -> None:
    """No two samples have the same draws."""
    rows = rows.reshape(len(rows), -1)
    assert len(np.unique(rows, axis=0)) == len(rows)


def check_uniform(noise: np.ndarray) -> None:
    """U[0, 1): mean 1/2 and variance 1/12, whose standard errors are
    sqrt(1/12 n) and sqrt(1/180 n).
    """
    z = -NormalDist().inv_cdf(BY_CHANCE)
    assert noise.min() >= 0 and noise.max() < 1
    assert abs(noise.mean() - 1 / 2) < z * np.sqrt(1 / 12 / noise.size)
    assert abs(noise.var() - 1 / 12) < z * np.sqrt(1 / 180 / noise.size)


def black(count):
    return ArrayImages(np.zeros((count, 4, 4, 1), np.uint8))


def spy_on_noise(module, monkeypatch, name="dequantize"):
    """The noise that a module gives to `dequantize`, or to a function of another name,
    from now on.
    """
    seen, real = [], getattr(module, name)

    def dequantize(pictures, n_bits, noise, *rest):
        seen.append(noise)
        return real(pictures, n_bits, noise, *rest)

    monkeypatch.setattr(module, name, dequantize)
    return seen


def grey_model():
    model = Glow(GlowConfig((4, 4, 1), K=1, L=1, width=4), dtype="float64", workers=Workers(1))
    model.initialize(np.random.default_rng(0).random((8, 4, 4, 1)) - 0.5)
    model.n_bits = 5
    return model


def training_noise(seed, steps=4):
    """Of `steps` steps, two an epoch: (steps, MANY, 4, 4, 1)."""
    return np.stack(
        [batch.noise for batch in batches(black(2 * MANY), MANY, 0, steps, seed, "float64")]
    )


def evaluation_noise(seed, draws, monkeypatch):
    """(draws, MANY, 4, 4, 1)."""
    with monkeypatch.context() as patch:
        seen = spy_on_noise(glowlite.training.scoring, patch, "as_continuous")
        scores(grey_model(), black(MANY), 5, MANY, seed, draws=draws)
    return np.stack([noise[:MANY] for noise in seen])


def directions_noise(seed, monkeypatch):
    """(MANY, 4, 4, 1)."""
    with monkeypatch.context() as patch:
        seen = spy_on_noise(glowlite.latent.directions, patch, "as_continuous")
        glowlite.latent.directions.encoded(grey_model(), black(MANY)[:], seed)
    return np.concatenate(seen)


def test_noise_is_new_for_every_purpose_seed_epoch_step_draw_and_sample(monkeypatch):
    vectors = {}
    for seed in SEEDS:
        vectors |= {
            f"training, seed {seed}, step {i}": noise
            for i, noise in enumerate(training_noise(seed))
        }
        vectors |= {
            f"draw {i}, seed {seed}": noise
            for i, noise in enumerate(evaluation_noise(seed, 2, monkeypatch))
        }
        vectors[f"directions, seed {seed}"] = directions_noise(seed, monkeypatch)
    check_differ(np.concatenate(list(vectors.values())))
    check_uncorrelated(vectors)
    for noise in vectors.values():
        check_uniform(noise)


def test_the_noise_of_pictures_is_new(monkeypatch, tmp_path):
    for name in ("save_sample_grids", "save_latents", "save_reconstruction"):
        monkeypatch.setattr(glowlite.drawing.run_pictures, name, lambda *_: None)
    seen = spy_on_noise(glowlite.drawing.run_pictures, monkeypatch, "as_continuous")
    glowlite.drawing.run_pictures.save_pictures(tmp_path, grey_model(), {}, black(MANY), 5, 1)
    (noise,) = seen
    check_uniform(noise)
    check_differ(np.concatenate([noise, *training_noise(0), *evaluation_noise(0, 1, monkeypatch)]))


def test_images_that_are_equal_are_scored_with_noise_of_their_own():
    model = grey_model()
    one = {
        (seed, draws): scores(model, black(MANY), 5, 64, seed, draws=draws)
        for seed in SEEDS
        for draws in (1, 2)
    }
    for found in one.values():
        assert len(np.unique(found)) == MANY
    assert not np.isclose(one[0, 1], one[0, 2], rtol=1e-9).any()  # the second draw is another one
    check_uncorrelated({f"seed {seed}": one[seed, 1] for seed in SEEDS})


def test_every_epoch_and_seed_has_an_order_of_its_own():
    numbers = np.arange(600)
    pictures = ArrayImages(
        np.stack([numbers // 256, numbers % 256], axis=1).astype(np.uint8)[:, None, :, None]
    )
    orders = {}
    for seed in SEEDS:
        read = np.concatenate(
            [batch.images for batch in batches(pictures, 100, 0, 18, seed, "float64")]
        )
        for epoch, order in enumerate(
            np.split(read[:, 0, 0, 0].astype(int) * 256 + read[:, 0, 1, 0], 3)
        ):
            assert sorted(order) == numbers.tolist()
            orders[f"seed {seed}, epoch {epoch}"] = order
    orders["as they lie"] = numbers
    check_uncorrelated(orders)


SIDE, PART = 16, 400  # of images, and how many there are in a batch


def augmented(seed, preparation=None, **augmentation):
    """Images whose pixels say where they come from, after augmentation:
    for each of 4 steps, two an epoch, the batch.
    """
    places = np.stack(np.mgrid[:SIDE, :SIDE], axis=2).astype(np.uint8)
    pictures = ArrayImages(np.broadcast_to(places, (2 * PART, *places.shape)))
    if preparation is not None:
        pictures = Prepared(ArrayPictures(pictures, "places"), preparation)
    changes = Augmentation(**augmentation)
    return [
        batch.images.astype(int)
        for batch in batches(pictures, PART, 0, 4, seed, "float32", changes)
    ]


def test_flips_shifts_and_crops_are_new_and_depend_on_nothing_else():
    """Each is read from the pixels: the left pixels of a row tell a flip,
    the middle one a shift, the first one a crop.
    """
    vectors, middle = {}, SIDE // 2
    for seed in SEEDS:
        flipped = augmented(seed, flip=True)
        shifted = augmented(seed, shift=0.45)
        both = augmented(seed, flip=True, shift=0.45)
        cropped = augmented(seed, Preparation(crop=4, random_crop=True))
        for step in range(4):
            flips = flipped[step][:, 0, 0, 1] > 0
            down, right = (middle - shifted[step][:, middle, middle, axis] for axis in (0, 1))
            assert np.array_equal(both[step][:, middle, middle, 0], middle - down)
            columns = np.where(flips, SIDE - 1 - (middle - right), middle - right)
            assert np.array_equal(both[step][:, middle, middle, 1], columns)
            named = {"flip": flips, "down": down, "right": right, "top": cropped[step][:, 0, 0, 0]}
            named["left"] = cropped[step][:, 0, 0, 1]
            vectors |= {
                f"{name}, seed {seed}, step {step}": vector for name, vector in named.items()
            }
    for name, vector in vectors.items():
        values = {"flip": 2, "down": 15, "right": 15, "top": 13, "left": 13}[name.partition(",")[0]]
        # of 400 draws, one of 15 is missed with probability 1e-12
        assert len(np.unique(vector)) == values, name
    check_uncorrelated(vectors)


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_draw_what_one_process_would(size):
    changes = Augmentation(flip=True, shift=0.2)
    whole = list(batches(ArrayImages(images(16)), 8, 0, 4, 3, "float64", changes))
    for i, batch in enumerate(whole):
        shares = [slice(8 * rank // size, 8 * (rank + 1) // size) for rank in range(size)]
        parts = [
            list(batches(ArrayImages(images(16)), 8, 0, 4, 3, "float64", changes, share))[i]
            for share in shares
        ]
        assert np.array_equal(np.concatenate([part.images for part in parts]), batch.images)
        assert np.array_equal(np.concatenate([part.noise for part in parts]), batch.noise)
        check_differ(batch.noise)


def test_samples_are_new_at_every_level_and_seed_and_the_temperature_is_that_of_every_level():
    model = small_model("float64")
    model.initialize(np.random.default_rng(0).random((8, 8, 8, 3)) - 0.5)
    vectors = {}
    for seed in SEEDS:
        latents = model.encode(model.sample(MANY, 1.0, seed))
        cold = model.encode(model.sample(MANY, 0.25, seed))
        for level, (z, at_a_quarter) in enumerate(zip(latents, cold, strict=True)):
            vectors[f"seed {seed}, level {level}"] = z
            np.testing.assert_allclose(at_a_quarter, 0.25 * z, rtol=1e-6, atol=1e-9)
            check_differ(z.round(9))
            # N(0, 1): the standard errors of mean and variance are sqrt(1 / n) and sqrt(2 / n)
            limit = -NormalDist().inv_cdf(BY_CHANCE)
            assert abs(z.mean()) < limit * np.sqrt(1 / z.size) and abs(
                z.var() - 1
            ) < limit * np.sqrt(2 / z.size)
    check_uncorrelated(vectors)
    frozen = model.sample(2, 0.0, 0)
    assert np.array_equal(frozen[0], frozen[1]) and np.array_equal(frozen, model.sample(2, 0.0, 1))


@pytest.mark.parametrize("permutation", ["conv1x1", "lu"])
def test_the_weights_that_a_model_begins_with_are_new_in_every_layer_and_seed(permutation):
    vectors, matrices = {}, {}
    for seed in SEEDS:
        config = GlowConfig((8, 8, 4), K=2, L=2, width=64, permutation=permutation)
        model = Glow(config, seed, "float64", workers=Workers(1))
        for name, value in model.store.named_values().items():
            if value.ndim == 2 and value.std() > 0:
                (matrices if "permutation" in name else vectors)[f"{name}, seed {seed}"] = value
    hidden = [name for name in vectors if "conv1" in name or "conv2" in name]
    assert len(hidden) == len(vectors) == 2 * 2 * 2 * len(SEEDS)
    check_uncorrelated(vectors)
    assert len(matrices) >= 4 * len(SEEDS)
    for one, other in combinations(matrices.values(), 2):
        assert one.shape != other.shape or not np.isclose(one, other).all()


def test_the_images_held_out_are_not_those_that_an_evaluation_takes():
    """Each takes a tenth of 2000 numbers: two that are independent share 200 / 10 of them,
    with a deviation of 4.0.
    """
    held_out, evaluated = set(held_out_indices(2000).tolist()), set(some_rows(2000, 200).tolist())
    limit = -NormalDist().inv_cdf(BY_CHANCE)
    assert abs(len(held_out & evaluated) - 20) < limit * np.sqrt(200 * 0.1 * 0.9 * (1800 / 1999))
    for chosen in (held_out, evaluated):
        assert len(chosen) == 200 and abs(np.mean(list(chosen)) - 1000) < limit * 2000 / np.sqrt(
            12 * 200
        )
