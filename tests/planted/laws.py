"""Bugs in the suite of laws itself: it convicts what is right, or lets through what is wrong."""

from __future__ import annotations

from . import Bug

LAW = "the suite reports every broken law, and nothing else"
COMMAND = "the laws command reports what it found"
SUITE, COMMANDS = "tests/test_law_suite.py::", "tests/test_laws_command.py::"
STRICT = f"{SUITE}test_a_law_allows_what_its_page_says_and_no_more"
CONVICTS = "tests/test_museum.py::test_the_law_of_its_kind_convicts_it"
TWIN = "tests/test_museum.py::test_its_right_twin_obeys_every_law"
SEEDS = f"{SUITE}test_no_seed_hides_another"
SMALLEST = f"{SUITE}test_the_smallest_x_is_the_simplest_one"
SAMPLES = f"{SUITE}test_right_samples_follow_their_density_and_wrong_ones_do_not"
ERRS = f"{SUITE}test_a_right_model_is_convicted_with_the_probability_that_is_said_at_most"
NAMED = f"{SUITE}test_an_array_without_a_name_is_found_whatever_its_values"
MISTAKE = f"{COMMANDS}test_a_mistake_is_one_plain_line"
AGAIN = f"{COMMANDS}test_the_line_to_show_it_again_breaks_the_same_law_in_a_process_of_its_own"


def bug(what: str, file: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(LAW, what, f"testing/{file}", old, new, tests)


def said(what: str, file: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(COMMAND, what, file, old, new, tests)


BUGS = [
    # how far results may be apart
    bug(
        "a round trip may be off by 1e-6",
        "case.py",
        "ROUND_TRIP = 1e-9",
        "ROUND_TRIP = 1e-6",
        f"{STRICT}[inverse_of_forward]",
    ),
    bug(
        "sums may be off by 1e-7",
        "case.py",
        "SAME = 1e-10",
        "SAME = 1e-7",
        f"{STRICT}[samples_are_independent]",
    ),
    bug(
        "a logdet may be off by 1e-3",
        "laws/density.py",
        "LOGDET = 1e-6",
        "LOGDET = 1e-3",
        f"{STRICT}[logdet_is_that_of_the_jacobian]",
    ),
    bug(
        "an integral may be 3",
        "laws/density.py",
        "INTEGRAL = 2e-3",
        "INTEGRAL = 2.0",
        f"{STRICT}[density_integrates_to_one]",
    ),
    bug(
        "a gradient may be off by 1e-3",
        "gradient_check.py",
        "GRADIENT = 1e-6",
        "GRADIENT = 1e-3",
        f"{STRICT}[gradients_through_y]",
    ),
    bug(
        "constant bits/dim may be off by 1e-6",
        "laws/model.py",
        "CONSTANT = 1e-9",
        "CONSTANT = 1e-6",
        f"{STRICT}[bits_per_dim_of_uniform_data]",
    ),
    bug(
        "float32 may round 100,000 times",
        "laws/numerics.py",
        "IN_A_ROW = 100 ",
        "IN_A_ROW = 100_000 ",
        f"{STRICT}[float32_agrees_with_float64]",
    ),
    bug(
        "far out an inverse may be off by 1e-6",
        "laws/maps.py",
        "ROUND_TRIP * size + 1000",
        "1000 * ROUND_TRIP * size + 1000",
        f"{STRICT}[tails_and_edges]",
    ),
    bug(
        "an error that is too small counts as none",
        "comparison.py",
        "error = np.abs(got - expected)",
        "error = got - expected",
        f"{SUITE}test_an_error_counts_in_both_directions_and_where_it_is_largest[-1]",
    ),
    bug(
        "anything goes where something else is expected that is not finite",
        "comparison.py",
        "np.isfinite(got) & np.isfinite(expected)",
        "np.isfinite(got)",
        f"{SUITE}test_what_is_not_finite_on_either_side_is_broken[1.0-nan]",
    ),
    bug(
        "anything goes where what is allowed is no number",
        "comparison.py",
        "not found.error <= found.allowed",
        "found.error > found.allowed",
        f"{SUITE}test_what_is_allowed_has_to_be_a_number",
    ),
    # what a law looks at
    bug(
        "the inverse is held to itself",
        "laws/maps.py",
        'against x", case.inverse(y), case.x, ROUND_TRIP)\n\n\n@law',
        'against x", case.inverse(y), case.inverse(y), ROUND_TRIP)\n\n\n@law',
        f"{CONVICTS}[halves_joined_otherwise]",
    ),
    bug(
        "only values y that come from some x are tested",
        "laws/maps.py",
        "0.1 * _room(y, case.layer)",
        "0 * _room(y, case.layer)",
        f"{CONVICTS}[gap_before_the_tail]",
    ),
    bug(
        "outputs are moved out of their range",
        "laws/maps.py",
        "np.minimum(np.minimum(beyond_zero, below_one), 1)",
        "np.ones_like(y)",
        f"{SUITE}test_a_right_layer_of_part_of_the_line_is_not_convicted[Tanh]",
    ),
    bug(
        "outputs are moved out of where they are said to lie",
        "laws/maps.py",
        'if hasattr(layer, "codomain"):',
        "if False:",
        f"{SUITE}test_a_right_layer_of_part_of_the_line_is_not_convicted[Between]",
    ),
    bug(
        "a batch of three has no neighbours",
        "laws/maps.py",
        "len(case.x) < 2",
        "len(case.x) < 4",
        f"{CONVICTS}[summed_over_the_batch]",
    ),
    bug(
        "no channel is constant",
        "laws/maps.py",
        "constant[..., 0] = case.x.flat[0]",
        "constant[..., 0] = case.x[..., 0]",
        f"{CONVICTS}[constant_channel]",
    ),
    bug(
        "the ends of an interval are edges",
        "laws/maps.py",
        "(0.5, 0.25, 0.125, 1e-3, 1e-6)",
        "(0.5, 0.25, 0.125, 1e-3, 0.0)",
        f"{SUITE}test_a_right_layer_of_part_of_the_line_is_not_convicted[Logit]",
    ),
    bug(
        "nothing is far out",
        "laws/maps.py",
        "4.0, 5.0, 8.0)",
        "4.0, 5.0)",
        f"{STRICT}[tails_and_edges]",
    ),
    bug(
        "an inverse has the log-determinant of forward",
        "laws/density.py",
        "expected = -case.forward(x)[1]",
        "expected = case.forward(x)[1]",
        f"{TWIN}[inverse_keeps_the_sign]",
    ),
    bug(
        "a law does not apply where it does",
        "laws/density.py",
        "if not isinstance(result, tuple):",
        "if isinstance(result, tuple):",
        f"{CONVICTS}[inverse_keeps_the_sign]",
    ),
    bug(
        "determinants are left positive",
        "laws/density.py",
        "if sign >= 0:",
        "if sign <= 0:",
        f"{CONVICTS}[log_of_a_negative_determinant]",
    ),
    bug(
        "the slope of the grid is forgotten",
        "grid.py",
        "axis.slope(u) / side",
        "1 / side",
        f"{SUITE}test_the_grid_integrates_known_densities[normal]",
    ),
    bug(
        "samples beyond the last cell are in the first",
        "grid.py",
        "np.minimum((axis.u(flat[:, i]) * side).astype(int), side - 1)",
        "(axis.u(flat[:, i]) * side).astype(int) % (side - 1)",
        f"{SAMPLES}[interval]",
    ),
    bug(
        "an integral that has not converged is accepted",
        "grid.py",
        "    raise Undecided(",
        "    return grid\n    raise Undecided(",
        f"{SUITE}test_an_integral_that_does_not_settle_is_undecided",
    ),
    bug(
        "small cells count as large ones do",
        "laws/density.py",
        "np.maximum(expected, LEAST)",
        "np.maximum(expected, 1e-9)",
        f"{ERRS}[0.3-2]",
    ),
    bug(
        "a chi-square is exceeded once in a thousand",
        "laws/density.py",
        "QUANTILE = 1e-8",
        "QUANTILE = 1e-3",
        f"{ERRS}[20-8]",
    ),
    bug(
        "log_prob may be a column",
        "laws/density.py",
        "if found.shape != (len(v),):",
        "if len(found) != len(v):",
        f"{SUITE}test_a_log_prob_that_is_no_number_per_sample_breaks_the_laws_of_the_density",
    ),
    bug(
        "the way through logdet is not looked at",
        "laws/gradients.py",
        "np.zeros_like(y), random_like(logdet, 5)",
        "np.zeros_like(y), np.zeros_like(logdet)",
        f"{CONVICTS}[inverse_not_transposed]",
    ),
    bug(
        "backward is called once",
        "laws/gradients.py",
        "    case.backward(y, dy, dlogdet)\n    case.backward(y, dy, dlogdet)\n",
        "    case.backward(y, dy, dlogdet)\n",
        f"{TWIN}[gradient_assigned]",
    ),
    bug(
        "backward follows a forward pass of the same data",
        "laws/gradients.py",
        "other = np.concatenate((case.x[::-1], case.x[:1]))",
        "other = case.x",
        f"{STRICT}[backward_stands_alone]",
    ),
    bug(
        "parameters have no part in an inverse",
        "laws/gradients.py",
        "gradients[name], p.value, loss_change",
        "0 * gradients[name], p.value, loss_change",
        f"{TWIN}[sampling_without_gradient]",
    ),
    bug(
        "what was kept is not handed over",
        "laws/gradients.py",
        "() if kept is None else (kept,)",
        "()",
        f"{CONVICTS}[output_kept_for_input]",
    ),
    bug(
        "other conditions are the same",
        "laws/model.py",
        "np.roll(condition, 1, axis=0)",
        "np.roll(condition, 0, axis=0)",
        f"{CONVICTS}[condition_ignored]",
    ),
    bug(
        "bits/dim may be any number",
        "laws/model.py",
        "min(float(mean), 8.0)",
        "max(float(mean), 8.0)",
        f"{CONVICTS}[preprocessing_forgotten]",
    ),
    bug(
        "the layer that is inverted first was called",
        "laws/life_cycle.py",
        "fresh = case.untouched()",
        "fresh = case.layer",
        f"{CONVICTS}[inverse_before_forward]",
    ),
    bug(
        "no call is made in between",
        "laws/life_cycle.py",
        "other_y, other_logdet = forward(layer, other)",
        "other_y, other_logdet = y, logdet",
        f"{STRICT}[calls_leave_no_trace]",
    ),
    bug(
        "other data are out of their domain",
        "laws/life_cycle.py",
        "other = within(other, case.domain)",
        "other = other * 1.0",
        f"{SUITE}test_a_right_layer_of_part_of_the_line_is_not_convicted[Logit]",
    ),
    bug(
        "parameters do not move",
        "laws/life_cycle.py",
        "move_parameters(layer, seed=26)",
        "move_parameters(layer, seed=26, by=0.0)",
        f"{CONVICTS}[stale_inverse]",
    ),
    bug(
        "a layer is loaded into itself",
        "laws/life_cycle.py",
        "new = case.make()",
        "new = old",
        f"{CONVICTS}[permutation_not_saved]",
    ),
    bug(
        "an array without a name is changed by nothing",
        "laws/life_cycle.py",
        "array += 0.37 * (1 + np.abs(array))",
        "array += 0.0",
        f"{CONVICTS}[part_in_a_plain_list]",
    ),
    bug(
        "what has the values of what is saved is saved",
        "unnamed.py",
        "np.abs(np.where(np.isfinite(kept), kept, 0))",
        "np.abs(np.where(np.isfinite(kept), kept, 0)) * 0 - 1",
        NAMED,
    ),
    bug(
        "what is saved is not looked at",
        "unnamed.py",
        "if not _is_saved(layer, array):",
        "if array.size:",
        NAMED,
    ),
    bug(
        "what was handed out is not looked at again",
        "laws/numerics.py",
        "    _call_with_others(case)\n",
        "",
        f"{SUITE}test_what_was_handed_out_does_not_change_later",
    ),
    bug(
        "a law that writes into x hides it from the next",
        "check.py",
        "None, moved.copy()",
        "None, moved",
        f"{SUITE}test_a_change_of_x_that_shows_once_is_seen_whichever_law_comes_first",
    ),
    bug(
        "arrays lie in memory as they did",
        "laws/numerics.py",
        "laid(case.x), laid(y), laid(dy), laid(dlogdet)",
        "case.x, y, dy, dlogdet",
        f"{CONVICTS}[flattened_in_memory_order]",
    ),
    bug(
        "constants stay in float64",
        "cast.py",
        "for constant in constants(new):",
        "for constant in []:",
        f"{SUITE}test_a_layer_is_cast_with_its_constants_and_the_first_stays_as_it_is",
    ),
    # verdicts
    bug(
        "what a layer raises is no matter of laws",
        "check.py",
        'raise Broken(f"raised',
        'raise DoesNotApply(f"raised',
        f"{SUITE}test_whatever_a_layer_raises_within_a_law_breaks_it",
    ),
    bug(
        "a law that does not apply at one seed counts as never applying",
        "results.py",
        "if len(reasons) == len(seeds):",
        "if reasons:",
        f"{SEEDS}[raised1-held-0]",
    ),
    bug(
        "a law that does not apply at the first seed is not held at others",
        "results.py",
        "            reasons.append(str(error))\n            continue\n",
        "            return Result(law, NOT_APPLIED, message=str(error))\n",
        f"{SEEDS}[raised4-broken-1]",
    ),
    bug(
        "what is undecided holds",
        "results.py",
        "return 2 if self.count(UNDECIDED) else 0",
        "return 0",
        f"{SUITE}test_where_no_number_can_tell_the_verdict_is_undecided_and_the_exit_code_2",
    ),
    bug(
        "a law that holds after all is no error",
        "results.py",
        "if self.count(BROKEN, UNEXPECTED):",
        "if self.count(BROKEN):",
        f"{COMMANDS}test_a_law_that_holds_after_all_is_exit_code_1",
    ),
    bug(
        "what cannot be copied is not held",
        "case.py",
        "if self._as_given is not None:",
        "if self._as_given is None:\n            raise DoesNotApply(self._why)\n        if True:",
        f"{SUITE}test_a_layer_that_cannot_be_copied_is_made_once_more",
    ),
    bug(
        "what cannot be copied is its own copy",
        "load.py",
        "        if anew:\n",
        "        if False:\n",
        f"{SUITE}test_a_layer_that_cannot_be_copied_nor_made_is_said_to_be_so",
    ),
    bug(
        "every layer is of seed 0",
        "load.py",
        "return factory(seed) if needed",
        "return factory(0) if needed",
        f"{SUITE}test_a_factory_is_given_the_seed_if_it_takes_one",
    ),
    bug(
        "a class is given the seed for its size",
        "load.py",
        "if needed and isinstance(factory, type):",
        "if False:",
        f"{SUITE}test_a_class_that_needs_something_else_is_not_given_the_seed_for_it",
    ),
    bug(
        "expected failures may pass",
        "parametrize.py",
        "strict=True, raises",
        "strict=False, raises",
        f"{SUITE}test_a_layer_that_is_right_after_all_fails_and_so_does_a_broken_one",
    ),
    bug(
        "a level is expected to be broken",
        "parametrize.py",
        "        if name not in known:\n",
        "        if False:\n",
        f"{SUITE}test_a_mistake_in_what_is_asked_for_is_an_error_at_once",
    ),
    # the smallest x
    bug(
        "the smallest x is the first",
        "smallest.py",
        "complexity(candidate, plainest) < complexity(best, plainest)",
        "complexity(candidate, plainest) < (0,)",
        SMALLEST,
    ),
    bug(
        "the smallest x lies where no x is",
        "smallest.py",
        "or not is_inside(candidate, domain)",
        "",
        SMALLEST,
        f"{SUITE}test_the_search_stays_in_the_domain",
    ),
    bug(
        "a smaller x need not show the same mistake",
        "results.py",
        "same and found.comparison.error >= SHRUNK * first.comparison.error",
        "same",
        f"{SUITE}test_a_smaller_x_has_to_show_the_same_mistake",
    ),
    bug(
        "the search leaves a folder behind",
        "smallest.py",
        "configuration.set_hypothesis_home_dir(folder)",
        "pass",
        f"{COMMANDS}test_in_a_process_of_its_own_and_nothing_is_left_behind",
    ),
    # the command
    said(
        "the seed is not printed",
        "testing/report.py",
        "make = load({name}, seed={result.seed}",
        "make = load({name}, seed=0",
        AGAIN,
    ),
    said(
        "a condition is not said",
        "testing/report.py",
        '", condition=c"',
        '""',
        AGAIN,
        f"{COMMANDS}test_json_of_conditions_and_reasons",
    ),
    said(
        "a name with a quote ends the line",
        "testing/report.py",
        "name.isprintable() and not set(name)",
        "name or not set(name)",
        f"{COMMANDS}test_a_file_of_any_name_can_be_held_and_shown_again",
    ),
    said(
        "JSON has a number that is none",
        "testing/report.py",
        "value if np.isfinite(value) else None",
        "value",
        f"{COMMANDS}test_json_has_no_numbers_that_are_none",
    ),
    said(
        "expected failures are missing from the skipped count of JUnit",
        "testing/report.py",
        "skipped=str(report.count(NOT_APPLIED, EXPECTED))",
        "skipped=str(report.count(NOT_APPLIED))",
        f"{COMMANDS}test_junit_is_xml_and_counts",
    ),
    said(
        "a module that ends the program ends it well",
        "commands/laws.py",
        "except BaseException as error:",
        "except Exception as error:",
        f"{MISTAKE}[of_an_exit:x]",
    ),
    said(
        "a wrong shape counts as a pass",
        "commands/laws.py",
        "if y.size != x.size or len(y) != len(x):",
        "if len(y) != len(x):",
        f"{MISTAKE}[raising:Narrow]",
    ),
    said(
        "an expected law that there is not is passed over",
        "testing/expected.py",
        "if law not in known:",
        "if False:",
        f"{COMMANDS}test_a_list_of_expected_failures_that_is_wrong_is_a_plain_line",
    ),
    said(
        "an unwritable path for the results is accepted",
        "commands/laws.py",
        "    _check_outputs(options)\n",
        "",
        f"{COMMANDS}test_files_of_others_are_left_alone_and_our_own_replaced",
    ),
    said(
        "any XML is a report of tests",
        "files/outputs.py",
        r"\s*<testsuites?[\s>]",
        "",
        f"{COMMANDS}test_files_of_others_are_left_alone_and_our_own_replaced",
    ),
]
