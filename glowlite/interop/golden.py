"""Golden files: weights of another code with results that it computed from them, for checking an
import.

A safetensors file with `param/NAME` (and `buffer/NAME`) in the names and layouts of that code, data
`x`, its `log_prob` in nats, its latents, and `grad/NAME`, `grad_x`: the gradients of the mean of
-log_prob / (D ln 2), D numbers in a sample. Everything is computed in float64; the error of a
tensor is max|a - b| / max|b|.

For a Glow, x are images as the model takes them. Latents: `eps/i` of level i; `z/i`, before the
prior whitens them; `z` or `z_top`, the same for the last level. Files of kind C also contain
`init/NAME`, weights before ActNorm has seen data; `x_init`; and `ddi/NAME`, ActNorm afterwards. A
reversal of the channels is not stored as a tensor. A file declares it in its metadata,
`permutation`: `reverse`, or `flow_permutation`: `0`, like the options of those codes.

For a RealNVP or NICE, x is the output of the preprocessing: images after the logit, or vectors.
There are `logdet`, the latents as one array `z`, and `loss`. There may be `sample/x`, the inverse
of `sample/z`; and `x_raw`, which becomes `x_pre` when dequantised with `noise`, and `x` when
preprocessed, with `pre_logdet`. The metadata contain `mode`: `train` for statistics of the batch,
in which case `after/` has the running statistics afterwards; and `coupling_bn`, `prior` or
`mask_config`, if the code has such an option. If there is also a run in float64, `float64/NAME`,
results are compared with that. Gradients that are zero in exact arithmetic are compared absolutely.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from glowlite.errors import GlowliteError
from glowlite.files.tensor_file import open_tensors
from glowlite.interop import golden_family, golden_glow
from glowlite.interop.comparison import Report, in_float64, under
from glowlite.interop.glow import GlowKind
from glowlite.interop.kinds import kind_of


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors of a golden file and its metadata.

    Raises GlowliteError for any other file.
    """
    with open_tensors(path) as file:
        contents, metadata = file.read(), file.metadata
    for needed in ("param/", "x", "log_prob", "grad/", "grad_x"):
        if not any(
            name.startswith(needed) if needed.endswith("/") else name == needed for name in contents
        ):
            raise GlowliteError(f"{path} is not a golden file: it contains no {needed}")
    return contents, metadata


def check(path: Path, permutation: str | None = None) -> Report:
    """Return the error of every tensor that can be compared with a golden file.

    `permutation`: that of a Glow, if not as the file says. Raises GlowliteError for a file that is
    not a golden file, or whose tensors do not form a model.
    """
    contents, metadata = read(path)
    try:
        tensors = in_float64({**under("param/", contents), **under("buffer/", contents)})
        kind = kind_of(tensors)
        tensors |= in_float64({name: contents[name] for name in kind.beside if name in contents})
        overrides = kind.options_in(metadata)
        if permutation is not None:
            overrides["permutation"] = permutation
        if isinstance(kind, golden_family.FamilyKind):
            return golden_family.compare(kind, contents, metadata, tensors, overrides)
        return golden_glow.compare(cast(GlowKind, kind), contents, tensors, overrides)
    except GlowliteError as error:
        raise GlowliteError(f"{path}: {error}") from None
