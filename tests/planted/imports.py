"""Bugs in how weights of other RealNVPs and NICEs come here, and in the check of their files."""

from __future__ import annotations

from . import Bug

IMPORTED = "an imported RealNVP or NICE equals the original, or is refused"
CHECKED = "interop check detects a wrong number"
TESTS = "tests/test_family.py::"
COMPUTES = f"{TESTS}test_an_imported_model_computes_what_the_other_code_did"
OFF = f"{TESTS}test_a_number_that_is_off_is_seen"
NAMED = f"{TESTS}test_tensors_of_a_realnvp_that_do_not_fit_are_named"
ALL = (f"{TESTS}test_the_command_checks_all_files_of_the_family",)


def imported(what: str, file: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(IMPORTED, what, f"interop/{file}", old, new, tests)


def checked(what: str, old: str, new: str, *tests: str) -> Bug:
    return Bug(CHECKED, what, "interop/golden_family.py", old, new, tests)


BUGS = [
    imported(
        "gradients of the used half go to the first rows",
        "layouts.py",
        "whole[start::2] = g",
        "whole[: len(g)] = g",
        f"{COMPUTES}[nice_daksh_logistic_48-False]",
        f"{TESTS}test_what_the_network_of_a_nice_does_not_use_has_no_gradient",
    ),
    imported(
        "a network sees the components that change",
        "nice.py",
        "every_other(int(changes_even)), every_other(int(not changes_even))",
        "every_other(int(not changes_even)), every_other(int(changes_even))",
        f"{COMPUTES}[nice_daksh_logistic_48-False]",
    ),
    imported(
        "leaky ReLUs are treated as ReLUs",
        "nice.py",
        '"slope": 0.2',
        '"slope": 0.0',
        f"{COMPUTES}[nice_daksh_logistic_48-False]",
    ),
    imported(
        "log-scales are three times their parameters",
        "nice.py",
        '"scaling_factor": 1.0',
        '"scaling_factor": 3.0',
        f"{COMPUTES}[nice_fmu2_logistic-False]",
    ),
    imported(
        "the distribution of the latents is guessed",
        "nice.py",
        'if "base" in self.chosen and "base" not in overrides:',
        "if False:",
        f"{TESTS}test_options_that_do_not_fit_are_refused",
    ),
    imported(
        "a mean image is that of pixels in [-1/2, 1/2)",
        "layouts.py",
        "Layout(lambda t: t - 0.5, lambda g: g + 0.5)",
        "Layout(lambda t: t, lambda g: g)",
        f"{TESTS}test_the_mean_image_of_a_nice_comes_along",
    ),
    imported(
        "the sign of a weight-normalised length gets no gradient",
        "realnvp_kind.py",
        "self.layout.back(grad * np.sign(self.layout.load(tensors[v])))",
        "self.layout.back(grad)",
        f"{COMPUTES}[realnvp_chute_eval_8x8-False]",
    ),
    imported(
        "a length that is not trained may be any",
        "realnvp_kind.py",
        "values[rule.theirs[0]] = np.array(1.0)",
        "values[rule.theirs[0]] = None",
        f"{NAMED}[<lambda>-s1_ckbd.0.coupling.block.1.in_block.conv.weight_g must be 1.0,"
        " got something else]",
    ),
    imported(
        "a negative variance is accepted",
        "weights.py",
        'rule.ours.endswith("/variance") and',
        "False and",
        f"{NAMED}[<lambda>-in_bn.running_var holds a variance]",
    ),
    imported(
        "another range before the logit is passed over",
        "realnvp.py",
        'idle={"data_constraint": np.array(0.9)}',
        'idle={"data_constraint": None}',
        f"{TESTS}test_the_logit_of_another_range_is_refused",
    ),
    imported(
        "counters stand still",
        "weights.py",
        "name: arrays[name] + batches",
        "name: arrays[name]",
        f"{COMPUTES}[realnvp_chute_train_16x16-False]",
    ),
    checked(
        "training files are run in evaluation mode",
        "is_training = metadata.get",
        "is_training = not metadata.get",
        *ALL,
    ),
    checked(
        "running statistics are compared before they are updated",
        "    model.store.running += model.store.change\n",
        "",
        *ALL,
    ),
    checked(
        "a float64 run is skipped",
        'self.contents.get(f"float64/{name}", self.contents[name])',
        "self.contents[name]",
        f"{OFF}[realnvp_authors_eval_8x8-float64/log_prob]",
    ),
    checked(
        "zero gradients have too wide a tolerance",
        '"zero gradients": 1e-13',
        '"zero gradients": 1e-3',
        f"{OFF}[realnvp_fmu2_bn_train_8x8-grad/s1_ckbd.0.coupling.block.1.in_skip.conv.bias]",
    ),
    checked(
        "the noise of a dequantisation is left out",
        'dequantize(pixels, 8, there.data("noise"))',
        'dequantize(pixels, 8, 0 * there.data("noise"))',
        *ALL,
    ),
]
