"""Store directions in their own file, float16, with the fingerprint of the weights that they belong
to.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glowlite.arrays.backend import to_host
from glowlite.errors import GlowliteError
from glowlite.files.schema import STEPS, checked, list_of, record, text, whole
from glowlite.files.storage import read_arrays, write_arrays
from glowlite.latent.directions import MAX_HELD, Directions

if TYPE_CHECKING:
    from glowlite.flow import Flow

HEADER = record(
    {
        "names": list_of(text(), least=1),
        "images": whole(1, STEPS),
        "weights": text(),
        "data": text(),
    }
)
# arrays whose sizes depend on the latents and on the images
SIZES = (("mean", 1), ("reader", 0))


def weights_fingerprint(model: Flow) -> str:
    """Return the SHA-256 of the weights, since directions are meaningless for other weights."""
    return hashlib.sha256(np.ascontiguousarray(to_host(model.store.theta)).data).hexdigest()


def save_directions(directions: Directions, path: Path, weights: str, source: str) -> None:
    """Write one file, float16, with the directions and what they belong to."""
    arrays = {name: getattr(directions, name).astype(np.float16) for name in ("mean", "given")}
    arrays |= {
        "reach": directions.reach,
        "reader": directions.reader,
        "counts": directions.counts.astype(np.int64),
    }
    write_arrays(
        path,
        arrays,
        {
            "names": list(directions.names),
            "images": directions.images,
            "weights": weights,
            "data": source,
        },
    )


def load_directions(path: Path, weights: str) -> Directions:
    """Load the directions of the model with this fingerprint.

    Raises GlowliteError for another fingerprint or a damaged file.
    """
    arrays, header = read_arrays(path)
    if header.get("weights") != weights:
        raise GlowliteError(f"{path}: directions of other weights")
    checked(HEADER, header, f"{path}: header")
    check_directions(arrays, len(header["names"]), path)
    mean, given = (arrays[name].astype(np.float32) for name in ("mean", "given"))
    return Directions(
        tuple(header["names"]),
        mean,
        given,
        arrays["reach"],
        arrays["reader"],
        arrays["counts"],
        header["images"],
    )


def check_directions(arrays: dict[str, np.ndarray], attributes: int, path: Path) -> None:
    """Raise GlowliteError unless the arrays are finite and have the shapes that Directions
    describes, for this number of attributes.
    """
    latent, pixels = (
        arrays[name].shape[axis] if name in arrays and arrays[name].ndim == 2 else 0
        for name, axis in SIZES
    )
    pairs = attributes if attributes <= MAX_HELD else 0
    shapes = {
        "mean": (attributes, latent), "given": (attributes, 2, pairs, latent),
        "reach": (attributes,), "reader": (pixels, attributes), "counts": (attributes,),
    }  # fmt: skip
    for name, shape in shapes.items():
        array = arrays.get(name)
        if (
            array is None
            or array.shape != shape
            or array.dtype.kind not in "fi"
            or not np.isfinite(array).all()
        ):
            raise GlowliteError(f"{path}: {name} must contain finite numbers {shape}")
