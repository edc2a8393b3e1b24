"""Bugs in models of classes: the prior of each class, the classifier, and labels on their way through a run."""

from __future__ import annotations

from . import Bug

LAW = "a model given labels is the flow of those classes"
RUNS = "every image of a run keeps its own label"
PRIOR, CLASSIFIER, MODEL = (
    "bijectors/class_prior.py",
    "conditioners/classifier.py",
    "models/by_class.py",
)


def model(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/test_classes.py::{name}" for name in names)


def runs(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/test_label_runs.py::{name}" for name in names)


PRIORS = model(
    "test_the_prior_of_each_image_obeys_the_laws_and_is_that_of_its_own_class",
    "test_the_gradients_are_those_of_bits_per_dim_and_of_the_classifier",
)
GAUSSIAN = model("test_the_prior_of_a_class_is_a_gaussian_with_its_own_mean_and_spread")
START = model("test_all_that_is_of_classes_starts_at_zero")
GRADIENTS = model("test_the_gradients_are_those_of_bits_per_dim_and_of_the_classifier")
ENTROPY = model("test_cross_entropy_is_its_definition_and_has_its_derivative[host]")
MIXTURE = model("test_the_scores_of_classes_are_their_densities_and_p_x_their_mean")
SAMPLES = model("test_a_sample_is_that_of_its_class_whatever_the_others_are")
LANES = runs("test_labels_reach_the_second_lane_wherever_it_runs")
PARTS = runs("test_a_batch_in_parts_has_the_gradient_of_the_whole")
BATCHES = runs("test_labels_of_a_batch_are_those_of_its_images_on_every_rank")
SCORES = runs("test_scores_by_class_are_those_of_a_model_given_each_class")
FOUND = runs("test_the_class_that_is_found_is_the_one_of_the_fewest_bits_or_the_largest_logit")
LINE = runs("test_a_line_of_metrics_is_of_the_labels_of_its_images")

BUGS = [
    Bug(LAW, "mean and standard deviation of a class swapped", PRIOR, "(both[..., : self.channels], both[..., self.channels :])", "(both[..., self.channels :], both[..., : self.channels])", GAUSSIAN),
    Bug(LAW, "the log-determinant without the class", PRIOR, "logs = logs + l_y  # (N, H, W, C)\n        return (x - mean - m) * xp.exp(-logs)", "l_y = logs + l_y\n        return (x - mean - m) * xp.exp(-l_y)", PRIORS),
    Bug(LAW, "the mean of a class is left out of the inverse", PRIOR, "return mean + m + y", "return mean + y", PRIORS),
    Bug(LAW, "a class gets the gradient of a single pixel", PRIOR, "each.sum(axis=shared, keepdims=True)", "each[:, :1, :1]", PRIORS),
    Bug(LAW, "a number for every pixel is that of the first", PRIOR, "rows.reshape(self.classes, -1)", "(0 * rows + rows[:, :1, :1]).reshape(self.classes, -1)", GAUSSIAN),
    Bug(LAW, "gradients of a class do not add", PRIOR, "self.by_class.grad[...] += ", "self.by_class.grad[...] = ", PRIORS),
    Bug(LAW, "the class parameters are initialised at random", PRIOR, "Parameter(np.zeros((classes, height, width, 2 * channels)))", "Parameter(np.random.default_rng(0).standard_normal((classes, height, width, 2 * channels)))", START),
    Bug(LAW, "the classifier's gradient stops at its weights", PRIOR, "dz = dz + self._of_classifier(z, dlogdet)", "self._of_classifier(z, dlogdet)", GRADIENTS),
    Bug(LAW, "the classifier pushes the other way", PRIOR, "(-self.label_weight * dlogdet)", "(self.label_weight * dlogdet)", GRADIENTS),
    Bug(LAW, "the classifier looks at eps", PRIOR, "self._of_classifier(z, dlogdet)", "self._of_classifier(y, dlogdet)", GRADIENTS),
    Bug(LAW, "every pixel has the whole gradient of the mean", CLASSIFIER, "dfeatures / (shape[1] * shape[2])", "dfeatures / 1", GRADIENTS),
    Bug(LAW, "the cross-entropy overflows", CLASSIFIER, "logits - logits.max(axis=1, keepdims=True)", "logits - 0 * logits.max(axis=1, keepdims=True)", ENTROPY),
    Bug(LAW, "the label weight is applied to nats, not to bits/dim", MODEL, "weight * self.dimensions if weight", "weight if weight", GRADIENTS),
    Bug(LAW, "p(x) is the sum over classes", MODEL, " - math.log(self.classes)", "", MIXTURE),
    Bug(LAW, "p(x) overflows", MODEL, "largest = x.max(axis=1)", "largest = 0 * x.max(axis=1)", MIXTURE),
    Bug(LAW, "a model of one level forgets its classes", MODEL, "for eps in others:", "for eps in others[1:]:", MIXTURE),
    Bug(LAW, "a block of samples has the classes of the first one", MODEL, "labels = self.labels[rows]", "labels = self.labels[: rows.stop - rows.start] if isinstance(rows, slice) else self.labels[rows]", SAMPLES),
    Bug(RUNS, "labels in the order of the data, not of the batch", "data/batches.py", "labels[rows]", "labels[np.sort(rows)]", BATCHES),
    Bug(RUNS, "every part of a batch has the labels of the first part", "training/step.py", "labels=labels[part]", "labels=labels[: part.stop - part.start]", PARTS),
    Bug(RUNS, "the second lane has the labels of the first", "fast/lanes.py", "else labels[part]) for part", "else labels[: part.stop - part.start]) for part", LANES),
    Bug(RUNS, "labels of the second lane stay those of the first batch", "fast/lane_process.py", "self._labels[: len(x)] = labels", "self._labels[: len(x)] = np.where(self._labels[: len(x)], self._labels[: len(x)], labels)", LANES),
    Bug(RUNS, "the lane in the other process ignores the label weight", "fast/lane_process.py", "given, n_bits, batch, memory, label_weight)", "given, n_bits, batch, memory, 0.0)", LANES),
    Bug(RUNS, "some images are scored with the first labels", "training/class_scoring.py", "labels = labels if rows is None else labels[rows]", "labels = labels if rows is None else labels[: len(rows)]", SCORES),
    Bug(RUNS, "held-out images with labels of training", "training/class_scoring.py", "model.given(data.held_out_labels)", "model.given(data.labels)", LINE),
    Bug(RUNS, "the least probable class is found", "training/class_scoring.py", "self.bits.argmin(axis=1)", "self.bits.argmax(axis=1)", FOUND),
    Bug(RUNS, "the accuracies exchanged", "training/loop.py", "held_out, accuracy, bayes = evaluate", "held_out, bayes, accuracy = evaluate", LINE),
]  # fmt: skip
