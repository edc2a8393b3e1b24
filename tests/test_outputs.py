"""Files that commands write: what is there already, and where writing cannot go, is found before
any work.
"""

import io
import json
import os
import resource
import socket
import stat
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_runs import images, small_model

from glowlite import GlowliteError
from glowlite.bench import __main__ as bench
from glowlite.commands import (
    data,
    edit,
    evaluate,
    export,
    figures,
    inpaint,
    interpolate,
    laws,
    reconstruct,
    report,
    sample,
)
from glowlite.errors import OutputError
from glowlite.files.outputs import (
    BENCHMARK,
    CSV,
    DIRECTIONS,
    GIF,
    HTML,
    HTML_MARK,
    JUNIT,
    LAWS_JSON,
    MODEL,
    NPY,
    PNG,
    check_output,
    output,
    output_path,
)
from glowlite.files.storage import atomic_path, write_arrays

KINDS = {
    "png": PNG,
    "gif": GIF,
    "csv": CSV,
    "html": HTML,
    "json": BENCHMARK,
    "laws": LAWS_JSON,
    "xml": JUNIT,
    "npy": NPY,
    "safetensors": MODEL,
}


def png():
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, format="png")
    return file.getvalue()


def gif():
    file = io.BytesIO()
    Image.new("P", (2, 2)).save(file, format="gif")
    return file.getvalue()


OURS = {
    "png": png(), "gif": gif(), "csv": b"image,bits_per_dim\r\n0,3.1\r\n",
    "html": f"<!doctype html>\n<html><head>{HTML_MARK}".encode(),
    "json": json.dumps({"title": "", "config": {}, "steps": {}, "limit_s": 1.0}).encode(),
    "laws": json.dumps({"laws": {}, "subject": "", "results": []}).encode(),
    "xml": b"<?xml version='1.0' encoding='utf-8'?>\n<testsuite name='it' tests='0' />\n",
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.is_symlink()
    }


@pytest.mark.parametrize("kind", OURS)
def test_a_file_is_replaced_by_its_kind_alone(here, kind):
    for there, content in {
        **OURS,
        "text": b"mine",
        "page of XML": b"<?xml version='1.0'?>\n<project><testsuite /></project>",
        "config": b'{"options": {}, "data": "faces"}',
    }.items():
        place = here / f"{there}.{kind}"
        place.write_bytes(content)
        if there == kind:
            with output("--out", place, KINDS[kind]) as file:
                file.write(b"new")
            assert place.read_bytes() == b"new"
        else:
            with pytest.raises(
                OutputError, match=rf"--out .*{there}\.{kind}: exists and is not a .*left alone"
            ):
                check_output("--out", place, KINDS[kind])
            with pytest.raises(OutputError), output("--out", place, KINDS[kind]) as file:
                file.write(b"new")
            assert place.read_bytes() == content
    assert not list(here.glob(".*"))


def test_an_array_is_never_replaced_and_an_empty_file_always(here):
    np.save("a.npy", np.zeros(3))
    with pytest.raises(OutputError, match=r"a\.npy: exists, and is left alone"):
        check_output("--save", Path("a.npy"), NPY)
    for name, kind in KINDS.items():
        Path(f"empty.{name}").write_bytes(b"")
        assert check_output("--out", Path(f"empty.{name}"), kind) is kind


def test_a_model_file_is_replaced_only_by_its_kind(here):
    model = small_model()
    model.save("exported.safetensors", held_out={}, command="")
    model.save("plain.safetensors")
    model.save(
        "checkpoint.safetensors", held_out={}, command="", optimizer={"name": "adam", "steps": 1}
    )
    write_arrays(
        here / "directions.safetensors",
        {"a": np.zeros(2)},
        {"names": [], "images": 3, "weights": ""},
    )
    allowed = {MODEL: "exported", DIRECTIONS: "directions"}
    for kind, own in allowed.items():
        for name in ("exported", "plain", "checkpoint", "directions"):
            path = here / f"{name}.safetensors"
            if name == own:
                assert output_path("FILE", path, kind) == path.resolve()
            else:
                with pytest.raises(OutputError, match=rf"{name}\.safetensors: exists and is not"):
                    check_output("FILE", path, kind)


def test_a_link_is_followed_and_stays(here):
    (here / "far").mkdir()
    (here / "far" / "old.csv").write_bytes(OURS["csv"])
    (here / "far" / "photo.png").write_bytes(OURS["png"])
    for name, target in {
        "old": "far/old.csv",
        "dangling": "far/new.csv",
        "twice": "old",
        "photo": "far/photo.png",
    }.items():
        (here / name).symlink_to(target)
    for name in ("old", "twice", "dangling"):
        with output("--csv", here / name, CSV) as file:
            file.write(OURS["csv"] + name.encode())
        assert (here / name).is_symlink() and (here / name).read_bytes() == OURS[
            "csv"
        ] + name.encode()
    assert (here / "far" / "new.csv").exists() and not (here / "far" / "new.csv").is_symlink()
    with pytest.raises(OutputError, match="photo: exists and is not a table"):
        check_output("--csv", here / "photo", CSV)
    (here / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match="loop: cannot be written: "):
        check_output("--csv", here / "loop", CSV)


def test_devices_and_pipes_are_written_into_and_stay(here, capfd):
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    own_read, own_write = os.pipe()
    for place in ("/dev/null", "pipe", f"/dev/fd/{own_write}", "/dev/stdout"):
        with output("--csv", Path(place), CSV) as file:
            file.write(b"into it")
    assert (
        os.read(reader, 100)
        == os.read(own_read, 100)
        == b"into it"
        == capfd.readouterr().out.encode()
    )
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and stat.S_ISFIFO(os.lstat("pipe").st_mode)
    os.close(reader)
    with (
        pytest.raises(OutputError, match=r"--csv pipe: cannot be written: "),
        output("--csv", Path("pipe"), CSV) as file,
    ):
        file.write(b"nobody reads this")  # and nobody is waited for
    with (
        pytest.raises(OutputError, match="full: cannot be written: No space"),
        output("--csv", Path("/dev/full"), CSV) as file,
    ):
        file.write(b"x")
    (here / "null.npy").symlink_to("/dev/null")
    with pytest.raises(OutputError, match="is not a regular file"):
        check_output("--save", Path("null.npy"), NPY)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("socket")
    with pytest.raises(OutputError, match="socket: is not a regular file, so it is left alone"):
        check_output("--csv", Path("socket"), CSV)
    for descriptor in (own_read, own_write, listening.detach()):
        os.close(descriptor)


def test_stdout_that_goes_into_a_file_is_added_to(here):
    with open("log", "wb") as log:
        log.write(b"printed first\n")
        log.flush()
        before = os.dup(1)
        os.dup2(log.fileno(), 1)
        try:
            with output("--csv", Path("/dev/stdout"), CSV) as file:
                file.write(b"then the table\n")
        finally:
            os.dup2(before, 1)
            os.close(before)
    assert Path("log").read_bytes() == b"printed first\nthen the table\n"


@pytest.mark.parametrize("write", [atomic_path, lambda path: output("--csv", path, CSV)])
def test_a_temporary_file_is_new_unguessable_and_of_the_usual_mode(here, write):
    names, mask = set(), os.umask(0o027)
    try:
        for _ in range(3):
            with write(here / "a.csv"):
                (temporary,) = here.glob(".*")
                names.add(temporary.name)
                assert stat.S_IMODE(temporary.stat().st_mode) == 0o640 and len(temporary.name) < 64
    finally:
        os.umask(mask)
    assert len(names) == 3 and stat.S_IMODE((here / "a.csv").stat().st_mode) == 0o640


def test_a_link_that_was_planted_under_the_temporary_name_is_not_followed(here, monkeypatch):
    (here / "victim").write_text("mine")
    (here / f".glowlite-{bytes(16).hex()}.tmp").symlink_to("victim")
    monkeypatch.setattr(os, "urandom", bytes)
    with pytest.raises(FileExistsError), atomic_path(here / "a.csv") as temporary:
        temporary.write_text("x")
    assert (here / "victim").read_text() == "mine" and not (here / "a.csv").exists()


@pytest.mark.parametrize("there", ["link", "folder", "pipe"])
def test_the_low_door_replaces_regular_files_alone(here, there):
    (here / "victim").write_text("mine")
    make = {
        "link": lambda p: p.symlink_to("victim"),
        "folder": lambda p: p.mkdir(),
        "pipe": lambda p: os.mkfifo(p),
    }
    make[there](here / "a.safetensors")
    with pytest.raises(
        GlowliteError,
        match=r"cannot write .*a\.safetensors: is (a symbolic link|not a regular file)",
    ):
        small_model().save(here / "a.safetensors")
    assert (
        (here / "victim").read_text() == "mine" and not (here / "a.safetensors").is_file()
    ) or there == "link"
    assert (here / "a.safetensors").is_symlink() == (there == "link")


@contextmanager
def files_of_at_most(size: int):
    """What a full disk does: writing further fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data and an exported model of them."""
    home = tmp_path_factory.mktemp("outputs")
    np.savez(
        home / "ramps.npz",
        images=images(),
        attributes=np.arange(80).reshape(40, 2) % 3 > 0,
        attribute_names=["a", "b"],
    )
    np.save(home / "ramps.npy", images(400))
    model = small_model()
    model.initialize(images()[:8].astype(np.float32) / 256 - 0.5)
    options = {"data": str(home / "ramps.npz")}
    model.save(
        home / "model.safetensors", n_bits=5, run={"options": options}, held_out={}, command=""
    )
    return home


# command, arguments before the place, suffix of the place, whether a result is printed that a
# failure must not take along
COMMANDS = {
    "evaluate --csv": (evaluate.main, ["model.safetensors", "--csv"], ".csv", True),
    "evaluate --histogram": (evaluate.main,
        ["model.safetensors", "--ood", "ramps.npz", "--histogram"], ".png", True),
    "sample --out": (sample.main, ["model.safetensors", "--n", "2", "--out"], ".png", False),
    "interpolate --out": (interpolate.main, ["model.safetensors", "0", "1", "--out"], ".gif",
        False),
    "reconstruct --out": (reconstruct.main, ["model.safetensors", "0", "--out"], ".png", True),
    "edit --out": (edit.main, ["model.safetensors", "0", "--attribute", "a", "--method", "mean",
        "--out"], ".png", False),
    "inpaint --out": (inpaint.main, ["model.safetensors", "0", "--steps", "1", "--out"], ".png",
        True),
    "edit --save": (edit.main, ["model.safetensors", "--save"], ".safetensors", False),
    "export": (export.main, ["model.safetensors"], ".safetensors", True),
    "data --save": (data.main, ["ramps.npy", "--sheet", "new-sheet.png", "--save"], ".npy", True),
    "data --sheet": (data.main, ["ramps.npy", "--sheet"], ".png", True),
    "laws --json": (laws.main, ["flows:make", "--only", "maps", "--json"], ".json", True),
    "laws --junit": (laws.main, ["flows:make", "--only", "maps", "--junit"], ".xml", True),
}  # fmt: skip


@pytest.fixture
def at_home(home, monkeypatch, tmp_path):
    """The working folder holds the data and the model, and nothing else."""
    for name in ("ramps.npz", "ramps.npy", "model.safetensors"):
        (tmp_path / name).symlink_to(home / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def no_work(*arguments, **options):
    raise AssertionError("a model or data were loaded before the place was looked at")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["no/such", "folder", "locked", "theirs"])
def test_a_place_that_cannot_be_is_found_before_any_work(at_home, command, place, monkeypatch):
    main, words, suffix, _ = COMMANDS[command]
    (at_home / f"folder{suffix}").mkdir()
    (at_home / f"theirs{suffix}").write_text("mine")
    (at_home / f"locked{suffix}").write_bytes(b"")
    before = everything(at_home)
    # the superuser may write anything
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in str(path))
    for module in (evaluate, sample, interpolate, reconstruct, edit, inpaint, export):
        monkeypatch.setattr(module, "load_model", no_work)
    monkeypatch.setattr(data, "load", no_work)
    monkeypatch.setattr(laws, "find", no_work)
    with pytest.raises(OutputError) as caught:
        main([*words, f"{place}{suffix}"])
    assert (
        f"{place}{suffix}" in str(caught.value)
        and ".tmp" not in str(caught.value)
        and "\n" not in str(caught.value)
    )
    assert everything(at_home) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_folder_is_found_before_any_work(at_home, command, monkeypatch):
    main, words, suffix, _ = COMMANDS[command]
    open_ = os.open

    def refuse(path, flags, *more, **options):
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system", str(path))
        return open_(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(
        OutputError, match=rf"new{suffix}: cannot be written: Read-only file system$"
    ):
        main([*words, f"new{suffix}"])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_line_after_the_result_and_loses_nothing(at_home, command, capsys):
    main, words, suffix, prints = COMMANDS[command]
    before = everything(at_home)
    size = 40_000 if command == "data --save" else 50
    with files_of_at_most(size), pytest.raises(OutputError) as caught:
        main([*words, f"new{suffix}"])
    assert (
        f"new{suffix}" in str(caught.value)
        and ".tmp" not in str(caught.value)
        and "\n" not in str(caught.value)
    )
    assert bool(capsys.readouterr().out) == prints
    assert set(everything(at_home)) - set(before) <= {"new-sheet.png"} and not list(
        at_home.glob(".*")
    )


@pytest.mark.parametrize(("main", "words", "name"),
    [(sample.main, ["--no-grid", "--n", "2"], "sample-0001.png"),
                                                     (figures.main, [],
                                                         "samples.png")])  # fmt: skip
def test_a_folder_of_pictures_is_looked_at_before_any_work(at_home, main, words, name, monkeypatch):
    for module in (sample, figures):
        monkeypatch.setattr(module, "load_model", no_work)
    (at_home / "out").mkdir()
    (at_home / "out" / name).write_text("mine")
    (at_home / "a-file").write_text("mine")
    reasons = {
        "out": rf"out/{name}: exists and is not a PNG",
        "a-file": "is a file",
        "a-file/x": "not a folder",
    }
    for place, said in reasons.items():
        with pytest.raises(OutputError, match=said):
            main(["model.safetensors", *words, "--out", place])
    assert (at_home / "out" / name).read_text() == "mine"


def test_a_benchmark_looks_at_its_places_first(at_home, monkeypatch):
    monkeypatch.setattr(bench, "report", no_work)
    (at_home / "config.json").write_text('{"options": {}}')
    with pytest.raises(OutputError, match=r"--json config\.json: exists and is not a benchmark"):
        bench.main(["--json", "config.json"])
    (at_home / "plots").write_text("mine")
    with pytest.raises(OutputError, match="--plots plots is a file"):
        bench.main(["--plots", "plots"])


def test_a_report_replaces_reports_alone(at_home):
    run = at_home / "run"
    run.mkdir()
    options = {"data": "faces", "n_bits": 5, "steps": 6}
    config = {"options": options, "data": "faces", "images": [2, 2], "versions": {}}
    (run / "config.json").write_text(json.dumps(config))
    for place in ("run/config.json", "model.safetensors", "no/r.html"):
        with pytest.raises(OutputError, match="--out"):
            report.main(["run", "--out", place])
