"""What every command line does with its words, its streams and signals:
one line for a mistake, and no traceback.
"""

import ast
import functools
import importlib
import io
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import flows
import numpy as np
import pytest
from PIL import Image
from small_runs import ROOT, environment, images, nothing_drawn
from test_floors import MODULES

from glowlite.__main__ import COMMANDS
from glowlite.commands.program import LONGEST, Parser, run
from glowlite.commands.start_up import SIGNALS
from glowlite.errors import GlowliteError
from glowlite.fast.threads import Workers
from glowlite.files.storage import atomic_path
from glowlite.terminal import bar, say, shortened, warn

NASTY = os.fsdecode(b"a\nb\r\x1b[31mred \xf6\xff") + "\u202e写\u2028"


@pytest.fixture
def as_command(monkeypatch):
    """run(main, program) in this process: the exit code.
    What it does to signals and warnings is undone.
    """
    handlers, hook = {number: signal.getsignal(number) for number in SIGNALS}, sys.unraisablehook
    monkeypatch.setattr("glowlite.commands.start_up._answered", [])

    def leave(code):
        raise SystemExit(code)

    monkeypatch.setattr("glowlite.commands.program.os._exit", leave)

    def execute(main, program="", words=()):
        monkeypatch.setattr("sys.argv", [program, *words])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            run(main, program)
        return ended.value.code

    yield execute
    for number, handler in handlers.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


def module_of(program):
    """The name of the module that `python -m glowlite.PROGRAM` runs."""
    name = f"glowlite.{program}"
    return f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name


def main_of(program):
    return importlib.import_module(module_of(program)).main


def programs():
    """Every module that can be run, by what follows `python -m glowlite.`."""
    named = {
        name
        for name, path in MODULES.items()
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    }
    return {name.removeprefix("glowlite.").removesuffix(".__main__") for name in named} - {
        "__main__"
    }


# --- text in files ---


def without_encoding(tree):
    """Where a text is read or written in whatever encoding the system happens to have."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(
            keyword.arg == "encoding" for keyword in node.keywords
        ):
            continue
        called, name = (
            ast.unparse(node.func),
            node.func.attr if isinstance(node.func, ast.Attribute) else "",
        )
        if name in ("read_text", "write_text"):
            yield node.lineno
        if called == "open":
            modes = [
                *node.args[1:2],
                *(keyword.value for keyword in node.keywords if keyword.arg == "mode"),
            ]
            if "b" not in "".join(map(ast.unparse, modes)) and len(node.args) < 4:
                yield node.lineno


@pytest.mark.parametrize("name", MODULES)
def test_text_in_files_is_of_a_named_encoding(name):
    assert list(without_encoding(ast.parse(MODULES[name].read_text(encoding="utf-8")))) == []


def test_the_search_for_encodings_finds_those_that_are_missing():
    code = "open(p)\nopen(p, 'w')\np.read_text()\np.write_text(t)\nopen(p, mode='a')\n"
    code += "open(p, 'rb')\nopen(p, encoding='utf-8')"
    assert list(without_encoding(ast.parse(code))) == [1, 2, 3, 4, 5]


# --- streams ---

WRITERS = {"print", "print_exception", "print_exc", "print_stack"}


def own_words(tree):
    """Where a module writes to a stream by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            if name in WRITERS or ast.unparse(node.func) in (
                "tqdm.write",
                "sys.stdout.write",
                "sys.stderr.write",
            ):
                yield node.lineno
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
            if {"tqdm", "logging"} & {name.partition(".")[0] for name in names}:
                yield node.lineno


@pytest.mark.parametrize("name", [name for name in MODULES if name != "glowlite.terminal"])
def test_every_line_goes_through_the_one_door(name):
    assert list(own_words(ast.parse(MODULES[name].read_text(encoding="utf-8")))) == []


def test_the_search_for_own_words_finds_them():
    code = "print(1)\ntqdm.write('x')\nimport tqdm\nfrom tqdm.auto import tqdm\n"
    code += "traceback.print_exc()\nsys.stderr.write('')"
    assert sorted(own_words(ast.parse(code))) == [1, 2, 3, 4, 5, 6]


def test_every_command_is_listed_and_run_by_the_one_function():
    assert set(COMMANDS) == programs() - {"bench.peak", "bench.ranks"}
    for program in programs():
        text = MODULES[module_of(program)].read_text(encoding="utf-8")
        assert f'if __name__ == "__main__":\n    run(main, "{program}")\n' in text


MISTAKES = {
    "train": ["--data", NASTY],
    "sample": [NASTY],
    "evaluate": [NASTY],
    "reconstruct": [NASTY],
    "interpolate": [NASTY, NASTY],
    "edit": [NASTY, "--attribute", NASTY],
    "inpaint": ["0", "--mask", NASTY],
    "figures": [NASTY],
    "report": [NASTY],
    "export": [NASTY, "x.safetensors"],
    "data": [NASTY],
    "interop": ["check", NASTY],
    "bench": ["--depths", NASTY],
    "bench.plan": [NASTY],
    "bench.peak": [NASTY],
    "bench.ranks": [NASTY],
    "bench.allreduce": [NASTY],
    "laws": [NASTY],
    "demo": [NASTY],
    "reproduce": [NASTY],
}
OTHERS = [
    ("train", ["--config", NASTY]),
    ("train", ["--preset", NASTY]),
    ("train", [NASTY]),
    ("train", [f"--{NASTY}"]),
    ("train", ["--memory", NASTY]),
    ("train", ["--device", NASTY]),
    ("train", ["--steps", NASTY]),
    ("train", ["--permutation", NASTY]),
    ("train", ["--data", f"npz:{NASTY}"]),
    ("sample", ["--temperature-sweep", NASTY]),
    ("sample", ["--device", NASTY]),
    ("demo", ["--out", f"{NASTY}/x.html"]),
    ("demo", ["--data", NASTY]),
    ("reproduce", ["figure3", "--data", NASTY]),
    ("reproduce", ["table2", NASTY]),
    ("edit", ["--alpha", NASTY]),
    ("edit", ["0", "--attribute", NASTY]),
    ("bench", ["--memory", NASTY]),
    ("bench", ["--budgets", NASTY]),
    ("laws", [f"{NASTY}:{NASTY}"]),
    ("laws", [f"{NASTY}.py:{NASTY}"]),
    ("laws", ["flows:make", "--shape", NASTY]),
    ("laws", ["flows:make", "--only", NASTY]),
    ("laws", ["flows:make", "--expect-fail", NASTY]),
    ("laws", ["flows:make", "--junit", NASTY]),
]


@pytest.mark.parametrize(("program", "words"), [*MISTAKES.items(), *OTHERS])
def test_a_mistake_with_a_nasty_name_is_one_short_printable_line(
    as_command, tmp_path, monkeypatch, capsys, program, words
):
    """On streams that can say little, and refuse the rest."""
    assert set(MISTAKES) == programs()
    monkeypatch.chdir(tmp_path)
    assert as_command(main_of(program), program, words) == 2
    out, err = capsys.readouterr()
    assert (
        out == ""
        and err.count("\n") == 1
        and err.startswith(f"python -m glowlite.{program}: error: ")
    )
    assert err.rstrip("\n").isprintable() and len(err) <= LONGEST


def test_one_error_is_one_line_though_it_has_several(as_command, capsys):
    def main():
        raise GlowliteError("first\nsecond " + 10_000 * "x" + " the advice")

    assert as_command(main, "sample") == 2
    err = capsys.readouterr().err
    assert err.startswith("python -m glowlite.sample: error: first\\nsecond xxx") and err.endswith(
        "xxx the advice\n"
    )
    assert err.count("\n") == 1 and len(err) == LONGEST + 1


def test_warnings_are_one_line_without_a_line_of_source(as_command, capsys):
    def main():
        warnings.warn("several\nlines", UserWarning, stacklevel=1)
        warnings.warn("of numbers", RuntimeWarning, stacklevel=1)

    assert as_command(main) == 0
    assert capsys.readouterr().err == "warning: several\\nlines\n"


def test_text_is_shortened_in_its_middle():
    assert shortened("abc", 60) == "abc" and shortened(9 * "a" + "\n", 11) == 9 * "a" + "\\n"
    assert shortened("a" * 10**7 + "z") == "a" * 28 + " ... " + "a" * 26 + "z"


class Full(io.StringIO):
    def write(self, text):
        raise self.error

    def __init__(self, error):
        super().__init__()
        self.error = error


def test_a_stream_that_breaks(monkeypatch):
    monkeypatch.setattr("sys.stdout", Full(BrokenPipeError(32, "Broken pipe")))
    say("nobody reads on")
    monkeypatch.setattr("sys.stdout", Full(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="standard output"):
        say("lost")
    monkeypatch.setattr("sys.stderr", Full(OSError(28, "No space left on device")))
    warn("lost as well")
    monkeypatch.setattr("sys.stderr", None)
    assert list(bar([1, 2], "counting", 2)) == [1, 2]


@pytest.mark.parametrize(
    ("redirection", "code", "lines"),
    [
        ("2>&-", 0, 14),
        (">&- 2>&- <&-", 0, 0),
        ("| head -n 1; exit ${PIPESTATUS[0]}", 0, 1),
        (">/dev/full", 2, 0),
    ],
)
def test_a_command_whose_streams_are_closed(tmp_path, redirection, code, lines):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m glowlite.data faces {redirection}"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code and done.stdout.count("\n") == lines
    assert done.stderr.count("\n") == (code == 2) and "Traceback" not in done.stderr
    assert (tmp_path / "contact-sheet.png").exists() == (code == 0)


# --- the list of commands ---


def test_the_package_lists_its_commands(as_command, capsys, monkeypatch):
    main = importlib.import_module("glowlite.__main__").main
    for words in ([], ["--help"]):
        assert as_command(main, "", words) == 0
        out = capsys.readouterr().out
        assert all(f"  {name} " in out for name in COMMANDS)
    assert as_command(main, "", ["trian"]) == 2
    assert (
        capsys.readouterr().err == "python -m glowlite: error: 'trian': no such command; train?\n"
    )
    monkeypatch.setattr(runpy, "run_module", lambda name, **options: say(f"{name} {sys.argv[1:]}"))
    assert as_command(main, "", ["train", "--K", "2"]) == 0
    assert capsys.readouterr().out == "glowlite.train ['--K', '2']\n"


@pytest.mark.parametrize("program", sorted(COMMANDS))
def test_help_is_exit_code_0(as_command, capsys, program):
    assert as_command(main_of(program), program, ["--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: python -m glowlite.{program} ") and err == ""


# --- signals ---


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_a_signal_is_one_line_its_code_and_no_temporary_file(
    as_command, capfd, tmp_path, number, said
):
    """In the middle of a file, of a progress bar, and of threads."""

    def main():
        with (
            atomic_path(tmp_path / "file") as temporary,
            bar(total=3) as progress,
            ThreadPoolExecutor(2) as pool,
        ):
            temporary.write_text("half")
            progress.update()
            list(pool.map(lambda number: os.kill(os.getpid(), number), [number]))
            signal.pause()

    assert as_command(main) == 128 + number
    out, err = capfd.readouterr()
    assert err.strip() == said and out == "" and list(tmp_path.iterdir()) == []


def test_a_signal_where_exceptions_are_passed_over_is_raised_again(as_command, capfd):
    class Deaf:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def main():
        Deaf()
        signal.pause()

    assert as_command(main) == 130
    assert capfd.readouterr().err.strip() == "interrupted"


def test_a_signal_that_was_ignored_stays_so(as_command):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert as_command(lambda: signal.raise_signal(signal.SIGHUP)) == 0


@pytest.mark.parametrize(
    ("program", "number"), [("train", signal.SIGINT), ("data", signal.SIGTERM)]
)
def test_a_signal_in_the_middle_of_the_imports(tmp_path, program, number):
    """A library that glowlite imports sends it, as it is imported."""
    (tmp_path / "threadpoolctl.py").write_text(
        f"import os\ntry:\n    os.kill(os.getpid(), {int(number)})\nexcept BaseException as"
        " error:\n    raise ImportError\n"
    )
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-m", f"glowlite.{program}"],
        cwd=tmp_path, env={**environment(), "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == {2: "interrupted\n", 15: "terminated\n"}[number]


# --- numbers ---


class Found(Exception):
    """The parser of a command, which goes no further."""


@functools.cache
def parser_of(program):
    def found(parser, *arguments, **options):
        raise Found(parser)

    patched = mock.patch.object(Parser, "parse_args", found)
    with mock.patch.object(sys, "argv", [program]), patched, pytest.raises(Found) as caught:
        main_of(program)()
    return caught.value.args[0]


def numeric():
    """(program, option) of every option that takes a number, or several."""
    for program in sorted(COMMANDS):
        for action in parser_of(program)._actions:
            if action.type not in (None, Path):
                yield program, action.option_strings[-1]


# what every number is refused at; an option that may be so is named
ABSURD = {
    "1" + 30 * "0": (),
    "1e400": (),
    "-1": ("--alpha",),
    "nan": (),
    "inf": (),
    "-inf": (),
    "": (),
    5000 * "9": (),
    "0x10": (),
    "1:30": (),
    "²": (),
    "1" + 30 * "0" + "ep": (),
}


@pytest.mark.parametrize(("program", "option"), list(numeric()))
def test_an_absurd_number_is_refused_at_once_and_the_range_is_named(program, option, capsys):
    parser = parser_of(program)
    for text, allowed in ABSURD.items():
        if option in allowed:
            continue
        started = time.perf_counter()
        with pytest.raises(SystemExit) as ended:
            parser.parse_args([f"{option}={text}"])
        assert ended.value.code == 2 and time.perf_counter() - started < 0.5
        err = capsys.readouterr().err
        said = err.partition("; usage:")[0]  # usage is as long as the name of its command
        assert err.count("\n") == 1 and len(said) < 250 and f"argument {option}" in err, err
        assert re.search(
            r"at least [\d.,]+ and (at most|less than) [\d.,]+|from -?[\d,]+ to [\d,]+", err
        ), err


def test_every_number_is_found():
    found = {option for program, option in numeric()}
    assert {
        "--K",
        "--steps",
        "--seed",
        "--beta2",
        "--alpha",
        "--temperature-sweep",
        "--n-bits",
        "--crop",
    } <= found
    for program, option in (
        ("train", "--lr"),
        ("bench", "--rounds"),
        ("evaluate", "--threads"),
        ("data", "--resize"),
    ):
        assert (program, option) in set(numeric())
    numbers = re.compile(r"\bnumber|how many|how often|seconds|megabytes|gigabytes")
    # those that a parser does not read as numbers are names, or of the words that are not options
    for program in COMMANDS:
        for action in parser_of(program)._actions:
            if action.option_strings and action.type is None and action.nargs is None:
                assert not numbers.search(action.help or "") and not isinstance(
                    action.default, (int, float)
                ), action


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("train", ["--memory", f"anchored:{5000 * '9'}"]),
        ("train", ["--device", f"gpu:{5000 * '9'}"]),
        ("sample", ["--device", f"gpu:{10**30}"]),
        ("train", ["--permutation", 2000 * "lu,"]),
        ("train", ["--data", 5000 * "x"]),
        ("sample", [5000 * "9"]),
        ("sample", ["--temperature-sweep", 5000 * "1,"]),
        ("reconstruct", [5000 * "9"]),
        ("inpaint", ["0", "--mask", 5000 * "9"]),
        ("inpaint", ["0", "--mask", f"random:{5000 * '9'}"]),
        ("interpolate", ["0", "9" * 5000]),
        ("bench", ["--depths", str(10**30)]),
        ("bench", ["--memory", f"anchored:{10**30}"]),
        ("bench", ["--depths", 5000 * "9"]),
        ("bench", ["--batch", "1000000000"]),
        ("bench", ["--width", "65536", "--K", "4096", "--rounds", "1"]),
        ("interpolate", ["0", "1", "2", "3", "--steps", "1000"]),
        ("sample", ["--n", "1000000"]),
        ("train", ["--width", "65536", "--K", "4096"]),
        ("train", ["--resize", "65536"]),
        ("data", ["faces", "--resize", "65536"]),
    ],
)
def test_an_absurd_word_is_a_short_line(as_command, capsys, tmp_path, monkeypatch, program, words):
    """On a machine of 2 GiB."""
    monkeypatch.setattr("glowlite.arrays.machine._address_space", lambda: 2.0**31)
    monkeypatch.chdir(tmp_path)
    assert as_command(main_of(program), program, words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and len(err) <= LONGEST + 1


def test_threads_that_the_system_does_not_start(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    with pytest.raises(GlowliteError, match=r"threads 3: can't start new thread; lower --threads"):
        Workers(3).map(abs, [1, 2])


# --- names that are not UTF-8, on streams that cannot say them ---


def test_every_command_works_with_names_of_any_bytes(as_command, tmp_path, monkeypatch):
    """From the data to the report, and again from a run that is resumed;
    the streams refuse what is not of 256 letters.
    """
    monkeypatch.chdir(tmp_path)
    narrow = {
        name: io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
        for name in ("stdout", "stderr")
    }
    for stream in narrow:
        monkeypatch.setattr(f"sys.{stream}", narrow[stream])
    name = os.fsdecode(b"fot\xf6s \xff") + " 写真"
    data, out, picture = f"{name}.npy", f"run {name}", f"{name}.png"
    np.save(data, images(12))
    Image.fromarray(images(1)[0]).save(picture)
    shutil.copy(flows.__file__, f"{name}.py")
    monkeypatch.setattr(sys, "path", [*sys.path])  # of which the command makes one more
    flow = f"{name}.py:make"
    tiny = [
        "--K",
        "1",
        "--L",
        "1",
        "--width",
        "4",
        "--batch",
        "4",
        "--evaluate-every",
        "2",
        "--threads",
        "1",
    ]
    for program, words in {
        "data": [data, "--sheet", f"sheet {picture}", "--save", f"saved {data}"],
        "train": [*tiny, "--steps", "2", "--data", data, "--out", out],
        "evaluate": [out, "--csv", f"{name}.csv", "--ood", data, "--histogram", f"ood {picture}"],
        "sample": [out, "--n", "2", "--out", f"samples {picture}"],
        "reconstruct": [out, "0", picture, "--out", f"again {picture}"],
        "interpolate": [out, "0", picture, "--steps", "2", "--out", f"way {picture}"],
        "inpaint": [out, picture, "--steps", "1", "--out", f"filled {picture}"],
        "export": [out, f"{name}.safetensors"],
        "report": [out],
        "laws": [flow, "--only", "maps", "--json", f"{name}.json", "--junit", f"{name}.xml"],
    }.items():
        assert as_command(main_of(program), program, words) == 0, narrow["stderr"].buffer.getvalue()
    with nothing_drawn():
        words = [*tiny, "--steps", "4", "--resume", "--out", out]
        assert as_command(main_of("train"), "train", words) == 0
    assert as_command(main_of("evaluate"), "evaluate", [f"{name}.safetensors"]) == 0
    said = b"".join(stream.buffer.getvalue() for stream in narrow.values())
    assert b"fot\\xf6s" in said and b"Traceback" not in said


# --- errors that help ---


def messages(tree):
    """(line, characters that stand in the code) of the message of every error that is made."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error") and node.args:
            parts = [
                part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)
            ]
            yield node.lineno, sum(len(part) for part in parts if isinstance(part, str))


@pytest.mark.parametrize("name", MODULES)
def test_an_error_is_no_longer_than_one_reads(name):
    for line, length in messages(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        assert length <= 180, f"line {line}: {length} characters, and names come on top"


def ordinary_mistakes(program):
    """Words that are wrong in an ordinary way, for every option of a
    command and for the words that are none.
    """
    yield ["--no-such-option"]
    yield ["no-such-thing", "no-other", "third", "fourth", "fifth"]
    for action in parser_of(program)._actions:
        if action.option_strings and action.nargs is None:
            yield [action.option_strings[-1]]
        if action.option_strings and (action.choices or action.type not in (None, Path)):
            yield [f"{action.option_strings[-1]}=wrong"]
        if action.option_strings and action.nargs == 0:
            yield [f"{action.option_strings[-1]}=wrong"]
    for option, value in (
        ("--device", "gup"),
        ("--memory", "sorted"),
        ("--preset", "cifar"),
        ("--data", "fases"),
    ):
        if option in parser_of(program)._option_string_actions:
            yield [option, value]


@pytest.mark.parametrize("program", sorted(COMMANDS))
def test_an_ordinary_mistake_is_a_short_line(as_command, capsys, tmp_path, monkeypatch, program):
    monkeypatch.chdir(tmp_path)
    for words in ordinary_mistakes(program):
        assert as_command(main_of(program), program, words) == 2, words
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and len(err) <= 240, err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("export", "required: run, file; usage: python -m glowlite.export RUN FILE [options]"),
        ("interpolate", "usage: python -m glowlite.interpolate [RUN] A B [C D] [options]"),
        ("reconstruct", "usage: python -m glowlite.reconstruct [RUN] IMAGE [IMAGE ...] [options]"),
        ("inpaint", "usage: python -m glowlite.inpaint [RUN] IMAGE ... [options]"),
        ("report", "usage: python -m glowlite.report RUN [options]"),
        ("data", "usage: python -m glowlite.data SPEC [options]"),
        ("interop", "required: action, FILE; usage: python -m glowlite.interop"),
    ],
)
def test_a_command_without_its_words_says_how_it_is_called(as_command, capsys, program, said):
    assert as_command(main_of(program), program) == 2
    assert said in capsys.readouterr().err
