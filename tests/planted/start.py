"""Bugs in how a model starts."""

from __future__ import annotations

from . import Bug

LAW = "initialisation"

ACTNORMS = "tests/test_start.py::test_every_actnorm_starts_with_mean_0_and_deviation_1"
IDENTITY = "tests/test_start.py::test_couplings_start_as_the_identity"
HAAR = "tests/test_start.py::test_rotations_are_haar_distributed"
WEIGHTS = "tests/test_start.py::test_weights_start_with_their_deviation"
CONSTANT = "tests/test_start.py::test_a_constant_channel_is_refused"
FEW = "tests/test_start.py::test_statistics_of_fewer_than_four_values_are_refused"
REFUSED = "tests/test_start.py::test_a_training_that_starts_from_fewer_is_refused_before_anything_is_written"

BUGS = [
    Bug(
        LAW,
        "the paper's ActNorm is not divided by the standard deviation",
        "bijectors/actnorm.py",
        "self.bias.value[...] = -mean / (std + STD_FLOOR)",
        "self.bias.value[...] = -mean",
        (ACTNORMS,),
    ),
    Bug(
        LAW,
        "an ActNorm of the original code's kind forgets its factor of 3",
        "bijectors/actnorm.py",
        "self.logs.value[...] = -namespace(std).log(std + STD_FLOOR) / LOGS_FACTOR",
        "self.logs.value[...] = -namespace(std).log(std + STD_FLOOR)",
        (ACTNORMS,),
    ),
    Bug(
        LAW,
        "the floor of a deviation is felt",
        "arrays/statistics.py",
        "STD_FLOOR = 1e-6",
        "STD_FLOOR = 1e-3",
        (ACTNORMS,),
    ),
    Bug(
        LAW,
        "the mean of squares is used as the variance",
        "arrays/statistics.py",
        "xp.square(x - mean).sum(axis=axes)",
        "xp.square(x).sum(axis=axes)",
        (ACTNORMS,),
    ),
    Bug(
        LAW,
        "a hidden ActNorm that is started again adds to the first start",
        "conditioners/scaled_linear.py",
        "channel_statistics(where, (self.weight.value.T @ x).T, total)",
        "channel_statistics(where, self.forward(x).T, total)",
        (ACTNORMS,),
    ),
    Bug(
        LAW,
        "the first hidden ActNorm is not started",
        "conditioners/coupling_network.py",
        'self.conv1.initialize(f"{name}.initialize, conv1", columns, total)',
        "self.conv1.forward(columns)",
        (ACTNORMS,),
    ),
    Bug(
        LAW,
        "the second hidden ActNorm is initialised from the wrong input",
        "conditioners/coupling_network.py",
        "h1 = relu(self.conv1.initialize(",
        "h1 = abs(self.conv1.initialize(",
        (ACTNORMS,),
    ),
    Bug(
        LAW,
        "a hidden ActNorm takes its mean with the wrong sign",
        "conditioners/scaled_linear.py",
        "self.bias.value[...] = -mean",
        "self.bias.value[...] = mean",
        (ACTNORMS,),
    ),
    Bug(
        LAW,
        "couplings do not start as the identity",
        "conditioners/scaled_linear.py",
        "np.zeros((in_channels + with_border, 9, out_channels))",
        "np.full((in_channels + with_border, 9, out_channels), 1e-6)",
        (IDENTITY,),
    ),
    Bug(
        LAW,
        "the signs of a rotation are those of the QR decomposition",
        "bijectors/invertible_conv.py",
        "q * np.sign(np.diag(r))",
        "q",
        (HAAR,),
    ),
    Bug(
        LAW,
        "a rotation comes from numbers that are not Gaussian ones",
        "bijectors/invertible_conv.py",
        "np.linalg.qr(rng.standard_normal((channels, channels)))",
        "np.linalg.qr(rng.uniform(-1, 1, (channels, channels)))",
        (HAAR,),
    ),
    Bug(
        LAW,
        "weights are half as large again",
        "conditioners/coupling_network.py",
        "WEIGHT_STD = 0.05",
        "WEIGHT_STD = 0.075",
        (WEIGHTS,),
    ),
    Bug(
        LAW,
        "the weights of the second hidden layer are uniform",
        "conditioners/coupling_network.py",
        "WEIGHT_STD * rng.standard_normal((width, width))",
        "WEIGHT_STD * 12**0.5 * (rng.random((width, width)) - 0.5)",
        (WEIGHTS,),
    ),
    Bug(
        LAW,
        "a constant channel is taken",
        "arrays/statistics.py",
        "if not value > 0.0]",
        "if value != value]",
        (CONSTANT,),
    ),
    Bug(
        LAW,
        "statistics of two values are taken",
        "arrays/statistics.py",
        "FEWEST = 4",
        "FEWEST = 2",
        (FEW, REFUSED),
    ),
    Bug(
        LAW,
        "training does not look at the size of the first batch",
        "commands/train.py",
        "line = model.check_start(settings.batch)",
        "line = None",
        (REFUSED,),
    ),
    Bug(
        LAW,
        "the pixels of the first level are counted",
        "models/checks.py",
        "(side >> config.L for side in config.image_shape)",
        "(side >> 1 for side in config.image_shape)",
        (REFUSED,),
    ),
]
