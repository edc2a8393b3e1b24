"""The museum of broken layers: the law that names its kind convicts each, and no right twin is
convicted.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

from glowlite.testing import LAWS, check_layer, museum
from glowlite.testing.museum.source import source_of

FOLDER = Path(museum.__file__).parent
NEITHER_IS_AN_EXHIBIT = {"__init__", "parameter", "source"}
LONGEST = 85  # lines of a file


def batch(exhibit):
    return np.random.default_rng(0).standard_normal((3, *exhibit.SHAPE))


def hold(exhibit, made, laws):
    """Hold the layer that `made` gives of seed 0 to laws, with all that they may ask for."""
    condition = None
    if hasattr(exhibit, "CONDITION_SHAPE"):
        condition = np.random.default_rng(1).standard_normal((3, *exhibit.CONDITION_SHAPE))
    check_layer(made(0), batch(exhibit), laws, make=lambda: made(1), condition=condition)


def story(exhibit):
    """The title, and the three lines of the story."""
    title, empty, *lines = exhibit.__doc__.rstrip("\n").split("\n")
    assert empty == ""
    return title, lines


@pytest.mark.parametrize("name", museum.EXHIBITS)
def test_the_law_of_its_kind_convicts_it(name):
    exhibit = museum.load(name)
    with pytest.raises(AssertionError, match=f"law {exhibit.LAW}: "):
        hold(exhibit, exhibit.broken, exhibit.LAW)


@pytest.mark.parametrize("name", museum.EXHIBITS)
def test_its_right_twin_obeys_every_law(name):
    exhibit = museum.load(name)
    hold(exhibit, exhibit.clean, LAWS)


def test_every_law_has_an_exhibit():
    assert {museum.load(name).LAW for name in museum.EXHIBITS} == {law.name for law in LAWS}


@pytest.mark.parametrize("name", museum.EXHIBITS)
def test_its_story_has_a_title_and_three_lines(name):
    title, lines = story(museum.load(name))
    assert title.endswith(".") and len(lines) == 3
    assert all(line.endswith(".") for line in lines)
    assert lines[2].startswith(("Seen in: ", "Of a kind that "))


def test_no_two_have_the_same_title():
    titles = [story(museum.load(name))[0] for name in museum.EXHIBITS]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", museum.EXHIBITS)
def test_it_differs_from_its_twin_in_the_mistake_only(name):
    exhibit = museum.load(name)
    right, wrong = exhibit.clean(0), exhibit.broken(0)
    assert type(wrong) is exhibit.Broken and issubclass(exhibit.Broken, exhibit.Clean)
    written = [key for key in vars(exhibit.Broken) if not key.startswith("__")]
    assert 1 <= len(written) <= 3, written
    for key, p in wrong.parameters().items():
        assert np.array_equal(p.value, right.parameters()[key].value)


@pytest.mark.parametrize("name", museum.EXHIBITS)
def test_it_is_one_short_file_that_needs_numpy_alone(name):
    text = (FOLDER / f"{name}.py").read_text()
    assert len(text.splitlines()) <= LONGEST
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported <= {"__future__", "copy", "numpy", "glowlite.testing.museum.parameter"}


@pytest.mark.parametrize("name", museum.EXHIBITS)
@pytest.mark.parametrize("kind", ["Clean", "Broken"])
def test_its_source_is_one_class_that_maps_as_it_does_and_tells_no_story(name, kind):
    exhibit = museum.load(name)
    text = source_of(exhibit, kind)
    assert all(line not in text for line in exhibit.__doc__.splitlines() if line)
    assert "Broken" not in text and "Clean" not in text and "super()" not in text
    names = dict(vars(exhibit))
    exec(text, names)
    made, x = exhibit.clean(0, names["Layer"]), batch(exhibit)
    expected = exhibit.clean(0, getattr(exhibit, kind))
    for got, wanted in zip(made.forward(x), expected.forward(x), strict=True):
        assert np.array_equal(got, wanted)
    y = made.forward(x)[0]
    assert np.array_equal(made.inverse(y)[0], expected.inverse(y)[0])


def test_every_file_is_listed():
    files = {path.stem for path in FOLDER.glob("*.py")} - NEITHER_IS_AN_EXHIBIT
    assert files == set(museum.EXHIBITS) and len(files) == len(museum.EXHIBITS)


def test_another_name_is_an_error():
    with pytest.raises(ValueError, match=r"no exhibit 'nothing'; there are inverse_keeps_the_sign"):
        museum.load("nothing")


OPTIONAL = (
    "state",
    "given",
    "forward_with_cache",
    "inverse_backward",
    "cast",
    "log_prob",
    "sample",
)


@pytest.mark.parametrize("method", [*OPTIONAL, "bits_per_dim", "train"])
def test_some_right_twin_has(method):
    """What a law may ask for beyond forward, inverse and backward stands in a right layer, too."""
    assert any(hasattr(museum.load(name).Clean, method) for name in museum.EXHIBITS)


def test_some_right_twin_has_an_inverse_with_a_log_determinant():
    results = []
    for name in museum.EXHIBITS:
        exhibit = museum.load(name)
        layer = exhibit.clean(0)
        results.append(layer.inverse(layer.forward(batch(exhibit))[0]))
    assert any(isinstance(result, tuple) for result in results)


def test_the_page_lists_every_exhibit_with_its_title_and_law():
    page = (FOLDER.parents[2] / "docs" / "museum.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("| `"): (row[1], row[2].strip("`")) for row in rows}
    exhibits = {name: museum.load(name) for name in museum.EXHIBITS}
    assert listed == {name: (story(exhibit)[0], exhibit.LAW) for name, exhibit in exhibits.items()}
    assert len(museum.EXHIBITS) == 40 and "forty small layers" in page


# For each law of version 2.0 that version 1.0 had not, an exhibit that no other law convicts.
ALONE = (
    "constant_channel",
    "tails_forgotten_in_reverse",
    "inverse_keeps_the_sign",
    "log_of_a_negative_determinant",
    "constant_of_one_dimension",
    "variance_for_deviation",
    "backward_of_the_last_forward",
    "sampling_without_gradient",
    "condition_ignored",
    "preprocessing_forgotten",
    "shape_learnt_in_forward",
    "log_prob_of_the_last_call",
    "stale_inverse",
    "flag_not_saved",
    "part_in_a_plain_list",
    "flattened_in_memory_order",
    "determinant_underflows",
)
FIRST_VERSION = {
    "inverse_of_forward",
    "forward_of_inverse",
    "samples_are_independent",
    "logdet_is_that_of_the_jacobian",
    "backward_rebuilds_the_input",
    "gradients_through_y",
    "gradients_through_logdet",
    "gradients_add",
    "nothing_passed_in_is_changed",
    "kept_equals_rebuilt",
}


@pytest.mark.parametrize("name", ALONE)
def test_the_law_of_its_kind_alone_convicts_it(name):
    exhibit = museum.load(name)
    others = [law for law in LAWS if law.name != exhibit.LAW]
    hold(exhibit, exhibit.broken, others)


def test_every_law_of_this_version_has_an_exhibit_that_it_alone_convicts():
    laws = [museum.load(name).LAW for name in ALONE]
    assert sorted(laws) == sorted({law.name for law in LAWS} - FIRST_VERSION)
