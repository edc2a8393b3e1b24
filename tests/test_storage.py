"""Files that are whole or not there, and models that come back to the last bit."""

import errno
import json
import os

import numpy as np
import pytest
from small_runs import small_model
from test_training import batch_of

from glowlite import Glow, GlowConfig, GlowliteError
from glowlite.files.storage import (
    atomic_path,
    checkpoints_of,
    read_arrays,
    remove_temporaries,
    resolve,
    write_arrays,
)
from glowlite.training.optimizers import Adam
from glowlite.training.step import training_step


@pytest.mark.bits
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("permutation", ["conv1x1", "lu", "shuffle"])
def test_save_and_load_keep_every_bit_and_do_not_initialise_again(tmp_path, dtype, permutation):
    model = Glow(
        GlowConfig((8, 8, 3), K=2, L=2, width=16, permutation=permutation), seed=4, dtype=dtype
    )
    x = batch_of(dtype=dtype)
    model.initialize(x)
    model.save(tmp_path / "model.safetensors", note="kept")
    loaded = Glow.load(tmp_path / "model.safetensors")
    assert (
        read_arrays(tmp_path / "model.safetensors")[1]["note"] == "kept"
        and loaded.initialized
        and loaded.dtype == dtype
    )
    assert loaded.log_prob(x).tobytes() == model.log_prob(x).tobytes()
    assert loaded.log_prob(x[:2]).shape == (2,)  # another number of images
    for one in (model, loaded):
        training_step(one, Adam(one.store.theta), x, 5, lr=1e-3)
    assert loaded.store.theta.tobytes() == model.store.theta.tobytes()


def test_a_damaged_or_foreign_model_file_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(GlowliteError, match=r"model.safetensors: no such file"):
        Glow.load(path)
    with pytest.raises(GlowliteError, match="no checkpoint in this folder"):
        Glow.load(tmp_path)
    small_model().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(GlowliteError, match="cannot read"):
        Glow.load(path)
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(GlowliteError, match="not written by this version of glowlite: format None"):
        Glow.load(path)
    write_arrays(
        path,
        {"a": np.zeros(3)},
        {"config": small_model().config.to_dict(), "seed": 0, "initialized": True},
    )
    with pytest.raises(
        GlowliteError,
        match=r"1 arrays with 3 numbers in all, but a Glow of K=2.*arrays are missing",
    ):
        Glow.load(path)
    # no temporary file is left
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors"]


@pytest.mark.parametrize("place", [0.5, 0.99, "header"])
def test_one_bit_that_changed_on_the_disk_is_noticed(tmp_path, place):
    path = tmp_path / "model.safetensors"
    small_model().save(path, note="a note that stands in the header")
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"a note that") if place == "header" else int(place * len(damaged))] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(
        GlowliteError, match=r"model\.safetensors is damaged: its checksum is wrong"
    ):
        Glow.load(path)


def test_a_full_disk_leaves_the_model_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    model = small_model()
    model.save(path)
    before = path.read_bytes()
    model.store.theta[...] = 1.0

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        GlowliteError,
        match=r"cannot write .*model.safetensors: .*No space left on device.*still there",
    ):
        model.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_arrays_of_any_layout_type_and_size_come_back(tmp_path):
    arrays = {
        "turned": np.arange(12.0).reshape(3, 4).T, "steps": np.arange(10)[::3],
        "number": np.array(3.5, np.float32),
        "empty": np.zeros((0, 3), np.float32), "bytes": np.arange(5, dtype=np.uint8),
    }  # fmt: skip
    write_arrays(tmp_path / "a.safetensors", arrays, {"pi": 0.1 + 0.2, "none": None})
    back, header = read_arrays(tmp_path / "a.safetensors")
    assert header == {"pi": 0.1 + 0.2, "none": None} and set(back) == set(arrays)
    for name, array in arrays.items():
        assert (
            back[name].dtype == array.dtype
            and np.array_equal(back[name], array)
            and back[name].shape == array.shape
        )


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half of the new")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_only_our_own_temporary_files_are_removed(tmp_path):
    for name in (".weights.safetensors.123.tmp", ".theirs.tmp", "x.123.tmp", ".bashrc"):
        (tmp_path / name).write_text("")
    remove_temporaries(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {".theirs.tmp", "x.123.tmp", ".bashrc"}


def test_a_folder_means_its_newest_checkpoint(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("step-00000900", "step-00001000", "step-00000100"):
        (tmp_path / "checkpoints" / f"{name}.safetensors").write_text("")
    (tmp_path / "checkpoints" / ".step-00002000.safetensors.7.tmp").write_text("")
    assert resolve(tmp_path).name == "step-00001000.safetensors"
    assert [p.name[5:13] for p in checkpoints_of(tmp_path)] == ["00000100", "00000900", "00001000"]


def test_the_header_is_json_that_other_programs_can_read(tmp_path):
    from safetensors import safe_open

    small_model().save(tmp_path / "m.safetensors", n_bits=5)
    with safe_open(str(tmp_path / "m.safetensors"), framework="numpy") as file:
        header = json.loads(file.metadata()["header"])
    assert header["config"]["width"] == 16 and header["n_bits"] == 5
