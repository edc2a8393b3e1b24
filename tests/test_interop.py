"""Golden vectors: models carried over from three other codes give what those codes gave."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from glowlite import GlowliteError
from glowlite.interop import from_weights
from glowlite.interop.check import check, read_golden, tolerance, under

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.safetensors"))
# under gradients: how many trainable tensors the other code has, so that none is passed over
GRADIENTS = {
    "a_additive_shuffle": 105, "a_affine_invconv": 54, "a_affine_lu": 62, "b_additive_invconv": 73,
    "b_affine_lu": 54, "c_additive_shuffle": 72, "c_affine_1x1": 54,
}  # fmt: skip


def test_all_seven_files_are_here():
    assert {path.stem for path in GOLDEN} == set(GRADIENTS)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_an_imported_model_computes_what_the_other_code_did(path):
    kind, errors = check(path)
    _, tensors = read_golden(path)
    assert len(errors["gradients"]) == len(under(tensors, "grad/")) == GRADIENTS[path.stem]
    assert len(errors["latents"]) == sum(name.startswith(("z", "eps/")) for name in tensors) > 0
    assert ("initialisation" in errors) == (kind == "C")
    for part, of_part in errors.items():
        for name, error in of_part.items():
            assert error <= tolerance(kind, part), f"{part} of {name}: {error:.1e}"


def test_the_tolerances_are_those_that_were_agreed():
    assert [tolerance("A", part) for part in ("log_prob", "latents", "gradients", "grad_x")] == [
        1e-10,
        1e-10,
        1e-8,
        1e-8,
    ]
    assert [tolerance("B", part) for part in ("log_prob", "latents", "gradients", "grad_x")] == [
        1e-10,
        1e-10,
        1e-8,
        1e-8,
    ]
    assert [tolerance("C", part) for part in ("log_prob", "gradients", "initialisation")] == [1e-5, 1e-4, 1e-5]


def command(*arguments):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run(
        [sys.executable, "-m", "glowlite.interop", "check", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_the_command_checks_files_and_says_so():
    done = command(*GOLDEN[:2])
    assert done.returncode == 0 and "all within tolerance" in done.stdout
    assert done.stdout.count("gradients") == 2


@pytest.mark.parametrize("name", ["log_prob", "grad_x", "z", "grad/flow.layers.1.block.2.conv.weight"])
def test_the_command_exits_with_1_for_a_number_that_is_off(tmp_path, name):
    from safetensors import safe_open

    path = next(path for path in GOLDEN if path.stem == "a_affine_lu")
    with safe_open(str(path), framework="numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors[name] = tensors[name] * (1 + 1e-7)
    save_file(tensors, tmp_path / "off.safetensors", metadata)
    done = command(tmp_path / "off.safetensors")
    assert done.returncode == 1 and "TOO LARGE" in done.stdout and "1 above tolerance" in done.stdout


def test_the_command_answers_bad_files_in_one_line(tmp_path):
    (tmp_path / "text.safetensors").write_text("no tensors")
    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    for path, said in [
        ("gone.safetensors", "no such file"),
        ("text.safetensors", "cannot read"),
        ("other.safetensors", "no golden"),
    ]:
        done = command(tmp_path / path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert said in done.stderr and path in done.stderr


def weights(stem="a_affine_lu"):
    _, tensors = read_golden(next(path for path in GOLDEN if path.stem == stem))
    return under(tensors, "param/", "buffer/"), tensors


def test_float32_import_gives_the_log_likelihood_to_single_precision():
    for stem, kind in [("a_affine_lu", "y0ast"), ("b_affine_lu", "rosinality"), ("c_affine_1x1", "openai")]:
        tensors, golden = weights(stem)
        model = from_weights(tensors, kind, (8, 8))
        x = golden["x"] if kind == "openai" else golden["x"].transpose(0, 2, 3, 1)
        assert model.dtype == np.float32 and model.initialized
        np.testing.assert_allclose(model.log_prob(np.ascontiguousarray(x, np.float32)), golden["log_prob"], rtol=1e-5)


def test_what_can_be_read_off_the_weights_is():
    config = from_weights(weights("b_additive_invconv")[0], "B", (16, 16)).config
    assert (config.image_shape, config.K, config.L, config.width) == ((16, 16, 1), 2, 3, 16)
    assert (config.coupling, config.permutation, config.border) == ("additive", "conv1x1,conv1x1,lu", "last")
    config = from_weights(weights("a_additive_shuffle")[0], "A", (16, 8)).config
    assert (config.image_shape, config.K, config.L, config.permutation) == ((16, 8, 1), 3, 3, "shuffle")


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: without(t, "flow.layers.2.block.4.logs"), "flow.layers.2.block.4.logs is missing"),
        (lambda t: without(t, "flow.layers.1.actnorm.bias"), "as many steps in every level"),
        (lambda t: t | {"flow.layers.2.extra": np.zeros(3)}, "flow.layers.2.extra"),
        (lambda t: t | {"flow.layers.2.block.4.conv.bias": np.zeros(5)}, "flow.layers.2.block.4.conv.bias"),
        (lambda t: t | {"flow.layers.2.block.2.conv.weight": np.zeros((16, 16))}, "flow.layers.2.block.2.conv.weight"),
        (lambda t: {}, "as many steps"),
    ],
    ids=["missing", "missing actnorm", "left over", "misshapen", "wrong rank", "empty"],
)
def test_weights_that_do_not_fit_are_named(change, said):
    with pytest.raises(GlowliteError, match=said):
        from_weights(change(weights()[0]), "A", (8, 8))


def test_an_unknown_kind_and_a_wrong_kind_are_refused():
    with pytest.raises(GlowliteError, match="y0ast"):
        from_weights({}, "pytorch", (8, 8))
    for kind in ("B", "C"):
        with pytest.raises(GlowliteError, match=f"kind {kind}"):
            from_weights(weights()[0], kind, (8, 8))
