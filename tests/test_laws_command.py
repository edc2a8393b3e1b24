"""`python -m glowlite.laws`: its table, its options, its files, its exit codes, and mistakes."""

import json
import os
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import flows
import numpy as np
import pytest
from small_runs import command, environment, process

from glowlite.testing.laws import DATE, LAWS, LEVELS, VERSION, chosen

LOGDET, MAP = "logdet_is_that_of_the_jacobian", "inverse_of_forward"
BROKEN = [LOGDET, "gradients_through_logdet", "caches_follow_parameters"]
ROW = re.compile(
    r"^  (\w+) +(held|BROKEN|broken, as expected|HELD, NOT AS EXPECTED|UNDECIDED|-)( |$)"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module of flows; what the command imports of it is forgotten again."""
    shutil.copy(flows.__file__, tmp_path / "my_flows.py")
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def laws(folder):
    """Run the command in this process, in that folder."""
    return lambda *words: command(folder, *words, program="laws")


def rows(done):
    """The verdict of each law of the table, in its order."""
    found = (ROW.match(line) for line in done.stdout.splitlines())
    return {row[1]: row[2] for row in found if row}


def is_one_plain_line(done):
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1, done
    assert lines[0].startswith("python -m glowlite.laws: error: ")
    assert lines[0].isprintable() and len(lines[0]) <= 400 and "Traceback" not in lines[0]
    return lines[0].removeprefix("python -m glowlite.laws: error: ")


# --- exit codes and the table ---


def test_a_clean_layer_is_exit_code_0_and_a_row_for_each_law(laws):
    done = laws("my_flows:make")
    assert done.returncode == 0 and done.stderr == ""
    assert list(rows(done)) == [law.name for law in LAWS]
    assert set(rows(done).values()) == {"held", "-"}
    lines = done.stdout.splitlines()
    assert lines[0] == f"my_flows:make, x (N, 2), seeds 0, 1; laws {VERSION} of {DATE}"
    assert [line for line in lines if line in LEVELS] == list(LEVELS)
    held, others = (list(rows(done).values()).count(mark) for mark in ("held", "-"))
    assert lines[-1] == f"{len(LAWS)} laws: {held} held, 0 broken, {others} not applicable"
    assert re.search(rf"^  {MAP} +held +off by \S+, allowed \S+$", done.stdout, re.MULTILINE)
    assert re.search(r"^  kept_equals_rebuilt +- +it has no forward_with_cache$", done.stdout, re.M)


def test_every_row_stands_under_its_level(laws):
    level, found = "", {}
    for line in laws("my_flows:make").stdout.splitlines():
        level = line if line in LEVELS else level
        if row := ROW.match(line):
            found[row[1]] = level
    assert found == {law.name: law.level for law in LAWS}


def test_a_broken_layer_is_exit_code_1_and_each_broken_law_a_story(laws):
    done = laws("my_flows:broken")
    assert done.returncode == 1 and done.stderr == ""
    assert [name for name, verdict in rows(done).items() if verdict == "BROKEN"] == BROKEN
    for name in BROKEN:
        story = done.stdout.partition(f"\n{name} is broken\n")[2].split("\n\n")[0]
        labels = [line.split()[0] for line in story.splitlines()]
        assert labels == ["the", "found:", "often:", "seed:", "batch:", "again:"], story
        assert "batch:   [[0.0, 0.0]], the smallest that was found" in story
    assert done.stdout.splitlines()[-1].startswith(f"begin with {LOGDET}: ")
    assert ", 3 broken, " in done.stdout


def test_what_cannot_be_decided_is_exit_code_2(laws, folder):
    words = ["my_flows:FarOff", "--only", "gradients_through_y", "--junit", "r.xml"]
    done = laws(*words)
    assert done.returncode == 2 and rows(done) == {"gradients_through_y": "UNDECIDED"}
    assert "\ngradients_through_y: dx through y against differences: " in done.stdout
    assert ElementTree.parse(folder / "r.xml").getroot().attrib["errors"] == "1"
    (folder / "known.toml").write_text('gradients_through_y = "far off"\n')
    assert laws(*words, "--expect-fail", "known.toml").returncode == 2


def test_in_a_process_of_its_own_and_nothing_is_left_behind(folder):
    before = {path.name for path in folder.iterdir()} | {"__pycache__"}
    words = "my_flows:OfItsNeighbours", "--only", "samples_are_independent"
    done = process(folder, *words, program="laws")  # which has Hypothesis search for long
    assert done.returncode == 1 and done.stderr == ""
    assert rows(done) == {"samples_are_independent": "BROKEN"}
    assert {path.name for path in folder.iterdir()} <= before
    assert process(folder, "my_flows:make", "--only", MAP, program="laws").returncode == 0
    done = process(folder, "my_flows:no_such", program="laws")
    assert "my_flows has no no_such; it has np, SHAPE, Parameter, Scale, " in is_one_plain_line(
        done
    )


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [("| head -n 1; exit ${PIPESTATUS[0]}", 0, ""), (">/dev/full", 2, "standard output: No space")],
)
def test_streams_that_end_are_not_blamed_on_the_layer(folder, redirection, code, said):
    words = f"{sys.executable} -m glowlite.laws my_flows:make --only maps {redirection}"
    done = subprocess.run(
        ["bash", "-c", words], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (code == 2)


def test_a_disk_that_is_full_in_the_middle_of_the_table_is_not_blamed_on_the_layer(
    laws, monkeypatch
):
    import glowlite.commands.laws as module

    def full_after_the_heading(line):
        if "seeds" not in line:
            raise OSError(28, "No space left on device", "standard output")

    monkeypatch.setattr(module, "say", full_after_the_heading)
    assert is_one_plain_line(laws("my_flows:make")) == "standard output: No space left on device"


# --- what is tested ---


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("my_flows:make", 0),
        ("my_flows.py:make", 0),
        ("./my_flows.py:broken", 1),
        ("my_flows:clean", 0),  # an object
        ("my_flows:wrong", 1),
        ("my_flows:Scale", 0),  # a class
        ("my_flows:DoubledLogdet", 1),
        ("my_flows:of_nothing", 0),  # a factory without a seed
        ("my_flows:Namespace.inner", 1),
        ("glowlite.testing.museum.pixels_forgotten:broken", 1),
        ("glowlite.testing.museum.pixels_forgotten:clean", 0),
    ],
)
def test_a_module_or_a_file_an_object_a_class_or_a_factory(laws, folder, name, code):
    with (folder / "my_flows.py").open("a") as file:
        file.write("\n\nclass Namespace:\n    inner = DoubledLogdet()\n")
    assert laws(name, "--only", LOGDET).returncode == code


def test_a_module_in_a_package_and_a_file_elsewhere_that_imports_its_neighbour(laws, folder):
    (folder / "pkg").mkdir()
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "pkg" / "inside.py").write_text("from my_flows import make, SHAPE\n")
    (folder / "pkg" / "beside.py").write_text("from inside import make as made\nSHAPE = (2,)\n")
    assert laws("pkg.inside:make", "--only", MAP).returncode == 0
    assert laws("pkg/beside.py:made", "--only", MAP).returncode == 0


def test_a_file_with_the_name_of_another_module_is_itself(laws, folder):
    """That which is imported already knows nothing of it."""
    (folder / "json.py").write_text(
        "from dataclasses import dataclass\nfrom my_flows import Tanh\nSHAPE = (3,)\n"
        "@dataclass\nclass Layer(Tanh):\n    kept: 'list[int] | None' = None\n"
    )
    for _ in range(2):
        done = laws("json.py:Layer", "--only", MAP)
        assert done.returncode == 0 and ", x (N, 3), " in done.stdout
    assert sys.modules["json"] is json


def test_a_layer_that_can_be_made_from_a_seed_is_made_from_each(laws):
    assert laws("my_flows:broken_at_one", "--only", LOGDET).returncode == 1
    assert laws("my_flows:broken_at_one", "--only", LOGDET, "--seeds", "1").returncode == 0
    done = laws("my_flows:make", "--only", MAP, "--seeds", "3")
    assert ", seeds 0, 1, 2; laws" in done.stdout
    assert ", seed 0; laws" in laws("my_flows:make", "--only", MAP, "--seeds", "1").stdout


# --- options ---


@pytest.mark.parametrize(
    "names",
    [
        "maps",
        "maps,numerics",
        "life cycle, gradients_add",
        f"{LOGDET},{MAP}",
        "model,maps,inverse_of_forward",
    ],
)
def test_only_the_laws_and_levels_that_are_named(laws, names):
    done = laws("my_flows:make", "--only", names)
    expected = [law.name for law in chosen([name.strip() for name in names.split(",")])]
    assert list(rows(done)) == expected and f"\n{len(expected)} laws: " in done.stdout


def test_the_list_says_what_each_law_is(laws):
    done = laws("--list")
    assert done.returncode == 0 and done.stdout.startswith(f"laws {VERSION} of {DATE}\nmaps\n")
    for law in LAWS:
        assert f"  {law.name:34}{law.says}" in done.stdout
    assert done.stdout.count("(Its probability of a false alarm is") == 2


def test_the_shape_is_what_is_said_or_what_the_layer_or_its_module_says(laws, folder):
    (folder / "wide.py").write_text(
        "import my_flows\n"
        "class Free(my_flows.Tanh):\n    pass\n"
        "class Knows(Free):\n    event_shape = (3, 1)\n"
        "class OfNone(Free):\n    event_shape = (0,)\n"
        "def make():\n    return Knows()\n"
    )
    assert "wide:Free: --shape is needed: the shape of one sample of x" in is_one_plain_line(
        laws("wide:Free")
    )
    assert "--shape is needed" in is_one_plain_line(laws("wide:OfNone"))
    for name in ("Knows", "make"):
        assert ", x (N, 3, 1), " in laws(f"wide:{name}", "--only", "maps").stdout
    for shape in ("5", "2,4", "2x4", " 2 , 4 "):
        done = laws("wide:Knows", "--shape", shape, "--only", "maps")
        said = ", ".join(re.findall(r"\d", shape))
        assert done.returncode == 0 and f", x (N, {said}), " in done.stdout


def test_a_condition_of_a_shape(laws):
    words = "my_flows:OfACondition", "--only", "condition_acts"
    assert rows(laws(*words)) == {"condition_acts": "-"}
    assert rows(laws(*words, "--condition-shape", "2")) == {"condition_acts": "held"}
    done = laws("my_flows:OfACondition", "--condition-shape", "2", "--only", "maps,gradients")
    assert done.returncode == 0
    assert "Scale has no given(condition), so it takes no condition" in is_one_plain_line(
        laws("my_flows:make", "--condition-shape", "2")
    )


def test_float32_is_the_one_law_that_compares_it(laws):
    name = "float32_agrees_with_float64"
    done = laws("my_flows:make", "--dtype", "float32")
    assert done.returncode == 0 and rows(done) == {name: "held"}
    assert rows(laws("my_flows:make", "--dtype", "float32", "--only", "numerics")) == {name: "held"}
    done = laws("my_flows:make", "--dtype", "float32", "--only", "maps")
    assert f"the only law in float32 is {name}" in is_one_plain_line(done)


def test_the_framework_can_be_said(laws):
    words = "my_flows:broken", "--only", LOGDET
    assert 'framework="numpy"' not in laws(*words).stdout
    done = laws(*words, "--framework", "numpy")
    assert done.returncode == 1 and done.stdout.count('framework="numpy"') == 2


# --- expected failures ---


def expecting(folder, text):
    (folder / "known.toml").write_text(text)
    return "--expect-fail", "known.toml"


def test_a_law_that_is_broken_as_expected_is_exit_code_0(laws, folder):
    text = "".join(f'{name} = "twice too large"\n' for name in BROKEN)
    done = laws("my_flows:broken", *expecting(folder, text))
    assert done.returncode == 0 and rows(done)[LOGDET] == "broken, as expected"
    assert done.stdout.count("\n  expected: twice too large\n") == 3
    assert ", 0 broken, 3 broken as expected, " in done.stdout
    done = laws("my_flows:broken", *expecting(folder, text.partition("\n")[0]))
    assert done.returncode == 1 and rows(done)[LOGDET] == "broken, as expected"
    assert rows(done)[BROKEN[1]] == "BROKEN"


def test_a_law_that_holds_after_all_is_exit_code_1(laws, folder):
    done = laws("my_flows:make", "--only", "maps", *expecting(folder, f'{MAP} = "thought so"'))
    assert done.returncode == 1 and rows(done)[MAP] == "HELD, NOT AS EXPECTED"
    assert f"{MAP}: expected to be broken (thought so), but it holds: remove it" in done.stdout
    assert "1 held although expected to be broken" in done.stdout


def test_several_laws_can_be_broken_for_one_reason(laws, folder):
    words = "my_flows:broken", *expecting(folder, f'"{", ".join(BROKEN)}" = "twice too large"')
    done = laws(*words)
    assert done.returncode == 0 and done.stdout.count("\n  expected: twice too large\n") == 3


def test_expected_failures_can_stand_in_tables_by_name(laws, folder):
    text = f'[broken]\n{LOGDET} = "twice"\n[make]\n{MAP} = "thought so"\n'
    words = "--only", f"{LOGDET},{MAP}", *expecting(folder, text)
    assert laws("my_flows:broken", *words).returncode == 0
    assert laws("my_flows:make", *words).returncode == 1
    assert laws("my_flows:wrong", *words).returncode == 1
    assert laws("my_flows:clean", *words).returncode == 0


def test_several_laws_can_have_one_reason(laws, folder):
    words = "--only", f"{LOGDET},{MAP}", *expecting(folder, f'"{LOGDET}, {MAP}" = "thought so"')
    done = laws("my_flows:broken", *words)
    assert done.returncode == 1 and rows(done)[LOGDET] == "broken, as expected"
    assert f"{MAP}: expected to be broken (thought so), but it holds" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('no_such_law = "why"', "known.toml: no law 'no_such_law'; --list shows the laws"),
        ('maps = "why"', "known.toml: no law 'maps'"),
        (f'{MAP} = ""', f'{MAP} needs a reason: {MAP} = "why"'),
        (f'{MAP} = "  "', f"{MAP} needs a reason"),
        (f"{MAP} = true", f"{MAP} needs a reason"),
        ('[make]\nno_such_law = "why"', "no law 'no_such_law'"),
        (f'"{MAP}, no_such_law" = "why"', "no law 'no_such_law'"),
        (f'{MAP} = "why"\n"{LOGDET},{MAP}" = "why"', f"{MAP} is named twice"),
        (f'{MAP} = "why"\n[make]\n{LOGDET} = "why"', "no law 'make'"),
        ('"maps, inverse_of_forward" = "why"', "known.toml: no law 'maps'"),
        (f'"{LOGDET}, {MAP}" = "a"\n{MAP} = "b"', f"known.toml: {MAP} is named twice"),
        ("not TOML", "known.toml: not valid TOML: "),
        (f'{MAP} = "a"\n{MAP} = "b"', "known.toml: not valid TOML: "),
        ("a" * 70000, "known.toml: is larger than 65536 bytes"),
        (None, "known.toml: No such file or directory"),
    ],
)
def test_a_list_of_expected_failures_that_is_wrong_is_a_plain_line(laws, folder, text, said):
    words = expecting(folder, text or "")
    if text is None:
        (folder / "known.toml").unlink()
    done = laws("my_flows:make", "--only", "maps", *words)
    assert said in is_one_plain_line(done) and done.stdout == ""


def test_a_list_that_is_not_text_is_a_plain_line(laws, folder):
    (folder / "known.toml").write_bytes(b"\xff\xfe")
    done = laws("my_flows:make", "--expect-fail", "known.toml")
    assert "not valid TOML" in is_one_plain_line(done)


# --- files ---


def strict(text):
    """JSON as others than Python read it."""

    def refuse(word):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def test_json_holds_all_of_the_results(laws, folder):
    done = laws("my_flows:broken", "--json", "r.json")
    found = strict((folder / "r.json").read_text())
    assert found["laws"] == {"version": VERSION, "date": DATE} and found["exit_code"] == 1
    assert found["subject"] == "my_flows:broken" and found["seeds"] == [0, 1]
    assert found["shape"] == [2]
    by_name = {result["law"]: result for result in found["results"]}
    assert list(by_name) == [law.name for law in LAWS]
    assert {name for name, r in by_name.items() if r["verdict"] == "broken"} == set(BROKEN)
    result = by_name[LOGDET]
    assert result["x"] == [[0.0, 0.0]] and result["seed"] == 0 and result["level"] == "density"
    numbers = result["comparison"]
    assert numbers["got"] == pytest.approx(2 * numbers["expected"]) and numbers["index"] == [0]
    assert numbers["error"] == pytest.approx(abs(numbers["expected"]))
    assert numbers["allowed"] == pytest.approx(1e-6)
    assert f"  again:   {result['again']}\n" in done.stdout
    assert f"  found:   {result['message']}\n" in done.stdout
    assert by_name["kept_equals_rebuilt"]["message"] == "it has no forward_with_cache"
    assert "x" not in by_name[MAP] and by_name[MAP]["comparison"]["error"] < 1e-12


def test_json_of_conditions_and_reasons(laws, folder):
    name = "backward_rebuilds_the_input"
    with (folder / "my_flows.py").open("a") as file:
        file.write(
            "\n\nclass Half(OfACondition):\n    def backward(self, y, dy, dlogdet):\n"
            "        x, dx = super().backward(y, dy, dlogdet)\n"
            "        return x + self.shift / 2, dx\n"
        )
    words = "my_flows:Half", "--condition-shape", "2", "--only", name, "--json", "r.json"
    done = laws(*words, *expecting(folder, f'{name} = "half a condition"'))
    assert done.returncode == 0 and "\n  under:   [[" in done.stdout
    (result,) = strict((folder / "r.json").read_text())["results"]
    assert result["verdict"] == "broken as expected" and result["reason"] == "half a condition"
    assert np.shape(result["condition"]) == (1, 2)
    assert ", condition=c" in result["again"]


def test_json_has_no_numbers_that_are_none(laws, folder):
    """The difference of two numbers of this size is none."""
    (folder / "huge.py").write_text(
        "import my_flows\nSHAPE = (2,)\nclass Huge(my_flows.Scale):\n"
        "    def forward(self, x):\n"
        "        y = x * 0 + (1.7e308 if len(x) == 1 else -1.7e308)\n"
        "        return y, super().forward(x)[1]\n"
    )
    words = "huge:Huge", "--json", "r.json", "--only", "samples_are_independent"
    assert laws(*words).returncode == 1
    (found,) = strict((folder / "r.json").read_text())["results"]
    assert found["verdict"] == "broken" and found["comparison"]["error"] is None
    assert found["comparison"]["got"] == -found["comparison"]["expected"] == 1.7e308


def test_junit_is_xml_and_counts(laws, folder):
    text = f'{LOGDET} = "a < b & \\u0007 known"\n{MAP} = "thought so"'
    done = laws("my_flows:broken", "--junit", "r.xml", *expecting(folder, text))
    root = ElementTree.parse(folder / "r.xml").getroot()
    cases = list(root)
    assert root.tag == "testsuite" and len(cases) == len(LAWS)
    tags = {case.attrib["name"]: [child.tag for child in case] for case in cases}
    skipped = [name for name, verdict in rows(done).items() if verdict == "-"]
    assert {name for name, tag in tags.items() if tag == ["failure"]} == {MAP, *BROKEN[1:]}
    assert {name for name, tag in tags.items() if tag == ["skipped"]} == {LOGDET, *skipped}
    counted = {name: int(root.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert counted == {
        "tests": len(LAWS),
        "failures": 3,
        "errors": 0,
        "skipped": 1 + len(skipped),
    }
    (failure,) = root.find(f"testcase[@name='{BROKEN[1]}']")
    assert (
        "again:" in failure.text
        and "through logdet against differences" in failure.attrib["message"]
    )
    assert "known" in root.find(f"testcase[@name='{LOGDET}']")[0].text
    (unexpected,) = root.find(f"testcase[@name='{MAP}']")
    assert (
        unexpected.attrib["message"]
        == "it holds, although it was expected to be broken: thought so"
    )


def test_files_of_others_are_left_alone_and_our_own_replaced(laws, folder):
    (folder / "mine.json").write_text('{"mine": 1}')
    (folder / "mine.xml").write_text("<?xml version='1.0'?>\n<project></project>\n")
    (folder / "mine.txt").write_text("mine")
    for words, said in (
        (["--json", "mine.json"], "--json mine.json: exists and is not a result of glowlite.laws"),
        (["--junit", "mine.xml"], "--junit mine.xml: exists and is not a JUnit report"),
        (["--json", "mine.txt"], "mine.txt: exists and is not"),
        (["--json", "my_flows.py"], "my_flows.py: exists and is not"),
        (["--junit", "r.txt"], "must end in .xml"),
        (["--json", "no/such/r.json"], "no folder no/such"),
        (["--json", "r.xml", "--junit", "./r.xml"], "--json and --junit are both r.xml"),
    ):
        before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        done = laws("my_flows:make", "--only", "maps", *words)
        assert said in is_one_plain_line(done) and done.stdout == ""
        assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for _ in range(2):
        words = "--only", "maps", "--json", "r.json", "--junit", "r.xml"
        assert laws("my_flows:make", *words).returncode == 0
    assert laws("my_flows:wrong", *words).returncode == 0
    assert strict((folder / "r.json").read_text())["subject"] == "my_flows:wrong"


# --- the line that shows it again ---


def again_lines(done):
    return re.findall(r"^  again:   (.*)$", done.stdout, re.MULTILINE)


def test_the_line_to_show_it_again_breaks_the_same_law_in_a_process_of_its_own(laws, folder):
    """All such lines together: a process each takes a second."""
    lines = []
    for words in (
        ["my_flows:broken_at_one", "--only", LOGDET],
        ["my_flows.py:wrong", "--only", "gradients_through_logdet", "--framework", "numpy"],
        ["my_flows:OfItsNeighbours", "--only", "samples_are_independent"],
        ["glowlite.testing.museum.condition_ignored:broken", "--only", "condition_acts"],
        ["glowlite.testing.museum.statistics_not_saved:broken", "--only", "state_survives_saving"],
    ):
        done = laws(*words)
        assert done.returncode == 1, words
        (line,) = again_lines(done)
        assert "'" not in line  # a shell's quotes
        lines.append((words[-1] if "numpy" not in words else words[2], line))
    program = "import traceback\n"
    for name, line in lines:
        program += (
            f"try:\n    {line}\nexcept AssertionError as error:\n"
            f"    assert 'law {name}: ' in str(error), error\n    print('{name}')\n"
        )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.stderr == "" and done.stdout.splitlines() == [name for name, _ in lines]


NASTY = os.fsdecode(b'it\'s "my" \\ fl\xf6w\xff') + " 写真.py"


@pytest.mark.parametrize("name", [NASTY, "two\nlines.py", 'double".py', "single'.py"])
def test_a_file_of_any_name_can_be_held_and_shown_again(laws, folder, name, monkeypatch):
    shutil.copy(folder / "my_flows.py", folder / name)
    words = f"{name}:broken", "--only", LOGDET, "--json", "r.json", "--junit", "r.xml"
    done = laws(*words)
    assert done.returncode == 1 and done.stderr == ""
    (result,) = strict((folder / "r.json").read_text())["results"]
    assert strict((folder / "r.json").read_text())["subject"] == f"{name}:broken"
    ElementTree.parse(folder / "r.xml")
    monkeypatch.chdir(folder)
    with pytest.raises(AssertionError, match=f"law {LOGDET}: "):
        exec(result["again"], {})


# --- mistakes ---

RAISING = """
import my_flows
import numpy as np
from my_flows import Scale, SHAPE
import sys

number, array, text = 5, np.zeros(3), "abc"

def raises(seed):
    raise ValueError("no\\nway")

def exits(seed):
    sys.exit(0)

def two(a, b):
    return Scale()

class OneResult(Scale):
    def forward(self, x):
        return x

class Three(Scale):
    def forward(self, x):
        return x, x, x

class Arity(Scale):
    def forward(self, x, y):
        return x

class Narrow(Scale):
    def forward(self, x):
        return x[:, :1], np.zeros(len(x))

class NoBackward:
    def forward(self, x):
        return x, np.zeros(len(x))
    def inverse(self, y):
        return y

class ExitsInALaw(Scale):
    def inverse(self, y):
        sys.exit(0)

class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError

class RaisesIt(Scale):
    def forward(self, x):
        raise Unspeakable

class Large(Scale):
    def forward(self, x):
        raise MemoryError("9 EiB")

class OfASize(Scale):
    def __init__(self, size):
        super().__init__()

class Neither:
    def log_likelihood(self, x):
        return x
"""

MISTAKES = {
    "no_such:x": "there is no module no_such; for a file, write its .py",
    "no_such.py:x": "no_such.py: no such file",
    "no/such:x": "there is no module no/such; for a file, write its .py",
    "my_flows": "my_flows: expected MODULE:NAME or FILE.py:NAME, such as my_flow:make",
    ":make": "expected MODULE:NAME",
    "my_flows:": "expected MODULE:NAME",
    ".:make": "expected the whole name of a module",
    "..my_flows:make": "expected the whole name of a module",
    "my_flows:no_such": "my_flows has no no_such; it has ",
    "my_flows:make.no_such": "my_flows has no make.no_such; it has ",
    "raising:number": "int has no forward, inverse, backward: expected a layer with ",
    "raising:array": "ndarray has no forward, inverse, backward",
    "raising:text": "str has no forward, inverse, backward",
    "raising:np": "module has no forward, inverse, backward",
    "raising:Neither": "Neither has no forward, inverse, backward",
    "raising:NoBackward": "raising:NoBackward: NoBackward has no backward: expected a layer",
    "raising:raises": r"it cannot be run: ValueError: no\nway (raising.py, line 10)",
    "raising:exits": "it cannot be run: SystemExit: 0 (raising.py, line 13)",
    "raising:two": "two() missing 1 required positional argument: 'b'",
    "raising:OfASize": "OfASize takes size: write a function of a seed that makes one",
    "raising:OneResult": "forward gave one ndarray, expected a pair: y, logdet",
    "raising:Three": "forward gave 3 values, expected a pair: y, logdet",
    "raising:Arity": "forward() missing 1 required positional argument: 'y'",
    "raising:Narrow": "forward turns x of shape (3, 2) into y of shape (3, 1)",
    "raising:RaisesIt": "it cannot be run: Unspeakable: (no message) (raising.py, line ",
    "raising:Large": "raising:Large: out of memory: 9 EiB",
    "of_an_exit:x": "it cannot be run: SystemExit: 0 (of_an_exit.py, line 1)",
    "of_a_skip.py:x": "it cannot be run: Skipped: not here",
    "of_an_error:x": r"RuntimeError: first\nsecond (of_an_error.py, line 1)",
    "of_no_syntax.py:x": "SyntaxError: '(' was never closed (of_no_syntax.py, line 1)",
    "of_no_import:x": "of_no_import: it imports no_such_thing, which is not installed",
}
MODULES = {
    "raising": RAISING,
    "of_an_exit": "raise SystemExit(0)",
    "of_a_skip": "import pytest; pytest.skip('not here', allow_module_level=True)",
    "of_an_error": "raise RuntimeError('first\\nsecond')",
    "of_no_syntax": "x = (",
    "of_no_import": "import no_such_thing.part",
}


@pytest.fixture
def modules(folder):
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_plain_line(laws, modules, name):
    done = laws(name)
    assert MISTAKES[name] in is_one_plain_line(done) and done.stdout == ""


def test_a_layer_that_ends_the_program_within_a_law_does_not_end_it_as_if_all_were_well(
    laws, modules
):
    done = laws("raising:ExitsInALaw", "--json", "r.json")
    assert "it cannot be run: SystemExit: 0 (raising.py, line " in is_one_plain_line(done)
    assert not (modules / "r.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--shape", "3"],
            "ValueError: operands could not be broadcast together with shapes (3,3)",
        ),
        (["--shape", "1"], "forward turns x of shape (3, 1) into y of shape (3, 2)"),
        (
            ["--shape", "two"],
            "argument --shape: 'two' is not a shape: expected whole numbers from 1 to",
        ),
        (["--only", "no_such"], "--only: no law or level 'no_such'; --list shows the laws"),
        (["--only", " , "], "--only: no law is named"),
        (["--seeds", "0"], "argument --seeds: 0 is not allowed"),
        (["--dtype", "float16"], "argument --dtype: invalid choice"),
        (["--framework", "keras"], "argument --framework: invalid choice"),
    ],
)
def test_a_wrong_option_is_one_plain_line(laws, words, said):
    done = laws("my_flows:make", *words)
    assert said in is_one_plain_line(done) and done.stdout == ""


def test_without_a_name_it_says_what_is_missing(laws):
    assert "MODULE:NAME is missing" in is_one_plain_line(laws())


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_framework_that_is_not_installed_is_said(laws, framework, monkeypatch):
    monkeypatch.setitem(sys.modules, framework, None)
    for name in (f"{framework}_layers", f"{framework}_conventions"):
        monkeypatch.delitem(sys.modules, f"glowlite.testing.{name}", raising=False)
    said = is_one_plain_line(laws("my_flows:make", "--framework", framework))
    assert framework in said and ("ModuleNotFoundError" in said or "import of" in said)
