"""python -m glowlite.data SPEC: show what a data set contains before you train on it.

Every image is read, so every image is checked.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.machine import available_cores
from glowlite.commands.data_options import add_data_options, preparation_of
from glowlite.commands.program import Parser, at_least
from glowlite.data import Dataset, find_reader, load
from glowlite.data.embedded import check_meaning, embedded_name
from glowlite.data.images import Images, Rows
from glowlite.data.preparation import resize
from glowlite.drawing.sheets import save_png, tile
from glowlite.errors import GlowliteError
from glowlite.files.outputs import NPY, PNG, check_output, output
from glowlite.terminal import bar, say

COUNTED = 10_000  # number of images whose values are counted
AT_ONCE = 1 << 22  # bytes of images that a thread reads at a time
# number of images on the contact sheet, number of columns, longer side of an image in pixels
SHOWN, COLUMNS, LARGEST = 64, 8, 128
FEW_VALUES = 128  # of 256
DAMAGED = 20  # how many damaged images are listed
NAMED = 20  # how many classes are listed by name


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "data",
        "Show what a data set contains: images, values, attributes, and damaged files.",
    )
    add = parser.add_argument
    add(
        "spec",
        help="faces, fashion, or a path: .npz, .npy, .h5, a folder of images; or reader:path",
    )
    add_data_options(parser)
    add(
        "--sheet",
        metavar="FILE",
        type=Path,
        default=Path("contact-sheet.png"),
        help=f"write a sheet of {SHOWN} training images to this PNG",
    )
    add(
        "--save",
        metavar="FILE",
        type=Path,
        help="write the prepared images to an .npy file, so that training need not decode them"
        " again",
    )
    add(
        "--n-bits",
        type=at_least(1, int, 8),
        default=8,
        help="show the images with this many bits per value, as training sees them",
    )
    return parser.parse_args(arguments)


def rows_to_save(data: Dataset, random_crop: bool) -> Rows:
    """Return all images in their original order.

    Raises GlowliteError if one .npy file cannot represent the data set.
    """
    train, held_out = data.train, data.held_out
    if not (
        isinstance(train, Rows) and isinstance(held_out, Rows) and train.images is held_out.images
    ):
        raise GlowliteError(
            f"--save: {data.source} has its own held-out images, which one .npy file cannot store"
            " apart"
        )
    if random_crop:
        raise GlowliteError(
            "--save: random crops are drawn during training; save without --random-crop and crop"
            " when training"
        )
    return Rows(train.images, np.sort(np.concatenate((train.rows, held_out.rows))))


def save_images(path: Path, images: Rows) -> None:
    """Write the images (N, H, W, C) to an .npy file, in parts, so it can be larger than memory.

    Raises OutputError.
    """
    step = max(1, AT_ONCE // prod(images.shape))
    # not memory-mapped: a full disk would then kill the process without a message
    with output("--save", path, NPY) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(images), *images.shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in bar(range(0, len(images), step), "saving", unit="part", leave=False):
            rows = np.arange(start, min(start + step, len(images)))
            file.write(images.read(rows).data)


def read_all(images: Images, progress: Any) -> tuple[np.ndarray, int]:
    """Read every image and count values.

    Returns how often each value occurs in up to COUNTED images, (256,), and the number of images
    counted.
    """
    step = max(1, min(256, AT_ONCE // prod(images.shape)))
    every = -(-len(images) // COUNTED)

    def count(start: int) -> tuple[np.ndarray, int, int]:
        rows = np.arange(start, min(start + step, len(images)))
        chosen = images.read(rows)[rows % every == 0]
        return np.bincount(chosen.ravel(), minlength=256), len(chosen), len(rows)

    values, counted = np.zeros(256, np.int64), 0
    with ThreadPoolExecutor(available_cores()) as pool:
        for some_values, some, read in pool.map(count, range(0, len(images), step)):
            values, counted = values + some_values, counted + some
            progress.update(read)
    return values, counted


def describe(data: Dataset, reader: str) -> Iterator[str]:
    """Yield the description of a data set, line by line."""
    height, width, channels = data.image_shape
    total = len(data.train) + len(data.held_out)
    with bar(total=total, unit="image", leave=False) as progress:
        values, counted = read_all(data.train, progress)
        read_all(data.held_out, progress)
    seen = np.flatnonzero(values)
    mean = (values * np.arange(256)).sum() / values.sum()
    levels = min((side & -side).bit_length() - 1 for side in (height, width))
    yield f"{data.source}: read as {reader}"
    yield f"images: {len(data.train)} for training, {len(data.held_out)} held out"
    yield f"shape: ({height}, {width}, {channels}), height, width and channels; " + (
        f"L can be up to {levels}"
        if levels
        else "no L fits: a side is odd, so crop or resize to an even one"
    )
    yield f"pixels: {seen[0]} to {seen[-1]}, mean {mean:.2f}, over {counted} training images"
    if len(seen) <= FEW_VALUES:
        share = f"{len(seen) / 256:.0%}"
        yield f"values: only {len(seen)} of 256 occur ({share}); fewer --n-bits may be enough"
    yield f"memory: {total * prod(data.image_shape) / 2**20:.1f} MiB if all are decoded"
    for name, train, held_out in zip(
        data.attribute_names, data.attributes.T, data.held_out_attributes.T
    ):
        yield f"attribute {name}: {train.sum()} for training, {held_out.sum()} held out"
    if not data.attribute_names:
        yield "attributes: none"
    if len(data.labels):
        names = ", ".join(data.class_names[:NAMED]) + ", ..." * (len(data.class_names) > NAMED)
        yield f"labels: {names or 'without names'}; --condition labels uses them"
    yield from data.notes
    yield f"damaged images: {len(data.skipped)}"
    yield from (f"  {line}" for line in data.skipped[:DAMAGED])
    if len(data.skipped) > DAMAGED:
        yield f"  and {len(data.skipped) - DAMAGED} more"


def save_sheet(path: Path, images: Images, n_bits: int) -> None:
    """Write a PNG of SHOWN images, evenly spaced over the data set, with n_bits bits per value.
    Large images are shrunk.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, SHOWN).astype(int))
    height, width, _ = images.shape
    scale = min(1.0, LARGEST / max(height, width))
    small = max(1, round(height * scale)), max(1, round(width * scale))
    shown = [images.read(rows[i : i + 1])[0] for i in range(len(rows))]
    if scale < 1:
        shown = [resize(image, *small) for image in shown]
    step = 256 >> n_bits
    pixels = np.stack(shown) // step * step + step // 2 * (n_bits < 8)
    save_png(path, tile(pixels.astype(np.uint8), COLUMNS), "--sheet")


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if options.save is not None:
        check_output("--save", options.save, NPY)
    check_output("--sheet", options.sheet, PNG)
    check_meaning(options.spec)
    asked = preparation_of(options)
    # so that every damaged image is found
    data = load(options.spec, dataclasses.replace(asked, skip_corrupt=True))
    reader = "npz" if embedded_name(options.spec) else find_reader(options.spec)[0]
    to_save = None if options.save is None else rows_to_save(data, options.random_crop)
    for line in describe(data, reader):
        say(line)
    save_sheet(options.sheet, data.train, options.n_bits)
    say(f"{min(SHOWN, len(data.train))} training images are shown in {options.sheet}")
    if data.skipped and not asked.skip_corrupt:
        raise GlowliteError(
            f"{data.source}: {len(data.skipped)} images cannot be read, and training would stop"
            " at the first; fix or remove them, or skip them with --skip-corrupt"
        )
    if to_save is not None:
        save_images(options.save, to_save)
        say(
            f"{len(to_save)} images are saved in {options.save}; training on it holds out the"
            " same images"
        )
