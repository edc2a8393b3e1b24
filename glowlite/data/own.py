"""Images that a person brings to a trained model: whatever they are like, they become uint8 (H, W, C) of its shape.

What had to be done to one is told, so that nobody is surprised by what the model saw. Pillow is imported when one is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from glowlite.data import READERS, find_reader
from glowlite.data.embedded import NAMES, read_embedded
from glowlite.data.images import ArrayPictures, Images, Pictures
from glowlite.data.pillow import is_grey, pil_image, unreadable
from glowlite.data.preparation import resize, to_grey
from glowlite.errors import DataError

Shape = tuple[int, int, int]

ADVICE = "mend it, or bring another"
SEE_THROUGH = ("LA", "La", "PA", "RGBA", "RGBa")


def own_image(path: Path, shape: Shape) -> tuple[np.ndarray, list[str]]:
    """The image in a file as uint8 of `shape`, (H, W, C), and what was done to it, a few words each.

    Turned as EXIF says; transparency laid on white; 16 bits rounded to 8; of an animation, the first frame; then as `fit`.
    Raises DataError for what is missing, no image, damaged, has more pixels than Pillow holds safe, or is floating point.
    """
    picture, notes = read_own(path)
    image, done = fit(picture, shape, str(path))
    return image, notes + done


def read_own(path: Path) -> tuple[np.ndarray, list[str]]:
    """The picture in a file, uint8 (h, w, 1) if it is grey, else (h, w, 3); and what was done to it. Raises DataError."""
    from PIL import ImageOps

    Image = pil_image()
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name an image in it")
    if not path.exists():
        raise DataError(f"{path}: no such image; name a file, or give the number of a held-out image")
    notes: list[str] = []
    try:
        with Image.open(path) as image:
            _check_size(path, image.width * image.height, Image)
            if getattr(image, "n_frames", 1) > 1:
                notes.append(f"the first of {image.n_frames} frames")
            picture = ImageOps.exif_transpose(image)
            if picture.mode.startswith(("I", "F")):
                notes.append("16 bits a value, rounded to 8")
                return _eight_bits(np.asarray(picture), path)[..., None], notes
            grey = is_grey(picture.mode)
            if picture.mode in SEE_THROUGH or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                if np.asarray(picture.getchannel("A")).min() < 255:
                    notes.append("what is transparent laid on white")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            pixels = np.asarray(picture.convert("L" if grey else "RGB"))
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path, Image) from None
    except Exception as error:  # Pillow's decoders answer damage with whatever came up: struct.error, KeyError, ...
        raise unreadable(str(path), error, ADVICE) from None
    return pixels[..., None] if grey else pixels, notes


def _check_size(path: Path, pixels: int, Image: Any) -> None:
    if Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS:
        raise _too_large(path, Image)


def _too_large(path: Path, Image: Any) -> DataError:
    return DataError(f"{path}: more than {Image.MAX_IMAGE_PIXELS} pixels; make it smaller before you bring it")


def _eight_bits(values: np.ndarray, path: Path) -> np.ndarray:
    """Greys of 16 bits, of whatever type Pillow gave them, as uint8."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise DataError(f"{path}: expected greys of 8 or 16 bits, got {values.dtype} up to {values.max()}; convert it")
    return np.rint(values / 257).astype(np.uint8)  # 65535 = 255 * 257


def fit(picture: np.ndarray, shape: Shape, name: str) -> tuple[np.ndarray, list[str]]:
    """uint8 (h, w, c) -> (H, W, C) of `shape`, and what was done: colours and greys, a cut of its aspect, LANCZOS.

    Raises DataError, with `name`, where c channels cannot become C.
    """
    height, width, channels = shape
    h, w, c = picture.shape
    notes = []
    if c != channels:
        if {c, channels} != {1, 3}:
            raise DataError(f"{name}: has {c} channels and the model {channels}; bring images of as many")
        notes.append("colours turned grey" if channels == 1 else "grey in every channel")
        picture = to_grey(picture) if channels == 1 else picture.repeat(3, axis=2)
    if (h, w) != (height, width):
        # the largest part of the model's aspect, to the nearest pixel
        part_h, part_w = max(1, round(min(h, w * height / width))), max(1, round(min(w, h * width / height)))
        cut = "" if (part_h, part_w) == (h, w) else f" cut to {part_w}x{part_h} in the middle and"
        notes.append(f"{w}x{h} pixels{cut} resized to {width}x{height}")
        top, left = (h - part_h) // 2, (w - part_w) // 2
        picture = resize(picture[top : top + part_h, left : left + part_w], height, width, "LANCZOS")
    return np.ascontiguousarray(picture), notes


class FittedImages(Images):
    """Pictures of any size, fitted to one `shape` when they are read."""

    def __init__(self, pictures: Pictures, shape: Shape) -> None:
        self.pictures, self.shape = pictures, shape

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        images = [fit(self.pictures.picture(int(row)), self.shape, self.pictures.name(int(row)))[0] for row in rows]
        return np.stack(images)


def load_fitted(spec: str, shape: Shape) -> tuple[Images, str, list[str]]:
    """The training images of a data set, `spec` as for `load`, in `shape`; its source; what was done to the first.

    Raises DataError. Cost: pictures are decoded when they are read.
    """
    if spec in NAMES:
        read, source = read_embedded(spec).train, f"embedded {spec}"
    else:
        reader, path = find_reader(spec)
        read, source = READERS[reader].read(path).train, str(path)
    if isinstance(read, Images) and read.shape == shape:
        return read, source, []
    pictures = ArrayPictures(read, source) if isinstance(read, Images) else read
    if len(pictures) == 0:
        raise DataError(f"{source}: has no images")
    return FittedImages(pictures, shape), source, fit(pictures.picture(0), shape, pictures.name(0))[1]
