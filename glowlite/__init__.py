"""glowlite: Glow, the flow-based generative model with invertible 1x1 convolutions, in NumPy and CuPy."""

from glowlite.commands import (
    start_up as start_up,  # first: a command that is interrupted during the imports ends in one line
)

# isort: split
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow

__version__ = "0.1.0"
__all__ = ["Glow", "GlowConfig", "GlowliteError", "Memory", "__version__"]
