"""Labels on their way through a run: every image is trained on, drawn and scored with its own."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import strict_device
from small_runs import command, dataset, images, labelled
from strict_device.layers import to_device
from test_resume import STEPS, assert_same_run
from test_training import Record

from glowlite import Glow, GlowConfig, GlowliteError, Memory
from glowlite.arrays.slices import cut
from glowlite.data import load
from glowlite.data.batches import Augmentation, batches
from glowlite.data.images import ArrayImages
from glowlite.data.labels import conditioned
from glowlite.distributed.communicator import OneProcess
from glowlite.drawing.class_rows import in_turn, row_labels, row_names
from glowlite.drawing.run_pictures import samples_at_temperatures
from glowlite.fast.lanes import Lanes
from glowlite.fast.threads import Workers
from glowlite.files.storage import read_header
from glowlite.objective import bits_per_dim
from glowlite.training.class_scoring import ClassScores, class_scores, evaluate_by_class
from glowlite.training.guards import check_step
from glowlite.training.loop import train
from glowlite.training.optimizers import Adam
from glowlite.training.run import Training
from glowlite.training.scoring import evaluate, scores
from glowlite.training.settings import Settings
from glowlite.training.step import training_step

CLASSES, IMAGES = 3, 9
WEIGHT = 0.7
RNG = np.random.default_rng
LABELS = np.array([2, 0, 1, 1, 0, 2, 2, 1, 0])


def model_of_classes(dtype="float64", threads=1, memory="256MB", xp=np):
    config = GlowConfig((8, 8, 3), K=2, L=2, width=8, classes=CLASSES)
    model = Glow(config, 0, dtype, Memory.parse(memory), Workers(threads), xp)
    x = batch(dtype)
    model.initialize(x if xp is np else to_device(x))
    change = (0.05 * RNG(0).standard_normal(len(model.store))).astype(dtype)
    model.store.theta[...] += xp.asarray(change)
    return model


def batch(dtype="float64", count=IMAGES):
    return (RNG(1).random((count, 8, 8, 3)) - 0.5).astype(dtype)


# batches


def test_labels_of_a_batch_are_those_of_its_images_on_every_rank():
    numbered = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    labels = (7 * np.arange(40)) % 11
    for share in (None, slice(0, 3), slice(3, 8)):
        for made in batches(
            ArrayImages(numbered), 8, 3, 12, 0, "float32", Augmentation(True, 0.2), share, labels
        ):
            assert np.array_equal(made.labels, labels[made.images[:, 0, 0, 0]])
            assert len(made.labels) == len(made.images)


# steps


@pytest.mark.parametrize("pairwise", [False, True])
@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(parts, pairwise):
    found = []
    for count in (1, parts):
        model = model_of_classes()
        result = training_step(
            model, Adam(model.store.theta), batch(count=8), 5, 1e-3, parts=cut(8, count),
            pairwise=pairwise, labels=LABELS[:8], label_weight=WEIGHT,
        )  # fmt: skip
        found.append((result.bits_per_dim, model.store.grad.copy()))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-10 * abs(found[0][1]).max())


def gradients(run, model, x, labels):
    model.store.grad[...] = 1.0  # gradients add
    loss, drift = run(x, 5, labels=labels, label_weight=WEIGHT)
    return float(loss), float(drift), model.store.grad.copy()


@pytest.mark.bits
@pytest.mark.skipif(not hasattr(os, "fork"), reason="lanes are processes on Linux only")
@pytest.mark.parametrize("memory", ["0", "60KB", "all"])
def test_labels_reach_the_second_lane_wherever_it_runs(memory):
    results = []
    for threads, processes in ((2, True), (2, False), (1, True)):
        model = model_of_classes("float32", threads, memory)
        with Lanes(model, IMAGES, processes) as lanes:
            assert (lanes._process is not None) == (threads == 2 and processes)
            gradients(lanes.gradients, model, batch("float32")[:5], np.ones(5, int))
            results.append(gradients(lanes.gradients, model, batch("float32"), LABELS))
    for loss, drift, grad in results[1:]:
        assert (loss, drift) == results[0][:2]
        np.testing.assert_array_equal(grad, results[0][2])
    model = model_of_classes("float64", 2, memory)
    with Lanes(model, IMAGES) as lanes:
        found = gradients(lanes.gradients, model, batch(), LABELS)
    expected = gradients(model.gradients, model, batch(), LABELS)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(found[2], expected[2], atol=1e-10 * abs(expected[2]).max())


def test_a_bad_step_of_a_model_of_classes_names_its_layer():
    model, x = model_of_classes(), batch()
    model.store.parameters["top/by_class"].value[1, -1] = np.nan
    result = training_step(
        model, Adam(model.store.theta), x, 5, 1e-3, parts=cut(IMAGES, 3), labels=LABELS
    )
    with pytest.raises(GlowliteError, match="the loss is nan, first at top/by_class"):
        check_step(model, x, cut(IMAGES, 3), result, labels=LABELS)
    model.store.parameters["top/by_class"].value[1, -1] = -1e4
    with np.errstate(all="ignore"):
        result = training_step(
            model, Adam(model.store.theta), x, 5, 1e-3, parts=cut(IMAGES, 3), labels=LABELS
        )
        with pytest.raises(GlowliteError, match="first at top"):
            check_step(model, x, cut(IMAGES, 3), result, labels=LABELS)


def trained(data, xp=np, **options):
    model = model_of_classes(xp=xp)
    settings = {"steps": 6, "batch": 8, "log_every": 1, "evaluate_every": 3, "lr": 2e-3, **options}
    training, seen = Training(model, Settings(label_weight=WEIGHT, **settings)), Record()
    train(training, data, [seen])
    return training, seen


def test_a_run_on_the_device_follows_one_on_the_host():
    data = labelled(dataset())
    (host, seen), (device, others) = (
        trained(data, xp, average=0.9, accumulate=2) for xp in (np, strict_device.xp)
    )
    theta = device.model.store.theta.get()
    np.testing.assert_allclose(theta, host.model.store.theta, rtol=1e-7, atol=1e-9)
    for ours, theirs in zip(seen.metrics, others.metrics, strict=True):
        assert ours.train_bits_per_dim == pytest.approx(theirs.train_bits_per_dim, rel=1e-10)
        assert ours.held_out_accuracy == theirs.held_out_accuracy
        assert ours.held_out_bayes_accuracy == theirs.held_out_bayes_accuracy


def test_a_line_of_metrics_is_of_the_labels_of_its_images():
    data = labelled(dataset())
    training, seen = trained(data, average=0.9)
    last, model, held_out = seen.metrics[-1], training.model, (data.held_out, 5, 8, 0)
    given = model.given(data.held_out_labels)
    assert last.held_out_raw_bits_per_dim == evaluate(given, *held_out)
    with training.averaged():
        expected = evaluate(given, *held_out)
        found = class_scores(model, data.held_out, data.held_out_labels, 5, 8, 0)
    assert last.held_out_bits_per_dim == pytest.approx(expected, rel=1e-12)
    assert last.held_out_accuracy == found.classifier_accuracy
    assert last.held_out_bayes_accuracy == found.bayes_accuracy
    assert seen.metrics[0].held_out_accuracy is None
    assert last.reconstruction_error < 1e-6


# scores


def test_scores_by_class_are_those_of_a_model_given_each_class():
    model, data = model_of_classes(), labelled(dataset(60))
    rows = np.array([1, 4, 5, 11, 30])
    for draws, chosen in ((1, None), (3, rows)):
        found = class_scores(model, data.train, data.labels, 5, 4, 0, chosen, draws)
        for label in range(CLASSES):
            expected = scores(model.given(label), data.train, 5, 4, 0, chosen, draws)
            np.testing.assert_allclose(found.bits[:, label], expected, rtol=1e-12)
        given = scores(model.given(data.labels), data.train, 5, 4, 0, chosen, draws)
        np.testing.assert_allclose(found.given_labels(), given, rtol=1e-12)
        if draws == 1:  # of several draws the mean is inside the mean over classes
            mixture = scores(model, data.train, 5, 4, 0, chosen, draws)
            np.testing.assert_allclose(found.mixture(), mixture, rtol=1e-12)
        np.testing.assert_allclose(np.exp(found.classifier).sum(axis=1), 1)
        assert len(found.labels) == len(found.bits)
    mean, classifier, bayes = evaluate_by_class(model, data.labels, data.train, 5, 8, 0, 20)
    assert mean == pytest.approx(evaluate(model.given(data.labels), data.train, 5, 8, 0, 20))
    assert 0 <= classifier <= 1 and 0 <= bayes <= 1


def test_the_class_that_is_found_is_the_one_of_the_fewest_bits_or_the_largest_logit():
    bits = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [1.0, 2.0, 2.0]])
    logits = np.array([[0.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    found = ClassScores(4, bits, logits, np.array([0, 1, 2, 1]))
    assert found.bayes_accuracy == 0.75 and found.classifier_accuracy == 0.5
    assert found.given_labels().tolist() == [1.0, 1.0, 1.0, 2.0]
    one = ClassScores(4, np.array([[1.0, 1.0]]), np.zeros((1, 2)), np.array([0]))
    assert one.mixture()[0] == pytest.approx(1.0)
    half = np.array([[bits_per_dim(np.log(p), 4, None) for p in (0.5, 0.25)]])
    expected = bits_per_dim(np.log(0.375), 4, None)
    assert ClassScores(4, half, logits, LABELS[:1]).mixture()[0] == pytest.approx(expected)


# pictures


def test_rows_of_samples_are_a_class_each():
    assert row_labels(3, 2).tolist() == [0, 0, 1, 1, 2, 2]
    assert len(row_labels(100, 2)) == 2 * 64
    model = model_of_classes("float32")
    assert row_names(model) == ["0", "1", "2"]
    model.class_names = ("a", "b", "c")
    assert row_names(model) == ["a", "b", "c"]
    assert np.array_equal(
        in_turn(model, 4).sample(4), model.given([0, 1, 2, 0]).sample(4)
    ) and in_turn(model.given(1), 4).labels.tolist() == [1]
    drawn = samples_at_temperatures(model, OneProcess())
    expected = model.given(np.repeat([0, 1, 2], 21)).sample(63, 0.5, model.seed)
    assert np.array_equal(drawn[0.5], expected)


# commands


RUN = [
    "--data", "classes.npz", "--condition", "labels", "--label-weight", "0.5", "--K", "1", "--L",
    "2", "--width", "8", "--batch", "8", "--steps", str(STEPS), "--lr", "5e-3", "--log-every", "1",
    "--evaluate-every", "20", "--checkpoint-every", "5", "--picture-every", "100000", "--average",
    "0.9", "--flip", "--augment-shift", "0.2", "--threads", "1", "--warmup", "3",
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data of three classes, and a run on it."""
    home = tmp_path_factory.mktemp("classes")
    pictures = images(60)
    labels = np.arange(60) % CLASSES
    pictures[np.arange(60), 2:6, 2:6, labels] |= 128
    named = {"label_names": ["red", "green", "blue"], "images": pictures}
    np.savez(home / "classes.npz", labels=labels, **named)
    np.savez(home / "others.npz", labels=(labels + 1) % CLASSES, **named)
    np.savez(home / "none.npz", images=pictures)
    flags = labels[:, None] == np.arange(2)
    np.savez(home / "flags.npz", images=pictures, attributes=flags, attribute_names=["r", "g"])
    done = command(home, *RUN, "--out", "run")
    assert done.returncode == 0, done.stderr
    assert "classifier correct on" in done.stderr and "Bayes' rule on" in done.stderr
    return home


def test_a_run_learns_its_classes_and_its_file_says_their_names(home):
    lines = [json.loads(line) for line in (home / "run/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["held_out_accuracy"] > 0.6
    header = read_header(home / "run/best.safetensors")
    assert header["config"]["classes"] == CLASSES
    assert header["class_names"] == ["red", "green", "blue"]
    assert header["settings"]["label_weight"] == 0.5
    assert (home / "run" / f"samples-{STEPS:06d}.png").stat().st_size > 1000


def test_a_run_that_is_taken_up_is_the_same_to_the_last_bit(home, undrawn):
    """Twice: after seven steps, and after thirty."""
    step = Training.step
    for kept in (7, 30):

        def until(self, batch, kept=kept):
            if batch.step >= kept:
                raise KeyError("stopped here")
            return step(self, batch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Training, "step", until)
            done = command(home, *RUN, "--out", "again", "--resume")
        assert done.returncode == 1 and ("continuing from" in done.stderr) == (kept == 30)
    done = command(home, *RUN, "--out", "again", "--resume")
    assert done.returncode == 0 and "continuing from" in done.stderr, done.stderr
    assert_same_run(home / "again", home / "run")


def test_a_run_cannot_be_taken_up_with_other_labels(home, undrawn):
    shutil.copytree(home / "run", home / "moved")
    words = [*RUN, "--out", "moved", "--resume", "--steps", str(STEPS + 10)]
    done = command(home, *words, "--data", "others.npz")
    assert done.returncode == 2 and "but different ones or in a different order" in done.stderr
    done = command(home, *words, "--condition", "r")
    assert done.returncode == 2 and "cannot become 'r' in a resumed run" in done.stderr
    plain = [word for word in words if word not in ("--condition", "labels")]
    assert command(home, *plain).returncode == 0  # the run knows that it has labels
    done = command(home, *words, "--label-weight", "0.1", "--steps", str(STEPS + 12))
    assert done.returncode == 0


def test_evaluate_says_bits_given_labels_and_how_often_the_class_is_found(home):
    done = command(home, "run", "--csv", "scores.csv", program="evaluate")
    model, data = Glow.load(home / "run"), labelled_file(home)
    found = class_scores(model, data.held_out, data.held_out_labels, 5, 64, 0)
    first, second = done.stdout.splitlines()
    assert f"{found.given_labels().mean():.4f} +-" in first and "given their labels" in first
    assert f"the class of {100 * found.bayes_accuracy:.1f}% of them" in second
    assert f"the classifier that of {100 * found.classifier_accuracy:.1f}%" in second
    assert f"{found.mixture().mean():.4f} bits/dim" in second
    written = np.loadtxt(home / "scores.csv", delimiter=",", skiprows=1)[:, 1]
    np.testing.assert_allclose(written, found.given_labels(), atol=1e-6)
    done = command(home, "run", "--train-set", program="evaluate")
    found = class_scores(model, data.train, data.labels, 5, 64, 0)
    assert f"{found.given_labels().mean():.4f} +-" in done.stdout
    assert f"the class of {100 * found.bayes_accuracy:.1f}% of them" in done.stdout


def labelled_file(home):
    return conditioned(load(str(home / "classes.npz")), "labels")


def test_evaluate_without_labels_is_of_the_mixture(home):
    done = command(home, "run", "--data", "none.npz", program="evaluate")
    model, data = Glow.load(home / "run"), labelled_file(home)
    expected = scores(model, data.held_out, 5, 64, 0).mean()
    assert f"{expected:.4f} +-" in done.stdout and "of any class" in done.stdout
    assert "has no labels; bits/dim are those of the mixture of all 3 classes" in done.stderr
    done = command(home, "run", "--ood", "none.npz", "--histogram", "h.png", program="evaluate")
    assert re.search(r"more bits than one of the model's own images in \d", done.stdout)
    own = scores(model, data.train, 5, 64, 0)
    assert done.returncode == 0 and len(own)


def test_samples_are_of_the_class_that_is_asked_for_or_a_row_of_each(home):
    sheets = {}
    for name, words in {
        "rows": [], "red": ["--label", "red"], "zero": ["--label", "0"],
        "blue": ["--label", "blue"], "swept": ["--temperature-sweep", "0.5,0.9"],
        "blue at 0.5": ["--label", "blue", "--temperature-sweep", "0.5"],
    }.items():  # fmt: skip
        done = command(home, "run", *words, "--n", "3", "--out", f"{name}.png", program="sample")
        assert done.returncode == 0, done.stderr
        sheets[name] = (home / f"{name}.png").read_bytes()
        assert (" of each of 3 classes," in done.stdout) == (name == "rows")
    assert sheets["red"] == sheets["zero"]
    assert len(set(sheets.values())) == len(sheets) - 1
    done = command(home, "run", "--n", "2", "--no-grid", "--out", "each", program="sample")
    assert done.returncode == 0 and len(list((home / "each").iterdir())) == 6


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("interpolate", ["run", "0", "1"]),
        ("interpolate", ["run", "0", "1", "2", "3", "--spherical", "--steps", "3"]),
        ("reconstruct", ["run", "0", "1"]),
        ("figures", ["run"]),
        ("inpaint", ["run", "0", "--label", "red", "--steps", "2"]),
        ("export", ["run", "alone.safetensors"]),
        ("report", ["run"]),
    ],
)
def test_the_other_commands_take_a_model_of_classes(home, program, words):
    done = command(home, *words, program=program)
    assert done.returncode == 0, done.stderr
    if program == "export":
        sampled = command(home, "alone.safetensors", "--label", "green", program="sample")
        assert sampled.returncode == 0, sampled.stderr


def test_attributes_are_classes_by_name_and_can_still_be_edited(home, undrawn):
    words = [word if word != "classes.npz" else "flags.npz" for word in RUN]
    words[words.index("labels")] = "r,g"
    done = command(home, *words, "--steps", "20", "--out", "flags")
    assert done.returncode == 0, done.stderr
    names = read_header(home / "flags/best.safetensors")["class_names"]
    assert names == ["no r or g", "r", "g", "r+g"]
    edited = command(home, "flags", "0", "1", "--attribute", "r", program="edit")
    assert edited.returncode == 0, edited.stderr
    assert command(home, "flags", "--label", "r+g", program="sample").returncode == 0


MISTAKES = [
    ("train", ["--data", "none.npz", "--condition", "labels"], "none.npz: has no labels"),
    ("train", ["--data", "flags.npz", "--condition", "labels"], "but attributes; name one, such"),
    ("train", ["--data", "flags.npz", "--condition", "x"], "has no attribute 'x'; it has r, g"),
    ("train", ["--data", "flags.npz", "--condition", "r,r"], "an attribute is named twice"),
    ("train", ["--data", "negative.npz", "--condition", "labels"], "label -1 of image"),
    ("train", ["--data", "large.npz", "--condition", "labels"], "is none of the 3 classes, 0 to 2"),
    ("train", ["--data", "short.npz", "--condition", "labels"], "(59,) for 60 images"),
    ("train", ["--data", "floats.npz", "--condition", "labels"], "must be whole numbers (N,)"),
    ("train", ["--data", "one.npz", "--condition", "labels"], "labels have 1 classes"),
    ("train", ["--data", "twice.npz", "--condition", "labels"], "two classes have the name 'a'"),
    ("train", ["--condition", "labels", "--top-prior", "unit"], "2 with top_prior learned, got 3"),
    ("train", ["--condition", "labels", "--label-weight", "-1"], "--label-weight"),
    ("train", ["--label-weight", "1"], "--label-weight needs a model with classes; give --cond"),
    ("train", ["--class-map", "pixels"], "--class-map needs a model with classes; give --cond"),
    (
        "train",
        ["--data", "classes.npz", "--condition", "labels", "--model", "nice", "--batch", "8"],
        "--model nice has no classes",
    ),
    ("sample", ["run", "--label", "3"], "--label '3': no such class; there are 3, by number"),
    ("inpaint", ["run", "0"], "has classes; give the class of the images with --label"),
    ("sample", ["run", "--label", "grey"], "by name: red, green, blue"),
    ("sample", ["--label", "0"], "pretrained faces was trained without labels"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "words", "said"), MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_written(home, program, words, said):
    labels, pictures = np.arange(60) % CLASSES, images(60)
    for name, bad in {
        "negative": labels - 1, "short": labels[:59], "floats": labels / 2, "one": labels * 0,
    }.items():  # fmt: skip
        np.savez(home / f"{name}.npz", images=pictures, labels=bad)
    np.savez(home / "large.npz", images=pictures, labels=labels + 1, label_names=["a", "b", "c"])
    np.savez(home / "twice.npz", images=pictures, labels=labels, label_names=["a", "b", "a"])
    if program == "train" and "nice" not in words:
        words = [*RUN[4:], "--data", "classes.npz", *words, "--out", "mistaken"]
    done = command(home, *words, program=program)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not (home / "mistaken").exists()
