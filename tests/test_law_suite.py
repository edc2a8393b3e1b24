"""The suite of laws itself: what it convicts, what it lets pass, the smallest x, its statistics."""

import copy
import math

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


# --- the domain ---


@pytest.mark.parametrize(
    "kind", [flows.Tanh, flows.Exp, flows.Log, flows.LogOfNegative, flows.Logit]
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


