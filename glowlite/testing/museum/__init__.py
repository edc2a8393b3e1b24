"""A museum of small broken layers. Each has a mistake of a kind that was seen in public flow codes.

Each exhibit is one file with the story in its docstring; `LAW`, the law that detects it; `SHAPE`,
the shape of one sample; `clean(seed)`, a correct layer; and `broken(seed)`, the same layer with one
mistake. We wrote these layers ourselves, in NumPy; the citations say where a mistake of this kind
was reported.

    from glowlite.testing import check_layer, museum
    exhibit = museum.load("pixels_forgotten")
    check_layer(exhibit.broken(0), rng.standard_normal((3, *exhibit.SHAPE)))   # AssertionError
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

EXHIBITS = (  # notebook 12 uses the numbers, so new ones come last
    "inverse_keeps_the_sign",
    "pixels_forgotten",
    "halves_joined_otherwise",
    "flag_not_saved",
    "stale_inverse",
    "log_of_a_negative_determinant",
    "inverse_before_forward",
    "tails_forgotten_in_reverse",
    "constant_channel",
    "condition_of_another_sample",
    "log_prob_of_the_last_call",
    "permutation_not_saved",
    "statistics_not_saved",
    "statistics_move_in_backward",
    "preprocessing_forgotten",
    "condition_ignored",
    "slope_counted_twice",
    "summed_over_the_batch",
    "network_centred_over_the_batch",
    "squeeze_in_two_orders",
    "gap_before_the_tail",
    "edge_of_the_last_bin",
    "bracket_too_small",
    "sampling_without_gradient",
    "prior_of_its_own_latent",
    "variance_for_deviation",
    "input_rebuilt_without_the_shift",
    "way_through_the_scale_forgotten",
    "backward_of_the_last_forward",
    "inverse_not_transposed",
    "gradient_assigned",
    "output_kept_for_input",
    "part_in_a_plain_list",
    "rebuilt_in_the_output",
    "flattened_in_memory_order",
    "determinant_underflows",
    "one_sample_squeezed_away",
    "shape_learnt_in_forward",
    "constant_of_one_dimension",
    "stale_gradient",
)


def load(name: str) -> ModuleType:
    """Return the module of the exhibit `name`, one of EXHIBITS."""
    if name not in EXHIBITS:
        raise ValueError(f"museum.load: no exhibit {name!r}; there are {', '.join(EXHIBITS)}")
    return import_module(f"{__name__}.{name}")
