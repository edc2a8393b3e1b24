"""Which layers have a faster form, and the pass that substitutes it.

A fast form is a class with the same parameters under the same names, and gives the same results up
to rounding, which the tests check. It replaces a layer of exactly the type in the table. A
subclass, which may do something else, always runs as it was written. `plain=True` or `--plain`
skips this pass.

A form is in the table because it saves at least 5% of a step of a reference job on a CPU, or kernel
launches on a GPU; `docs/performance.md` has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from glowlite.arrays.backend import namespace
from glowlite.arrays.batch_statistics import BatchStatistics
from glowlite.arrays.parameters import Parameter, ParameterStore, map_part, parts_of
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.bijectors.chain import UniformChain
from glowlite.bijectors.coupling import AdditiveCoupling
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.conditioners.residual_network import ResidualNetwork
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.fast.blocked_network import BlockedResidualNetwork
from glowlite.fast.chain_form import widest
from glowlite.fast.cuda.actnorm import CudaActNorm
from glowlite.fast.cuda.affine_coupling import CudaAffineCoupling
from glowlite.fast.cuda.coupling import CudaAdditiveCoupling
from glowlite.fast.cuda.coupling_network import CudaNetwork, CudaZeroConv
from glowlite.fast.cuda.steps import CudaSteps
from glowlite.fast.folded_network import FoldedNetwork
from glowlite.fast.threads import Workers
from glowlite.fast.tiles import Tiles


@dataclass(frozen=True)
class Means:
    """What fast forms use: CPU threads, and the flat vectors that the parameters are views of."""

    workers: Workers
    store: ParameterStore


Form = Callable[[Any, Means], Any]


def _tiled(chain: UniformChain, means: Means) -> Any:
    """Return Tiles, but not for a chain with batch normalisation, since each tile would use its own
    statistics.
    """
    by_batch = any(isinstance(part, BatchStatistics) for part in parts_of(chain))
    return chain if by_batch else Tiles(chain, means.workers, widest(chain))


def _with_kernels(form: type) -> Form:
    return lambda layer, means: retyped(layer, form)


HOST: dict[type, Form] = {
    CouplingNetwork: lambda net, means: retyped(net, FoldedNetwork, workers=means.workers),
    ResidualNetwork: lambda net, means: retyped(net, BlockedResidualNetwork, workers=means.workers),
    UniformChain: _tiled,
}
DEVICE: dict[type, Form] = {
    ActNorm: _with_kernels(CudaActNorm),
    AdditiveCoupling: _with_kernels(CudaAdditiveCoupling),
    AffineCoupling: _with_kernels(CudaAffineCoupling),
    CouplingNetwork: _with_kernels(CudaNetwork),
    ZeroConv: _with_kernels(CudaZeroConv),
    UniformChain: lambda chain, means: CudaSteps(chain, means.store, widest(chain)),
}


def accelerate(
    part: Any, workers: Workers, store: ParameterStore, leave_out: Collection[type] = ()
) -> Any:
    """Return `part` with every layer replaced by its fast form, if it has one; `part` itself if
    there is none.

    Fast forms use the same Parameters. `leave_out`: types of layers that stay plain, for
    measurements. Cost: only the walk; nothing is copied.
    """
    forms = HOST if namespace(store.theta) is np else DEVICE
    table = {kind: form for kind, form in forms.items() if kind not in leave_out}
    return _accelerated(part, table, Means(workers, store))


def _accelerated(part: Any, table: dict[type, Form], means: Means) -> Any:
    is_changed = False

    def change(child: Any) -> Any:
        nonlocal is_changed
        if isinstance(child, Parameter):
            return child
        fast = _accelerated(child, table, means)
        is_changed = is_changed or fast is not child
        return fast

    twin: Any = map_part(part, change)
    twin = twin if is_changed else part
    form = table.get(type(part))
    return twin if form is None else form(twin, means)


def retyped(layer: Any, form: type, **more: Any) -> Any:
    """Return an object of class `form`, a subclass of the layer's class, with the layer's
    attributes and `more`.
    """
    twin: Any = object.__new__(form)
    twin.__dict__.update(layer.__dict__, **more)
    return twin
