"""Bugs in the filling in of hidden pixels: the score, the ascent, its starts, masks and strips."""

from __future__ import annotations

from . import Bug

LAW = "hidden pixels are filled in by increasing log p(x)"
FILE, MASKS, COMMAND = "latent/ascent.py", "latent/masks.py", "commands/inpaint.py"
TESTS = "tests/test_inpaint.py::"
SCORE = "test_a_score_is_the_gradient_of_log_p"
LIKELY = "test_the_end_of_an_ascent_is_the_most_likely_x"
NOISY = "test_a_noisy_x_moves_to_where_it_is_most_likely"
DRAWN = "test_noise_of_temperature_1_draws_from_what_is_left_open"
RANGE = "test_images_stay_in_their_range_and_known_pixels_in_their_level"
LENGTH = "test_a_score_of_any_length_moves_x_by_no_more_than_some"
MEAN = "test_a_mean_start_is_the_mean_of_the_known_pixels_of_an_image"
NEAREST = "test_the_nearest_sample_is_that_in_the_known_pixels"
MASK = "test_masks_hide_what_their_names_say"
FILLED = "test_half_of_a_face_is_filled_in"
PICTURE = "test_a_picture_says_what_is_known"
CROSS = "test_a_result_that_is_not_finite_is_said_and_drawn_as_a_cross"
TAKEN = "test_noise_is_added_and_taken_away"


def bug(what: str, file: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(LAW, what, file, old, new, tuple(f"{TESTS}{test}" for test in tests))


BUGS = [
    bug(
        "log|det| is left out of the score", FILE, "ones_like(logdet)", "zeros_like(logdet)", SCORE
    ),
    bug(
        "the base is always Gaussian",
        FILE,
        "flow.base.gradient(latents)",
        "[-z for z in latents]",
        SCORE,
    ),
    bug(
        "gradients of parameters are left behind",
        FILE,
        "flow.store.grad[...] = kept",
        "pass",
        "test_a_score_leaves_the_gradients_of_the_parameters_as_they_were",
    ),
    bug("down in place of up", FILE, "eta * (_shortened", "eta * (-_shortened", LIKELY),
    bug(
        "the noise of the data is a deviation",
        FILE,
        "return (self.values - x) / self.sigma**2",
        "return (self.values - x) / self.sigma",
        NOISY,
    ),
    bug(
        "the noise of the data pushes away",
        FILE,
        "return (self.values - x)",
        "return (x - self.values)",
        NOISY,
    ),
    bug("noise is not of the momentum", FILE, "(2 * (1 - MOMENTUM) * eta", "(2 * eta", DRAWN),
    bug(
        "every step has the same noise",
        FILE,
        "* eta * temperature) ** 0.5",
        "* eta**2 * temperature) ** 0.5",
        DRAWN,
    ),
    bug(
        "noise does not fall", FILE, "noise * (1 - i / steps)", "noise", "test_noise_falls_to_none"
    ),
    bug(
        "steps do not shorten",
        FILE,
        "unit * HALVING / (HALVING + i)",
        "unit",
        "test_steps_shorten_as_in_nice",
    ),
    bug(
        "the unit of a step is that of the score, not of its square",
        FILE,
        "xp.square(dx.astype(xp.float64))",
        "abs(dx.astype(xp.float64))",
        "test_information_is_the_mean_curvature",
    ),
    bug(
        "long scores stay long",
        FILE,
        ".maximum(length, longest)",
        ".maximum(longest, longest)",
        LENGTH,
    ),
    bug(
        "the length is that of all samples together",
        FILE,
        "(sum_per_sample(namespace(dx).square(dx)) / dx[0].size) ** 0.5",
        "(sum_per_sample(namespace(dx).square(dx)).mean() / dx[0].size) ** 0.5",
        LENGTH,
    ),
    bug("images leave their range", FILE, "_within(x + v, bounds)", "x + v", RANGE),
    bug(
        "known pixels are lost",
        FILE,
        "_within(known.project(moved, seed, i + 1), bounds)",
        "moved",
        LIKELY,
        RANGE,
    ),
    bug(
        "known pixels have one noise in all steps",
        FILE,
        "known.project(moved, seed, i + 1)",
        "known.project(moved, seed, 0)",
        RANGE,
    ),
    bug(
        "known pixels leave their level",
        FILE,
        "(to_device(noise, namespace(x)) - 0.5)",
        "to_device(noise, namespace(x))",
        RANGE,
    ),
    bug(
        "every seed has one noise",
        FILE,
        'normal(seed, "inpaint", i,',
        'normal(0, "inpaint", i,',
        "test_an_ascent_is_of_its_seed",
    ),
    bug(
        "hidden pixels have a part in the mean",
        FILE,
        "mean = (values * mask).sum",
        "mean = values.sum",
        MEAN,
    ),
    bug("one mean for all channels", FILE, "max(2, values.ndim - 1)", "max(2, values.ndim)", MEAN),
    bug(
        "hidden pixels have a part in what is near",
        FILE,
        "(xp.square(samples - values) * mask)",
        "xp.square(samples - values)",
        NEAREST,
    ),
    bug(
        "a sample that is not finite counts as the nearest",
        FILE,
        "xp.where(xp.isfinite(squares), squares, xp.inf).argmin()",
        "squares.argmin()",
        NEAREST,
    ),
    bug("bottom is top", MASKS, "i >= height - height // 2", "i < height // 2", MASK),
    bug(
        "the middle row is hidden by the top",
        MASKS,
        '"top": i < height // 2',
        '"top": i < (height + 1) // 2',
        MASK,
    ),
    bug("even is odd", MASKS, "(i + j) % 2 == 0", "(i + j + 1) % 2 == 0", MASK),
    bug(
        "a random part is known, not hidden",
        MASKS,
        '"float64")[0] < _part(name)',
        '"float64")[0] > _part(name)',
        MASK,
    ),
    bug("one random mask for every seed", MASKS, 'uniform(seed, "mask"', 'uniform(0, "mask"', MASK),
    bug(
        "black is known",
        COMMAND,
        "(picture >= GREY_LEVELS // 2)",
        "(picture < GREY_LEVELS // 2)",
        PICTURE,
    ),
    bug(
        "a mask's name selects the known pixels",
        COMMAND,
        "return ~hidden_pixels",
        "return hidden_pixels",
        FILLED,
    ),
    bug(
        "known pixels are shown as they became",
        COMMAND,
        "way = [np.where(hidden, between, x) for between in way]",
        "way = list(way)",
        CROSS,
    ),
    bug(
        "what is hidden is shown",
        COMMAND,
        "given = np.where(hidden, x.dtype.type(WHITE), x)",
        "given = x",
        FILLED,
    ),
    bug(
        "distances are over all pixels",
        COMMAND,
        "np.sqrt(squares / hidden.sum(axis=(1, 2, 3)))",
        "np.sqrt(squares / x[0].size)",
        FILLED,
    ),
    bug(
        "the result is taken for the start",
        COMMAND,
        "(x, way[0][whole], way[-1][whole])",
        "(x, way[-1][whole], way[0][whole])",
        FILLED,
    ),
    bug(
        "noise is added to noisy images", COMMAND, "0.0 if options.noisy else sigma", "sigma", TAKEN
    ),
    bug("no noise is added", COMMAND, "0.0 if options.noisy else sigma", "0.0", TAKEN),
    bug(
        "grey levels are those of x",
        COMMAND,
        "sigma = options.denoise / GREY_LEVELS",
        "sigma = options.denoise / 10",
        TAKEN,
    ),
    bug(
        "a sample that is not finite spoils the mean curvature",
        FILE,
        "xp.median(xp.where(xp.isfinite(squares), squares, xp.inf))",
        "xp.median(squares)",
        "test_information_passes_over_samples_that_are_not_finite",
    ),
    bug(
        "known pixels may leave the range",
        FILE,
        "x = _within(known.project(moved, seed, i + 1), bounds)",
        "x = known.project(moved, seed, i + 1)",
        "test_known_pixels_stay_within_the_bounds_at_every_step",
    ),
]
