"""The training options, each defined once with its default and its meaning, and their conversion to
settings.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from typing import Any

from glowlite.bijectors.memory import DEFAULT_MEMORY
from glowlite.commands.data_options import add_data_options
from glowlite.commands.presets import MODEL_DEFAULTS, PRESETS
from glowlite.commands.program import MAX_SEED, Parser, at_least
from glowlite.data.batches import Augmentation
from glowlite.distributed.allreduce import KINDS
from glowlite.distributed.timeouts import PATIENCE, TIMEOUT_HELP
from glowlite.errors import GlowliteError
from glowlite.fast.threads import MAX_THREADS, TILE_MB
from glowlite.models.config import (
    CHOICES,
    MAX_BOUND,
    MAX_SIZES,
    PERMUTATIONS,
    GlowConfig,
    usual_levels,
)
from glowlite.models.image_config import DEQUANTISE, ImageConfig
from glowlite.models.nice_config import NICE_SIZES, NICEConfig
from glowlite.models.realnvp_config import MAX_FACTOR, RealNVPConfig
from glowlite.models.realnvp_config import usual_levels as usual_scales
from glowlite.terminal import shortened
from glowlite.training.optimizers import DECAYS, OPTIMIZERS
from glowlite.training.settings import Settings

DEFAULTS = Settings()
# the configuration of each --model
CONFIGS: dict[str, type[ImageConfig]] = {
    "glow": GlowConfig, "nice": NICEConfig, "realnvp": RealNVPConfig,
}  # fmt: skip
OF_THE_DATA = {"image_shape", "classes"}  # configuration fields that are not options
MAX_STEPS, MAX_EPOCHS = 10**9, 10**6


def span(text: str) -> int | str:
    """An argparse type: a number of steps, `600`, or of epochs, `10ep`."""
    number, most = text.removesuffix("ep"), MAX_EPOCHS if text.endswith("ep") else MAX_STEPS
    if not (number.isdecimal() and len(number) < 20 and 0 < int(number) <= most):
        raise argparse.ArgumentTypeError(
            f"{shortened(text)} is not allowed: give a number of steps from 1 to {MAX_STEPS:,},"
            f" or of epochs up to {MAX_EPOCHS:,} as in 10ep"
        )
    return text if text.endswith("ep") else int(text)


def steps_in(duration: int | str, steps_per_epoch: int) -> int:
    """Return a `span` in steps."""
    return (
        int(duration.removesuffix("ep")) * steps_per_epoch
        if isinstance(duration, str)
        else duration
    )


def decay_rate(text: str) -> float | str:
    """An argparse type: a number at least 0 and less than 1, or `epoch`, which stands for 1 - 1 /
    (steps per epoch).
    """
    if text == "epoch":
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(
            f"{shortened(text)} is not allowed: must be at least 0 and less than 1, or 'epoch'"
        )
    return value


def rate_in(rate: float | str, steps_per_epoch: int) -> float:
    """Return a `decay_rate` as a number."""
    return 1 - 1 / max(2, steps_per_epoch) if isinstance(rate, str) else rate


def switch(add: Any, name: str, default: bool, text: str) -> None:
    add(name, action=argparse.BooleanOptionalAction, default=default, help=text)


def make_parser() -> Parser:
    """Return the parser of the train command, with every option and its default."""
    parser = Parser(
        "train",
        "Train a flow of images; without options, a small Glow on the embedded pixel faces.",
    )
    _add_run_options(parser)
    _add_image_options(parser)
    _add_model_options(parser)
    _add_optimisation_options(parser)
    _add_output_options(parser)
    _add_machine_options(parser)
    return parser


def _add_run_options(parser: Parser) -> None:
    add = parser.add_argument_group("the run").add_argument
    add("--out", help="folder of the run (default: runs/NAME-1, then -2, ...)")
    add(
        "--preset",
        help=f"settings by name, or several names separated by commas: {', '.join(PRESETS)}",
    )
    add(
        "--config",
        metavar="FILE",
        help="options from a YAML or JSON file, as --print-config writes it",
    )
    add("--print-config", action="store_true", help="print every option as YAML and exit")
    add(
        "--resume",
        action="store_true",
        help="continue the run in --out from its newest checkpoint",
    )
    add("--overwrite", action="store_true", help="replace the run in --out")


def _add_image_options(parser: Parser) -> None:
    add = parser.add_argument_group("data").add_argument
    where = "faces, fashion, or a path: .npz, .npy, .h5, a folder of images; or reader:path"
    add("--data", default="faces", help=where)
    add_data_options(parser)
    switch(add, "--flip", False, "mirror each training image left to right with probability 1/2")
    part, bits = at_least(0, float, 1), at_least(1, int, 8)
    add(
        "--augment-shift",
        type=part,
        default=0.0,
        help="shift training images by up to this fraction of a side",
    )
    add("--n-bits", type=bits, default=DEFAULTS.n_bits, help="bits kept of each 8-bit value")
    between = "dequantisation noise: uniform, or from a second flow that is trained along"
    add("--dequantise", choices=DEQUANTISE, default=ImageConfig.dequantise, help=between)
    classes = (
        "learn a top prior for each class; the classes are the data's own labels, or attributes"
        " by name, separated by commas"
    )
    add("--condition", metavar="LABELS", help=classes)
    kinds, usual = CHOICES["class_map"], GlowConfig.class_map
    changed = (
        "what the class sets at the top: a mean and scale per latent, or per channel, as in the"
        " original code"
    )
    add("--class-map", choices=kinds, default=usual, help=changed)
    weight = "weight of the classifier's bits in the loss, for models with classes"
    add("--label-weight", type=at_least(0, float), default=DEFAULTS.label_weight, help=weight)


def _add_model_options(parser: Parser) -> None:
    add = parser.add_argument_group("model").add_argument
    add("--model", choices=tuple(CONFIGS), default="glow", help="the kind of flow")
    width = ", ".join(
        f"{values['width']} for {model}" for model, values in MODEL_DEFAULTS.items() if values
    )
    add(
        "--width",
        type=at_least(1, int, MAX_SIZES["width"]),
        default=GlowConfig.width,
        help=f"hidden channels, or units, of the coupling networks ({width})",
    )
    add(
        "--shift",
        choices=CHOICES["shift"],
        default=GlowConfig.shift,
        help="whether an affine coupling adds t before or after it scales",
    )
    _add_glow_options(parser)
    _add_nice_options(parser)
    _add_realnvp_options(parser)


def _add_nice_options(parser: Parser) -> None:
    model = NICEConfig
    add = parser.add_argument_group("--model nice").add_argument
    add(
        "--couplings",
        type=at_least(1, int, NICE_SIZES["couplings"]),
        default=model.couplings,
        help="number of couplings; each changes half of the components",
    )
    add(
        "--hidden-layers",
        type=at_least(1, int, NICE_SIZES["hidden_layers"]),
        default=model.hidden_layers,
        help="hidden layers of the coupling networks, each with --width units",
    )
    leaky = "slope of the activations below 0; 0 is a ReLU"
    add("--slope", type=at_least(0, float, 1), default=model.slope, help=leaky)
    add(
        "--base",
        choices=model.choices["base"],
        default=model.base,
        help="distribution of the latents",
    )
    brought = "how pixels are transformed: to [0, 1], to [-1, 1], or whitened by ZCA"
    add("--input", choices=model.choices["input"], default=model.input, help=brought)
    start = (
        "initial log-scales of the last layer: from the standard deviation of the first images,"
        " or zero, as published"
    )
    add(
        "--scaling-start",
        choices=model.choices["scaling_start"],
        default=model.scaling_start,
        help=start,
    )
    add(
        "--scaling-factor",
        type=at_least(0, float, model.reals["scaling_factor"]),
        default=model.scaling_factor,
        help="log-scales are this many times their parameters; published: 1",
    )
    first = "which components the first coupling changes, counted from 0"
    add(
        "--changed-first",
        choices=model.choices["changed_first"],
        default=model.changed_first,
        help=first,
    )


# help texts of RealNVPConfig's fields
REALNVP_HELP = {
    "blocks": "residual blocks per network",
    "widths": "widths of the networks as the image is halved",
    "pixels": "which pixels of a checkerboard the first coupling changes",
    "channels": "which half of the channels the first coupling changes",
    "factor": "a in log s = a tanh(r) + b: one per coupling, or one per channel",
    "offset": "also learn b in log s = a tanh(r) + b",
    "a_pixels": "initial a of checkerboard couplings",
    "a_channels": "initial a of channel couplings",
    "doubled": "networks of checkerboard couplings see their normalised input times 2",
    "mask": "networks of checkerboard couplings also see the mask",
    "batch_norm": "batch normalisation in the networks",
    "gain": "a learned gain in the batch normalisation of the networks",
    "eps": "epsilon that every batch normalisation adds to the variance",
    "unbiased": "running variances with n - 1 in the denominator",
    "coupling_norm": "batch normalisation after a coupling, and which values it counts",
    "trains_g": "which scales of weight normalisation are trained",
    "start": "initialisation of the weights",
    "logit": "logit of 0.05 + 0.9 v, as in the released code, or of 0.05 + 0.95 v, as in the paper",
}


def _add_realnvp_options(parser: Parser) -> None:
    model = RealNVPConfig
    add = parser.add_argument_group("--model realnvp").add_argument
    scales = "number of levels (default: until maps are 4x4 or a little larger, as in the paper)"
    add("--levels", type=at_least(1, int, model.largest["levels"]), help=scales)
    for name, text in REALNVP_HELP.items():
        option, default = "--" + name.replace("_", "-"), getattr(model, name)
        if name in model.flags:
            switch(add, option, default, text)
        elif name in model.choices:
            add(option, choices=model.choices[name], default=default, help=text)
        elif name in model.largest:
            add(option, type=at_least(1, int, model.largest[name]), default=default, help=text)
        else:
            add(option, type=at_least(0, float, MAX_FACTOR), default=default, help=text)


def _add_glow_options(parser: Parser) -> None:
    model = GlowConfig  # its class attributes are the defaults
    add = parser.add_argument_group("--model glow").add_argument
    size = {name: at_least(1, int, most) for name, most in MAX_SIZES.items()}
    add("--K", type=size["K"], default=model.K, help="steps of flow per level")
    levels = (
        "number of levels (default: until the last latents are 4x4 or a little larger, as in the"
        " paper)"
    )
    add("--L", type=size["L"], help=levels)
    add(
        "--coupling",
        choices=CHOICES["coupling"],
        default=model.coupling,
        help="kind of coupling layer",
    )
    kinds = f"{', '.join(PERMUTATIONS)}; or one per level, separated by commas"
    add("--permutation", default=model.permutation, help=kinds)
    add(
        "--scale",
        choices=CHOICES["scale"],
        default=model.scale,
        help="scale s(h) of an affine coupling",
    )
    nats = at_least(0, float, MAX_BOUND)
    add(
        "--bound",
        type=nats,
        default=model.bound,
        help="c of --scale bounded: s stays between exp(-c) and exp(c)",
    )
    add(
        "--changed",
        choices=CHOICES["changed"],
        default=model.changed,
        help="which half of the channels a coupling changes",
    )
    add(
        "--actnorm",
        choices=CHOICES["actnorm"],
        default=model.actnorm,
        help="how ActNorm is parametrised",
    )
    switch(
        add,
        "--hidden-actnorm",
        model.hidden_actnorm,
        "use ActNorm instead of a bias in the coupling networks",
    )
    switch(
        add,
        "--output-scale",
        model.output_scale,
        "use a learned scale at the end of the coupling networks",
    )
    seen = "which 3x3 convolutions see the border of the image"
    add("--border", choices=CHOICES["border"], default=model.border, help=seen)
    leaving = "prior of the latents that leave at a split"
    add("--split-prior", choices=CHOICES["split_prior"], default=model.split_prior, help=leaving)
    add(
        "--top-prior",
        choices=CHOICES["top_prior"],
        default=model.top_prior,
        help="prior of the last latent",
    )


def _add_optimisation_options(parser: Parser) -> None:
    add = parser.add_argument_group("optimisation").add_argument
    steps = "number of updates; every duration is in steps (600) or in epochs (10ep)"
    add("--steps", type=span, default=DEFAULTS.steps, help=steps)
    add("--batch", type=at_least(1), default=DEFAULTS.batch, help="images per update")
    parts = "number of parts that a batch is split into; only one part is in memory at a time"
    add("--accumulate", type=at_least(1), default=1, help=parts)
    shards = (
        "split a batch so that 1, 2, 4, ... up to this many processes give bitwise equal results"
    )
    add("--shards", type=at_least(0), default=0, help=shards)
    add(
        "--optimizer",
        choices=OPTIMIZERS,
        default=DEFAULTS.optimizer,
        help="the optimiser",
    )
    add("--lr", type=at_least(0, float), default=DEFAULTS.lr, help="peak learning rate")
    add(
        "--beta1",
        type=decay_rate,
        default=DEFAULTS.beta1,
        help="decay rate of the mean of the gradient",
    )
    size = (
        "decay rate of the optimiser's measure of the gradient's size; epoch: 1 - 1/(steps per"
        " epoch)"
    )
    add("--beta2", type=decay_rate, default=DEFAULTS.beta2, help=size)
    epsilon = "positive number added to that size before dividing by it"
    add("--epsilon", type=at_least(0, float), default=DEFAULTS.epsilon, help=epsilon)
    add(
        "--warmup",
        type=warmup,
        default=DEFAULTS.warmup,
        help="duration over which the learning rate grows to --lr",
    )
    decay = "decay of the learning rate after the warm-up; cosine and linear end at 0"
    add("--decay", choices=DECAYS, default=DEFAULTS.decay, help=decay)
    clip = "largest norm of the gradient; 0: no limit"
    penalty = "penalty on the sum of squares of a RealNVP's weight scales, in bits/dim; 0: none"
    add(
        "--scale-penalty",
        type=at_least(0, float),
        default=DEFAULTS.scale_penalty,
        help=penalty,
    )
    add("--clip", type=at_least(0, float), default=DEFAULTS.clip, help=clip)
    average = "decay rate of the averaged weights, or epoch; 0: no averaging"
    add("--average", type=decay_rate, default=DEFAULTS.average, help=average)
    seed = at_least(0, int, MAX_SEED)
    add(
        "--seed",
        type=seed,
        default=DEFAULTS.seed,
        help="seed of the weights, the order of images, the noise and the samples",
    )
    bad = "what to do if the loss or the gradient is not finite"
    add("--on-bad-step", choices=("stop", "skip"), default="stop", help=bad)


def _add_output_options(parser: Parser) -> None:
    add = parser.add_argument_group("output").add_argument
    log, evaluate = DEFAULTS.log_every, DEFAULTS.evaluate_every
    add("--log-every", type=span, default=log, help="duration between lines of metrics")
    add("--evaluate-every", type=span, default=evaluate, help="duration between evaluations")
    images = "held-out images per evaluation"
    add("--evaluate-images", type=at_least(1), default=DEFAULTS.evaluate_images, help=images)
    checkpoint = DEFAULTS.checkpoint_every
    add("--checkpoint-every", type=span, default=checkpoint, help="duration between checkpoints")
    add(
        "--keep",
        type=at_least(1),
        default=2,
        help="how many of the newest checkpoints to keep, besides the best",
    )
    add("--picture-every", type=span, default=400, help="duration between grids of samples")
    switch(
        add,
        "--tensorboard",
        False,
        "also write TensorBoard files; needs pip install '.[tensorboard]'",
    )


def _add_machine_options(parser: Parser) -> None:
    add = parser.add_argument_group("hardware").add_argument
    kept = (
        "memory for activations kept from the forward to the backward pass: 256MB, 0, all,"
        " auto:0.25 (that share of the free memory), +anchored:k"
    )
    add("--memory", default=DEFAULT_MEMORY, help=kept)
    device = "cpu, gpu or gpu:k; with several processes, gpu gives each its own GPU"
    add("--device", default="cpu", help=device)
    tf32 = "on a GPU: faster matrix products with 10 bits of mantissa (relative error about 1e-3)"
    switch(add, "--tf32", False, tf32)
    most = "most gigabytes to use of the GPU's memory; 0: no limit"
    add("--gpu-memory", type=at_least(0, float), default=0.0, help=most)
    how = "how processes add up gradients on GPUs; mpi needs a CUDA-aware MPI"
    add("--gpu-exchange", choices=KINDS, default="auto", help=how)
    add("--mpi-timeout", type=at_least(1, float), default=PATIENCE, help=TIMEOUT_HELP)
    add(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="dtype of parameters and images",
    )
    threads = at_least(1, int, MAX_THREADS)
    add(
        "--threads", type=threads, help="CPU threads; default: every core that this process may use"
    )
    tile = "megabytes of a hidden activation that are worked on at a time"
    add("--tile", type=at_least(0, float), default=TILE_MB, help=tile)
    blas = "library for matrix products; mkl needs pip install '.[mkl]'"
    add("--blas", choices=("numpy", "mkl"), default="numpy", help=blas)
    plain = "run every layer as it is written, without faster forms"
    add("--plain", action=argparse.BooleanOptionalAction, default=False, help=plain)


def warmup(text: str) -> int | str:
    """A `span`, or 0 for no warm-up."""
    return 0 if text == "0" else span(text)


def settings_of(options: argparse.Namespace, steps_per_epoch: int) -> Settings:
    """Return the settings: durations in steps, rates as numbers, everything else unchanged."""
    values = {
        f.name: getattr(options, f.name)
        for f in dataclasses.fields(Settings)
        if f.name != "augmentation"
    }
    for name in ("steps", "warmup", "log_every", "evaluate_every", "checkpoint_every"):
        values[name] = steps_in(values[name], steps_per_epoch)
    for name in ("beta1", "beta2", "average"):
        values[name] = rate_in(values[name], steps_per_epoch)
    return Settings(**values, augmentation=Augmentation(options.flip, options.augment_shift))


def options_of(model: str) -> set[str]:
    """Return the names of the options that configure such a model."""
    fields = dataclasses.fields(CONFIGS[model])
    return {field.name for field in fields} - OF_THE_DATA


def options_of_others(model: str) -> set[str]:
    """Return the names of the options that only other models have."""
    return set().union(*map(options_of, CONFIGS)) - options_of(model)


def config_of(
    options: argparse.Namespace, image_shape: tuple[int, int, int], classes: int = 0
) -> Any:
    """Return the model configuration of these options for images of this shape and this number of
    classes.

    Raises GlowliteError for a model that has no classes.
    """
    values = {name: getattr(options, name) for name in options_of(options.model)}
    if classes:
        fields = dataclasses.fields(CONFIGS[options.model])
        if "classes" not in [field.name for field in fields]:
            raise GlowliteError(
                f"--condition: --model {options.model} has no classes; leave it out"
            )
        values["classes"] = classes
    if "L" in values:
        values["L"] = values["L"] or usual_levels(image_shape)
    if "levels" in values:
        values["levels"] = values["levels"] or usual_scales(image_shape)
    return CONFIGS[options.model](image_shape, **values)
