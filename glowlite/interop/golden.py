"""Golden files: weights of another code with what that code computed from them, to hold an import
against.

A safetensors file with `param/NAME` (and `buffer/NAME`) in the names and layouts of that code, data
`x`, its `log_prob` in nats, its latents, and `grad/NAME`, `grad_x`: the gradients of the mean of
-log_prob / (D ln 2), D numbers in a sample. Everything is computed in float64; the error of a
tensor is max|a - b| / max|b|.

Of a Glow, x are images as they go into the model. Latents: `eps/i` of level i; `z/i`, before the
prior has whitened them; `z` or `z_top`, the same of the last level. Files of kind C also hold
`init/NAME`, weights before ActNorm has seen data; `x_init`; and `ddi/NAME`, ActNorm thereafter. A
reversal of the channels leaves no tensor: a file says of it in its metadata, `permutation`:
`reverse`, or `flow_permutation`: `0`, as the options of those codes are called.

Of a RealNVP or NICE, x is what the preprocessing leaves: images behind the logit, or vectors. There
are `logdet`, the latents as one array `z`, and `loss`; there may be `sample/x`, the inverse of
`sample/z`; and `x_raw`, which dequantised with `noise` is `x_pre`, which preprocessed is `x`, with
`pre_logdet`. The metadata say `mode`: `train` for statistics of the batch, in which case `after/`
holds the running ones thereafter; and `coupling_bn`, `prior` or `mask_config`, where those codes
have such an option. What has a run in float64 beside it, `float64/NAME`, is compared with that.
Gradients that are zero in exact arithmetic are compared on the scale 1.
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
    """The tensors of a golden file and its metadata.

    GlowliteError for any other file.
    """
    with open_tensors(path) as file:
        contents, metadata = file.read(), file.metadata
    for needed in ("param/", "x", "log_prob", "grad/", "grad_x"):
        if not any(
            name.startswith(needed) if needed.endswith("/") else name == needed for name in contents
        ):
            raise GlowliteError(f"{path} is not a golden file: it holds no {needed}")
    return contents, metadata


def check(path: Path, permutation: str | None = None) -> Report:
    """The error of every tensor that a golden file allows to compare.

    `permutation`: of a Glow, if not as the file says. Raises GlowliteError for a file that is
    none, or whose tensors make no model.
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
