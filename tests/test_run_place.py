"""Nobody's work is lost: what a run may replace, what it goes on from, and what it refuses."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_runs import dataset, images, small_model

import glowlite.commands.train
from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.commands import edit, evaluate, export, reconstruct
from glowlite.commands.interrupts import Interrupts
from glowlite.commands.option_sources import MAY_CHANGE, TYPED_ONLY, effective, parse_arguments
from glowlite.commands.program import Parser
from glowlite.commands.shell_words import typed
from glowlite.commands.train import main
from glowlite.commands.train_options import make_parser, options_of_others
from glowlite.data import load, located
from glowlite.data.fingerprint import fingerprint
from glowlite.files.storage import checkpoints_of
from glowlite.training.run import Training
from glowlite.training.run_folder import restore_newest
from glowlite.training.run_place import alone_in, check_run_folder, make_run_folder
from glowlite.training.settings import Settings

SMALL = [
    "--K", "1", "--L", "1", "--width", "8", "--batch", "4", "--threads", "1", "--steps", "4",
    "--evaluate-every", "2",
    "--checkpoint-every", "2", "--evaluate-images", "4",
]  # fmt: skip


def draw_nothing(patch):
    for name in ("save_pictures", "save_learning_curve", "samples_at_temperatures"):
        patch.setattr(f"glowlite.drawing.observers.{name}", lambda *arguments: None)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    draw_nothing(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with data, `ramps.npz`, and a run on them of 4 steps, `run`, begun from there."""
    home = tmp_path_factory.mktemp("finished")
    np.savez(home / "ramps.npz", images=images(20))
    patch = pytest.MonkeyPatch()
    patch.chdir(home)
    draw_nothing(patch)
    try:
        assert main(["--data", "ramps.npz", *SMALL, "--out", "run"]) == 0
    finally:
        patch.undo()
    return home


@pytest.fixture
def home(finished, tmp_path, monkeypatch):
    """A copy of `finished`, with the data that the run was begun with, as the working folder."""
    shutil.copytree(finished, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    config = json.loads(Path("run/config.json").read_text())
    config["options"]["data"] = str(tmp_path / "home" / "ramps.npz")
    Path("run/config.json").write_text(json.dumps(config))
    return tmp_path / "home"


def contents(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder: the content of files, the targets of links."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        if path.name != ".lock" and not path.is_dir():
            found[str(path.relative_to(folder))] = (
                os.readlink(path) if path.is_symlink() else path.read_bytes()
            )
    return found


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    replaced = path.with_suffix(".new")  # best.safetensors may be the same file
    replaced.write_bytes(content)
    replaced.replace(path)


def refuse(monkeypatch, function: str, part: str) -> None:
    """Have a function of os fail for want of permission, wherever the path has `part` in it."""
    original = getattr(os, function)

    def refusing(path=".", *more, **options):
        if part in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path, *more, **options)

    monkeypatch.setattr(os, function, refusing)


LOSSES = {
    "no permission": lambda patch: refuse(patch, "open", "/step-"),
    "no permission for the newest": lambda patch: refuse(patch, "open", "/step-00000004"),
    "no permission to look": lambda patch: refuse(patch, "listdir", "checkpoints"),
    "no folder": lambda patch: shutil.rmtree("run/checkpoints"),
    "an empty folder": lambda patch: [path.unlink() for path in checkpoints_of(Path("run"))],
    "a link to nothing": lambda patch: (shutil.rmtree("run/checkpoints"),
        os.symlink("/gone", "run/checkpoints")),
    "damaged": lambda patch: [flip_a_byte(path) for path in checkpoints_of(Path("run"))],
    "cut short": lambda patch: [os.truncate(path, 100) for path in checkpoints_of(Path("run"))],
    "of no bytes": lambda patch: [os.truncate(path, 0) for path in checkpoints_of(Path("run"))],
    "only the configuration": lambda patch: (shutil.rmtree("run/checkpoints"),
        os.unlink("run/best.safetensors")),
    "no configuration": lambda patch: os.unlink("run/config.json"),
    "a damaged configuration": lambda patch: os.truncate("run/config.json", 50),
    "another's configuration": lambda patch: Path("run/config.json").write_text(
        '{"model_type": "bert"}'
    ),
    "a link in place of metrics": lambda patch: (
        os.unlink("run/metrics.jsonl"), os.symlink("../ramps.npz", "run/metrics.jsonl"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
def test_resume_changes_nothing_where_it_cannot_go_on(home, loss, monkeypatch):
    LOSSES[loss](monkeypatch)
    before = contents(home)
    with pytest.raises((GlowliteError, PermissionError)) as caught:
        main(["--resume", "--out", "run", "--steps", "6"])
    assert "\n" not in str(caught.value) and "run" in str(caught.value)
    assert contents(home) == before


@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--resume"]])
def test_the_same_command_does_not_destroy_a_run_whose_configuration_is_gone(home, more):
    os.unlink("run/config.json")
    before = contents(home)
    with pytest.raises(GlowliteError, match=r"no config\.json; restore it"):
        main(["--data", "ramps.npz", *SMALL, "--out", "run", *more])
    assert contents(home) == before


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_taken(home, capsys):
    newest = checkpoints_of(Path("run"))[-1]
    flip_a_byte(newest)
    damaged = newest.read_bytes()
    assert main(["--resume", "--out", "run"]) == 0
    assert "step-00000004.safetensors is damaged" in capsys.readouterr().err
    assert newest.with_name(f"{newest.name}.damaged").read_bytes() == damaged
    assert Glow.load("run").facts["step"] == 4  # written again


@pytest.mark.parametrize("name", ["damaged", "cannot read", "no such file"])
def test_a_refusal_is_told_from_damage_by_its_type(tmp_path, name):
    run = tmp_path / name
    (run / "checkpoints").mkdir(parents=True)
    other = Training(small_model(), Settings(batch=4))
    glowlite.training.checkpoint.save(other, run / "checkpoints" / "step-00000003.safetensors", 2)
    before = contents(run)
    with pytest.raises(GlowliteError, match="contains another model"):
        restore_newest(
            Training(Glow(GlowConfig((8, 8, 3), K=1, L=1, width=8)), Settings(batch=4)), run
        )
    assert contents(run) == before


MINE = [
    "report.html", "samples-cats.png", "metrics.jsonl", "learning-curve.png", "best.safetensors",
    "samples-000001.png",
    "tensorboard/events.mine", "checkpoints/step-00000001.safetensors", ".hidden",
]  # fmt: skip


@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--resume"]])
@pytest.mark.parametrize("name", [*MINE, "config.json"])
def test_a_folder_of_somebody_else_is_refused_whatever_is_in_it(tmp_path, monkeypatch, name, more):
    monkeypatch.chdir(tmp_path)
    Path("mine", name).parent.mkdir(parents=True)
    Path("mine", name).write_text('{"mine": 1}')
    monkeypatch.setattr(
        glowlite.commands.train, "load", lambda *arguments: pytest.fail("data were loaded first")
    )
    with pytest.raises(GlowliteError, match="mine"):
        main([*SMALL, "--out", "mine", *more])
    assert contents(tmp_path / "mine") == {name: b'{"mine": 1}'}
    assert os.listdir(tmp_path) == ["mine"]


def test_an_empty_name_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("mine")
    for more in ([], ["--overwrite"], ["--resume"]):
        with pytest.raises(GlowliteError, match="--out is empty; name a folder"):
            main([*SMALL, "--out", "", *more])
    assert contents(tmp_path) == {"metrics.jsonl": b"mine"}


def test_overwriting_removes_what_the_run_wrote_and_nothing_else(home):
    mine = {
        "report.html": "mine",
        "samples-cats.png": "mine",
        "notes.txt": "mine",
        "tensorboard/events.out.tfevents.1": "mine",
    }
    mine |= {
        "checkpoints/step-final.safetensors": "mine",
        "checkpoints/notes": "mine",
        "directions.safetensors": "mine",
    }
    Path("run/tensorboard").mkdir()
    for name, text in mine.items():
        Path("run", name).write_text(text)
    Path("run/samples-000100.png").write_bytes(b"of the older run")
    assert main(["--data", "ramps.npz", *SMALL, "--out", "run", "--overwrite", "--steps", "2"]) == 0
    assert {name: Path("run", name).read_text() for name in mine} == mine
    assert [path.name for path in checkpoints_of(Path("run"))] == ["step-00000002.safetensors"]
    assert (
        not Path("run/samples-000100.png").exists()
        and len(Path("run/metrics.jsonl").read_text().splitlines()) == 1
    )


def test_a_run_that_failed_before_its_first_checkpoint_begins_again_by_the_same_command(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.savez("ramps.npz", images=images(20))
    command = ["--data", "ramps.npz", *SMALL, "--out", "run"]

    def fail(*arguments, **options):
        raise GlowliteError("step 2: loss is not finite")

    with monkeypatch.context() as failing:
        failing.setattr(glowlite.commands.train, "train", fail)
        with pytest.raises(GlowliteError, match="step 2"):
            main(command)
    assert json.loads(Path("run/config.json").read_text())["saved"] is False
    assert main(command) == 0
    assert json.loads(Path("run/config.json").read_text())["saved"] is True
    with pytest.raises(GlowliteError, match="already contains a run"):
        main(command)


@pytest.mark.parametrize("name", ["photos[1]", "a*", "what?", "[!x]", "x", "a-1"])
def test_every_run_has_a_folder_of_its_own_whatever_the_name_of_its_data(
    tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    Path("runs/photos1-7").mkdir(parents=True)
    made = [make_run_folder(None, name) for _ in range(3)]
    assert made == [Path("runs") / f"{name}-{k}" for k in (1, 2, 3)]
    Path(f"runs/{name}-9").mkdir()
    assert make_run_folder(None, name) == Path(f"runs/{name}-10")


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for step in (5, 99_999_999, 100_000_000):
        (tmp_path / "checkpoints" / f"step-{step:08d}.safetensors").write_text("")
    assert [path.name[5:-12] for path in checkpoints_of(tmp_path)] == [
        "00000005",
        "99999999",
        "100000000",
    ]


def test_the_lock_follows_nothing_and_waits_for_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".lock").symlink_to("victim")
    with pytest.raises(GlowliteError, match=r"\.lock: is a symbolic link"), alone_in(tmp_path):
        pass
    (tmp_path / ".lock").unlink()
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(GlowliteError, match=r"\.lock: is not a regular file"), alone_in(tmp_path):
        pass
    (tmp_path / ".lock").unlink()
    with (
        alone_in(tmp_path),
        pytest.raises(GlowliteError, match="another process is writing this run"),
        alone_in(tmp_path),
    ):
        pass
    assert (tmp_path / "victim").read_text() == "mine"

    def no_locks(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with alone_in(tmp_path):
        assert "cannot be locked (No locks available)" in capsys.readouterr().err


# What the images are, and where


def shuffled(folder: Path) -> None:
    """Give the pictures each other's names."""
    for i, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"new-{(7 * i) % 20:02d}.png")


def replaced(folder: Path) -> None:
    path = sorted(folder.iterdir())[3]
    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(path)


def moved(folder: Path) -> None:
    for path in folder.iterdir():
        path.rename(folder / f"x-{path.name}")


@pytest.mark.parametrize("kind", ["npz", "npy", "folder", "resized"])
@pytest.mark.parametrize("change", [shuffled, replaced, moved])
def test_a_fingerprint_is_of_the_images_in_their_order(tmp_path, kind, change):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, image in enumerate(images(20)):
        Image.fromarray(image).save(folder / f"{i:02d}.png")

    def of_now() -> str:
        if kind in ("folder", "resized"):
            preparation = glowlite.data.Preparation(resize=4) if kind == "resized" else None
            return fingerprint(load(str(folder), preparation))
        array = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
        if kind == "npz":
            np.savez(tmp_path / "a.npz", images=array)
        else:
            np.save(tmp_path / "a.npy", array)
        return fingerprint(load(str(tmp_path / f"a.{kind}")))

    before = of_now()
    change(folder)
    assert (of_now() == before) == (change is moved)


def test_a_fingerprint_of_a_large_set_notices_another_order(monkeypatch):
    monkeypatch.setattr("glowlite.data.fingerprint.MAX_BYTES", 1000)
    monkeypatch.setattr("glowlite.data.fingerprint.FEWEST", 3)
    data, other = dataset(200), dataset(200)
    assert fingerprint(data) == fingerprint(other)
    other.train.array[:] = np.roll(other.train.array, 1, axis=0)
    assert fingerprint(data) != fingerprint(other)


@pytest.mark.parametrize("steps", [[], ["--steps", "6"]])
def test_a_run_does_not_go_on_with_other_images(home, steps):
    np.savez("ramps.npz", images=images(20)[::-1])
    before = contents(home)
    with pytest.raises(
        GlowliteError,
        match="as many images as run began with, but different ones or in a different order",
    ):
        main(["--resume", "--out", "run", *steps])
    assert contents(home) == before
    for command, words in (
        (reconstruct.main, ["run", "0"]),
        (export.main, ["run", "m.safetensors"]),
        (evaluate.main, ["run"]),
    ):
        with pytest.raises(GlowliteError, match="not the images that run was trained on"):
            command(words)


def test_a_run_goes_on_from_another_working_folder_and_with_data_that_were_moved(
    home, monkeypatch, capsys
):
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    commands = [
        (reconstruct.main, ["../run", "0"]), (evaluate.main, ["../run"]),
        (export.main, ["../run", "m.safetensors"]),
        (main, ["--resume", "--out", "../run", "--steps", "5"]),
    ]  # fmt: skip
    for command, words in commands:
        assert not command(words)
    shutil.move(home / "ramps.npz", home / "moved.npz")
    commands[-1][1][-1] = "6"
    for command, words in commands:
        with pytest.raises(
            GlowliteError, match=r"its data, .*/home/ramps\.npz, are missing.*--data"
        ):
            command(words)
        assert not command([*words, "--data", "../moved.npz"])
    assert json.loads((home / "run/config.json").read_text())["options"]["data"] == str(
        home / "moved.npz"
    )
    assert not main(["--resume", "--out", "../run"])  # it knows now


def test_a_run_of_the_first_version_goes_on_without_a_fingerprint(home):
    config = json.loads(Path("run/config.json").read_text())
    del config["fingerprint"], config["saved"]
    config["options"]["data"] = "ramps.npz"
    Path("run/config.json").write_text(json.dumps(config))
    shutil.copy("ramps.npz", "copy.npz")
    with pytest.raises(GlowliteError, match=r"ramps\.npz when run began, without a fingerprint"):
        main(["--resume", "--out", "run", "--data", "copy.npz"])
    assert main(["--resume", "--out", "run", "--data", "./ramps.npz", "--steps", "5"]) == 0
    assert json.loads(Path("run/config.json").read_text())["saved"] is True


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("faces", "faces"), ("./faces", "HERE/faces"), ("a/b.npz", "HERE/a/b.npz"),
        ("npz:x", "npz:HERE/x"), ("/a", "/a"),
     ("x:y", "HERE/x:y"), ("celeba:/c", "celeba:/c")],
)  # fmt: skip
def test_a_place_means_the_same_in_any_working_folder(tmp_path, monkeypatch, spec, expected):
    monkeypatch.chdir(tmp_path)
    assert located(spec) == expected.replace("HERE", str(tmp_path))


# Options of a run that is resumed


def test_what_a_file_or_a_preset_says_of_a_resumed_run_counts_as_typed(home):
    def options(text, *more):
        Path("c.yaml").write_text(text)
        return parse_arguments(["--resume", "--out", "run", "--config", "c.yaml", *more])

    assert (
        options("steps: 12\nlr: 0.01\n").steps == 12
        and options("lr: 0.01").lr == 0.01
        and options("lr: 0.01").steps == 4
    )
    assert options("steps: 12", "--steps", "13").steps == 13
    with pytest.raises(GlowliteError, match="--batch was 4 when run began, and cannot become 5"):
        options("batch: 5")
    assert options("threads: null").threads is None and options("steps: 7").threads == 1
    with pytest.raises(
        GlowliteError, match="--class-map was 'pixels' when run began, and cannot become"
    ):
        parse_arguments(["--resume", "--out", "run", "--preset", "openai"])
    assert (
        parse_arguments(
            ["--resume", "--out", "run", "--preset", "faces", "--data", "ramps.npz"]
        ).data
        == "ramps.npz"
    )


# A value other than that of the run for every option, and whether a resumed run may have it
OTHER = {
    "data": "copy.npz", "resize": 4, "crop": 4, "random_crop": True, "grey": True,
    "skip_corrupt": True, "flip": True,
    "augment_shift": 0.25, "n_bits": 4, "K": 2, "L": 2, "width": 9, "coupling": "additive",
    "permutation": "lu",
    "scale": "exp", "bound": 3.0, "shift": "after", "changed": "first", "actnorm": "paper",
    "hidden_actnorm": False,
    "output_scale": False,
    "border": "none", "split_prior": "unit", "top_prior": "unit", "steps": 7, "batch": 5,
    "accumulate": 2, "shards": 2,
    "optimizer": "adamax", "lr": 0.1, "beta1": 0.5, "beta2": 0.5, "warmup": 3, "decay": "cosine",
    "clip": 1.0,
    "average": 0.5, "seed": 1, "on_bad_step": "skip", "log_every": 1, "evaluate_every": 1,
    "evaluate_images": 2,
    "checkpoint_every": 1,
    "keep": 1, "picture_every": 1, "tensorboard": True, "memory": "stored", "device": "gpu",
    "tf32": True, "gpu_memory": 1.0,
    "gpu_exchange": "mpi", "mpi_timeout": 5.0, "dtype": "float64", "threads": 2, "plain": True,
    "tile": 1.0,
    "blas": "mkl", "model": "nice", "condition": "labels", "label_weight": 0.5,
    "class_map": "channels", "dequantise": "variational", "scale_penalty": 0.1, "epsilon": 1e-3,
}  # fmt: skip
CHANGE = {
    "data", "steps", "lr", "warmup", "decay", "clip", "log_every", "evaluate_every",
    "evaluate_images", "checkpoint_every",
    "keep", "picture_every", "on_bad_step", "memory", "device", "threads", "plain", "tensorboard",
    "accumulate", "gpu_exchange",
    "mpi_timeout", "gpu_memory", "label_weight",
}  # fmt: skip


def test_every_option_of_training_has_a_row():
    """But for those that only other models have."""
    names = {action.dest for action in make_parser()._actions}
    assert set(OTHER) == names - set(TYPED_ONLY) - options_of_others("glow")
    assert set(MAY_CHANGE) == CHANGE - {"data"}


@pytest.mark.parametrize("name", OTHER)
def test_an_option_of_a_resumed_run_is_changed_or_refused(home, name):
    shutil.copy("ramps.npz", "copy.npz")
    value, option = OTHER[name], "--" + name.replace("_", "-")
    words = (
        [f"--{'' if value else 'no-'}{option[2:]}"]
        if isinstance(value, bool)
        else [option, str(value)]
    )
    before = effective(parse_arguments(["--resume", "--out", "run"]))
    if name == "random_crop":
        words += ["--crop", "4"]
    assert before[name] != value
    if name in CHANGE:
        assert effective(parse_arguments(["--resume", "--out", "run", *words])) == {
            **before,
            name: value,
        }
    else:
        with pytest.raises(
            GlowliteError, match=rf"--({option[2:]}|crop) was .* when run began, and cannot become"
        ):
            parse_arguments(["--resume", "--out", "run", *words])


def test_a_resumed_run_that_has_nothing_to_do_says_where_it_is(home, capsys):
    Path("run/samples-000004.png").write_bytes(b"")
    before = contents(home / "run")
    assert main(["--resume", "--out", "run", "--steps", "3"]) == 0
    said = capsys.readouterr().out
    assert (
        "already at step 4, and --steps is 3" in said
        and "samples in run/samples-000004.png" in said
    )
    assert contents(home / "run") == before  # config.json too
    Path("run/samples-000004.png").unlink()
    assert main(["--resume", "--out", "run"]) == 0
    assert re.fullmatch(r"held-out bits/dim \d\.\d{3} at 5 bits\n", capsys.readouterr().out)


def test_a_run_that_was_stopped_before_its_first_evaluation_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("ramps.npz", images=images(20))

    class Stopped(Interrupts):
        def __bool__(self):
            return True

    monkeypatch.setattr(glowlite.commands.train, "Interrupts", Stopped)
    assert main(["--data", "ramps.npz", *SMALL, "--out", "a run; rm"]) == 143
    assert (
        "continue with python -m glowlite.train --resume --out 'a run; rm'\n"
        in capsys.readouterr().err
    )
    assert main(["--resume", "--out", "a run; rm", "--steps", "1"]) == 0
    assert capsys.readouterr().out == "not evaluated yet\n"


# Words of a command line


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "two words",
        "it's",
        "$(rm -r x)",
        "-x",
        "~",
        "~/a",
        "tab\tnew\nline",
        "a\\b\x1b'",
        "é写",
    ],
)
def test_a_command_that_is_printed_can_be_typed(value):
    words = typed("mpi_timeout", value)
    assert words.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True
    )
    name, given = done.stdout.decode().rstrip("\0").replace("=", "\0", 1).split("\0", 1)
    assert name == "--mpi-timeout" and os.path.normpath(given) == os.path.normpath(value)
    assert given.startswith("./") == value.startswith("~")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("~/x", "/h/x"), ("~", "/h"), ("--out=~/x", "--out=/h/x"), ("npz:~/x", "npz:/h/x"),
     ("--data=folder:~/x", "--data=folder:/h/x"), ("./~", "./~"), ("a~", "a~"),
     ("x/~/y", "x/~/y"), ("--out=a~b", "--out=a~b")],
)  # fmt: skip
def test_a_tilde_that_the_shell_left_means_the_home_folder(monkeypatch, word, meant):
    monkeypatch.setenv("HOME", "/h")
    parser = Parser("train", "")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--out")
    parser.add_argument("--data")
    found = parser.parse_args([word])
    option = re.match(r"--(\w+)=(.*)", meant)
    assert getattr(found, option[1]) == option[2] if option else found.words == [meant]


def test_a_tilde_of_nobody_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as caught:
        make_parser().parse_args(["--out=~nobody-of-this-name/x"])
    error = capsys.readouterr().err
    assert (
        caught.value.code == 2
        and "no such home folder; write ./~nobody" in error
        and error.count("\n") == 1
    )


# Signals


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a signal of POSIX")
def test_a_terminal_that_is_closed_asks_to_save_as_sigterm_does(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)  # of the shell and of the terminal
            assert interrupts and interrupts.exit_code == 129 and not ended
            os.kill(os.getpid(), signal.SIGTERM)
            assert not ended
            os.kill(os.getpid(), signal.SIGTERM)
            assert ended == [143]
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts
    finally:
        signal.signal(signal.SIGHUP, before)


def test_training_runs_in_a_thread(home):
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(main(["--resume", "--out", "run", "--steps", "5"]))
    )
    thread.start()
    thread.join()
    assert codes == [0]


# Attributes


def test_attributes_are_listed_of_a_run_that_may_not_be_written(home, monkeypatch, capsys):
    attributes = np.arange(40).reshape(20, 2) % 3 > 0
    np.savez(
        "ramps.npz", images=images(20), attributes=attributes, attribute_names=["hat", "beard"]
    )
    open_ = os.open

    def refusing(path, flags, *more, **options):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return open_(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.chdir("run")
    edit.main(["../run", "--list"])
    said = capsys.readouterr()
    assert (
        "hat" in said.out
        and "beard" in said.out
        and "Read-only file system; the directions will be computed again" in said.err
    )
    for words in (
        ["typo", "--list"],
        ["faces", "3", "--list"],
        ["typo", "--save", "x.safetensors"],
    ):
        with pytest.raises(GlowliteError, match=r"^(typo|3|--save)"):
            edit.main(words)


def test_a_run_that_another_process_began_meanwhile_is_left_alone(home):
    with pytest.raises(GlowliteError, match="already contains a run"):
        check_run_folder("run", overwrite=False, resume=False)


def test_the_data_of_a_run_are_prepared_as_in_training_where_they_were_moved_to(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    np.savez("large.npz", images=images(20, h=16, w=16))
    assert main(["--data", "large.npz", *SMALL, "--resize", "8", "--out", "run"]) == 0
    evaluate.main(["run"])
    Path("large.npz").rename("moved.npz")
    evaluate.main(["run", "--data", "moved.npz"])
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.partition(": ")[2] == second.partition(": ")[2]
