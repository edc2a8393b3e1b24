"""python -m glowlite.train: train a Glow, by default a small one on the embedded pixel faces."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from tqdm import tqdm

from glowlite.backend import device_namespace
from glowlite.bijectors.memory import Memory
from glowlite.command_line import Parser, at_least, run
from glowlite.data import load
from glowlite.models.config import CHOICES, PERMUTATIONS, GlowConfig
from glowlite.models.glow import Glow
from glowlite.run_folder import RunFolder, make_run_folder
from glowlite.trainer import Metrics, Settings, StepResult, check_memory, check_settings, train
from glowlite.workers import TILE_MB, Workers

DEFAULTS = Settings()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("train", "Train a Glow; without options, a small one on the embedded pixel faces.")
    add = parser.add_argument
    add("--data", default="faces", help="faces, fashion, an .npz with `images`, an .npy, or a folder of images")
    add("--out", help="folder of the run (default: runs/NAME-1, then -2, ...)")
    add("--overwrite", action="store_true", help="replace the run that --out holds")
    add("--steps", type=at_least(1), default=DEFAULTS.steps, help="updates of the weights")
    add("--batch", type=at_least(1), default=DEFAULTS.batch, help="images a step")
    add("--lr", type=at_least(0, float), default=DEFAULTS.lr, help="peak learning rate of Adam")
    add("--warmup", type=at_least(0), default=DEFAULTS.warmup, help="steps over which the rate grows to --lr")
    add("--clip", type=at_least(0, float), default=DEFAULTS.clip, help="largest norm of a gradient; 0: no limit")
    add("--seed", type=at_least(0), default=DEFAULTS.seed, help="of weights, order, noise and samples")
    add("--K", type=at_least(1), default=8, help="steps of flow a level")
    add("--L", type=at_least(1), default=3, help="levels")
    add("--width", type=at_least(1), default=128, help="hidden channels of the coupling networks")
    add("--n-bits", type=int, choices=range(1, 9), default=DEFAULTS.n_bits, help="bits kept of each 8-bit value")
    add("--coupling", choices=CHOICES["coupling"], default="affine", help="kind of coupling layer")
    add("--scale", choices=CHOICES["scale"], default="bounded", help="scale of an affine coupling")
    add("--permutation", default="conv1x1", help=f"{', '.join(PERMUTATIONS)}; or one for each level, with commas")
    add("--memory", default="reversible", help="reversible, anchored:k, or stored")
    add("--device", default="cpu", help="cpu, gpu or gpu:k")
    add("--dtype", choices=("float32", "float64"), default="float32", help="of parameters and images")
    add("--threads", type=at_least(1), help="default: every core this process may use")
    add("--tile", type=at_least(0, float), default=TILE_MB, help="megabytes of a hidden map that is worked on at a time")
    add("--blas", choices=("numpy", "mkl"), default="numpy", help="whose matrix products; mkl needs pip install '.[mkl]'")
    add("--evaluate-every", type=at_least(1), default=DEFAULTS.evaluate_every, help="steps between evaluations")
    return parser.parse_args(arguments)


class Progress:
    """A bar on a terminal; elsewhere a plain line at every evaluation."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bar = tqdm(total=settings.steps, disable=None, unit="step", dynamic_ncols=True)

    def on_step(self, step: int, result: StepResult) -> None:
        if not self.bar.disable:
            rate = self.bar.format_dict["rate"] or 0.0
            self.bar.set_postfix_str(f"{result.bits_per_dim:.3f} bits/dim, {rate * self.settings.batch:.0f} images/s", False)
            self.bar.update()

    def on_metrics(self, metrics: Metrics) -> None:
        if metrics.held_out_bits_per_dim is not None:
            tqdm.write(
                f"step {metrics.step}/{self.settings.steps}: {metrics.train_bits_per_dim:.3f} bits/dim in training,"
                f" {metrics.held_out_bits_per_dim:.3f} held out, {metrics.step * self.settings.batch / metrics.seconds:.0f}"
                f" images/s, {metrics.seconds:.0f} s",
                file=sys.stderr,
            )


def main() -> None:
    options = parse_arguments()
    settings = Settings(**{f.name: getattr(options, f.name) for f in dataclasses.fields(Settings) if f.name in options})
    xp = device_namespace(options.device)
    memory = Memory.parse(options.memory)
    data = load(options.data)
    config = GlowConfig(
        data.image_shape, options.K, options.L, options.width, options.coupling, options.scale,
        permutation=options.permutation,
    )  # fmt: skip
    check_settings(settings, data)
    model = Glow(config, settings.seed, options.dtype, memory, Workers(options.threads, options.tile, options.blas), xp)
    check_memory(model, settings.batch)
    path = make_run_folder(options.out, data.name, options.overwrite)  # last: nothing is replaced by a mistake
    print(
        f"{data.name}: {len(data.train)} training and {len(data.held_out)} held-out images {data.image_shape};"
        f" {len(model.store):,} parameters; writing to {path}",
        file=sys.stderr,
    )
    folder = RunFolder(path, model, settings.n_bits, {"options": vars(options), "data": data.source})
    progress = Progress(settings)
    try:
        held_out = train(model, data, settings, [folder, progress])
    finally:
        progress.bar.close()
        folder.close()
    print(f"held-out bits/dim {held_out:.3f} at {settings.n_bits} bits; samples in {path}/samples-{settings.steps:06d}.png")


if __name__ == "__main__":
    run(main, "train")
