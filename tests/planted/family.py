"""Bugs in the layers and networks of RealNVP: each is caught by other people's numbers, by differences, or by a law."""

from __future__ import annotations

from . import Bug

LAW = "RealNVP agrees with other codes, including gradients"
NORM, NET_NORM = "bijectors/batch_norm.py", "conditioners/batch_norm.py"
CONV, NETWORK = "conditioners/weight_norm.py", "conditioners/residual_network.py"
SCALE, CHECKERBOARD = "conditioners/tanh_scale.py", "arrays/checkerboard.py"
LAYERS, INTEROP = "models/realnvp_layers.py", "interop/realnvp_kind.py"
MODELS = "tests/test_models.py::"
BLOCKS, ACTIVATION, BLOCKED_CONV = (
    "fast/blocked_network.py",
    "fast/activation.py",
    "fast/blocked_conv.py",
)


def golden(name: str, plain: bool = False) -> tuple[str]:
    test = "test_an_imported_model_computes_what_the_other_code_did"
    return (f"tests/test_family.py::{test}[realnvp_{name}-{plain}]",)


def batch(name: str) -> tuple[str]:
    return (f"tests/test_batch_norm.py::{name}",)


def law(name: str) -> tuple[str]:
    return (f"tests/test_laws.py::{name}",)


THROUGH = "test_gradients_go_through_the_statistics_of_"
FAST = (
    "tests/test_fast.py::test_the_fast_form_of_a_network_equals_the_plain_one_in_training[residual-gain]",
)
AUTHORS, CHUTE, FMU2 = (
    golden("authors_eval_8x8"),
    golden("chute_train_16x16"),
    golden("fmu2_bn_train_8x8"),
)

BUGS = [
    Bug(
        LAW,
        "the gradient through the batch mean is left out",
        NORM,
        "(dy_sum + u * dy_y_sum)",
        "(u * dy_y_sum)",
        batch(f"{THROUGH}a_layer[first-changed-host]"),
    ),
    Bug(
        LAW,
        "log|det| does not act on the variance",
        NORM,
        "dy_y_sum = dy_y_sum + (values * dlogdet.sum()).astype(y.dtype)",
        "dy_y_sum = dy_y_sum",
        batch(f"{THROUGH}a_layer[all-changed-host]"),
    ),
    Bug(
        LAW,
        "of both halves, log|det| counts one",
        NORM,
        "values = len(self.changed) * positions(x)",
        "values = positions(x)",
        law("test_layer[host-batch-norm-all-both]"),
    ),
    Bug(
        LAW,
        "zeros do not count among the values",
        NORM,
        "(len(self.counted) + self.counts_zeros)",
        "len(self.counted)",
        batch(f"{THROUGH}a_layer[second-zeros-host]"),
    ),
    Bug(
        LAW,
        "the inverse goes by the batch",
        NORM,
        "return self.rebuilt(y, self.statistics.mean.value, self.statistics.variance.value)",
        "return self.rebuilt(y, *self.statistics.of(self.counted_values(y)))",
        batch("test_the_inverse_uses_the_running_statistics_in_training_too"),
    ),
    Bug(
        LAW,
        "the running statistics move with every forward pass",
        NORM,
        "        y, deviation = xp.array(x), self.deviation(variance)\n",
        "        y, deviation = xp.array(x), self.deviation(variance)\n        self.statistics.follow(mean, variance, len(x))\n",
        batch("test_the_running_statistics_follow_a_batch_once_a_step[first-changed-False]"),
    ),
    Bug(
        LAW,
        "a layer in training ignores its cache",
        NORM,
        "if cache is None and self.needs_cache:",
        "if False:",
        batch("test_a_layer_needs_its_cache_in_training_and_says_so"),
    ),
    Bug(
        LAW,
        "the kept pixels count in every code",
        LAYERS,
        "counted = config.coupling_norm\n",
        'counted = "both" if config.coupling_norm == "zeros" else config.coupling_norm\n',
        golden("authors_train_16x16"),
    ),
    Bug(
        LAW,
        "statistics in a network are constants",
        NET_NORM,
        "if not self.statistics.is_training:",
        "if True:",
        batch(f"{THROUGH}a_norm[True-host]"),
    ),
    Bug(
        LAW,
        "the running variance is always biased",
        "arrays/batch_statistics.py",
        "variance * (count / max(1, count - 1)) if self.unbiased else variance",
        "variance",
        FMU2,
    ),
    Bug(
        LAW,
        "a gradient along v, too",
        CONV,
        "slope * (dw - direction * along)",
        "slope * dw",
        law("test_conditioner[host-residual-authors]"),
    ),
    Bug(
        LAW,
        "a fixed length is the length of v",
        CONV,
        "return direction if self.g is None else direction * self.g.value",
        "return self.v.value if self.g is None else direction * self.g.value",
        AUTHORS,
    ),
    Bug(
        LAW,
        "the gradients of u and -u are added",
        NETWORK,
        "dv[..., :c] - dv[..., c : 2 * c]",
        "dv[..., :c] + dv[..., c : 2 * c]",
        law("test_conditioner[host-residual-authors]"),
    ),
    Bug(
        LAW,
        "the mask is normalised like a channel",
        NETWORK,
        "self.inputs = in_channels - mask",
        "self.inputs = in_channels",
        AUTHORS,
    ),
    Bug(
        LAW,
        "u is doubled in no code",
        NETWORK,
        "u = 2 * u if self.doubled else u",
        "u = 1 * u",
        golden("chute_eval_8x8", plain=True),
    ),
    Bug(
        LAW,
        "a skip takes h before its block",
        NETWORK,
        "            s = s + block.skip.forward(h)\n            hs.append(h)\n",
        "            s = s + block.skip.forward(hs[-1])\n            hs.append(h)\n",
        golden("authors_eval_8x8", plain=True),
    ),
    Bug(
        LAW,
        "the slope of tanh is that of its argument",
        SCALE,
        "(1 - tanh * tanh)",
        "(1 - tanh)",
        law("test_conditioner[host-checkerboard-net-even-True]"),
    ),
    Bug(
        LAW,
        "even pixels are where the row says, not the checkerboard",
        CHECKERBOARD,
        "image[:, row::2, (row + parity) % 2 :: 2] = half[:, row::2]",
        "image[:, row::2, parity::2] = half[:, row::2]",
        law("test_layer[host-checkerboard]"),
    ),
    Bug(
        LAW,
        "columns instead of a checkerboard, in both directions",
        CHECKERBOARD,
        "(row + parity) % 2 :: 2]\n    return half",
        "parity::2]\n    return half",
        AUTHORS,
    ),
    Bug(
        LAW,
        "the corners go row by row",
        "bijectors/squeeze.py",
        "CORNERS = (0, 3, 1, 2)",
        "CORNERS = (0, 1, 2, 3)",
        AUTHORS,
    ),
    Bug(
        LAW,
        "channels begin with the half that pixels begin with",
        LAYERS,
        'begins = config.pixels == "even" if kind == "pixels" else config.channels == "first"',
        'begins = config.pixels == "even"',
        ("tests/test_realnvp.py::test_which_half_the_first_couplings_change[paper-first-second]",),
    ),
    Bug(
        LAW,
        "v is a factor, and not a sign",
        INTEROP,
        "return g * np.sign(v)",
        "return g * v",
        CHUTE,
    ),
    Bug(
        LAW,
        "blocks have the variance of their own mean",
        ACTIVATION,
        "square + n * (m - mean) ** 2",
        "square",
        FAST,
    ),
    Bug(
        LAW,
        "each block has the sums of its own",
        ACTIVATION,
        "u *= (self.dy_u_sum / self.count)[:, None]",
        "u *= (self.dy_u_sum / h.shape[1])[:, None]",
        FAST,
    ),
    Bug(
        LAW,
        "the taps of a convolution are not flipped",
        BLOCKED_CONV,
        "self.weight[::-1].transpose(1, 0, 2)",
        "self.weight.transpose(1, 0, 2)",
        FAST,
    ),
    Bug(
        LAW,
        "the last skip's gradient is lost",
        BLOCKS,
        "        dh_b += skip.backward(b, ds[:, b.columns], h_out[:, b.columns])\n",
        "        skip.backward(b, ds[:, b.columns], h_out[:, b.columns])\n",
        FAST,
    ),
    Bug(
        LAW,
        "statistics are not averaged with the weights",
        "training/run.py",
        "store.set_state(self.average.value())",
        "store.theta[...] = self.average.value()[: len(store)]",
        (MODELS + "test_running_statistics_are_averaged_with_the_weights",),
    ),
    Bug(
        LAW,
        "tiles normalise each by itself",
        "fast/accelerate.py",
        "return chain if by_batch else Tiles",
        "return Tiles",
        (MODELS + "test_a_step_of_ones_own_that_normalises_by_the_batch_is_not_cut_into_tiles",),
    ),
    Bug(
        LAW,
        "training inside training ends both",
        "arrays/batch_statistics.py",
        "statistics.share = outer",
        "statistics.share = None",
        batch("test_training_inside_training_leaves_the_outer_one"),
    ),
    Bug(
        LAW,
        "a start counts more images than there are",
        "training/loop.py",
        "min(model.first_images, training_images)",
        "model.first_images",
        (MODELS + "test_a_start_that_cannot_fit_is_refused",),
    ),
]
