"""What version 0.1 wrote is still what it was: a run, its checkpoint, and the pretrained model."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import glowlite.commands.train
from glowlite import Glow
from glowlite.files.storage import read_arrays
from glowlite.objective import to_pixels

RUN = Path(__file__).parent / "run_of_0.1"  # 6 steps on the embedded fashion images
CHECKPOINT = RUN / "checkpoints" / "step-00000006.safetensors"
STEP_9 = {  # what 0.1 itself wrote when it went on
    "train_bits_per_dim": 5.189021248226137,
    "held_out_bits_per_dim": 5.182148948392734,
    "held_out_raw_bits_per_dim": 5.099778223040316,
}
# of 8 samples of the pretrained model, drawn by 0.1
FACES = "7184b87d376490c2ed7f4dcfd457ee0ce21ffc5bdec912f492fa419fe4bf504a"


def test_a_checkpoint_is_read_to_the_last_bit():
    arrays, _ = read_arrays(CHECKPOINT)
    model = Glow.load(CHECKPOINT, weights="raw")
    for name, value in model.store.named_values().items():
        assert value.tobytes() == arrays[name].tobytes(), name
    assert len(model.store.parameters) == 30


def test_a_run_goes_on_and_does_what_0_1_did(tmp_path, undrawn, monkeypatch):
    """To rounding: layers that were one map then are two now."""
    run = shutil.copytree(RUN, tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["train", "--out", str(run), "--resume", "--steps", "9"])
    glowlite.commands.train.main()
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 9
    for name, value in STEP_9.items():
        assert last[name] == pytest.approx(value, rel=1e-5), name


def test_the_pretrained_model_draws_the_same_pixels():
    pixels = to_pixels(Glow.pretrained().sample(8, 0.7, seed=1), 5)
    assert pixels.dtype == np.uint8
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == FACES
