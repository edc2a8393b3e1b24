"""Bugs in what images pass before a flow: the logit and the whitening."""

from __future__ import annotations

from . import Bug

LOGIT = "the logit and its log-determinant are those of the released RealNVP"
WHITENING = "whitening works, and its log-determinant is counted"
TESTS = "tests/test_preprocessing.py::"
CODES = (f"{TESTS}test_the_logit_of_dequantised_images_is_that_of_other_codes",)
ENDS = (f"{TESTS}test_a_logit_is_accurate_at_the_ends_of_the_range",)
LAW = ("tests/test_laws.py::test_layer[host-logit-authors]",)
WHITE = (f"{TESTS}test_whitened_data_have_mean_0_and_covariance_1",)
RIDGE = (f"{TESTS}test_a_ridge_keeps_dead_pixels_and_few_samples_invertible",)
RANKS = (f"{TESTS}test_parts_of_the_data_on_two_processes_whiten_as_all_of_them",)


def logit(what: str, old: str, new: str, tests: tuple[str, ...]) -> Bug:
    return Bug(LOGIT, what, "bijectors/logit.py", old, new, tests)


def whitening(what: str, old: str, new: str, tests: tuple[str, ...]) -> Bug:
    return Bug(WHITENING, what, "bijectors/whitening.py", old, new, tests)


BUGS = [
    logit("white is 1, as in the paper only", "high: float = 0.95", "high: float = 1.0", CODES),
    logit("the width is left out of log|det|", "math.log(self.width) + size", "0.0 + size", CODES),
    logit("log|det| is that of the inverse", "sum_per_sample(math", "-sum_per_sample(math", CODES),
    logit("1 - p is rounded", "1 - self.high + self.width * (0.5 - x)", "1 - p", ENDS),
    logit("the inverse forgets the offset", "(sigmoid - self.low)", "(sigmoid - 0.0)", CODES),
    logit(
        "log|det| has no gradient", "per_sample(dlogdet, y) *", "0 * per_sample(dlogdet, y) *", LAW
    ),
    logit(
        "the slope is that of a sigmoid",
        "through * (self.width * (2",
        "through * (self.width / (2",
        LAW,
    ),
    whitening("log|det| is forgotten", "s.sum(dtype=namespace(x).float64)", "0 * s.sum()", WHITE),
    whitening("scales are variances", "-xp.log(eigenvalues) / 2", "-xp.log(eigenvalues)", WHITE),
    whitening(
        "the data are rotated, as in PCA",
        "return (rows @ U * namespace(s).exp(s)) @ U.T",
        "return rows @ U * namespace(s).exp(s)",
        (f"{TESTS}test_a_whitening_is_the_symmetric_one",),
    ),
    whitening(
        "the last block of rows is left out", "for part in parts:", "for part in parts[:1]:", WHITE
    ),
    whitening("no ridge", "xp.maximum(eigenvalues, 0) + self.ridge", "eigenvalues", RIDGE),
    whitening("the mean is that of one process", "mean = total(sum(", "mean = (sum(", RANKS),
    whitening(
        "the covariance is that of one process", "total(second.ravel())", "second.ravel()", RANKS
    ),
    whitening(
        "the first batch takes the place of the data",
        "if not self.has_seen_data:",
        "if True:",
        (f"{TESTS}test_the_first_batch_sets_a_whitening_and_from_data_keeps_its_own",),
    ),
    Bug(
        WHITENING,
        "constants that are not finite are loaded",
        "files/saved_weights.py",
        "if not np.isfinite(arrays[name]).all():",
        "if False:",
        (f"{TESTS}test_a_whitening_is_saved_with_the_weights_and_checked_when_it_is_loaded",),
    ),
]
