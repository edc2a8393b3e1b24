"""The suite of laws itself: what it convicts, what it lets pass, the smallest x, its statistics."""

import copy
import math
import sys

import flows
import numpy as np
import pytest
from scipy import stats

from glowlite.testing import (
    LAWS,
    LEVELS,
    Broken,
    Case,
    DoesNotApply,
    Undecided,
    check_layer,
    parametrize_with_laws,
)
from glowlite.testing.cast import cast
from glowlite.testing.check import decide
from glowlite.testing.comparison import compare
from glowlite.testing.domain import drawn, within
from glowlite.testing.grid import density_grid
from glowlite.testing.laws import chosen, density
from glowlite.testing.laws.law import law
from glowlite.testing.load import CannotLoad, Maker, made_from
from glowlite.testing.results import (
    BROKEN,
    EXPECTED,
    HELD,
    NOT_APPLIED,
    UNDECIDED,
    UNEXPECTED,
    Subject,
    hold,
)
from glowlite.testing.smallest import smallest
from glowlite.testing.unnamed import unnamed_arrays

pytest_plugins = ["pytester"]

X = np.random.default_rng(0).standard_normal((3, 2))
NAMES = [law.name for law in LAWS]


def results(thing, laws=LAWS, seeds=(0, 1), shape=(2,), condition_shape=None, **options):
    """The results by law, without a search for the smallest x unless `shrink=True`."""

    def maker(seed):
        return Maker(thing, seed, "auto", subject.condition(seed))

    subject = Subject("it", maker, shape, condition_shape)
    report = hold(subject, chosen(laws), seeds, **{"shrink": False, **options})
    return {result.law.name: result for result in report.results}, report


def verdicts(thing, laws=LAWS, **options):
    found, _ = results(thing, laws, **options)
    return {name: result.verdict for name, result in found.items()}


# --- what is compared ---


@pytest.mark.parametrize(
    ("got", "expected"),
    [(np.nan, 1.0), (1.0, np.nan), (1.0, np.inf), (1.0, -np.inf), (np.inf, np.inf)],
)
def test_what_is_not_finite_on_either_side_is_broken(got, expected):
    with pytest.raises(Broken, match=r"it: not finite, .* at entry \[1\]"):
        compare("it", np.array([0, got]), np.array([0, expected]), 1e-9)


def test_what_is_allowed_has_to_be_a_number():
    with pytest.raises(Broken):
        compare("it", np.ones(2), np.ones(2), 1.0, np.nan)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_error_counts_in_both_directions_and_where_it_is_largest(sign):
    got = np.array([1.0, 2.0 + sign * 1e-6, 3.0 + sign * 1e-7])
    with pytest.raises(Broken, match="against 2 at entry") as caught:
        compare("it", got, np.array([1.0, 2.0, 3.0]), 1e-8)
    found = caught.value.comparison
    assert found.index == (1,) and found.error == pytest.approx(1e-6)
    assert found.allowed == pytest.approx(3e-8) and found.share == pytest.approx(100 / 3)


def test_what_is_allowed_is_a_part_of_the_largest_entry_and_shapes_have_to_agree():
    compare("it", np.array([0.0, 10.0 + 9e-9]), np.array([0.0, 10.0]), 1e-9)
    with pytest.raises(Broken):
        compare("it", np.array([0.0, 10.0 + 2e-8]), np.array([0.0, 10.0]), 1e-9)
    with pytest.raises(Broken):  # a zero is exactly zero
        compare("it", np.array([1e-300]), np.array([0.0]), 1e-9)
    with pytest.raises(Broken, match=r"shape \(2,\), expected \(2, 1\)"):
        compare("it", np.zeros(2), np.zeros((2, 1)), 1e-9)


class Singular(flows.Scale):
    """It drops the second number: log|det| is minus infinity."""

    def forward(self, x):
        return super().forward(x)[0] * np.array([1.0, 0.0]), np.zeros(len(x))


def test_a_logdet_that_should_be_infinite_is_not_let_through():
    assert verdicts(Singular, "logdet_is_that_of_the_jacobian") == {
        "logdet_is_that_of_the_jacobian": BROKEN
    }


# --- verdicts ---


def test_a_right_layer_has_no_broken_law_and_the_others_say_why_they_do_not_apply():
    found, report = results(flows.make)
    assert {r.verdict for r in found.values()} == {HELD, NOT_APPLIED} and report.exit_code == 0
    assert all(r.message for r in found.values() if r.verdict == NOT_APPLIED)
    assert all(r.comparison.share <= 1 for r in found.values() if r.comparison)
    assert found["density_integrates_to_one"].message == "it has no log_prob"


def test_a_wrong_layer_breaks_the_laws_of_its_mistake_alone():
    found, report = results(flows.broken)
    assert {name for name, r in found.items() if r.verdict == BROKEN} == {
        "logdet_is_that_of_the_jacobian",
        "gradients_through_logdet",
        "caches_follow_parameters",
    }
    assert report.exit_code == 1


def at_seeds(*raised):
    """A law that raises at seed i what stands at place i, if anything."""
    left = list(raised)

    @law("maps", "Whatever it is told.", often="nothing")
    def told(case):
        if (error := left.pop(0)) is not None:
            raise error

    return told


NO, MAYBE, NOT_HERE = Broken("no"), Undecided("perhaps"), DoesNotApply("not here")


@pytest.mark.parametrize(
    ("raised", "verdict", "exit_code"),
    [
        ((None, None, None), HELD, 0),
        ((None, NOT_HERE, None), HELD, 0),
        ((NOT_HERE, None, None), HELD, 0),
        ((NOT_HERE, NOT_HERE, NOT_HERE), NOT_APPLIED, 0),
        ((NOT_HERE, NO, None), BROKEN, 1),
        ((None, None, NO), BROKEN, 1),
    ],
)
def test_no_seed_hides_another(raised, verdict, exit_code):
    found, report = results(flows.make, [at_seeds(*raised)], seeds=(0, 1, 2))
    assert found["told"].verdict == verdict and report.exit_code == exit_code


@pytest.mark.parametrize(("then", "verdict"), [(None, UNDECIDED), (NO, BROKEN)])
def test_an_undecided_seed_is_no_pass_and_hides_no_broken_one(then, verdict):
    undecided = at_seeds(*[MAYBE] * 6, then)
    found, report = results(flows.make, [undecided])
    assert found["told"].verdict == verdict
    assert report.exit_code == {UNDECIDED: 2, BROKEN: 1}[verdict]


def test_where_no_number_can_tell_the_verdict_is_undecided_and_the_exit_code_2():
    found, report = results(flows.FarOff, "gradients_through_y")
    assert found["gradients_through_y"].verdict == UNDECIDED and report.exit_code == 2
    assert "differences are only accurate to" in found["gradients_through_y"].message


def test_a_law_that_is_expected_to_be_broken():
    expected = {"logdet_is_that_of_the_jacobian": "known", "inverse_of_forward": "thought so"}
    found, report = results(flows.broken, expected, expected=expected)
    assert {name: r.verdict for name, r in found.items()} == {
        "logdet_is_that_of_the_jacobian": EXPECTED,
        "inverse_of_forward": UNEXPECTED,
    }
    assert report.exit_code == 1
    _, report = results(flows.broken, [*expected][:1], expected=expected)
    assert report.exit_code == 0


class Asserts(flows.Scale):
    def inverse(self, y):
        assert len(y) > 1, "more than one sample, please"
        return super().inverse(y)


def test_whatever_a_layer_raises_within_a_law_breaks_it():
    with pytest.raises(Broken, match="raised AssertionError: more than one sample, please"):
        decide(chosen("samples_are_independent")[0], Case(Asserts(), X))
    assert verdicts(Asserts, "samples_are_independent")["samples_are_independent"] == BROKEN


class ClipsInPlace(flows.Scale):
    """It changes x, the first time; after that x is as it wants it."""

    def forward(self, x):
        np.clip(x, -0.3, 0.3, out=x)
        return super().forward(x)


def test_a_change_of_x_that_shows_once_is_seen_whichever_law_comes_first():
    x = X.copy()
    with pytest.raises(AssertionError, match="law nothing_passed_in_is_changed: x was changed"):
        check_layer(ClipsInPlace(), x, "nothing_passed_in_is_changed")
    case = Case(ClipsInPlace(), x)
    inverse_of_forward, nothing_changed = chosen(["maps", "nothing_passed_in_is_changed"])[::5]
    decide(inverse_of_forward, case)
    with pytest.raises(Broken, match="x was changed"):
        decide(nothing_changed, case)
    assert np.array_equal(x, X)


@pytest.mark.parametrize("name", ["nothing_passed_in_is_changed"])
def test_what_was_handed_out_does_not_change_later(name):
    with pytest.raises(AssertionError, match="a returned array changed"):
        check_layer(flows.OneBuffer(), X, name)


# --- the domain ---


@pytest.mark.parametrize(
    "kind", [flows.Tanh, flows.Exp, flows.Log, flows.LogOfNegative, flows.Logit, flows.Between]
)
def test_a_right_layer_of_part_of_the_line_is_not_convicted(kind):
    """Whether x lives there, or y."""
    found = verdicts(kind, seeds=range(12))
    assert set(found.values()) == {HELD, NOT_APPLIED}
    assert found["tails_and_edges"] == found["forward_of_inverse"] == HELD


@pytest.mark.parametrize("domain", [(-np.inf, np.inf), (5, np.inf), (-np.inf, 5), (5, 5.5)])
def test_x_is_drawn_from_its_domain_and_stays_there(domain):
    rng = np.random.default_rng(0)
    x = drawn((1000,), domain, rng)
    for inside in (x, within(3 * x + 10 * rng.standard_normal(1000), domain)):
        assert (inside > domain[0]).all() and (inside < domain[1]).all()
    assert np.allclose(within(x, domain), x, rtol=0, atol=1e-12) and x.std() > 0.1


# --- the smallest x ---


class WrongForNegative(flows.Scale):
    def inverse(self, y):
        return super().inverse(y) * np.where(y < 0, 1.1, 1)


class WrongLog(flows.Log):
    of_y = staticmethod(lambda y: 1.1 * np.exp(y))


class WrongLogit(flows.Logit):
    of_y = staticmethod(lambda y: 2.1 + 1 / (1 + np.exp(-y)))


class WrongLogOfNegative(flows.LogOfNegative):
    of_y = staticmethod(lambda y: -1.1 * np.exp(-y))


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (flows.DoubledLogdet, "logdet_is_that_of_the_jacobian", [[[0, 0]]]),
        (flows.WrongBeyondAHalf, "inverse_of_forward", [[[0, 1]]]),
        (WrongForNegative, "inverse_of_forward", [[[0, -1]], [[-1, 0]]]),
        (
            flows.OfItsNeighbours,
            "samples_are_independent",
            [[[0, 0], [0, 1]], [[0, 0], [1, 0]], [[0, 1], [0, 0]], [[1, 0], [0, 0]]],
        ),
        (WrongLog, "inverse_of_forward", [[[1, 1]]]),
        (WrongLogOfNegative, "inverse_of_forward", [[[-1, -1]]]),
        (WrongLogit, "inverse_of_forward", [[[2.5, 2.5]]]),
    ],
)
def test_the_smallest_x_is_the_simplest_one(kind, name, expected):
    found, _ = results(kind, name, shrink=True)
    assert found[name].x.tolist() in expected, found[name].x
    assert found[name].seed in (0, 1) and found[name].verdict == BROKEN
    with pytest.raises(AssertionError, match=f"law {name}: "):
        check_layer(Maker(kind, found[name].seed)(), found[name].x, name)


def test_without_hypothesis_or_time_x_is_at_least_short_and_round(monkeypatch):
    def breaks(x):
        return bool((x[:, 1] > 0.5).any())

    x = np.array([[0.26, 0.74], [0.1, 0.2]])
    assert smallest(breaks, x, seconds=0).tolist() == x.tolist()
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert smallest(breaks, x).tolist() == [[0, 1]]
    monkeypatch.undo()
    assert smallest(lambda x: bool((x == [0.26, 0.74]).all()), x[:1]).tolist() == [[0.26, 0.74]]


def test_a_smaller_x_has_to_show_the_same_mistake():
    """Not rounding, which is large beside an x of zeros."""

    class NearlyRight(flows.Scale):
        def inverse(self, y):
            return super().inverse(y) + 1e-13 + 1e-3 * (y > 1.4)

    found, _ = results(NearlyRight, "inverse_of_forward", shrink=True, seeds=range(4))
    x = found["inverse_of_forward"].x
    assert np.count_nonzero(x) == 1 and found["inverse_of_forward"].comparison.error > 1e-4


@pytest.mark.parametrize("domain", [(0.2, np.inf), (-np.inf, 0.8), (0.2, 0.8)])
def test_the_search_stays_in_the_domain(domain):
    """Nor does it round x out of it."""
    asked = []
    smallest(lambda x: bool(asked.append(x) or x[0, 0] == 0.6), np.array([[0.6, 0.3]]), domain)
    assert len(asked) > 10
    assert all((x > domain[0]).all() and (x < domain[1]).all() for x in asked)


# --- densities ---


class Density:
    """Of a log-density and a sampler of the shape (n, D)."""

    def __init__(self, log_prob, sample, domain=None):
        self.log_prob = lambda x: log_prob(x).sum(axis=1)
        self.draw = sample
        if domain:
            self.domain = domain

    def sample(self, n, seed):
        return self.draw(np.random.default_rng(seed), n)


def normal(x):
    return -(x**2) / 2 - math.log(2 * math.pi) / 2


def mixture(x):
    return np.logaddexp(normal((x - 4) / 0.3), normal((x + 4) / 0.3)) - math.log(0.6)


def of_mixture(rng, n):
    return rng.choice((-4, 4), (n, 1)) + 0.3 * rng.standard_normal((n, 1))


def skewed(x):
    """An edge of its interval has all its weight: log of 3 x^2."""
    return math.log(3) + 2 * np.log(x)


DENSITIES = {
    "normal": Density(normal, lambda rng, n: rng.standard_normal((n, 1))),
    "logistic": Density(stats.logistic.logpdf, lambda rng, n: rng.logistic(size=(n, 1))),
    "Cauchy": Density(stats.cauchy.logpdf, lambda rng, n: rng.standard_cauchy((n, 1))),
    "far away": Density(
        lambda x: normal((x - 300) / 0.01) - math.log(0.01),
        lambda rng, n: 300 + 0.01 * rng.standard_normal((n, 1)),
    ),
    "mixture": Density(mixture, of_mixture),
    "interval": Density(skewed, lambda rng, n: rng.random((n, 1)) ** (1 / 3), (0.0, 1.0)),
    "normal, 2-D": Density(
        lambda x: normal(x / [1, 3]) - np.log([1, 3]),
        lambda rng, n: rng.standard_normal((n, 2)) * [1, 3],
    ),
    "logistic, 2-D": Density(stats.logistic.logpdf, lambda rng, n: rng.logistic(size=(n, 2))),
    "square": Density(skewed, lambda rng, n: rng.random((n, 2)) ** (1 / 3), (0.0, 1.0)),
}


def case_of(model, x=None):
    drawn = model.sample(4, 0) if x is None else x
    return Case(model, drawn)


def held(law_function, model):
    decide(law_function, case_of(model))
    return True


@pytest.mark.parametrize("name", DENSITIES)
def test_the_grid_integrates_known_densities(name):
    model = DENSITIES[name]
    domain = getattr(model, "domain", (-np.inf, np.inf))
    grid = density_grid(model.log_prob, model.sample(4000, 0), domain)
    assert grid.probability.sum() == pytest.approx(1, abs=1e-3)
    cells = grid.cells(8)
    assert len(cells) == 8 ** len(grid.axes) and cells.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", DENSITIES)
def test_right_samples_follow_their_density_and_wrong_ones_do_not(name):
    model = DENSITIES[name]
    assert held(density.density_integrates_to_one, model)
    assert held(density.samples_follow_the_density, model)
    wrong = copy.copy(model)
    middle = np.median(model.sample(4000, 0), axis=0)
    wrong.draw = lambda rng, n: middle + 0.8 * (model.draw(rng, n) - middle)
    with pytest.raises(Broken, match="chi-square of 4000 samples in"):
        held(density.samples_follow_the_density, wrong)
    heavier = copy.copy(model)
    heavier.log_prob = lambda x: model.log_prob(x) + 0.01
    with pytest.raises(Broken, match=r"integral of exp\(log_prob\) against 1: 1.01"):
        held(density.density_integrates_to_one, heavier)
    assert held(density.samples_follow_the_density, heavier)  # up to a factor


def test_samples_where_the_density_is_nothing_are_found():
    model = copy.copy(DENSITIES["far away"])
    model.draw = lambda rng, n: 300 + rng.standard_normal((n, 1))
    with pytest.raises(Broken, match="chi-square of 4000 samples in 2 cells"):
        held(density.samples_follow_the_density, model)


def test_an_integral_that_does_not_settle_is_undecided():
    spikes = Density(
        lambda x: normal(x) + 5 * np.sin(1e9 * x), lambda rng, n: rng.standard_normal((n, 1))
    )
    with pytest.raises(Undecided, match="still changes on a grid of 32768 points per side"):
        held(density.density_integrates_to_one, spikes)


@pytest.mark.parametrize(
    ("log_prob", "said"),
    [
        (lambda x: np.full(len(x), np.nan), "not a number"),
        (lambda x: normal(x), r"gave shape \(4000, 1\)"),
        (lambda x: normal(x).sum(), r"gave shape \(\)"),
    ],
)
def test_a_log_prob_that_is_no_number_per_sample_breaks_the_laws_of_the_density(log_prob, said):
    model = copy.copy(DENSITIES["normal"])
    model.log_prob = log_prob
    for name in ("density_integrates_to_one", "samples_follow_the_density"):
        with pytest.raises(Broken, match=said):
            held(chosen(name)[0], model)


def test_a_model_without_a_map_has_the_laws_of_its_density_alone():
    found = verdicts(DENSITIES["normal"], shape=(1,))
    assert {name for name, verdict in found.items() if verdict == HELD} == {
        "density_integrates_to_one",
        "samples_follow_the_density",
    }
    assert set(found.values()) == {HELD, NOT_APPLIED}


def statistics(probability, draws, n=density.SAMPLES, seed=0):
    """Chi-squares of right samples, and how many cells each has."""
    rng = np.random.default_rng(seed)
    expected = n * np.asarray(probability)
    counts = rng.multinomial(n, probability, draws)
    return zip(*(density.chi_square(found, expected) for found in counts), strict=True)


def test_none_of_300_right_models_is_convicted_and_the_statistic_is_distributed_as_it_should_be():
    model = DENSITIES["normal"]
    grid = density_grid(model.log_prob, model.sample(4000, 0), (-np.inf, np.inf))
    expected = 4000 * grid.cells(8) / grid.probability.sum()
    found, cells = zip(
        *(
            density.chi_square(grid.histogram(model.sample(4000, seed), 8), expected)
            for seed in range(1, 301)
        ),
        strict=True,
    )
    assert set(cells) == {7} and max(found) < stats.chi2.isf(density.QUANTILE, 6)
    # the small cells, 4.4 samples together, are divided by 10: a little less than chi-square
    assert np.mean(found) == pytest.approx(5.44, abs=4 * np.sqrt(2 * 6 / 300))
    assert np.std(found) == pytest.approx(np.sqrt(2 * 5.2), rel=0.25)


@pytest.mark.parametrize("probability", [[1 / 8] * 8, [1 / 64] * 64])
def test_a_chi_square_of_large_cells_is_distributed_as_chi_square(probability):
    found, cells = statistics(probability, 2000)
    assert set(cells) == {len(probability)}
    assert stats.kstest(found, stats.chi2(len(probability) - 1).cdf).pvalue > 1e-3


@pytest.mark.parametrize("cells", [2, 3, 4, 8, 64])
@pytest.mark.parametrize("small", [0, 0.3, 1, 4, 9.9, 10, 11, 20])
def test_a_right_model_is_convicted_with_the_probability_that_is_said_at_most(cells, small):
    """Of one cell of `small` expected samples, and others so large that theirs are normal."""
    limit = stats.chi2.isf(density.QUANTILE, cells - 1)
    counts = np.arange(400)
    of_cell = (counts - small) ** 2 / max(small, density.LEAST)
    others = stats.chi2.sf(np.maximum(limit - of_cell, 0), cells - 2) if cells > 2 else 0.0
    convicted = np.where(of_cell > limit, 1.0, others)
    probability = (stats.poisson.pmf(counts, small) * convicted).sum()
    assert probability <= density.samples_follow_the_density.error_probability
    # and that is how the statistic is made
    expected = np.array([1000.0] * (cells - 1) + [small])
    found, number = density.chi_square(expected + 3 * (expected == small), expected)
    assert number == cells and found == pytest.approx(9 / max(small, density.LEAST))


def test_a_mean_of_bits_errs_no_more_often_than_is_said():
    (bits,) = chosen("bits_per_dim_of_uniform_data")
    from glowlite.testing.laws import model

    assert stats.t.sf(model.DEVIATIONS, model.IMAGES - 1) <= bits.error_probability
    assert [one.name for one in LAWS if one.error_probability] == [
        "samples_follow_the_density",
        "bits_per_dim_of_uniform_data",
    ]


# --- how strict each law is ---


class Off(flows.Scale):
    """A layer that is wrong in one place, by a part `by` of its size."""

    def __init__(self, by, seed=0):
        super().__init__(seed)
        self.by = by


class OffInverse(Off):
    def inverse(self, y):
        return super().inverse(y) * (1 + self.by)


class OffFarOut(Off):
    def inverse(self, y):
        x = super().inverse(y)
        return x * (1 + self.by * (abs(x) > 6))


class OffAlone(Off):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y * (1 + self.by * (len(x) == 1)), logdet


class OffLogdet(Off):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y, logdet + self.by


class OffLogdetOfInverse(Off):
    def inverse(self, y):
        return super().inverse(y), self.by - np.full(len(y), self.log_s.value.sum())

    def backward(self, y, dy, dlogdet):
        return super().inverse(y), dy * np.exp(self.log_s.value)


class OffWhereNegative(Off):
    """y = s x, with s itself as its parameter."""

    def __init__(self, by):
        self.by, self.s = by, flows.Parameter([0.5, 2.0])

    def parameters(self):
        return {"s": self.s}

    def forward(self, x):
        s = self.s.value
        logdet = np.log(abs(s)).sum() + self.by * (s.prod() < 0)
        return x * s, np.full(len(x), logdet)


class OffRebuilt(Off):
    def backward(self, y, dy, dlogdet):
        x, dx = super().backward(y, dy, dlogdet)
        return x * (1 + self.by), dx


class OffDx(Off):
    def backward(self, y, dy, dlogdet):
        x, dx = super().backward(y, dy, dlogdet)
        return x, dx * (1 + self.by)


class OffByDlogdet(Off):
    def backward(self, y, dy, dlogdet):
        return super().backward(y, dy, dlogdet * (1 + self.by))


class OffTheSecondTime(Off):
    """What is in grad already is scaled."""

    def backward(self, y, dy, dlogdet):
        self.log_s.grad[...] *= 1 + self.by
        return super().backward(y, dy, dlogdet)


class OffAfterOthers(Off):
    last = None

    def forward(self, x):
        self.last = len(x)
        return super().forward(x)

    def backward(self, y, dy, dlogdet):
        x, dx = super().backward(y, dy, dlogdet)
        return x, dx * (1 + self.by * (self.last not in (None, len(y))))


class OffBackOfInverse(Off):
    def inverse_backward(self, y, dx):
        self.log_s.grad[...] -= (dx * self.inverse(y)).sum(axis=0)
        return dx * np.exp(-self.log_s.value) * (1 + self.by)


class OffWithKept(Off):
    def forward_with_cache(self, x):
        return *self.forward(x), x

    def backward(self, y, dy, dlogdet, kept=None):
        x, dx = super().backward(y, dy, dlogdet)
        return x, dx * (1 + self.by * (kept is not None))


class OffUnderSeveral(flows.OfACondition):
    by = 0.0

    def given(self, condition):
        layer = super().given(condition * (1 + self.by * (len(condition) > 1)))
        layer.by = self.by
        return layer


class OffBeforeForward(Off):
    used = False

    def forward(self, x):
        self.used = True
        return super().forward(x)

    def inverse(self, y):
        return super().inverse(y) * (1 + self.by * (not self.used))


class OffLater(Off):
    calls = 0

    def forward(self, x):
        y, logdet = super().forward(x)
        self.calls += len(x) == 1
        return y * (1 + self.by * (self.calls > 0)), logdet


class OffWhenMoved(Off):
    first = None

    def forward(self, x):
        y, logdet = super().forward(x)
        if self.first is None:
            self.first = self.log_s.value.copy()
        return y * (1 + self.by * (self.first != self.log_s.value).any()), logdet


class OffWhenLoaded(Off):
    def set_state(self, state):
        self.log_s.value[...] = state["log_s"] + self.by


class OffInMemory(Off):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y * (1 + self.by * (not x.flags.c_contiguous)), logdet


class OffInFloat32(Off):
    def forward(self, x):
        y, logdet = super().forward(x)
        return y * np.asarray(1 + self.by * (x.dtype == np.float32), x.dtype), logdet


def off_density(by):
    model = copy.copy(DENSITIES["normal"])
    model.log_prob = lambda x: normal(x)[:, 0] + by
    return model


def off_bits(by):
    model = copy.copy(DENSITIES["normal"])
    model.bits_per_dim = lambda images: np.full(len(images), 8 + by)
    return model


def off_under_several(by):
    layer = OffUnderSeveral()
    layer.by = by
    return layer


# what the page of the laws says that is allowed, and what is wrong by a part of that, or by more
STRICT = {
    "inverse_of_forward": (1e-9, OffInverse),
    "forward_of_inverse": (1e-9, OffInverse),
    "samples_are_independent": (1e-10, OffAlone),
    "degenerate_batches": (1e-9, OffInverse),
    "tails_and_edges": (1e-9, OffFarOut),
    "logdet_is_that_of_the_jacobian": (1e-6, OffLogdet),
    "logdet_of_the_inverse": (1e-6, OffLogdetOfInverse),
    "logdet_of_a_negative_determinant": (1e-6, OffWhereNegative),
    "density_integrates_to_one": (2e-3, off_density),
    "backward_rebuilds_the_input": (1e-9, OffRebuilt),
    "gradients_through_y": (1e-6, OffDx),
    "gradients_through_logdet": (1e-6, OffByDlogdet),
    "gradients_add": (1e-10, OffTheSecondTime),
    "backward_stands_alone": (1e-9, OffAfterOthers),
    "gradients_of_the_inverse": (1e-6, OffBackOfInverse),
    "kept_equals_rebuilt": (1e-9, OffWithKept),
    "condition_acts": (1e-10, off_under_several),
    "bits_per_dim_of_uniform_data": (1e-9, off_bits),
    "inverse_needs_no_forward": (1e-9, OffBeforeForward),
    "calls_leave_no_trace": (1e-10, OffLater),
    "caches_follow_parameters": (1e-10, OffWhenMoved),
    "state_survives_saving": (1e-10, OffWhenLoaded),
    "memory_order_does_not_matter": (1e-10, OffInMemory),
    "float32_agrees_with_float64": (100 * 2.0**-23, OffInFloat32),
}
EXACT = {
    "samples_follow_the_density",
    "every_acting_parameter_is_named",
    "nothing_passed_in_is_changed",
}


def test_every_law_is_in_the_table_of_how_strict_it_is():
    assert STRICT.keys() | EXACT == set(NAMES)


@pytest.mark.parametrize("name", STRICT)
def test_a_law_allows_what_its_page_says_and_no_more(name):
    allowed, off = STRICT[name]
    condition = (
        np.array([[1.0, 2.0], [0.0, 1.0], [-1.0, 0.5]]) if name == "condition_acts" else None
    )
    (one,) = chosen(name)
    x = np.zeros((3, 1)) if off in (off_density, off_bits) else X

    def judge(by):
        decide(one, Case(off(by), x, lambda: off(by), condition))

    judge(allowed / 10)
    for by in (10 * allowed, -10 * allowed):
        with pytest.raises(Broken):
            judge(by)


# --- what cannot be copied, cast, or named ---


def test_a_layer_that_cannot_be_copied_is_made_once_more():
    """So no law that needs a copy lets it through."""
    assert set(verdicts(lambda seed: flows.Uncopyable(seed)).values()) == {HELD, NOT_APPLIED}
    found = verdicts(lambda seed: flows.Remembers(seed))
    copies = verdicts(lambda seed: flows.Uncopyable(seed))
    names = ["calls_leave_no_trace", "caches_follow_parameters", "state_survives_saving"]
    assert [copies[name] for name in names] == [HELD] * 3
    assert found["calls_leave_no_trace"] == BROKEN


def test_a_layer_that_cannot_be_copied_nor_made_is_said_to_be_so():
    """An object, which laws call and which is then no longer new."""
    found, _ = results(flows.Remembers(), "life cycle")
    assert {result.verdict for result in found.values()} == {NOT_APPLIED}
    assert all("it cannot be copied" in result.message for result in found.values())


def test_check_layer_makes_what_it_cannot_copy_if_it_can():
    with pytest.raises(AssertionError, match="law calls_leave_no_trace"):
        check_layer(flows.Remembers(), X, "calls_leave_no_trace", make=flows.Remembers)
    with pytest.raises(DoesNotApply, match="it cannot be copied: RuntimeError: it holds a lock"):
        Case(flows.Remembers(), X).copy()


class Unnamed(flows.Scale):
    """A shift, with no name, that has the values of a parameter that has one."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.log_s.value[...] = 0
        self.hidden = [{"shift": np.zeros(2)}]
        self.constant = np.zeros(2)
        self.constant.flags.writeable = False
        self.counted = np.zeros(2, int)
        self.itself = self

    def shift(self):
        return self.hidden[0]["shift"] + self.constant

    def forward(self, x):
        y, logdet = super().forward(x)
        return y + self.shift(), logdet

    def inverse(self, y):
        return super().inverse(y - self.shift())


class Saved(Unnamed):
    """Copies, as files hold them."""

    def state(self):
        return {"log_s": self.log_s.value.copy(), "shift": self.shift() + 1}


def test_an_array_without_a_name_is_found_whatever_its_values():
    layer = Unnamed()
    assert list(unnamed_arrays(layer)) == ["hidden/0/shift"]
    assert unnamed_arrays(layer)["hidden/0/shift"] is layer.hidden[0]["shift"]
    assert unnamed_arrays(Saved()) == {} and not layer.hidden[0]["shift"].any()
    with pytest.raises(AssertionError, match="hidden/0/shift, an array of shape"):
        check_layer(layer, X, "every_acting_parameter_is_named")
    check_layer(Saved(), X, "every_acting_parameter_is_named")


def test_a_layer_that_names_its_own_is_asked():
    class Knows(flows.Scale):
        def unnamed_arrays(self):
            return {"of mine": self.log_s.value}

    layer = Knows()
    with pytest.raises(AssertionError, match="of mine, an array of shape"):
        check_layer(layer, X, "every_acting_parameter_is_named")


class Constant:
    def __init__(self, value):
        self.value = np.array(value)


def test_a_layer_is_cast_with_its_constants_and_the_first_stays_as_it_is():
    layer = flows.Scale()
    layer.parts = [Constant(1.5), Constant([1, 2])]
    new = cast(layer, np.float32)
    assert new.log_s.value.dtype == new.log_s.grad.dtype == np.float32
    assert [part.value.dtype for part in new.parts] == [np.float32, np.int64]
    assert layer.log_s.value.dtype == layer.parts[0].value.dtype == np.float64
    layer.cast = lambda dtype: dtype
    assert cast(layer, np.float32) is np.float32


def test_what_cannot_be_cast_says_so():
    with pytest.raises(DoesNotApply, match="it cannot be copied: RuntimeError: it holds a lock"):
        cast(flows.Uncopyable(), np.float32)

    class Fixed(flows.Parameter):
        value = property(lambda self: np.ones(2), lambda self, value: None)

    layer = flows.Scale()
    layer.log_s = Fixed(1.0)
    with pytest.raises(DoesNotApply, match="parameters keep their dtype"):
        cast(layer, np.float32)


# --- factories ---


class OfASize:
    def __init__(self, size):
        self.size = size


@pytest.mark.parametrize(
    ("factory", "made"),
    [
        (lambda: "nothing", "nothing"),
        (lambda seed: seed, 7),
        (lambda *, seed: seed, 7),
        (lambda size=3, seed=0: (size, seed), (3, 7)),
        (lambda rng: rng, 7),
        (lambda size=3: size, 3),
        (lambda *sizes: sizes, ()),
        (lambda seed, /: seed, 7),
        (dict, {}),
    ],
)
def test_a_factory_is_given_the_seed_if_it_takes_one(factory, made):
    assert made_from(factory, 7) == made


def test_a_class_that_needs_something_else_is_not_given_the_seed_for_it():
    with pytest.raises(CannotLoad, match="OfASize takes size: write a function of a seed"):
        made_from(OfASize, 7)
    assert made_from(flows.Scale, 7).log_s.value[0] == flows.Scale(7).log_s.value[0]


# --- check_layer ---


def test_check_layer_takes_names_levels_and_laws_of_ones_own():
    layer = flows.DoubledLogdet()
    check_layer(layer, X, "maps")
    check_layer(layer, X, ["maps", "numerics", "gradients_through_y"])
    with pytest.raises(AssertionError, match="DoubledLogdet, law logdet_is_that_of_the_jacobian: "):
        check_layer(layer, X, "density")
    with pytest.raises(AssertionError, match="law gradients_through_logdet: "):
        check_layer(layer, X, chosen("gradients"))
    with pytest.raises(ValueError, match="no law or level 'no such'; the levels are maps, "):
        check_layer(layer, X, ["maps", "no such"])
    with pytest.raises(AssertionError, match="law told: no"):
        check_layer(layer, X, at_seeds(NO))
    with pytest.raises(AssertionError, match="expected float64, got float32"):
        check_layer(layer, X.astype(np.float32))
    with pytest.raises(AssertionError, match="object has no forward, inverse, backward"):
        check_layer(object(), X)


def test_every_law_has_a_level_and_every_level_its_laws():
    assert {one.level for one in LAWS} == set(LEVELS) and len(set(NAMES)) == len(NAMES)
    assert chosen(LEVELS) == list(LAWS) == chosen(NAMES)
    assert chosen("maps") == [one for one in LAWS if one.level == "maps"]


class Forgetful(flows.Scale):
    """What it learns is not saved."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.shift = Constant(np.random.default_rng(seed).standard_normal(2))

    def forward(self, x):
        y, logdet = super().forward(x)
        return y + self.shift.value, logdet

    def inverse(self, y):
        return super().inverse(y - self.shift.value)


def test_check_layer_with_make_saves_and_loads():
    check_layer(Forgetful(0), X, "state_survives_saving")
    check_layer(flows.Scale(0), X, make=lambda: flows.Scale(1))
    with pytest.raises(AssertionError, match="law state_survives_saving: y of a new layer"):
        check_layer(Forgetful(0), X, "state_survives_saving", make=lambda: Forgetful(1))


class StartsFromItsData(flows.Scale):
    """Its first batch in training sets the scale. Whether that was is saved, or not."""

    def __init__(self, seed, saves):
        super().__init__(seed)
        self.has_begun, self.saves = False, saves

    def state(self):
        flag = {"has_begun": np.array(self.has_begun)} if self.saves else {}
        return {"log_s": self.log_s.value.copy(), **flag}

    def set_state(self, saved):
        self.log_s.value[...] = saved["log_s"]
        self.has_begun = bool(saved.get("has_begun", self.has_begun))

    def forward_in_training(self, x):
        if not self.has_begun:
            self.log_s.value[...] = -np.log(x.std(axis=0))
        self.has_begun = True
        return self.forward(x)


def test_a_flag_that_is_lost_is_seen_when_training_goes_on():
    for saves in (True, False):
        layer, make = StartsFromItsData(0, saves), lambda saves=saves: StartsFromItsData(1, saves)
        layer.forward_in_training(10 * X)
        if saves:
            check_layer(layer, X, make=make)
        else:
            with pytest.raises(AssertionError, match="y, after one more pass in training"):
                check_layer(layer, X, "state_survives_saving", make=make)


class IgnoresItsCondition(flows.OfACondition):
    def forward(self, x):
        return flows.Scale.forward(self, x)


def test_check_layer_with_a_condition_holds_all_laws_at_it():
    condition = np.array([[1.0, 2.0], [0.0, 1.0], [-1.0, 0.5]])
    check_layer(flows.OfACondition(), X, condition=condition)
    with pytest.raises(AssertionError, match=r"law condition_acts: .* the condition is ignored"):
        check_layer(IgnoresItsCondition(), X, "condition_acts", condition=condition)
    with pytest.raises(AssertionError, match="law inverse_of_forward: "):
        check_layer(IgnoresItsCondition(), X, condition=condition)
    with pytest.raises(TypeError, match=r"Scale has no given\(condition\), so it takes no"):
        check_layer(flows.Scale(), X, condition=condition)


# --- pytest ---

TESTS = """
import flows
from glowlite.testing import parametrize_with_laws

@parametrize_with_laws([flows.make, flows.broken], shape=(2,), expected_failed={expected})
def test_flows(make, law):
    law(make)
"""
KNOWN = {
    "logdet_is_that_of_the_jacobian": "twice too large",
    "gradients_through_logdet": "twice too large",
    "caches_follow_parameters": "twice too large",
}


def run_tests(pytester, source, *words):
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess(
        "-p", "no:xdist", "-p", "no:cacheprovider", "-rxXsf", *words
    )


def test_a_test_for_each_law_and_layer_with_strict_expected_failures(pytester):
    expected = "{flows.broken: " + repr(KNOWN) + "}"
    done = run_tests(pytester, TESTS.replace("{expected}", expected))
    skipped = 2 * list(verdicts(flows.make).values()).count(NOT_APPLIED)
    done.assert_outcomes(passed=2 * len(LAWS) - skipped - 3, skipped=skipped, xfailed=3)
    done.stdout.fnmatch_lines(["*kept_equals_rebuilt does not apply: it has no forward_with_cache"])
    assert done.ret == 0


def test_a_layer_that_is_right_after_all_fails_and_so_does_a_broken_one(pytester):
    done = run_tests(pytester, TESTS.replace("{expected}", repr(KNOWN)))
    assert done.parseoutcomes()["failed"] == 3 and done.parseoutcomes()["xfailed"] == 3
    done.stdout.fnmatch_lines(["FAILED *make-logdet_is_that_of_the_jacobian?*"])
    done = run_tests(pytester, TESTS.replace("{expected}", "None"), "-k", "logdet_is_that")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        ["*broken, law logdet_is_that_of_the_jacobian, seed 0: logdet against *"]
    )


def test_an_undecided_law_is_no_expected_failure(pytester):
    (one,) = parametrize_with_laws(
        [flows.FarOff], (2,), {"gradients_through_y": "rough"}, "gradients_through_y"
    ).args[1]
    (mark,) = one.marks
    assert mark.kwargs == {"reason": "rough", "strict": True, "raises": Broken}
    with pytest.raises(Undecided, match="FarOff, law gradients_through_y, seed 0: dx through y"):
        one.values[1](one.values[0])


def test_no_seed_hides_another_in_a_test_either():
    def of(*raised):
        (one,) = parametrize_with_laws([flows.make], (2,), laws=[at_seeds(*raised)]).args[1]
        return one.values[1](one.values[0])

    of(NOT_HERE, None)
    with pytest.raises(Broken, match="make, law told, seed 1: no"):
        of(NOT_HERE, NO)
    with pytest.raises(Broken):
        of(*[MAYBE] * 6, NO)
    with pytest.raises(Undecided):
        of(*[MAYBE] * 6, None)
    with pytest.raises(pytest.skip.Exception, match="told does not apply: not here"):
        of(NOT_HERE, NOT_HERE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"expected_failed": {"no_such_law": "why"}}, "expected_failed: no law 'no_such_law'"),
        ({"expected_failed": {"maps": "a level"}}, "expected_failed: no law 'maps'"),
        ({"expected_failed": {"inverse_of_forward": " "}}, "inverse_of_forward needs a reason"),
        ({"expected_failed": {flows.broken: {}}}, "broken.* is not one of the layers"),
        ({"laws": "no_such_law"}, "no law or level 'no_such_law'"),
        ({"shape": [(2,), (2,)]}, "2 shapes for 1 layers"),
    ],
)
def test_a_mistake_in_what_is_asked_for_is_an_error_at_once(options, said):
    with pytest.raises(ValueError, match=said):
        parametrize_with_laws([flows.make], **{"shape": (2,), **options})


def test_layers_of_one_name_are_told_apart():
    mark = parametrize_with_laws([flows.clean, flows.clean, flows.make], (2,), laws="maps")
    ids = [one.id for one in mark.args[1]]
    assert ids[0] == "Scale0-inverse_of_forward" and ids[-1] == "make-tails_and_edges"
    assert len(set(ids)) == len(ids) == 15


class NotANumber:
    """y = x; its gradients are NaN."""

    def forward(self, x):
        return x.copy(), np.zeros(len(x))

    def inverse(self, y):
        return y.copy()

    def backward(self, y, dy, dlogdet):
        return y.copy(), np.full_like(dy, np.nan)

    def parameters(self):
        return {}


def test_a_result_that_is_nan_has_not_changed():
    x = np.random.default_rng(0).standard_normal((3, 2))
    check_layer(NotANumber(), x, "nothing_passed_in_is_changed")
