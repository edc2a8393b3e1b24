"""glowlite: normalising flows, above all Glow, in NumPy and CuPy."""

from glowlite.commands import (
    # first, so that a command interrupted during its imports ends with one line
    start_up as start_up,
)

# isort: split
import importlib
from typing import TYPE_CHECKING, Any

from glowlite.arrays.parameters import Parameter, ParameterStore
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.bijectors.flow_step import FlowStep
from glowlite.bijectors.invertible_conv import Invertible1x1Conv
from glowlite.bijectors.memory import Memory
from glowlite.bijectors.permutation import Permutation
from glowlite.errors import GlowliteError
from glowlite.flow import Flow
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow
from glowlite.objective import Logistic, Normal

if TYPE_CHECKING:
    from glowlite.bijectors.batch_norm import BatchNorm
    from glowlite.bijectors.checkerboard import Checkerboard
    from glowlite.bijectors.class_prior import ClassPrior
    from glowlite.bijectors.logit import Logit
    from glowlite.bijectors.scaling import Scaling
    from glowlite.bijectors.whitening import Whitening
    from glowlite.conditioners.mlp import MLP
    from glowlite.conditioners.residual_network import ResidualNetwork
    from glowlite.models.nice import NICE
    from glowlite.models.nice_config import NICEConfig
    from glowlite.models.realnvp import RealNVP
    from glowlite.models.realnvp_config import RealNVPConfig
    from glowlite.training.fit import fit
    from glowlite.training.optimizers import Adam
    from glowlite.training.settings import Settings

__version__ = "0.1.0"
__all__ = [
    "MLP",
    "NICE",
    "ActNorm",
    "Adam",
    "AdditiveCoupling",
    "AffineCoupling",
    "BatchNorm",
    "Chain",
    "Checkerboard",
    "ClassPrior",
    "Flow",
    "FlowStep",
    "Glow",
    "GlowConfig",
    "GlowliteError",
    "Invertible1x1Conv",
    "Logistic",
    "Logit",
    "Memory",
    "NICEConfig",
    "Normal",
    "Parameter",
    "ParameterStore",
    "Permutation",
    "RealNVP",
    "RealNVPConfig",
    "ResidualNetwork",
    "Scaling",
    "Settings",
    "Whitening",
    "__version__",
    "fit",
]

# imported on first use, so that `import glowlite` stays fast
_LATER = {
    "Adam": "glowlite.training.optimizers",
    "BatchNorm": "glowlite.bijectors.batch_norm",
    "Checkerboard": "glowlite.bijectors.checkerboard",
    "ClassPrior": "glowlite.bijectors.class_prior",
    "Logit": "glowlite.bijectors.logit",
    "MLP": "glowlite.conditioners.mlp",
    "NICE": "glowlite.models.nice",
    "NICEConfig": "glowlite.models.nice_config",
    "RealNVP": "glowlite.models.realnvp",
    "RealNVPConfig": "glowlite.models.realnvp_config",
    "ResidualNetwork": "glowlite.conditioners.residual_network",
    "Scaling": "glowlite.bijectors.scaling",
    "Settings": "glowlite.training.settings",
    "Whitening": "glowlite.bijectors.whitening",
    "fit": "glowlite.training.fit",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'glowlite' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)
