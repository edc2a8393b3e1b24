"""The last step of a level, where backward begins, keeps what it needs if that is little: it need
not rebuild anything.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array
from glowlite.bijectors.chain import Chain

# of hidden maps that it may keep under every policy of memory: as much at any depth
LAST_STEP_MB = 32


def kept_layers(chain: Chain, x: Array, width: int) -> int | None:
    """From which layer of `chain` on everything is kept, for images x.

    None: as its policy of memory says.
    """
    hidden_maps = 2 * x[..., 0].size * width * x.itemsize
    fits = chain.memory.kind != "stored" and hidden_maps <= LAST_STEP_MB * 2**20
    return len(chain.layers) - 1 if fits else None
