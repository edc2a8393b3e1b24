"""python -m glowlite.edit: strips of edited faces, and where its directions are kept."""

import numpy as np
import pytest
from PIL import Image
from small_runs import SMALL, command, images

from glowlite import Glow, GlowliteError
from glowlite.commands.edit import alpha_range, main
from glowlite.commands.loaded_model import DIRECTIONS_NAME
from glowlite.data import load
from glowlite.files.storage import write_arrays
from glowlite.latent.directions_file import load_directions, weights_fingerprint
from glowlite.models.pretrained import directions_file
from glowlite.objective import quantize


def edit(*words):
    main([str(word) for word in words])


def test_a_strip_of_the_pretrained_faces(tmp_path, capsys):
    out = tmp_path / "e.png"
    edit(3, 17, "--attribute", "smiling", "--alpha", "-1..1", "--steps", 5, "--out", out)
    assert (
        "smiling of 3, 17 at alpha -1, -0.5, 0, 0.5, 1, by pretrained faces"
        in capsys.readouterr().out
    )
    sheet = np.asarray(Image.open(out))
    scale = sheet.shape[1] // (5 * 17 + 1)
    small = sheet[::scale, ::scale]
    assert small.shape == (2 * 17 + 1, 5 * 17 + 1, 3)
    cells = [
        [small[17 * i + 1 : 17 * i + 17, 17 * j + 1 : 17 * j + 17] for j in range(5)]
        for i in range(2)
    ]
    held_out = load("faces").held_out
    for row, number in zip(cells, (3, 17), strict=True):
        # alpha 0
        assert np.array_equal(
            quantize(row[2], 5), quantize(held_out.read(np.array([number]))[0], 5)
        )
        assert not np.array_equal(row[0], row[4])


def test_several_attributes_and_a_picture_of_one_s_own(tmp_path, capsys):
    Image.fromarray(np.full((40, 30, 3), 128, np.uint8)).save(tmp_path / "me.png")
    out = tmp_path / "e.png"
    edit(
        tmp_path / "me.png",
        "--attribute",
        "glasses,hat",
        "--attribute",
        "smiling",
        "--alpha",
        "1",
        "--out",
        out,
    )
    printed = capsys.readouterr()
    assert (
        "glasses, hat, smiling" in printed.out
        and "at alpha 0, 1" in printed.out
        and "me.png" in printed.err
    )
    assert Image.open(out).size[0] > 2 * 16


def test_the_list_counts_the_labelled_images(capsys):
    edit("--list")
    lines = capsys.readouterr().out.splitlines()
    data = load("faces")
    assert [line.split()[0] for line in lines] == list(data.attribute_names)
    assert [int(line.split()[1]) for line in lines] == data.attributes.sum(axis=0).tolist()


def test_the_directions_that_come_with_the_faces_are_of_these_weights():
    with directions_file("faces") as path:
        found = load_directions(path, weights_fingerprint(Glow.pretrained("faces")))
        assert path.stat().st_size < 1e6
        with pytest.raises(GlowliteError, match="directions of other weights"):
            load_directions(path, "0" * 64)
    assert found.names == load("faces").attribute_names and found.mean.shape == (7, 768)


def test_directions_stay_with_the_run_until_its_weights_change(tmp_path, undrawn):
    run, faces = tmp_path / "run", load("faces")
    some = np.arange(200)
    np.savez(
        tmp_path / "labelled.npz", images=faces.train.read(some),
        attributes=faces.attributes[some], attribute_names=faces.attribute_names,
    )  # fmt: skip
    for steps, said in (
        (6, ""),
        (6, ""),
        (8, "directions of other weights; computing the directions again"),
    ):
        words = (
            ["--steps", str(steps), "--out", run.name, "--resume"]
            if run.exists()
            else ["--data", "labelled.npz", *SMALL, "--out", run.name]
        )
        done = command(tmp_path, *words)
        assert done.returncode == 0, done.stderr
        done = command(
            tmp_path, run.name, "0", "--attribute", "hat", "--out", "e.png", program="edit"
        )
        assert done.returncode == 0 and said in done.stderr, done.stderr
        assert (run / DIRECTIONS_NAME).is_file()
        before = (run / DIRECTIONS_NAME).stat().st_mtime_ns
    (run / DIRECTIONS_NAME).write_bytes(b"damaged")
    done = command(
        tmp_path,
        run.name,
        "0",
        "--attribute",
        "hat",
        "--method",
        "mean",
        "--out",
        "e.png",
        program="edit",
    )
    assert (
        done.returncode == 0
        and "computing the directions again" in done.stderr
        and (run / DIRECTIONS_NAME).stat().st_mtime_ns != before
    )


def test_data_without_attributes_are_refused(tmp_path, undrawn):
    np.savez(tmp_path / "ramps.npz", images=images())
    done = command(tmp_path, "--data", "ramps.npz", *SMALL, "--out", "run")
    assert done.returncode == 0, done.stderr
    done = command(tmp_path, "run", "0", "--attribute", "hat", program="edit")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "no attributes" in done.stderr or "attribute 'hat': there are" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["3", "--attribute", "nose"], "attribute 'nose': the attributes are long_hair, smiling"),
        (["3"], "give one or more images and --attribute; --list shows the attributes"),
        (["--attribute", "hat"], "give one or more images"),
        (["9999", "--attribute", "hat"], "800 held-out images"),
        (["gone.png", "--attribute", "hat"], "gone.png"),
        (["3", "--attribute", "hat", "--out", "e.txt"], "must end in .png"),
        (["3", "--save", "e.npy"], "must end in .safetensors"),
    ],
)
def test_a_mistake_is_one_line(words, said):
    with pytest.raises(GlowliteError, match=said):
        edit(*words)


@pytest.mark.parametrize("alpha", ["a..1", "", "1..nan", "1,2"])
def test_an_alpha_that_is_none_is_refused(alpha, capsys):
    with pytest.raises(SystemExit) as exit:
        edit("3", "--attribute", "hat", "--alpha", alpha)
    assert exit.value.code == 2 and "--alpha" in capsys.readouterr().err


def test_alphas():
    assert (
        alpha_range("-1..1") == (-1.0, 1.0)
        and alpha_range("0.5") == (0.5,)
        and alpha_range("-2") == (-2.0,)
    )


def test_a_damaged_file_of_directions_is_refused(tmp_path):
    write_arrays(tmp_path / "d.safetensors", {"mean": np.zeros(3)}, {"names": []})
    with pytest.raises(GlowliteError, match="directions of other weights"):
        load_directions(tmp_path / "d.safetensors", "x")
