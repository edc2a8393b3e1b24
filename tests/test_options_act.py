"""Every option acts: for each option of each command there are two values that make something
different.

ROWS has, for every option, what is looked at and two sets of words. An option that has no row here
makes a test fail: add one, of something that only this option can have changed. What is printed is
looked at only where printing is the effect.
"""

import contextlib
import dataclasses
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from planted._parsers import COMMANDS, module_of, parser_of
from small_runs import ROOT, images

import glowlite.bench.__main__ as bench
import glowlite.bench.plots
import glowlite.commands.edit
import glowlite.commands.evaluate
import glowlite.commands.figures
import glowlite.commands.inpaint
import glowlite.commands.interpolate
import glowlite.commands.loaded_model
import glowlite.commands.reconstruct
import glowlite.commands.sample
import glowlite.commands.train
import glowlite.drawing.observers
import glowlite.fast.threads
import glowlite.flow
import glowlite.interop.__main__
import glowlite.models.glow
import glowlite.reproduce.command
import glowlite.training.step
from glowlite.commands.option_sources import parse_arguments
from glowlite.distributed.communicator import OneProcess
from glowlite.errors import GlowliteError
from glowlite.files.storage import checkpoints_of, read_arrays
from glowlite.reproduce.report import Report
from glowlite.training.run import Training

TINY = (
    "--data {here}/ramps.npz --K 1 --L 1 --width 4 --batch 8 --steps 3 --log-every 1 --warmup 2"
    " --threads 1 --seed 7"
)


@dataclass(frozen=True)
class Row:
    """`one` and `other`: words of the command line. They must make a difference in `sees`.

    The words of BASE come before them; of those, only options where the row has positional
    arguments; after `alone:` none.
    """

    sees: str
    one: str
    other: str = ""


def model_options(sees: str = "files") -> dict[str, list[Row]]:
    return {
        "--checkpoint": [Row(sees, "--checkpoint last", "--checkpoint best")],
        "--weights": [Row(sees, "--weights raw", "--weights averaged")],
        "--device": [Row("device", "--device cpu", "--device gpu:1")],
        "--threads": [Row("threads", "--threads 2", "--threads 3")],
    }


# others are not its own
MOVED = {"--data": [Row("refused", "--data {here}/others.npz", "--data {here}/ramps.npz")]}

COMMON = (
    "--data {here}/ramps.npz --width 4 --batch 8 --steps 3 --log-every 1 --threads 1 --seed 7"
    " --lr 0.01"
)
NICE = f"alone: --model nice {COMMON} --hidden-layers 1 --couplings 2"
REALNVP = f"alone: --model realnvp {COMMON} --steps 2 --blocks 1"


def of(model: str, option: str, *values: str, sees: str = "weights") -> list[Row]:
    """A row for each value after the first, against that."""
    first, *others = (f"{model} {option} {value}" for value in values)
    return [Row(sees, first, other) for other in others]


def switched(model: str, option: str) -> list[Row]:
    """A row of an option that is on or off."""
    return [Row("weights", f"{model} --{option}", f"{model} --no-{option}")]


COUPLINGS, UNIT = (
    ("--coupling affine", "--coupling additive"),
    "--split-prior unit --top-prior unit",
)
GOLDEN = f"{ROOT}/tests/golden"

LAW = "logdet_is_that_of_the_jacobian"

# the words that every row of a command begins with
BASE = {
    "train": TINY,
    "evaluate": "{run} --csv scores.csv",
    "sample": "{run} --n 2",
    "interpolate": "{run} 0 1 --steps 3",
    "reconstruct": "{run} 0",
    "edit": "{fresh} 0 1 --attribute bright --steps 3",
    "inpaint": "{run} 0 1 --steps 4",
    "figures": "{fresh} --depth {deeper}",
    "export": "{run} model.safetensors",
    "report": "{fresh}",
    "data": "{here}/ramps.npz",
    "bench": "",
    "interop": "check",
    "laws": f"flows:broken --only {LAW}",
    "demo": "{fresh}",
    "reproduce": "figure3",
}

ROWS: dict[str, dict[str, list[Row]]] = {
    "train": {
        "--out": [Row("written", "--out a", "--out b")],
        "--preset": [Row("weights", "--preset paper", "--preset openai")],
        "--config": [Row("weights", "--config {here}/one.yaml", "--config {here}/other.yaml")],
        "--print-config": [Row("written", "--out a --print-config", "--out a")],
        "--resume": [
            Row(
                "trained", "--out {fresh} --steps 5 --resume", "--out {fresh} --steps 5 --overwrite"
            ),
            Row(
                "trained",
                "alone: --out {fresh} --steps 5 --resume",
                "alone: --out {fresh} --steps 6 --resume",
            ),
        ],
        "--overwrite": [Row("refused", "--out {fresh} --overwrite", "--out {fresh}")],
        "--data": [Row("images", "--data {here}/others.npz")],
        "--grey": [Row("images", "--grey", "--no-grey")],
        "--resize": [Row("images", "--resize 4")],
        "--crop": [Row("images", "--crop 4", "--crop 6")],
        "--random-crop": [Row("images", "--crop 4 --random-crop", "--crop 4")],
        "--skip-corrupt": [
            Row("refused", "--data {here}/damaged --skip-corrupt", "--data {here}/damaged")
        ],
        "--flip": [Row("images", "--flip", "--no-flip")],
        "--augment-shift": [
            Row("images", "--augment-shift 0.3"),
            Row("images", "--augment-shift 0.5", "--augment-shift 0.3"),
        ],
        "--n-bits": [
            Row("weights", "--n-bits 8", "--n-bits 3"),
            Row("held out", "--n-bits 8 --lr 0", "--n-bits 3 --lr 0"),
        ],
        "--dequantise": [
            Row("weights", f"{model}--dequantise uniform", f"{model}--dequantise variational")
            for model in ("", f"{NICE} ", f"{REALNVP} ")
        ],
        "--condition": [Row("weights", "--condition bright", "--condition wide,high")],
        "--class-map": [
            Row("weights", *(f"--condition bright --class-map {m}" for m in ("pixels", "channels")))
        ],
        "--label-weight": [
            Row("weights", *(f"--condition bright --label-weight {w}" for w in (0.1, 0.5)))
        ],
        "--model": [
            Row("weights", NICE, REALNVP),
            Row("weights", REALNVP, f"alone: --model glow {COMMON}"),
        ],
        "--couplings": of(NICE, "--couplings", "1", "3"),
        "--hidden-layers": of(NICE, "--hidden-layers", "1", "2"),
        "--slope": of(NICE, "--slope", "0", "0.2"),
        "--base": of(NICE, "--base", "logistic", "normal"),
        "--input": of(NICE, "--input", "unit", "symmetric", "whitened"),
        "--changed-first": of(NICE, "--changed-first", "even", "odd"),
        "--scaling-start": of(NICE, "--scaling-start", "zero", "data"),
        "--scaling-factor": of(NICE, "--scaling-factor", "1", "3"),
        "--levels": of(REALNVP, "--levels", "1", "2"),
        "--blocks": of(REALNVP, "--blocks", "1", "2"),
        "--widths": of(REALNVP, "--widths", "doubling", "constant"),
        "--pixels": of(REALNVP, "--pixels", "even", "odd"),
        "--channels": of(REALNVP, "--channels", "first", "second"),
        "--factor": of(REALNVP, "--factor", "scalar", "channel"),
        "--offset": switched(REALNVP, "offset"),
        "--a-pixels": of(REALNVP, "--a-pixels", "0", "0.5"),
        "--a-channels": of(REALNVP, "--a-channels", "1", "0.5"),
        "--doubled": switched(REALNVP, "doubled"),
        "--mask": switched(REALNVP, "mask"),
        "--batch-norm": switched(REALNVP, "batch-norm"),
        "--gain": switched(REALNVP, "gain"),
        "--eps": of(REALNVP, "--eps", "1e-4", "1e-2"),
        "--unbiased": [
            Row("held out", f"{REALNVP} --unbiased", f"{REALNVP} --no-unbiased"),
        ],
        "--coupling-norm": of(
            REALNVP, "--coupling-norm", "none", "changed", "zeros", "both", "whole"
        ),
        "--trains-g": of(REALNVP, "--trains-g", "all", "some"),
        "--start": of(REALNVP, "--start", "authors", "torch", "zero"),
        "--logit": of(REALNVP, "--logit", "code", "paper"),
        "--K": [Row("weights", "--K 2")],
        "--L": [Row("weights", "--L 2")],
        "--width": [Row("weights", "--width 5")],
        "--coupling": [Row("weights", "--coupling affine", "--coupling additive")],
        "--permutation": [
            Row("weights", "--permutation lu", "--permutation conv1x1"),
            Row("weights", "--L 2 --permutation lu,conv1x1", "--L 2 --permutation conv1x1,lu"),
        ],
        "--scale": [
            Row("weights", "--scale exp", "--scale sigmoid"),
            Row("weights", "--scale exp", "--scale bounded"),
        ],
        "--bound": [Row("weights", "--bound 1", "--bound 3")],
        "--shift": [Row("weights", "--shift before", "--shift after")],
        "--changed": [
            Row("weights", *(f"{kind} --changed {half}" for half in ("first", "second")))
            for kind in COUPLINGS
        ],
        "--actnorm": [Row("weights", "--actnorm paper", "--actnorm openai")],
        "--hidden-actnorm": [Row("weights", "--hidden-actnorm", "--no-hidden-actnorm")],
        "--output-scale": [
            Row("weights", f"{UNIT} --output-scale", f"{UNIT} --no-output-scale"),
            Row("priors", "--output-scale", "--no-output-scale"),
        ],
        "--border": [
            Row("weights", "--border all", "--border last"),
            Row("weights", "--border last", "--border none"),
            Row("priors", "--border all", "--border none"),
        ],
        "--split-prior": [
            Row("weights", "--L 2 --split-prior learned", "--L 2 --split-prior unit")
        ],
        "--top-prior": [Row("weights", "--top-prior learned", "--top-prior unit")],
        "--steps": [
            Row("trained", "--steps 2", "--steps 1ep"),
            Row("second rate", *(f"--warmup 0 --decay linear --steps {steps}" for steps in (3, 5))),
        ],
        "--batch": [
            Row("images", "--batch 6"),
            Row("trained", "--batch 6 --steps 1ep", "--batch 12 --steps 1ep"),
            Row("parts", "--batch 6 --accumulate 2", "--batch 12 --accumulate 2"),
            Row("parts", "--batch 6 --shards 2", "--batch 12 --shards 2"),
        ],
        "--accumulate": [Row("parts", "--accumulate 2", "--accumulate 4")],
        "--shards": [Row("parts", "--shards 2", "--shards 4")],
        "--optimizer": [Row("weights", "--optimizer adam", "--optimizer adamax")],
        "--lr": [Row("weights", "--lr 1e-3", "--lr 2e-3")],
        "--beta1": [Row("weights", "--beta1 0.8", "--beta1 0.7")],
        "--beta2": [
            Row("weights", "--beta2 0.8", "--beta2 0.7"),
            Row("weights", "--beta2 0.7", "--beta2 epoch"),
        ],
        "--epsilon": [Row("weights", "--epsilon 1e-3", "--epsilon 1e-2")],
        "--warmup": [
            Row("weights", "--warmup 0", "--warmup 3"),
            Row("weights", "--warmup 3", "--warmup 2ep"),
        ],
        "--decay": [
            Row("weights", "--warmup 0 --decay constant", f"--warmup 0 --decay {decay}")
            for decay in ("linear", "cosine")
        ],
        "--scale-penalty": of(REALNVP, "--scale-penalty", "0", "0.1"),
        "--clip": [Row("weights", "--clip 1e-3", "--clip 0")],
        "--average": [
            Row("held out", "--average 0.9", "--average 0.5"),
            Row("raw", "--average 0.9", "--average 0"),
        ],
        "--seed": [
            Row("first weights", "--seed 1", "--seed 2"),
            Row("images", "--seed 1", "--seed 2"),
            Row("noise", "--seed 1", "--seed 2"),
            Row(
                "images",
                "--data {here}/same.npz --flip --seed 1",
                "--data {here}/same.npz --flip --seed 2",
            ),
            Row(
                "images",
                *(
                    f"--data {{here}}/same.npz --crop 4 --random-crop --seed {seed}"
                    for seed in (1, 2)
                ),
            ),
            Row("noise of evaluation", "--seed 1", "--seed 2"),
            Row("noise of samples", "--out a --seed 1", "--out a --seed 2"),
        ],
        "--on-bad-step": [Row("with a bad step", "--on-bad-step stop", "--on-bad-step skip")],
        "--log-every": [Row("logged", "--log-every 2", "--log-every 1ep")],
        "--evaluate-every": [Row("evaluated", "--evaluate-every 2", "--evaluate-every 1")],
        "--evaluate-images": [Row("held out", "--evaluate-images 2", "--evaluate-images 3")],
        "--checkpoint-every": [
            Row("checkpoints", "--steps 4 --checkpoint-every 1", "--steps 4 --checkpoint-every 3")
        ],
        "--keep": [
            Row(
                "written",
                "--out a --checkpoint-every 1 --keep 1",
                "--out a --checkpoint-every 1 --keep 3",
            )
        ],
        "--picture-every": [
            Row("pictures", "--out a --picture-every 2", "--out a --picture-every 1ep")
        ],
        "--tensorboard": [Row("written", "--out a --tensorboard", "--out a --no-tensorboard")],
        "--memory": [
            Row("memory", "--memory stored", "--memory reversible"),
            Row("memory", *("--memory anchored:2", "")),
        ],
        "--device": [Row("device", "--device cpu", "--device gpu:1")],
        "--tf32": [Row("device", "--tf32", "--no-tf32")],
        "--gpu-memory": [Row("device", "--gpu-memory 2", "--gpu-memory 3")],
        "--gpu-exchange": [Row("exchange", "--gpu-exchange host", "--gpu-exchange mpi")],
        "--mpi-timeout": [Row("patience", "--out a --mpi-timeout 50", "--out a --mpi-timeout 60")],
        "--dtype": [Row("weights", "--dtype float32", "--dtype float64")],
        "--threads": [Row("threads", "--threads 2", "--threads 3")],
        "--tile": [Row("tile", "--tile 1", "--tile 2")],
        "--plain": [Row("fast forms", "--plain", "--no-plain")],
        "--blas": [Row("products", "--blas numpy", "--blas mkl")],
    },
    "evaluate": {
        "run": [Row("files", "{run}", "{deeper}")],
        "--data": [Row("files", "--data {here}/others.npz")],
        "--grey": [Row("refused", "--data {here}/ramps.npz --grey", "--data {here}/ramps.npz")],
        "--resize": [
            Row("refused", "--data {here}/ramps.npz --resize 4", "--data {here}/ramps.npz")
        ],
        "--crop": [Row("refused", "--data {here}/ramps.npz --crop 4", "--data {here}/ramps.npz")],
        "--random-crop": [
            Row("refused", "--data {here}/ramps.npz --random-crop", "--data {here}/ramps.npz")
        ],
        "--skip-corrupt": [
            Row("refused", "--data {here}/damaged --skip-corrupt", "--data {here}/damaged")
        ],
        "--train-set": [Row("files", "--train-set")],
        "--dequantisation-samples": [
            Row("files", "--dequantisation-samples 2", "--dequantisation-samples 3"),
            Row(
                "others",
                *(
                    f"--ood {{here}}/others.npz --dequantisation-samples {draws}"
                    for draws in (2, 3)
                ),
            ),
        ],
        "--seed": [
            Row("files", "--seed 1", "--seed 2"),
            Row("others", "--ood {here}/others.npz --seed 1", "--ood {here}/others.npz --seed 2"),
        ],
        "--batch": [
            Row("passes", "--batch 2", "--batch 3"),
            Row(
                "others in passes",
                "--ood {here}/others.npz --batch 2",
                "--ood {here}/others.npz --batch 3",
            ),
        ],
        "--csv": [Row("files", "--csv a.csv", "--csv b.csv")],
        "--ood": [Row("others", "--ood {here}/others.npz", "--ood {here}/same.npz")],
        "--mpi-timeout": [Row("patience", "--mpi-timeout 50", "--mpi-timeout 60")],
        "--histogram": [
            Row("files", *(f"--ood {{here}}/others.npz --histogram {name}.png" for name in "ab"))
        ],
        **model_options(),
        "--weights": [
            Row(sees, "--weights raw", "--weights averaged") for sees in ("files", "weights said")
        ],
    },
    "sample": {
        "run": [Row("files", "{run}", "{deeper}")],
        "--temperature": [Row("files", "--temperature 0.5", "--temperature 0.9")],
        "--temperature-sweep": [Row("files", "--temperature-sweep 0.5,0.9", "--temperature-sweep")],
        "--n": [
            Row("files", "--n 3", "--n 5"),
            Row("files", *(f"--temperature-sweep 0.5 --n {n}" for n in (3, 5))),
        ],
        "--seed": [
            Row("files", "--seed 1", "--seed 2"),
            Row("files", "--temperature-sweep 0.5 --seed 1", "--temperature-sweep 0.5 --seed 2"),
        ],
        "--label": [
            Row("files", "{classes} --label 0", "{classes} --label 1"),
            Row("files", "{classes} --label bright", "{classes}"),
        ],
        "--grid": [Row("files", "--grid", "--no-grid")],
        "--out": [
            Row("files", "--out a.png", "--out b.png"),
            Row("files", "--no-grid --out a", "--no-grid --out b"),
        ],
        **model_options(),
    },
    "interpolate": {
        "words": [
            Row("files", "{run} 1 2", "{run} 0 1 2 3"),
            Row("files", "{run} 1 2", "{deeper} 1 2"),
        ],
        "--steps": [Row("files", "--steps 4", "--steps 5")],
        "--spherical": [Row("files", "--spherical")],
        "--out": [
            Row("files", *(f"--out {name}" for name in names))
            for names in (("a.png", "b.png"), ("a.gif", "b.gif"))
        ],
        **MOVED,
        **model_options(),
    },
    "reconstruct": {
        "words": [Row("files", "{run} 1", "{run} 2"), Row("files", "{run} 1", "{deeper} 1")],
        "--out": [Row("files", "--out a.png", "--out b.png")],
        **MOVED,
        **model_options(),
    },
    "edit": {
        "words": [Row("files", "{fresh} 1", "{fresh} 2"), Row("files", "{fresh} 1", "{deeper} 1")],
        "--attribute": [Row("files", "--attribute wide", "--attribute high")],
        "--alpha": [
            Row("files", "--alpha 2", "--alpha 3"),
            Row("files", "--alpha -2..3", "--alpha -2..1"),
            Row("files", "--alpha -2..1", "--alpha -1..1"),
            Row("files", "--alpha 2", "--alpha 2..2"),
        ],
        "--steps": [Row("files", "--steps 4", "--steps 5")],
        "--method": [Row("files", "--method held", "--method mean")],
        "--list": [Row("printed", "{fresh} --list", "{fresh} 0")],
        "--out": [Row("files", "--out a.png", "--out b.png")],
        "--save": [Row("files", "{fresh} --save a.safetensors", "{fresh} --save b.safetensors")],
        **MOVED,
        **model_options(),
    },
    "inpaint": {
        "words": [Row("files", "{run} 1", "{run} 2"), Row("files", "{run} 1", "{deeper} 1")],
        "--mask": [
            Row("files", "--mask top", "--mask left"),
            Row("files", "--mask {here}/mask.png", "--mask top"),
        ],
        "--denoise": [Row("files", "--denoise 20", "--denoise 40")],
        "--noisy": [Row("files", "--denoise 20 --noisy", "--denoise 20")],
        "--start": [
            Row("files", "--start mean", "--start sample"),
            Row("files", "--denoise 20 --start mean", "--denoise 20 --start itself"),
        ],
        "--steps": [Row("files", "--steps 5", "--steps 6")],
        "--step": [Row("files", "--step 0.1", "--step 0.9")],
        "--noise": [
            Row("files", "--noise 1", "--noise 3"),
            Row("files", "--noise 0", "--noise 1"),
            Row("files", "--denoise 20 --noise 1", "--denoise 20 --noise 0"),
        ],
        "--seed": [
            Row(
                "files",
                *(f"--mask random:0.5 --start mean --step 0 --seed {seed}" for seed in (1, 2)),
            ),
            Row("files", *(f"--denoise 20 --step 0 --seed {seed}" for seed in (1, 2))),
            Row("files", *(f"--start mean --seed {seed}" for seed in (1, 2))),
            Row("files", *(f"--step 0 --seed {seed}" for seed in (1, 2))),
        ],
        "--out": [Row("files", "--out a.png", "--out b.png")],
        **MOVED,
        **model_options(),
    },
    "figures": {
        "run": [Row("samples.png", "{fresh}", "{deeper}")],
        "--depth": [Row("depth.png", "--depth {deeper}", "--depth {deeper} {run}")],
        "--out": [Row("written", "--out a", "--out b")],
        "--temperature": [
            Row("samples.png", "--temperature 0.5", "--temperature 0.9"),
            Row("depth.png", "--temperature 0.5", "--temperature 0.9"),
        ],
        "--seed": [
            Row(f"{name}.png", "--seed 1", "--seed 2")
            for name in ("samples", "temperature", "depth")
        ],
        **MOVED,
        **model_options("interpolation.png"),
    },
    "export": {
        "run": [Row("files", "{run} a.safetensors", "{deeper} a.safetensors")],
        "file": [Row("written", "{run} a.safetensors", "{run} b.safetensors")],
        "--dtype": [Row("files", "--dtype float16", "--dtype float32")],
        "--batch": [Row("passes", "--batch 2", "--batch 3")],
        **MOVED,
        **model_options(),
    },
    "report": {
        "run": [Row("files", "{fresh} --out page.html", "{deeper} --out page.html")],
        "--out": [Row("files", "--out a.html", "--out b.html")],
    },
    "demo": {
        "run": [Row("files", "{fresh}", "{deeper}")],
        "--out": [Row("written", "--out a.html", "--out b.html")],
        "--open": [Row("shown", "--open", "")],
        "--pictures": [Row("files", "--pictures 1", "--pictures 2")],
        **MOVED,
        **model_options(),
    },
    "reproduce": {
        "experiment": [Row("asked", "alone: figure3", "alone: stability")],
        "runs": [Row("asked", "alone: table2 {run}", "alone: table2 {deeper}")],
        "--data": [Row("asked", "--data {here}/ramps.npz", "--data {here}/others.npz")],
        "--paper-size": [Row("printed", "--paper-size", "")],
        "--out": [Row("written", "--out a", "--out b")],
        "--lr": [Row("asked", "--lr 0.1", "--lr 0.2")],
        **{
            f"--{name}": [Row("asked", f"--{name} 2", f"--{name} 3")]
            for name in ("seeds", "steps", "jobs", "K", "L", "width", "batch", "n-bits")
        },
    },
    "data": {
        "spec": [Row("files", "{here}/ramps.npz", "{here}/others.npz")],
        "--grey": [Row("files", "--grey", "--no-grey")],
        "--resize": [Row("files", "--resize 4", "--resize 6")],
        "--crop": [Row("files", "--crop 4", "--crop 6")],
        "--random-crop": [
            Row("refused", "--crop 4 --save a.npy --random-crop", "--crop 4 --save a.npy")
        ],
        "--skip-corrupt": [Row("refused", "{here}/damaged --skip-corrupt", "{here}/damaged")],
        "--sheet": [Row("files", "--sheet a.png", "--sheet b.png")],
        "--save": [Row("files", "--save a.npy", "--save b.npy")],
        "--n-bits": [Row("files", "--n-bits 2", "--n-bits 3")],
    },
    "bench": {
        "--preset": [Row("asked", "--preset cifar10", "--preset imagenet64")],
        "--side": [Row("asked", "--side 16", "--side 24")],
        "--channels": [Row("asked", "--channels 1", "--channels 2")],
        "--K": [Row("asked", "--K 2", "--K 3")],
        "--L": [Row("asked", "--L 1", "--L 2")],
        "--width": [Row("asked", "--width 8", "--width 9")],
        "--batch": [
            Row("asked", f"{device} --batch 2", f"{device} --batch 3")
            for device in ("", "--device gpu")
        ],
        "--coupling": [Row("asked", "--coupling affine", "--coupling additive")],
        "--scale": [Row("asked", "--scale exp", "--scale sigmoid")],
        "--memory": [
            Row("asked", f"{device} --memory 0", f"{device} --memory anchored:2")
            for device in ("", "--device gpu")
        ],
        "--budgets": [
            Row("asked", "--budgets 0,2MB", "--budgets none"),
            Row("asked", "--device gpu --budgets 0", "--device gpu --budgets 2MB"),
            Row("asked", "--json a.json --budgets none", "--json a.json"),
        ],
        "--scaling": [Row("asked", "--scaling", "--no-scaling")],
        "--threads": [Row("threads", "--threads 2", "--threads 3")],
        "--tile": [Row("tile", "--tile 1", "--tile 2")],
        "--blas": [Row("products", "--blas numpy", "--blas mkl")],
        "--plain": [
            Row("asked", f"{device} --plain", f"{device} --no-plain")
            for device in ("", "--device gpu")
        ],
        "--rounds": [
            Row("asked", f"{kind} --rounds 2", f"{kind} --rounds 3")
            for kind in ("", "--device gpu", "--scaling")
        ],
        "--depths": [Row("asked", "--depths 2,3", "--depths none")],
        "--against": [Row("asked", "--against torch")],
        "--json": [Row("files", "--json a.json", "--json b.json"), Row("asked", "--json a.json")],
        "--plots": [Row("drawn", "--plots a", "--plots b"), Row("asked", "--plots a")],
        "--device": [Row("device", "--device cpu", "--device gpu:1"), Row("asked", "--device gpu")],
        "--tf32": [Row("device", "--tf32", "--no-tf32")],
        "--gpu-memory": [Row("device", "--gpu-memory 2", "--gpu-memory 3")],
        "--latency": [Row("asked", "--device gpu --latency", "--device gpu --no-latency")],
    },
    "bench.allreduce": {},
    "bench.plan": {},
    "laws": {
        "name": [
            Row(
                "verdicts", f"alone: flows:{one} --only {LAW}", f"alone: flows:{other} --only {LAW}"
            )
            for one, other in (("make", "broken"), ("clean", "wrong"))
        ],
        "--list": [Row("printed", "--list", "")],
        "--framework": [Row("printed", "--framework numpy", "--framework auto")],
        "--shape": [
            Row(
                "printed",
                "alone: flows:Tanh --only maps --shape 2",
                "alone: flows:Tanh --only maps --shape 3",
            )
        ],
        "--condition-shape": [
            Row(
                "verdicts",
                "alone: flows:OfACondition --only condition_acts --condition-shape 2",
                "alone: flows:OfACondition --only condition_acts",
            )
        ],
        "--dtype": [
            Row(
                "verdicts",
                "alone: flows:make --only numerics --dtype float32",
                "alone: flows:make --only numerics --dtype float64",
            )
        ],
        "--seeds": [
            Row(
                "verdicts",
                f"alone: flows:broken_at_one --only {LAW} --seeds 1",
                f"alone: flows:broken_at_one --only {LAW} --seeds 2",
            )
        ],
        "--only": [Row("verdicts", "--only density", "--only maps")],
        "--expect-fail": [
            Row("verdicts", "--expect-fail {here}/known.toml", ""),
            Row("verdicts", "--expect-fail {here}/known.toml", "--expect-fail {here}/none.toml"),
        ],
        "--json": [Row("written", "--json a.json", "--json b.json")],
        "--junit": [Row("written", "--junit a.xml", "--junit b.xml")],
    },
    "interop": {
        "files": [
            Row(
                "printed", f"{GOLDEN}/a_affine_lu.safetensors", f"{GOLDEN}/c_affine_1x1.safetensors"
            )
        ],
        "--permutation": [
            Row(
                "printed",
                *(f"{GOLDEN}/a_affine_lu.safetensors --permutation {p}" for p in ("reverse", "lu")),
            )
        ],
    },
}
ONE_VALUE = {("interop", "action")}  # a word that is always the same


# What a command makes, as a dictionary of what can be looked at


class Seen(dict):
    """What was seen by name. Arrays are kept as their bytes."""

    def note(self, name, value):
        self.setdefault(name, []).append(
            value.tobytes() if isinstance(value, np.ndarray) else value
        )


@contextlib.contextmanager
def watched():
    """Spies on what takes the options of the machine, and on the passes of a model."""
    seen = Seen()
    with pytest.MonkeyPatch.context() as patch:

        def spy(where, name, note, replacement=None):
            real = getattr(where, name)

            def called(*arguments, **named):
                result = (
                    real(*arguments, **named)
                    if replacement is None
                    else replacement(*arguments, **named)
                )
                note(result, *arguments, **named)
                return result

            patch.setattr(where, name, called)

        spy(
            glowlite.fast.threads,
            "matmul_of",
            lambda _, blas: seen.note("products", blas),
            lambda blas: np.matmul,
        )
        workers = glowlite.fast.threads.Workers.__init__

        def made(self, *arguments, **named):
            workers(self, *arguments, **named)
            seen.note("threads", self.threads)
            seen.note("tile", self.tile_numbers)

        patch.setattr(glowlite.fast.threads.Workers, "__init__", made)
        flow = glowlite.flow.Flow.__init__

        def made_flow(self, *arguments, **named):
            flow(self, *arguments, **named)
            levels = getattr(self, "levels", None)
            seen.note("fast forms", levels and type(levels[0].steps).__name__)

        patch.setattr(glowlite.flow.Flow, "__init__", made_flow)
        for module in (glowlite.commands.train, glowlite.commands.loaded_model, bench):
            host = SimpleNamespace() if module is bench else np
            spy(
                module, "device_namespace", lambda _, *arguments: seen.note("device", arguments),
                lambda device, *_, host=host: np if device == "cpu" else host,
            )  # fmt: skip
        log_prob = glowlite.models.glow.Glow.log_prob

        def passed(self, x):
            seen.note("passes", len(x))
            return log_prob(self, x)

        patch.setattr(glowlite.models.glow.Glow, "log_prob", passed)
        yield seen, patch, spy


def watch_training(words, with_a_bad_step=False):
    """A training as `glowlite.train` makes it, without its folder."""

    def taken(x):
        assert len(x) > 0, "a part without an image"
        seen.note("parts", len(x))

    with watched() as (seen, patch, spy):
        spy(
            glowlite.commands.train,
            "make_allreduce",
            lambda _, kind, *__: seen.note("exchange", kind),
        )
        spy(glowlite.models.glow.Glow, "gradients", lambda _, model, x, *__, **___: taken(x))
        noise = glowlite.training.scoring.dequantization_noise
        spy(
            glowlite.training.scoring,
            "dequantization_noise",
            lambda drawn, *_: seen.note("noise of evaluation", drawn),
            noise,
        )
        step = Training.step

        def watched_step(self, batch):
            seen.note("images", batch.images)
            seen.note("noise", batch.noise)
            seen.note("trained", batch.step)
            assert batch.step < 20, "a training of 600 steps"
            return step(self, batch)

        patch.setattr(Training, "step", watched_step)
        if with_a_bad_step:
            bad = iter([True])

            norm = glowlite.training.step.gradient_norm

            def norm_of(*arguments):
                return norm(*arguments) * (np.nan if next(bad, False) else 1)

            patch.setattr(glowlite.training.step, "gradient_norm", norm_of)
        seen["refused"] = None
        try:
            training, data = glowlite.commands.train.make_training(
                parse_arguments(words), OneProcess()
            )
            theta = training.model.store.theta
            seen.note("first weights", theta.copy())
            shapes = {
                name: value.shape for name, value in training.model.store.named_values().items()
            }
            seen.note(
                "priors", {name: shape for name, shape in shapes.items() if "/step" not in name}
            )
            seen.note("memory", str(training.model.memory))
            glowlite.commands.train.train(training, data, [Watcher(seen)])
            seen.note("weights", theta.copy())
        except GlowliteError as error:
            seen["refused"] = str(error)
        seen["with a bad step"] = seen["refused"]
    return seen


class Watcher:
    """An Observer of the trainer."""

    def __init__(self, seen):
        self.seen = seen

    def on_step(self, step, result):
        pass

    def on_metrics(self, metrics, timing):
        self.seen.note("logged", metrics.step)
        if metrics.step == 2:
            self.seen.note("second rate", metrics.learning_rate)
        if metrics.held_out_bits_per_dim is not None:
            self.seen.note("evaluated", metrics.step)
            self.seen.note("held out", metrics.held_out_bits_per_dim)
            self.seen.note("raw", metrics.held_out_raw_bits_per_dim)

    def on_checkpoint(self, training):
        self.seen.note("checkpoints", training.state.step)

    def after_step(self, training):
        pass

    def close(self):
        pass


def watch_command(command, words, capsys):
    """What the command itself leaves in the current folder, prints, and asks of the machine."""
    with watched() as (seen, patch, spy):
        for name in ("sample", "figures", "interpolate", "reconstruct", "edit", "inpaint"):
            drawing = getattr(glowlite.commands, name)
            # as many pixels as there are: that is faster
            patch.setattr(drawing, "enlarged", lambda sheet: sheet)
        for name, small in {
            "GRID": 4,
            "ROW": 2,
            "SWEEP": (0.5, 1.0),
            "WALKS": 1,
            "STEPS": 3,
            "EDITS": 2,
        }.items():
            patch.setattr(glowlite.commands.figures, name, small)
        for alone in (glowlite.commands.train, glowlite.commands.evaluate):
            spy(
                alone,
                "make_communicator",
                lambda _, patience: seen.note("patience", patience),
                lambda _: OneProcess(),
            )
        if command == "train":
            watch_folder(seen, patch, spy)
        elif command == "bench":
            watch_bench(seen, patch)
        elif command == "reproduce":
            watch_reproduction(seen, patch)
        elif command == "demo":
            seen["shown"] = []
            patch.setattr("webbrowser.open", lambda place: seen.note("shown", bool(place)))
        elif command == "evaluate":
            watch_comparison(seen, patch, spy)
        patch.setattr(sys, "argv", [command, *words])
        patch.setattr(sys, "path", [*sys.path])  # of which a command may make one more
        capsys.readouterr()
        seen["refused"] = None
        try:
            module_of(command).main()
        except GlowliteError as error:
            seen["refused"] = str(error)
        seen["printed"] = capsys.readouterr().out
    seen["verdicts"] = re.findall(r"^  (\w+)  +(held|BROKEN|broken|HELD|-)", seen["printed"], re.M)
    seen["weights said"] = re.findall(r"\w+ weights", seen["printed"])
    seen["files"] = {
        str(path): content(path) for path in sorted(Path().rglob("*")) if path.is_file()
    }
    seen["written"] = [re.sub(r"events\..*", "events", name) for name in seen["files"]]
    for path in Path().glob("figures/*.png"):
        seen[path.name] = path.read_bytes()
    return seen


def content(path):
    """What is in a file, as bytes.

    Of a model the arrays and the header, since their order in the file is by chance.
    """
    if path.suffix != ".safetensors":
        return path.read_bytes()
    arrays, header = read_arrays(path)
    return {name: (array.dtype, array.tobytes()) for name, array in arrays.items()}, header


def watch_folder(seen, patch, spy):
    """A training with its folder, but without drawing."""
    patch.setattr(glowlite.drawing.observers, "save_learning_curve", lambda *_: None)
    patch.setattr(
        glowlite.drawing.observers,
        "save_pictures",
        lambda *arguments: seen.note("pictures", arguments[5]),
    )
    normal = glowlite.objective.normal
    spy(
        glowlite.objective, "normal", lambda drawn, *_: seen.note("noise of samples", drawn), normal
    )
    step = Training.step
    patch.setattr(
        Training,
        "step",
        lambda self, batch: [seen.note("trained", batch.step), step(self, batch)][1],
    )


def watch_comparison(seen, patch, spy):
    """A comparison with other data, without drawing."""
    score_others = glowlite.commands.evaluate.score_others

    def scored(*arguments):
        before = len(seen["passes"])
        results = score_others(*arguments)
        seen["others in passes"] = seen["passes"][before:]
        seen.note("others", results)
        return results

    patch.setattr(glowlite.commands.evaluate, "score_others", scored)
    patch.setattr(glowlite.commands.evaluate, "save_histograms", lambda path, *_: path.touch())


def watch_reproduction(seen, patch):
    """An experiment whose runs are told, and not made."""

    def asked(runs, jobs, ranks):
        seen.note("asked", (jobs, [run.command for run in runs]))

    def report(settings, runs):
        seen.note("asked", repr(settings))
        return Report("nothing")

    patch.setattr(glowlite.reproduce.command, "carry_out", asked)
    for name, each in glowlite.reproduce.command.EXPERIMENTS.items():
        experiment = dataclasses.replace(each, report=report)
        patch.setitem(glowlite.reproduce.command.EXPERIMENTS, name, experiment)


def watch_bench(seen, patch):
    """A benchmark that measures nothing."""

    def asked(*arguments):
        seen.note("asked", repr(arguments))
        return {}

    def draw(found, folder):
        seen.note("drawn", str(folder))
        return []

    patch.setattr(bench, "memory_of", lambda xp: (2.0**34, 2.0**35))
    for place in (bench, bench.device, bench.scaling):
        patch.setattr(place, "report", asked)
        patch.setattr(place, "table", lambda found: "")
    patch.setattr(bench, "check_rivals", lambda: None)
    patch.setattr(glowlite.bench.plots, "draw", draw)


# Where the words point to


def labelled(path, pictures):
    """An .npz with three attributes that are read from the pictures."""
    flat = pictures.reshape(len(pictures), -1).astype(float)
    numbers = flat.mean(axis=1), flat[:, 0] + flat[:, 50], flat[:, 30] - flat[:, 90]
    attributes = np.stack([number > np.median(number) for number in numbers], axis=1)
    np.savez(
        path,
        images=pictures,
        attributes=attributes,
        attribute_names=np.array(["bright", "wide", "high"]),
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with data and two runs: each with weights that differ, raw from averaged, and the
    last from the best.
    """
    here = tmp_path_factory.mktemp("options")
    labelled(here / "ramps.npz", images(60))
    labelled(here / "others.npz", images(60, seed=1))
    np.savez(here / "same.npz", images=np.repeat(images(1, seed=2), 60, axis=0))
    (here / "damaged").mkdir()
    for i, picture in enumerate(images(60)):
        Image.fromarray(picture).save(here / "damaged" / f"{i:02}.png")
    (here / "damaged" / "05.png").write_bytes(b"no picture")
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(here / "mask.png")
    (here / "known.toml").write_text(f'{LAW} = "twice"')
    (here / "none.toml").write_text("")
    (here / "one.yaml").write_text("average: 0.5\nlr: 0.01\n")
    (here / "other.yaml").write_text("average: 0.5\nlr: 0.02\n")
    with pytest.MonkeyPatch.context() as patch:
        watch_folder(Seen(), patch, lambda *_: None)
        made = {"run": "--K 1", "deeper": "--K 2", "classes": "--condition bright"}
        for name, more in made.items():
            words = f"{TINY} {more} --average 0.9 --checkpoint-every 1 --keep 9 --lr 0.02"
            words += f" --out {here}/{name}"
            patch.setattr(sys, "argv", ["train", *shlex.split(words.format(here=here))])
            glowlite.commands.train.main()
            options = SimpleNamespace(
                device="cpu", checkpoint="last", weights="averaged", threads=1
            )
            glowlite.commands.loaded_model.load_model(str(here / name), options).directions()
            (here / name / "best.safetensors").unlink()
            (here / name / "best.safetensors").hardlink_to(checkpoints_of(here / name)[0])
    return here


KNOWN: dict[tuple[str, str, bool], Seen] = {}  # by command, words, and whether there was a bad step


@pytest.fixture
def observe(here, tmp_path, monkeypatch, capsys):
    """A function of a command, what to look at, and the words of a row: what is seen."""

    def look(command, sees, row_words, again=False):
        bad_step = sees == "with a bad step"
        key = command, row_words, bad_step
        if again or key not in KNOWN:
            KNOWN[key] = see(
                command, row_words, bad_step, tmp_path / str(len(list(tmp_path.iterdir())))
            )
        if command == "train" and sees not in ("refused", "with a bad step"):
            assert not KNOWN[key]["refused"], KNOWN[key]["refused"]
        return KNOWN[key][sees]

    def see(command, row_words, bad_step, folder):
        (folder / "work").mkdir(parents=True)
        monkeypatch.chdir(folder / "work")
        text = f"{BASE[command]} {row_words}"
        if row_words.startswith("alone: "):
            text = row_words.removeprefix("alone: ")
        elif row_words.startswith("{"):
            text = " ".join([row_words, *re.findall("--.*", BASE[command])])
        if "{fresh}" in text:
            shutil.copytree(here / "run", folder / "fresh")
        places = {
            "here": here,
            "run": here / "run",
            "deeper": here / "deeper",
            "classes": here / "classes",
            "fresh": folder / "fresh",
        }
        words = shlex.split(text.format(**places))
        if command != "train" or "--out" in words:
            seen = watch_command(command, words, capsys)
        else:
            seen = watch_training(words, bad_step)
        for name in ("refused", "printed", "with a bad step"):
            # the same, wherever it is said
            seen[name] = (seen.get(name) or "").replace(str(folder), "")
        return seen

    return look


# The tests


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_row(command):
    actions = [action for action in parser_of(command)._actions if action.dest != "help"]
    names = {
        action.option_strings[0] if action.option_strings else action.dest: action
        for action in actions
    }
    alone = {name for name in names if (command, name) in ONE_VALUE}
    assert all(len(names[name].choices) == 1 for name in alone)
    assert set(names) - alone == set(ROWS.get(command, {})), (
        "add a row to ROWS that shows what this option does"
    )
    for name, rows in ROWS.get(command, {}).items():
        assert all(name in f"{row.one} {row.other}" or "-" not in name for row in rows), name


@pytest.mark.parametrize(
    ("command", "option"),
    [
        pytest.param(command, option, id=f"{command} {option}")
        for command, rows in ROWS.items()
        for option in rows
    ],
)
def test_an_option_acts(command, option, observe):
    for row in ROWS[command][option]:
        assert observe(command, row.sees, row.one) != observe(command, row.sees, row.other), row


# words whose results, in all that rows look at, are seen twice
TWICE = {command: {""} for command in ROWS if ROWS[command] and command != "interop"}
TWICE["train"] |= {"--out a --tensorboard", "--out a"}
TWICE["evaluate"] |= {"--ood {here}/others.npz"}


@pytest.mark.parametrize(
    ("command", "words"),
    [(command, words) for command in TWICE for words in sorted(TWICE[command])],
)
def test_what_is_seen_depends_on_the_words_alone(command, words, observe):
    """Or a difference would show nothing."""
    looked_at = {row.sees for rows in ROWS[command].values() for row in rows}
    observe(command, "refused", words)
    first = KNOWN[command, words, False]
    observe(command, "refused", words, again=True)
    second = KNOWN[command, words, False]
    assert looked_at & set(first) == looked_at & set(second)
    for sees in looked_at & set(first):
        assert first[sees] == second[sees], sees
