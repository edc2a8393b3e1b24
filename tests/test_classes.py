"""Models of classes: the prior of each class and the classifier obey their laws, and p(x | y), p(x)
and p(y | x) are what their definitions say.
"""

import copy
import math
import pickle

import numpy as np
import pytest
import strict_device
from strict_device.layers import OnDevice, to_device, to_host

from glowlite import Flow, Glow, GlowConfig, GlowliteError, Memory, Settings, fit
from glowlite.bijectors.class_prior import ClassPrior
from glowlite.conditioners.classifier import cross_entropy
from glowlite.fast.threads import Workers
from glowlite.files.storage import read_header
from glowlite.models.by_class import log_sum_exp
from glowlite.objective import bits_per_dim
from glowlite.testing import check_layer
from glowlite.testing.gradients import directional_derivative

CLASSES, COUNT = 3, 5
LABELS = np.array([2, 0, 1, 1, 0])
RNG = np.random.default_rng
SIDES = [None, (4, 3)]  # of images that have a number for every latent, or for every channel
LIBRARIES = {"host": np, "device": strict_device.xp}


def random_prior(channels=2, sides=None):
    """A prior of classes none of whose numbers is zero."""
    layer = ClassPrior(channels, CLASSES, sides=sides)
    for p in layer.parameters().values():
        p.value[...] = 0.4 * RNG(p.value.size).standard_normal(p.value.shape)
    return layer


def glow(classes=CLASSES, dtype="float64", memory="256MB", xp=np, shake=0.05, **config):
    config = GlowConfig((8, 8, 3), **{"K": 2, "L": 2, "width": 8, "classes": classes, **config})
    model = Glow(config, 1, dtype, Memory.parse(memory), Workers(1), xp)
    model.initialize(to_device(images(dtype)) if xp is not np else images(dtype))
    change = (shake * RNG(2).standard_normal(len(model.store))).astype(dtype)
    model.store.theta[...] += xp.asarray(change)
    return model


# laws that call a layer with batches of the size of x alone
SAME_BATCH = (
    "inverse_of_forward",
    "forward_of_inverse",
    "backward_rebuilds_the_input",
    "gradients_through_y",
    "gradients_through_logdet",
    "gradients_add",
    "kept_equals_rebuilt",
    "inverse_needs_no_forward",
    "every_acting_parameter_is_named",
    "nothing_passed_in_is_changed",
    "memory_order_does_not_matter",
    "float32_agrees_with_float64",
)


def images(dtype="float64", count=COUNT):
    return (RNG(3).random((count, 8, 8, 3)) - 0.5).astype(dtype)


# the layers


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_prior_of_each_image_obeys_the_laws_and_is_that_of_its_own_class(library, sides):
    layer, x = random_prior(sides=sides), RNG(0).standard_normal((COUNT, 4, 3, 2))
    given = layer.given(LABELS)
    placed = given if library == "host" else OnDevice(given)
    # the others take batches of another size, which needs other labels: test_layer has them
    check_layer(placed, x, SAME_BATCH)
    layer = random_prior(sides=sides)  # the other one has moved to the device
    check_layer(layer, x, "condition_acts", condition=LABELS)
    y, logdet = layer.given(LABELS).forward(x)
    for i, label in enumerate(LABELS):
        alone, alone_logdet = layer.given(np.array([label])).forward(x[i : i + 1])
        assert np.array_equal(alone[0], y[i]) and alone_logdet[0] == logdet[i]
    assert len({float(layer.given(np.array([k])).forward(x)[1][0]) for k in range(CLASSES)}) == 3


@pytest.mark.parametrize("sides", SIDES)
def test_the_prior_of_a_class_is_a_gaussian_with_its_own_mean_and_spread(sides):
    layer, z = random_prior(sides=sides), RNG(0).standard_normal((COUNT, 4, 3, 2))
    mean, logs, _ = layer.mean_and_logs(z)
    m, l_y = np.split(layer.by_class.value[LABELS], 2, axis=-1)
    spread = np.exp(logs + l_y)
    expected = -0.5 * ((z - mean - m) / spread) ** 2 - np.log(spread * math.sqrt(2 * math.pi))
    eps, logdet = layer.given(LABELS).forward(z)
    found = logdet - 0.5 * (eps**2 + math.log(2 * math.pi)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found, expected.sum(axis=(1, 2, 3)), rtol=1e-12)


def test_all_that_is_of_classes_starts_at_zero():
    layer = ClassPrior(4, CLASSES)
    ours = [layer.by_class, layer.classifier.weight, layer.classifier.bias]
    shapes = [(CLASSES, 1, 1, 8), (4, CLASSES), (CLASSES,)]
    assert [p.value.shape for p in ours] == shapes
    prior = ClassPrior(4, CLASSES, sides=(2, 3))
    assert prior.by_class.value.shape == (CLASSES, 2, 3, 8)
    assert prior.classifier.weight.value.shape == (24, CLASSES)
    assert not any(p.value.any() for p in ours)


@pytest.mark.parametrize("library", LIBRARIES)
def test_cross_entropy_is_its_definition_and_has_its_derivative(library):
    logits = 3 * RNG(0).standard_normal((COUNT, CLASSES))
    given = to_device if library == "device" else np.asarray
    found, gradient = to_host_both(cross_entropy(given(logits), given(LABELS)))
    chosen = np.exp(logits)[np.arange(COUNT), LABELS] / np.exp(logits).sum(axis=1)
    np.testing.assert_allclose(found, -np.log(chosen), rtol=1e-12)
    for k in range(CLASSES):
        direction = np.eye(CLASSES)[k]
        for i in range(COUNT):

            def change(t, i=i, direction=direction):
                return float(cross_entropy(logits + t * direction, LABELS)[0][i] - found[i])

            expected, doubt = directional_derivative(change, 1e-14)
            assert gradient[i, k] == pytest.approx(expected, abs=1e-8 + doubt)
    large, steep = cross_entropy(1e4 * np.eye(CLASSES), np.zeros(CLASSES, int))
    np.testing.assert_array_equal(large, [0, 1e4, 1e4])
    assert np.isfinite(steep).all()


def to_host_both(pair):
    return [part if isinstance(part, np.ndarray) else to_host(part) for part in pair]


# the model


def objective(model, x, label_weight):
    """bits/dim given the labels, and the classifier's bits: the loss, by its definition."""
    table, logits = model.class_scores(x)
    given = bits_per_dim(table[np.arange(len(x)), LABELS], model.dimensions, 5)
    q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bits = -np.log2(q[np.arange(len(x)), LABELS]).mean()
    return float(given.mean() + label_weight * bits)


@pytest.mark.parametrize("class_map", ["pixels", "channels"])
@pytest.mark.parametrize("label_weight", [0.0, 0.7])
def test_the_gradients_are_those_of_bits_per_dim_and_of_the_classifier(class_map, label_weight):
    model, x = glow(K=1, class_map=class_map), images()
    model.store.grad[...] = 1.0
    loss, drift = model.gradients(x, 5, labels=LABELS, label_weight=label_weight)
    assert float(loss) == pytest.approx(objective(model, x, 0.0), rel=1e-12) and drift < 1e-9
    before = objective(model, x, label_weight)
    for name, p in model.store.parameters.items():
        value, gradient = p.value.copy(), p.grad - 1.0
        if "coupling" in name and name.startswith("level1"):
            continue  # those of the first level hold all that comes to a coupling
        direction = RNG(p.value.size).standard_normal(p.value.shape)

        def change(t, p=p, value=value, direction=direction):
            p.value[...] = value + t * direction
            return objective(model, x, label_weight) - before

        expected, doubt = directional_derivative(change, 1e-14)
        p.value[...] = value
        scale = float(np.linalg.norm(gradient * direction)) + 1e-9
        got = float((gradient * direction).sum())
        assert abs(got - expected) <= 1e-6 * scale + doubt, (name, got, expected, doubt)
    classifier = model.top.classifier.weight.grad - 1.0
    assert classifier.any() == (label_weight > 0)


@pytest.mark.parametrize("class_map", ["pixels", "channels"])
def test_budgets_of_memory_agree(class_map):
    x, found = images(), []
    for memory in ("0", "60KB", "all"):
        model = glow(memory=memory, class_map=class_map)
        model.gradients(x, 5, labels=LABELS, label_weight=0.7)
        found.append(model.store.grad.copy())
    for grad in found[:2]:
        np.testing.assert_allclose(grad, found[2], rtol=0, atol=1e-9 * abs(found[2]).max())


@pytest.mark.parametrize("class_map", ["pixels", "channels"])
def test_on_a_device_are_the_same_numbers(class_map):
    host, device = (glow(xp=xp, class_map=class_map) for xp in (np, strict_device.xp))
    x = images()
    found = [
        (
            *model.gradients(given(x), 5, labels=given(LABELS), label_weight=0.3),
            model.store.grad,
            *model.class_scores(given(x)),
            model.log_prob(given(x)),
            model.given(LABELS).sample(COUNT, seed=3),
        )
        for model, given in ((host, np.asarray), (device, to_device))
    ]
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(to_host(theirs), ours, rtol=0, atol=1e-10)


def test_at_the_start_every_class_is_the_model_without_classes():
    plain, model, x = glow(0, shake=0), glow(shake=0), images()
    expected = plain.log_prob(x)
    for found in (*model.class_scores(x)[0].T, model.log_prob(x), model.given(LABELS).log_prob(x)):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    np.testing.assert_array_equal(model.class_scores(x)[1], 0)


def test_the_gradient_is_small_where_training_starts():
    """Labels are what other codes diverge with: the first gradient of what they add is no larger
    than that of all else, whatever the weight of the classifier is by default.
    """
    model, x = glow(shake=0), images()
    model.gradients(x, 5, labels=LABELS, label_weight=Settings().label_weight)
    ours = [p.grad for name, p in model.store.parameters.items() if "class" in name]
    others = [p.grad for name, p in model.store.parameters.items() if "class" not in name]
    assert 0 < max(abs(g).max() for g in ours) < max(abs(g).max() for g in others)


def test_the_scores_of_classes_are_their_densities_and_p_x_their_mean():
    model, x = glow(), images()
    table, logits = model.class_scores(x)
    assert table.shape == logits.shape == (COUNT, CLASSES) and table.dtype == np.float64
    for label in range(CLASSES):
        np.testing.assert_allclose(model.given(label).log_prob(x), table[:, label], rtol=1e-13)
    given = model.given(LABELS)
    np.testing.assert_allclose(given.log_prob(x), table[np.arange(COUNT), LABELS], rtol=1e-13)
    largest = table.max(axis=1)
    expected = np.log(np.exp(table - largest[:, None]).mean(axis=1)) + largest
    np.testing.assert_allclose(model.log_prob(x), expected, rtol=1e-12)
    assert np.ptp(table, axis=1).min() > 1e-3
    bits = model.bits_per_dim(x, 5)
    np.testing.assert_allclose(bits, bits_per_dim(expected, 192, 5), rtol=1e-12)
    h = model.bijector.before_top().forward(x)[0][-1]
    np.testing.assert_allclose(logits, model.top.classifier.forward(h)[0], rtol=1e-13)
    assert float(log_sum_exp(np.array([[-1e5, -1e5]]))[0]) == pytest.approx(-1e5 + math.log(2))


@pytest.mark.parametrize("levels", [1, 2])
def test_a_model_of_one_level_has_classes_as_well(levels):
    model, x = glow(L=levels), images()
    table, _ = model.class_scores(x)
    np.testing.assert_allclose(model.given(1).log_prob(x), table[:, 1], rtol=1e-13)


def test_given_labels_it_is_a_flow_that_is_inverted_and_shares_its_parameters():
    model, x = glow(), images()
    given = model.given(LABELS)
    latents = given.encode(x)
    np.testing.assert_allclose(given.decode(latents), x, atol=1e-10)
    others = model.given((LABELS + 1) % CLASSES)
    assert abs(others.decode(latents) - x).max() > 1e-3
    before = given.log_prob(x)
    model.store.theta[...] *= 0.9
    assert (given.log_prob(x) != before).all() and given.store is model.store
    assert model.labels is None and [v.name for v in given.trace(x)][-1] == "top"


def test_a_sample_is_that_of_its_class_whatever_the_others_are():
    model = glow(dtype="float32")
    labels = np.arange(300) % CLASSES  # more than a block
    mixed = model.given(labels).sample(300, seed=5)
    for label in range(CLASSES):
        alone = model.given(label).sample(300, seed=5)
        mine = labels == label
        assert np.array_equal(alone[mine], mixed[mine]) and not np.array_equal(alone, mixed)
    some = model.given(labels).sample(300, seed=5, rows=slice(130, 290, 3))
    assert np.array_equal(some, mixed[130:290:3])


def test_on_a_straight_line_of_latents_the_class_drops_out():
    model, x = glow(), images()
    lines = []
    for label in range(CLASSES):
        given = model.given(label)
        a, b = given.encode(x[:1]), given.encode(x[1:2])
        lines.append(given.decode([0.3 * p + 0.7 * q for p, q in zip(a, b, strict=True)]))
    np.testing.assert_allclose(lines[1], lines[0], atol=1e-9)
    np.testing.assert_allclose(lines[2], lines[0], atol=1e-9)


def test_copies_have_classes(tmp_path):
    model, x = glow(), images()
    model.class_names = ("a", "b", "c")
    model.save(tmp_path / "m.safetensors")
    for twin in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        Glow.load(tmp_path / "m.safetensors"),
    ):
        assert twin.classes == CLASSES and twin.class_names == ("a", "b", "c")
        assert np.array_equal(twin.given(LABELS).log_prob(x), model.given(LABELS).log_prob(x))


def test_files_of_models_without_classes_are_as_they_were(tmp_path):
    model = glow(0)
    model.save(tmp_path / "m.safetensors")
    header = read_header(tmp_path / "m.safetensors")
    assert not {"classes", "class_map"} & header["config"].keys() and "class_names" not in header
    assert GlowConfig((8, 8, 3), class_map="channels") == GlowConfig((8, 8, 3))
    assert GlowConfig.from_dict(header["config"]) == model.config
    assert GlowConfig.from_dict({**header["config"], "classes": 3}).classes == 3


MISTAKES = {
    "say which one, as in model.given": (
        lambda m: m.forward(images()), lambda m: m.encode(images()), lambda m: m.sample(2),
        lambda m: m.gradients(images(), 5), lambda m: m.decode(m.given(0).encode(images())),
    ),
    "label 3 of image 1 is none of the 3 classes, 0 to 2": (lambda m: m.given([0, 3]),),
    "label -1 of image 0 is none": (lambda m: m.given(np.array([-1])),),
    r"labels must be whole numbers \(N,\), one per image, got float64": (
        lambda m: m.given([0.5]), lambda m: m.given(0.5),
    ),
    "2 labels are given, but 5 images": (lambda m: m.given([0, 1]).log_prob(images()),),
    "label_weight must be a finite number of at least 0": (lambda m: m.given(0, -1.0),),
    "header: 2 class_names, but the model has 3 classes": (
        lambda m: m.save("never.safetensors", class_names=["a", "b"]),
    ),
    "was made without classes": (
        lambda m: glow(0).given(0), lambda m: glow(0).class_scores(images()),
        lambda m: Flow(random_prior()).given(0),
    ),
    "classes must be 0, or at least 2 with top_prior learned": (
        lambda m: GlowConfig((8, 8, 3), classes=1),
        lambda m: GlowConfig((8, 8, 3), classes=2, top_prior="unit"),
    ),
    "classes must be a whole number from 0 to 4096": (
        lambda m: GlowConfig((8, 8, 3), classes=5000), lambda m: GlowConfig((8, 8, 3), classes=-1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_is_one_line(said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = glow()
    for mistake in MISTAKES[said]:
        with pytest.raises(GlowliteError, match=said) as error:
            mistake(model)
        assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


# fit


def coloured(count=90):
    """Images whose class is their brightest channel."""
    labels = np.arange(count) % CLASSES
    pixels = RNG(0).integers(0, 90, (count, 8, 8, CLASSES))
    pixels[np.arange(count), :, :, labels] += 120
    return pixels.astype(np.uint8), labels


SHORT = {"steps": 40, "batch": 16, "lr": 5e-3, "warmup": 5, "log_every": 10, "evaluate_every": 20}


def test_fit_takes_labels_and_learns_them():
    x, labels = coloured()
    model = Glow(GlowConfig((8, 8, 3), K=2, L=2, width=8, classes=CLASSES))
    lines = fit(model, x, labels=labels, label_weight=0.1, average=0.5, **SHORT)
    assert lines[-1].held_out_accuracy > 0.8 and lines[-1].held_out_bayes_accuracy > 0.5
    assert lines[0].held_out_accuracy is None
    again = Glow(GlowConfig((8, 8, 3), K=2, L=2, width=8, classes=CLASSES))
    others = fit(
        again, x[:80], x[80:], labels=labels[:80], held_out_labels=labels[80:], label_weight=0.1,
        average=0.5, **SHORT,
    )  # fmt: skip
    assert others[-1].held_out_accuracy > 0.8
    none = Glow(GlowConfig((8, 8, 3), K=2, L=2, width=8, classes=CLASSES))
    assert fit(none, x, labels=labels, label_weight=0.0, **SHORT)[-1].held_out_accuracy < 0.8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "a model with 3 classes; only a model with classes takes labels"),
        ({"labels": np.zeros(9, int)}, "fit, labels: 9 labels for 90 images"),
        ({"labels": np.full(90, 3)}, "label 3 of image 0 is none of the 3 classes"),
        ({"labels": -np.ones(90, int)}, "label -1 of image 0"),
        ({"labels": np.zeros(90)}, "labels must be whole numbers"),
        ({"labels": np.zeros(90, int), "held_out": coloured(6)[0]}, "also for held_out"),
    ],
)
def test_bad_labels_for_fit_are_one_line_and_nothing_is_written(tmp_path, options, said):
    model = Glow(GlowConfig((8, 8, 3), K=1, L=1, width=4, classes=CLASSES))
    with pytest.raises(GlowliteError, match=said):
        fit(model, coloured()[0], folder=tmp_path / "run", **options, **SHORT)
    assert not (tmp_path / "run").exists()
    if "labels" in options:
        plain = Glow(GlowConfig((8, 8, 3), K=1, L=1, width=4))
        with pytest.raises(GlowliteError, match="a model with 0 classes"):
            fit(plain, coloured()[0], labels=np.zeros(90, int), **SHORT)
