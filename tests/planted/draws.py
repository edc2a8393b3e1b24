"""Bugs that make a random draw come twice, or not at all, or that tie one to another."""

from __future__ import annotations

from . import Bug

LAW = "no random draw is used twice"


def bug(what: str, file: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(LAW, what, file, old, new, tuple(f"tests/test_draws.py::{test}" for test in tests))


NOISE = "test_noise_is_new_for_every_purpose_seed_epoch_step_draw_and_sample"
ORDER = "test_every_epoch_and_seed_has_an_order_of_its_own"
AUGMENTED = "test_flips_shifts_and_crops_are_new_and_depend_on_nothing_else"
SAMPLES = "test_samples_are_new_at_every_level_and_seed_and_the_temperature_is_that_of_every_level"
WEIGHTS = "test_the_weights_that_a_model_begins_with_are_new_in_every_layer_and_seed"
SCORES = "test_images_that_are_equal_are_scored_with_noise_of_their_own"
RANKS = "test_ranks_draw_what_one_process_would"
PICTURES = "test_the_noise_of_pictures_is_new"

TRAINING = 'dequantization_noise(seed, "dequantise", step, share.start, part.shape, dtype)'
AUGMENT = 'uniform(seed, "augment", step, share.start,'
EVALUATION = 'seed, "evaluate", draw, block.start, part.shape, model.dtype.name'
DIRECTIONS = 'dequantization_noise(seed, "directions", 0, start, part.shape, model.dtype.name)'
NORMAL = "temperature * self.base.sample(seed, i, (drawn, *shape), self.dtype.name)"
KEY = "np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *index])"

BUGS = [
    bug("the same noise at every step", "data/batches.py", TRAINING, TRAINING.replace("step", "0"), NOISE),
    bug("the same noise in every epoch", "data/batches.py", TRAINING, TRAINING.replace("step", "position"), NOISE),
    bug("one noise for a whole epoch", "data/batches.py", TRAINING, TRAINING.replace("step", "epoch"), NOISE),
    bug("noise without the seed", "data/batches.py", TRAINING, TRAINING.replace("seed", "0"), NOISE),
    bug("no noise in training", "data/batches.py", TRAINING, f"0 * {TRAINING}", NOISE),
    bug("the noise of an evaluation in training", "data/batches.py", '"dequantise"', '"evaluate"', NOISE),
    bug("every rank draws the noise of rank 0", "data/batches.py", TRAINING, TRAINING.replace("share.start", "0"), RANKS),
    bug("every rank augments as rank 0", "data/batches.py", AUGMENT, AUGMENT.replace("share.start", "0"), RANKS),
    bug(
        "one noise for every sample", "arrays/randomness.py",
        "    return _below_one(numbers.astype(dtype)).reshape(shape)",
        "    return _below_one(numbers.astype(dtype)).reshape(shape)[:1].repeat(shape[0], axis=0)", NOISE,
    ),
    bug(
        "noise that repeats every 256 samples", "arrays/randomness.py",
        "    return _below_one(numbers.astype(dtype)).reshape(shape)",
        "    return _below_one(numbers.astype(dtype)).reshape(shape)[np.arange(shape[0]) % 256]", NOISE,
    ),
    bug("noise from 0 to 1/2", "arrays/randomness.py", "numbers.astype(dtype)", "numbers.astype(dtype) / 2", NOISE),
    bug("samples that share half of their noise", "arrays/randomness.py", "start * blocks)", "start * (blocks // 2))", RANKS),
    bug("streams of all seeds alike", "arrays/randomness.py", KEY, KEY.replace("seed,", "0,"), NOISE, ORDER),
    bug("streams of all purposes alike", "arrays/randomness.py", KEY, KEY.replace("zlib.crc32(purpose.encode()), ", ""), NOISE),
    bug("streams of all indices alike", "arrays/randomness.py", KEY, KEY.replace(", *index", ""), NOISE, ORDER, SAMPLES),
    bug("the same order in every epoch", "data/batches.py", '"shuffle", epoch)', '"shuffle")', ORDER),
    bug("order without the seed", "data/batches.py", 'generator(seed, "shuffle"', 'generator(0, "shuffle"', ORDER),
    bug(
        "no shuffling", "data/batches.py", "            shuffled = epoch\n",
        "            order, shuffled = np.arange(len(images)), epoch\n", ORDER,
    ),
    bug("the same augmentation at every step", "data/batches.py", AUGMENT, AUGMENT.replace("step", "0"), AUGMENTED),
    bug("the same augmentation in every epoch", "data/batches.py", AUGMENT, AUGMENT.replace("step", "position"), AUGMENTED),
    bug("augmentation without the seed", "data/batches.py", AUGMENT, AUGMENT.replace("seed", "0"), AUGMENTED),
    bug("crop tied to shift", "data/batches.py", "(rows, draws[:, 3:])", "(rows, draws[:, 1:3])", AUGMENTED),
    bug("crop along the diagonal", "data/batches.py", "draws[:, 3:])\n", "draws[:, [3, 3]])\n", AUGMENTED),
    bug("no random place of a crop", "data/batches.py", "images.read(rows, draws[:, 3:])", "images.read(rows)", AUGMENTED),
    bug("flip tied to the shift down", "data/batches.py", "draws[:, 0] < 0.5", "draws[:, 1] < 0.5", AUGMENTED),
    bug("shift along the diagonal", "data/batches.py", "draws[:, 2])[:, None, :]", "draws[:, 1])[:, None, :]", AUGMENTED),
    bug("shift down tied to the flip", "data/batches.py", "draws[:, 1])[:, :, None]", "draws[:, 0])[:, :, None]", AUGMENTED),
    bug("every image flipped", "data/batches.py", "draws[:, 0] < 0.5", "draws[:, 0] < 1.5", AUGMENTED),
    bug("no shift by the most", "data/batches.py", "draws * (2 * most + 1)", "draws * (2 * most)", AUGMENTED),
    bug("levels share their noise", "flow.py", NORMAL, NORMAL.replace(", i,", ", 0,"), SAMPLES),
    bug("samples without the seed", "flow.py", NORMAL, NORMAL.replace("seed", "0"), SAMPLES),
    bug("samples of the model's seed", "flow.py", NORMAL, NORMAL.replace("seed", "self.seed"), SAMPLES),
    bug(
        "temperature at the top only", "flow.py", NORMAL,
        NORMAL.replace("temperature *", "(temperature if i == len(self.latent_shapes()) - 1 else 1.0) *"), SAMPLES,
    ),
    bug(
        "no temperature at the top", "flow.py", NORMAL,
        NORMAL.replace("temperature *", "(temperature if i < len(self.latent_shapes()) - 1 else 1.0) *"), SAMPLES,
    ),
    bug("temperature squared", "flow.py", NORMAL, NORMAL.replace("temperature", "temperature**2"), SAMPLES),
    bug("samples that repeat in every pass", "flow.py", "z[start : start + size]", "z[:size]", SAMPLES),
    bug(
        "no noise in samples", "arrays/randomness.py",
        "return generator(seed, purpose, index).standard", "return 0 * generator(seed, purpose, index).standard", SAMPLES,
    ),
    bug("weights without the seed", "models/glow.py", 'generator(seed, "weights")', 'generator(0, "weights")', WEIGHTS),
    bug(
        "the same weights in every step", "models/glow.py", "flow_step(config, channels, i, rng) if",
        'flow_step(config, channels, i, generator(seed, "weights")) if', WEIGHTS,
    ),
    bug("every draw of an evaluation alike", "training/scoring.py", EVALUATION, EVALUATION.replace("draw,", "0,"), NOISE, SCORES),
    bug("every block of an evaluation has the same noise", "training/scoring.py", EVALUATION, EVALUATION.replace("block.start", "0"), SCORES),
    bug("evaluation without the seed", "training/scoring.py", EVALUATION, EVALUATION.replace("seed", "0"), NOISE, SCORES),
    bug("evaluation with the noise of training", "training/scoring.py", '"evaluate"', '"dequantise"', NOISE),
    bug("no noise in an evaluation", "training/scoring.py", "noise = dequantization_noise(", "noise = 0 * dequantization_noise(", NOISE, SCORES),
    bug("directions whose noise repeats", "latent/directions.py", DIRECTIONS, DIRECTIONS.replace("start,", "0,"), NOISE),
    bug("directions without the seed", "latent/directions.py", DIRECTIONS, DIRECTIONS.replace("seed", "0"), NOISE),
    bug("directions with the noise of training", "latent/directions.py", '"directions", 0', '"dequantise", 0', NOISE),
    bug("no noise for directions", "latent/directions.py", DIRECTIONS, f"0 * {DIRECTIONS}", NOISE),
    bug("pictures with the noise of training", "drawing/run_pictures.py", '"pictures", 0', '"dequantise", 0', PICTURES),
    bug(
        "the images held out are those evaluated", "training/scoring.py", '"evaluated", count', '"held out", count',
        "test_the_images_held_out_are_not_those_that_an_evaluation_takes",
    ),
    bug(
        "the first images are evaluated", "training/scoring.py",
        ".permutation(count)[:most])", ".permutation(count)[:most].argsort())",
        "test_the_images_held_out_are_not_those_that_an_evaluation_takes",
    ),
]  # fmt: skip
