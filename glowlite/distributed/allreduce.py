"""How the gradients of several processes become their sum: over MPI from host memory, from device memory, or by NCCL.

host   arrays on the host go to MPI as they lie; those on a GPU through a pinned buffer, a chunk at a time
mpi    device arrays go to MPI as they lie, after the stream has come to its end: for an MPI that is CUDA-aware
nccl   device arrays go from GPU to GPU, in the order of the stream
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, Namespace, namespace, to_device, to_host
from glowlite.distributed.communicator import CHUNK_BYTES, Alone
from glowlite.errors import GlowliteError

KINDS = ("auto", "nccl", "mpi", "host")


class Exchange:
    """Adds up over `ranks`. This one is for arrays on the host. `seconds`: what gradients have taken so far."""

    def __init__(self, ranks: Alone) -> None:
        self.ranks = ranks
        self.seconds = 0.0

    def add_up(self, vector: Array, in_a_tree: bool = False) -> None:
        """Replace a flat vector by its sum over the ranks, in place; `in_a_tree`: as `TreeSum` would."""
        self.ranks.add_up(vector, in_a_tree)

    def total(self, vector: Array) -> Array:
        """The sum of a small vector over the ranks, as a new one."""
        if self.ranks.size == 1:
            return vector
        host = to_host(vector).copy()
        self.ranks.add_up(host)
        return to_device(host, namespace(vector))


class StagedExchange(Exchange):
    """Device vectors through a pinned buffer on the host. Cost: two copies; CHUNK_BYTES of memory."""

    def __init__(self, ranks: Alone, xp: Namespace) -> None:
        super().__init__(ranks)
        memory = xp.cuda.alloc_pinned_memory(CHUNK_BYTES)
        self.buffer = np.frombuffer(memory, np.uint8, CHUNK_BYTES)

    def add_up(self, vector: Array, in_a_tree: bool = False) -> None:
        if self.ranks.size == 1:
            return
        step = CHUNK_BYTES // vector.itemsize
        for start in range(0, vector.size, step):
            part = vector[start : start + step]
            host = self.buffer[: part.nbytes].view(vector.dtype)
            part.get(out=host)
            self.ranks.add_up(host, in_a_tree)
            part.set(host)


class DirectExchange(Exchange):
    """Device vectors straight to a CUDA-aware MPI, which knows nothing of streams: so the stream ends first."""

    def __init__(self, ranks: Alone, xp: Namespace) -> None:
        super().__init__(ranks)
        self.xp = xp

    def add_up(self, vector: Array, in_a_tree: bool = False) -> None:
        if self.ranks.size > 1:
            self.xp.cuda.get_current_stream().synchronize()
            self.ranks.add_up(vector, in_a_tree)


class NcclExchange(Exchange):
    """Device vectors by NCCL, a GPU a rank, in the order of the stream.

    The host, too, waits for the sum, since NCCL waits for a rank that does not come for ever. It loses no time by that: a
    step over ranks looks at the norm of the gradient next.
    """

    def __init__(self, ranks: Alone, xp: Namespace) -> None:
        super().__init__(ranks)
        self.xp, nccl = xp, xp.cuda.nccl
        self.types = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}
        self.sum = nccl.NCCL_SUM
        name = ranks.tell(list(nccl.get_unique_id()) if ranks.leads else None)
        with ranks.guarded("the start of NCCL"):
            self.communicator: Any = nccl.NcclCommunicator(ranks.size, tuple(name), ranks.rank)

    def add_up(self, vector: Array, in_a_tree: bool = False) -> None:
        if in_a_tree:
            raise GlowliteError("NCCL adds up in an order of its own: with --shards, use --gpu-exchange host")
        pointer, stream = vector.data.ptr, self.xp.cuda.get_current_stream()
        self.communicator.allReduce(pointer, pointer, vector.size, self.types[str(vector.dtype)], self.sum, stream.ptr)
        event = stream.record()
        self.ranks.wait_until(lambda: event.done, "adding up by NCCL")


def exchange_of(kind: str, ranks: Alone, xp: Namespace) -> Exchange:
    """The exchange of a `kind` (see the module) for arrays of `xp`; `auto` is NCCL where it is there, else host.

    Raises GlowliteError for an unknown kind, and for nccl where CuPy has none.
    """
    if kind not in KINDS:
        raise GlowliteError(f"--gpu-exchange must be one of {', '.join(KINDS)}, got {kind!r}")
    if xp is np or ranks.size == 1:
        return Exchange(ranks)
    has_nccl = bool(getattr(getattr(xp.cuda, "nccl", None), "available", False))
    if kind == "nccl" and not has_nccl:
        raise GlowliteError("--gpu-exchange nccl: CuPy finds no NCCL; install nvidia-nccl-cu12, or use --gpu-exchange host")
    if kind == "nccl" or (kind == "auto" and has_nccl):
        return NcclExchange(ranks, xp)
    return DirectExchange(ranks, xp) if kind == "mpi" else StagedExchange(ranks, xp)
