"""The laws of an invertible layer, by level.

Each is a function of a Case: a layer, and a batch x (N, ...) in float64. It raises Broken, with
what broke, where, and by how much. Errors are relative to the largest entry of the tensor in
question, max|a - b| / max|b|, without an absolute floor: so small gradients are checked as strictly
as large ones, and a tensor that should be zero has to be exactly zero.
"""

from __future__ import annotations

from collections.abc import Iterable

from glowlite.testing.laws.density import (
    density_integrates_to_one,
    logdet_is_that_of_the_jacobian,
    logdet_of_a_negative_determinant,
    logdet_of_the_inverse,
    samples_follow_the_density,
)
from glowlite.testing.laws.gradients import (
    backward_rebuilds_the_input,
    backward_stands_alone,
    gradients_add,
    gradients_of_the_inverse,
    gradients_through_logdet,
    gradients_through_y,
    kept_equals_rebuilt,
)
from glowlite.testing.laws.law import LEVELS, Law
from glowlite.testing.laws.life_cycle import (
    caches_follow_parameters,
    calls_leave_no_trace,
    every_acting_parameter_is_named,
    inverse_needs_no_forward,
    state_survives_saving,
)
from glowlite.testing.laws.maps import (
    degenerate_batches,
    forward_of_inverse,
    inverse_of_forward,
    samples_are_independent,
    tails_and_edges,
)
from glowlite.testing.laws.model import bits_per_dim_of_uniform_data, condition_acts
from glowlite.testing.laws.numerics import (
    float32_agrees_with_float64,
    memory_order_does_not_matter,
    nothing_passed_in_is_changed,
)

# the version of the laws, not of the library: it changes when a law is added, removed or changed
VERSION = "2.1"
DATE = "2026-11-26"

LAWS: tuple[Law, ...] = (
    inverse_of_forward,
    forward_of_inverse,
    samples_are_independent,
    degenerate_batches,
    tails_and_edges,
    logdet_is_that_of_the_jacobian,
    logdet_of_the_inverse,
    logdet_of_a_negative_determinant,
    density_integrates_to_one,
    samples_follow_the_density,
    backward_rebuilds_the_input,
    gradients_through_y,
    gradients_through_logdet,
    gradients_add,
    backward_stands_alone,
    gradients_of_the_inverse,
    kept_equals_rebuilt,
    condition_acts,
    bits_per_dim_of_uniform_data,
    inverse_needs_no_forward,
    calls_leave_no_trace,
    caches_follow_parameters,
    state_survives_saving,
    every_acting_parameter_is_named,
    nothing_passed_in_is_changed,
    memory_order_does_not_matter,
    float32_agrees_with_float64,
)

__all__ = ["DATE", "LAWS", "LEVELS", "VERSION", "Law", "chosen"]


def chosen(names: str | Law | Iterable[str | Law]) -> list[Law]:
    """Return the laws with these names or levels, or Laws themselves, in the order of LAWS.

    Raises ValueError for a name that is neither a law nor a level.
    """
    asked = [names] if isinstance(names, (str, Law)) else list(names)
    known = {law.name for law in LAWS} | set(LEVELS)
    for name in asked:
        if isinstance(name, str) and name not in known:
            raise ValueError(
                f"no law or level {name!r}; the levels are {', '.join(LEVELS)};"
                f" the laws are {', '.join(law.name for law in LAWS)}"
            )
    own = [law for law in asked if isinstance(law, Law) and law not in LAWS]
    return [law for law in LAWS if law in asked or law.name in asked or law.level in asked] + own
