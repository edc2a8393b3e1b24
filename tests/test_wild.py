"""Layers of public libraries, `tests/wild/`: every law holds, but for those that are expected to be
broken there, and these are broken. They need pip install '.[wild]'.
"""

import importlib.metadata
import multiprocessing
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from glowlite.testing import LAWS
from glowlite.testing.expected import reasons_by_law
from glowlite.testing.load import Maker, find
from glowlite.testing.results import BROKEN, EXPECTED, UNDECIDED, UNEXPECTED, Subject, hold

ROOT = Path(__file__).parent.parent
WILD = ROOT / "tests" / "wild"
PAGE = ROOT / "docs" / "laws_in_the_wild.md"
PINNED = re.compile(r'^PACKAGE, VERSION = "(.*)", "(.*)"$', re.MULTILINE)
BLOCK = re.compile(r"^```python (\w+_layers)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LAYER = re.compile(r"^@layer\(.*\)\ndef (\w+)\(", re.MULTILINE)
SEED = 0  # one alone: the page tells what two gave
# two thirds of the time; of a slow layer they are held by the command, and for the page
BY_DIFFERENCES = {"gradients_through_y", "gradients_through_logdet", "gradients_of_the_inverse"}


def pinned(path):
    """The name of the package, as pip knows it, and the version that its layers are for."""
    return PINNED.search(path.read_text()).groups()


def files():
    return sorted(WILD.glob("*_layers.py"))


def layers():
    """Every layer of every file, found without importing it."""
    for path in files():
        for name in LAYER.findall(path.read_text()):
            yield pytest.param(path, name, id=f"{path.stem.removesuffix('_layers')}-{name}")


def expectations(path):
    return tomllib.loads(path.with_name(f"{path.stem.removesuffix('_layers')}.toml").read_text())


def installed(package):
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def needs(path):
    """The test is skipped where the library is not, or is another version."""
    package, version = pinned(path)
    found = installed(package)
    if found != version:
        pytest.skip(f"needs {package} {version}, found {found}: pip install '.[wild]'")


class ProcessOfOneLibrary:
    """Calls in a process that has imported one library alone: Pyro, for one, changes classes of
    PyTorch.
    """

    def __init__(self):
        self.path, self.pool = None, None

    def call(self, path, function, *arguments):
        if path != self.path:
            self.end()
            spawn = multiprocessing.get_context("spawn")
            self.path, self.pool = path, ProcessPoolExecutor(1, mp_context=spawn)
        return self.pool.submit(function, path, *arguments).result()

    def end(self):
        if self.pool is not None:
            self.pool.shutdown()


@pytest.fixture(scope="module")
def library():
    process = ProcessOfOneLibrary()
    yield process
    process.end()


@pytest.mark.parametrize(("path", "name"), list(layers()))
def test_the_laws_hold_that_are_not_expected_to_be_broken(path, name, library):
    needs(path)
    surprises, broken, expected = library.call(path, verdicts, name)
    assert not surprises, "\n".join(surprises)
    assert broken == expected


def verdicts(path, name):
    """What nobody expected of a layer, a line each; the laws that are broken as expected; and those
    that are expected to be.
    """
    make = find(f"{path}:{name}")

    def maker(seed):
        return Maker(make, seed, "auto", subject.condition(seed))

    subject = Subject(name, maker, make.SHAPE, getattr(make, "CONDITION_SHAPE", None))
    if make.FAILS:
        with pytest.raises(Exception, match=re.escape(make.FAILS)):
            subject.case(SEED)
        return [], set(), set()
    expected = reasons_by_law(expectations(path), name)
    left_out = BY_DIFFERENCES - expected.keys() if make.SLOW else set()
    laws = [law for law in LAWS if law.name not in left_out]
    report = hold(subject, laws, (SEED,), expected, shrink=False)
    found = {result.law.name: result.verdict for result in report.results}
    surprises = [
        f"{result.law.name}: {result.verdict}: {result.message or result.reason}"
        for result in report.results
        if result.verdict in (BROKEN, UNEXPECTED, UNDECIDED)
    ]
    broken = {law for law, verdict in found.items() if verdict == EXPECTED}
    return surprises, broken, set(expected)


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_what_is_expected_to_be_broken_is_of_a_layer_and_a_law(path):
    names = LAYER.findall(path.read_text())
    found = expectations(path)
    assert set(found) <= set(names)
    assert list(found) == [name for name in names if name in found]
    for name in found:
        assert reasons_by_law(found, name)


def test_the_extra_pins_the_versions():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {"==".join(pinned(path)) for path in files()}
    assert wanted <= set(extra["optional-dependencies"]["wild"])


def test_the_page_names_every_layer_and_version():
    page = PAGE.read_text()
    for path in files():
        assert " ".join(pinned(path)) in page
        for name in LAYER.findall(path.read_text()):
            assert f"`{name}`" in page, f"{path.stem}: {name}"


@pytest.mark.parametrize(("stem", "code"), BLOCK.findall(PAGE.read_text()))
def test_what_the_page_shows_in_the_words_of_a_library_is_so(stem, code, tmp_path):
    """Each block asserts what the library computes, without glowlite."""
    needs(WILD / f"{stem}.py")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
