"""Bugs in sums, tiles, stacks of layers, edits, the memory check, samples, copies and guards."""

from __future__ import annotations

from . import Bug

SUMS = "sums are taken in float64"
TILES = "tiles may have any size"
BETWEEN = "other layers may stand between steps"
EDITS = "two attributes can be edited together"
MEMORY = "the memory of a step with --accumulate is estimated correctly"
SAMPLES = "a sample depends only on the seed and its number"
COPIES = "a copy is equal and independent"
GUARDS = "a safety check does not crash"

PIXELS = "tests/test_sums.py::test_a_log_determinant_of_many_pixels"
CHANNELS = "tests/test_sums.py::test_a_log_determinant_of_many_channels"
ANY_SIZE = "tests/test_workers.py::test_a_tile_is_of_the_size_that_is_asked_for"
BY_ROUNDING = "tests/test_workers.py::test_tiles_of_any_size_change_a_model_by_rounding_only"
SIDE_BY_SIDE = "tests/test_fast.py::test_steps_that_do_not_lie_side_by_side_are_as_one_by_one"
TWO_EDITS = "tests/test_directions.py::test_two_edits_among_three_attributes_hold_the_third_once"
AT_ONCE = "tests/test_train.py::test_the_memory_of_a_step_is_that_of_the_images_it_takes_at_once"
SAME_SAMPLE = "tests/test_bits.py::test_a_sample_is_the_same_however_many_are_made"
COPY = "tests/test_copies.py::test_a_copy_of_a_model_is_the_same_and_on_its_own"

OWN = "a user's own flow can be trained, saved and sampled"

BUGS = [
    Bug(
        SUMS,
        "log-determinant of a coupling in float32",
        "bijectors/affine_coupling.py",
        "return self.join(x1, y2), sum_per_sample(log_s)",
        "return self.join(x1, y2), log_s.sum(axis=(1, 2, 3)).astype(namespace(x).float64)",
        (PIXELS,),
    ),
    Bug(
        SUMS,
        "log-determinant of a split in float32",
        "bijectors/split.py",
        "-logs.sum(axis=(1, 2, 3), dtype=xp.float64)",
        "-logs.sum(axis=(1, 2, 3)).astype(xp.float64)",
        (PIXELS,),
    ),
    Bug(
        SUMS,
        "log-determinant of the top prior in float32",
        "bijectors/top_prior.py",
        "- logs.sum(dtype=xp.float64)",
        "- logs.sum()",
        (PIXELS,),
    ),
    Bug(
        SUMS,
        "log-determinant of an ActNorm in float32",
        "bijectors/actnorm.py",
        "positions(x) * log_s.sum(dtype=namespace(x).float64)",
        "positions(x) * log_s.sum().astype(namespace(x).float64)",
        (CHANNELS,),
    ),
    Bug(
        SUMS,
        "log-determinant of an LU convolution in float32",
        "bijectors/invertible_conv.py",
        "self.log_s.value.sum(axis=-1, dtype=namespace(self.log_s.value).float64)",
        "self.log_s.value.sum(axis=-1).astype(namespace(self.log_s.value).float64)",
        (CHANNELS,),
    ),
    Bug(
        SUMS,
        "log-determinant of the ActNorms of a level in float32",
        "fast/cuda/steps.py",
        "log_s.sum(axis=1, dtype=xp.float64)",
        "log_s.sum(axis=1)",
        ("tests/test_sums.py::test_a_log_determinant_of_a_level",),
    ),
    Bug(
        SUMS,
        "log-likelihood of a latent in float32",
        "objective.py",
        "xp.square(z).sum(axis=1, dtype=xp.float64)",
        "xp.square(z).sum(axis=1)",
        ("tests/test_sums.py::test_a_log_likelihood",),
    ),
    Bug(
        TILES,
        "the size of a tile is rounded to a power of two",
        "fast/threads.py",
        "max(1, int(tile_mb * 2**18))",
        "1 << int(math.log2(max(1, tile_mb * 2**18)))",
        (ANY_SIZE,),
    ),
    Bug(
        TILES,
        "the images that are left over are in no tile",
        "arrays/slices.py",
        "pairwise(i * length // count for",
        "pairwise(i * (length // count) for",
        (BY_ROUNDING,),
    ),
    Bug(
        BETWEEN,
        "steps with another layer between them count as adjacent",
        "fast/cuda/stacks.py",
        "place is None or end not in (None, place.start):",
        "place is None:",
        (SIDE_BY_SIDE,),
    ),
    Bug(
        EDITS,
        "every edit applies the full correction",
        "latent/directions.py",
        "np.float32(abs(alpha) / len(edited))",
        "np.float32(abs(alpha))",
        (TWO_EDITS,),
    ),
    Bug(
        EDITS,
        "an edit keeps constant what the other one changes",
        "latent/directions.py",
        "if k not in edited]",
        "if k != j]",
        (TWO_EDITS,),
    ),
    Bug(
        MEMORY,
        "--accumulate is ignored during training",
        "training/loop.py",
        "check_memory(model, training.images_at_once(), len(data.train))",
        "check_memory(model, settings.batch, len(data.train))",
        (AT_ONCE,),
    ),
    Bug(
        MEMORY,
        "--accumulate is ignored before training",
        "commands/train.py",
        "check_memory(model, training.images_at_once(), len(data.train))",
        "check_memory(model, settings.batch, len(data.train))",
        ("tests/test_train.py::test_the_command_looks_at_the_memory_of_a_part_of_the_batch",),
    ),
    Bug(
        MEMORY,
        "the smallest part counts",
        "training/run.py",
        "return max(part.stop - part.start",
        "return min(part.stop - part.start",
        (AT_ONCE,),
    ),
    Bug(
        SAMPLES,
        "the last block is shortened",
        "flow.py",
        "drawn = -(-n // size) * size",
        "drawn = n",
        (SAME_SAMPLE,),
    ),
    Bug(
        SAMPLES,
        "a selection of rows starts a new block",
        "flow.py",
        "starts = range(low // size * size, high + 1, size)",
        "starts = range(low, high + 1, size)",
        (SAME_SAMPLE,),
    ),
    Bug(
        COPIES,
        "a copy keeps views of the original's weights",
        "fast/cuda/steps.py",
        'return {**self.__dict__, "_stacks": None}',
        "return dict(self.__dict__)",
        ("tests/test_copies.py::test_a_copy_stays_on_its_device",),
    ),
    Bug(
        COPIES,
        "the parameters of a copy are not views of its vectors",
        "arrays/parameters.py",
        "        self._bind()\n\n    def assign",
        "\n    def assign",
        (COPY,),
    ),
    Bug(
        GUARDS,
        "the worst of several singular matrices is named",
        "training/guards.py",
        "conditions[conditions > 1 / (size * EPS)] = np.inf",
        "pass",
        ("tests/test_training.py::test_of_several_singular_matrices_the_first_is_named",),
    ),
    Bug(
        GUARDS,
        "drift is looked for only in the steps",
        "models/multiscale.py",
        '            yield from trace(self.top, x, "top")\n',
        "            pass\n",
        ("tests/test_training.py::test_drift_of_a_model_of_one_step_is_named_by_what_is_above_it",),
    ),
    Bug(
        OWN,
        "the gradient of the logistic base has the wrong scale",
        "objective.py",
        "tanh(z / 2) for z",
        "tanh(z) for z",
        (
            "tests/test_flow.py::test_the_density_of_a_base_integrates_to_1_and_its_gradient_is_its_derivative",
        ),
    ),
    Bug(
        OWN,
        "a file does not record the shape of x",
        "flow.py",
        'self.event_shape = tuple(flow["event_shape"])',
        "pass",
        ("tests/test_flow.py::test_a_file_has_the_weights_and_is_loaded_into_the_same_layers",),
    ),
    Bug(
        OWN,
        "held-out data are used for training",
        "data/array_data.py",
        "np.delete(np.arange(len(x)), rows)",
        "np.arange(len(x))",
        ("tests/test_flow.py::test_a_tenth_is_held_out_and_not_trained_on",),
    ),
    Bug(
        OWN,
        "fit returns the raw weights instead of the average",
        "training/fit.py",
        "flow.store.set_state(training.average.value())",
        "pass",
        (
            "tests/test_flow.py::test_a_run_that_is_resumed_comes_to_the_same_weights_to_the_last_bit",
        ),
    ),
    Bug(
        OWN,
        "the gradient of an MLP ignores a ReLU",
        "conditioners/mlp.py",
        "where(x > 0, dh, self.slope * dh)",
        "where(x > 0, dh, dh)",
        ("tests/test_flow.py::test_an_mlp_obeys_the_laws_of_a_conditioner_and_starts_at_zero",),
    ),
    Bug(
        OWN,
        "the gradient of an MLP is that of a ReLU, whatever its slope",
        "conditioners/mlp.py",
        "where(x > 0, dh, self.slope * dh)",
        "where(x > 0, dh, 0 * dh)",
        (
            "tests/test_flow.py::"
            "test_an_mlp_obeys_the_laws_of_a_conditioner_and_starts_at_zero[hidden1-0.2]",
        ),
    ),
]
