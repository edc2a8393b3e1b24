"""Read one picture (PNG, JPEG, ...) from a file or from bytes, with Pillow, which is imported only
then.

All of glowlite follows one rule: take the first frame, rotate it as EXIF says, composite
transparent pixels on white, round 16-bit greys to 8 bits, and read everything else as colours.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from glowlite.arrays.machine import available_bytes
from glowlite.errors import DataError
from glowlite.files.inputs import open_regular

SKIP = (
    "fix or remove it (python -m glowlite.data lists all), or skip such images with --skip-corrupt"
)
WHITE = "transparent pixels composited on white"
SIXTEEN = "16 bits per value, rounded to 8"
FRAMES = "only the first frame used"
FOUR_INKS = "CMYK converted to colours"
UNTURNED = "EXIF cannot be read, so not rotated"

SEE_THROUGH = ("LA", "La", "PA", "RGBA", "RGBa")
ORIENTATION = 0x0112  # EXIF tag
TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
    7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
# Pillow passes these to other programs, or only names them
NOT_READ = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
WARNERS = r"PIL\.|glowlite\.data\."  # modules
BYTES_A_PIXEL = 16  # while a picture is decoded, rotated and composited on white
LARGE = 1 << 25  # pixels above which a picture is decoded alone, whatever the number of threads
_alone = threading.Lock()


def read_picture(
    file: Path | BinaryIO, name: str | None = None, advice: str = SKIP, keep_alpha: bool = False
) -> tuple[np.ndarray, list[str]]:
    """Return uint8 (h, w, 1) for a grey picture, (h, w, 3) for any other, and short texts that say
    what was done to it.

    `keep_alpha`: keep transparency as the last of 2 or 4 channels instead of compositing on white.
    Raises DataError, with `advice`, for a file that is not a picture, not a regular file, damaged,
    too large for Pillow or memory, or floating point.
    """
    Image = pil_image()
    name = str(file) if name is None else name
    try:
        with opened(file) as image:
            pixels = image.width * image.height
            _check_memory(name, pixels)
            with _alone if pixels > LARGE else nullcontext():
                return _decoded(image, name, keep_alpha)
    except DataError:
        raise  # it is a ValueError, too
    except Image.DecompressionBombError:
        most = 2 * Image.MAX_IMAGE_PIXELS
        raise DataError(
            f"{name}: more than {most} pixels, which Pillow refuses; make it smaller"
        ) from None
    # Pillow's decoders raise many kinds of exceptions for damage: struct.error, KeyError, ...
    except Exception as error:
        raise unreadable(name, error, advice) from None


def read_mode(file: Path) -> str:
    """Return Pillow's mode, from the first bytes of a file. Raises DataError for a file that is not
    a picture.
    """
    try:
        with opened(file) as image:
            mode: str = image.mode
            return mode
    except DataError:
        raise
    except Exception as error:  # as above
        raise unreadable(str(file), error, SKIP) from None


def is_grey(mode: str) -> bool:
    return mode in ("1", "L", "LA", "La") or mode.startswith(("I", "F"))


def formats() -> list[str]:
    """Return the formats that this Pillow reads, in the order in which it tries them."""
    Image = pil_image()
    Image.init()
    return [name for name in Image.ID if name not in NOT_READ]


def extensions() -> frozenset[str]:
    """Return the suffixes, such as `.png`, of the files that this Pillow reads."""
    known = set(formats())
    return frozenset(
        suffix for suffix, name in pil_image().registered_extensions().items() if name in known
    )


@contextmanager
def opened(file: Path | BinaryIO) -> Iterator[Any]:
    """Open a picture and read its header.

    A path must name a regular file: a named pipe is refused instead of waiting for it.
    """
    Image, known = pil_image(), formats()
    door = open_regular(file, DataError) if isinstance(file, Path) else nullcontext(file)
    with door as stream, Image.open(stream, formats=known) as image:
        yield image


def pil_image() -> Any:
    """Return PIL.Image without its warnings. They do not name the picture, and if warnings are
    errors they would refuse it.
    """
    from PIL import Image

    first = warnings.filters[0] if warnings.filters else None
    # another filter may have been put before it
    if first is None or getattr(first[3], "pattern", "") != WARNERS:
        warnings.filterwarnings("ignore", module=WARNERS)
    return Image


def unreadable(name: str, error: Exception, advice: str) -> DataError:
    """Return the error for a picture that Pillow could not read."""
    from PIL import UnidentifiedImageError

    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "it is not an image"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return DataError(f"{name}: cannot be read: {reason}; {advice}")


def _check_memory(name: str, pixels: int) -> None:
    need, there = pixels * BYTES_A_PIXEL, available_bytes()
    if need > there / 2:
        raise DataError(
            f"{name}: needs {need / 2**30:.1f} GiB while it is decoded, but this machine has"
            f" {there / 2**30:.1f} GiB of memory; make it smaller"
        )


def _decoded(image: Any, name: str, keep_alpha: bool) -> tuple[np.ndarray, list[str]]:
    """Return the pixels (h, w, c) of an open picture, and what was done to it."""
    alpha = _alpha_of_bmp(image)
    _scale_transparency(image)
    picture, notes = _turned(image)
    if alpha is not None:
        picture = picture.convert("RGB")
        picture.putalpha(alpha)
    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture, name)
        notes.append(SIXTEEN)
    grey = is_grey(picture.mode)
    if picture.mode in SEE_THROUGH or "transparency" in picture.info:
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        if keep_alpha:
            pixels = np.asarray(picture)
            # for grey, R = G = B, so take R and A
            return (pixels[..., ::3] if grey else pixels), notes
        if picture.getchannel("A").getextrema()[0] < 255:
            notes.append(WHITE)
        picture = on_white(picture)
    if picture.mode == "CMYK":
        notes.append(FOUR_INKS)
    pixels = np.asarray(picture.convert("L" if grey else "RGB"))
    if _has_frames(image):
        notes.append(FRAMES)
    return (pixels[..., None] if grey else pixels), notes


def on_white(picture: Any) -> Any:
    """Return a picture of Pillow's mode RGBA, composited on white."""
    Image = pil_image()
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def _turned(image: Any) -> tuple[Any, list[str]]:
    """Return the picture rotated as EXIF says, and a note if EXIF is damaged."""
    image.load()
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION))
    except Exception:  # it also raises many kinds: SyntaxError, struct.error, TypeError, ...
        return image, [UNTURNED]
    return (image if turn is None else image.transpose(pil_image().Transpose[turn])), []


def _eight_bits(picture: Any, name: str) -> Any:
    """Convert 16-bit greys, of whatever type Pillow returned, to Pillow's L, or to LA if one value
    is transparent.
    """
    Image, values = pil_image(), np.asarray(picture)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise DataError(
            f"{name}: expected greys of 8 or 16 bits, got {values.dtype} up to {values.max()};"
            " convert it"
        )
    grey = Image.fromarray(np.rint(values / 257).astype(np.uint8))  # 65535 = 255 * 257
    hidden = picture.info.get("transparency")
    if isinstance(hidden, int):
        grey.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return grey


def _alpha_of_bmp(image: Any) -> Any:
    """Return the fourth bytes of a BMP with 32 bits per pixel, which Pillow drops, as an image of
    mode L.

    Return None if they contain nothing.
    """
    tile = image.tile[0] if image.format in ("BMP", "DIB") and image.tile else None
    if tile is None or tile[0] != "raw" or tile[3][0] != "BGRX":
        return None
    stride, direction = tile[3][1:3]
    image.fp.seek(tile[2])
    content = image.fp.read(stride * image.height)
    if len(content) < stride * image.height:
        return None  # truncated, which is reported when it is decoded
    rows = np.frombuffer(content, np.uint8).reshape(image.height, stride)[::direction]
    alpha = np.ascontiguousarray(rows[:, 3 : 4 * image.width : 4])
    return pil_image().fromarray(alpha) if alpha.any() else None


def _scale_transparency(image: Any) -> None:
    """Rescale the transparent value of a PNG with 2 or 4 bits of grey, which is one of 4 or 16
    values.

    Pillow rescales the pixels, but not this value.
    """
    raw = image.tile[0][3] if image.tile else None
    scale = {"L;2": 85, "L;4": 17}.get(raw) if isinstance(raw, str) else None
    if scale and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= scale


def _has_frames(image: Any) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a later frame is damaged, but the first was read
        return False
