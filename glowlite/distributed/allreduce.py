"""The sum of gradients over processes: over MPI from host memory, from device memory, or by NCCL.

host arrays on the host go directly to MPI; GPU arrays go through a pinned buffer, in chunks mpi
device arrays go directly to MPI after the stream has finished; needs a CUDA-aware MPI nccl device
arrays go from GPU to GPU, in stream order
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, Namespace, namespace, to_device, to_host
from glowlite.distributed.communicator import CHUNK_BYTES, Communicator, OneProcess
from glowlite.errors import GlowliteError

KINDS = ("auto", "nccl", "mpi", "host")


class Allreduce:
    """Sums over `ranks`, by default only this process. This class is for arrays on the host.

    `seconds`: time spent on sums of gradients so far.
    """

    def __init__(self, ranks: Communicator | None = None) -> None:
        self.ranks = ranks or OneProcess()
        self.seconds = 0.0

    def sum_in_place(self, vector: Array, pairwise: bool = False) -> None:
        """Replace a flat vector by its sum over the ranks; `pairwise`: in the order of
        `PairwiseSum`.
        """
        self.ranks.allreduce(vector, pairwise)

    def sum_of(self, vector: Array) -> Array:
        """Return the sum of a small vector over the ranks, as a new vector."""
        if self.ranks.size == 1:
            return vector
        host = to_host(vector).copy()
        self.ranks.allreduce(host)
        return to_device(host, namespace(vector))


class StagedAllreduce(Allreduce):
    """Send device vectors through a pinned buffer on the host.

    Cost: two copies; CHUNK_BYTES of memory.
    """

    def __init__(self, ranks: Communicator, xp: Namespace) -> None:
        super().__init__(ranks)
        memory = xp.cuda.alloc_pinned_memory(CHUNK_BYTES)
        self.buffer = np.frombuffer(memory, np.uint8, CHUNK_BYTES)

    def sum_in_place(self, vector: Array, pairwise: bool = False) -> None:
        if self.ranks.size == 1:
            return
        step = CHUNK_BYTES // vector.itemsize
        for start in range(0, vector.size, step):
            part = vector[start : start + step]
            host = self.buffer[: part.nbytes].view(vector.dtype)
            part.get(out=host)
            self.ranks.allreduce(host, pairwise)
            part.set(host)


class CudaAwareAllreduce(Allreduce):
    """Pass device vectors directly to a CUDA-aware MPI. MPI does not know streams, so the stream
    must finish first.
    """

    def __init__(self, ranks: Communicator, xp: Namespace) -> None:
        super().__init__(ranks)
        self.xp = xp

    def sum_in_place(self, vector: Array, pairwise: bool = False) -> None:
        if self.ranks.size > 1:
            self.xp.cuda.get_current_stream().synchronize()
            self.ranks.allreduce(vector, pairwise)


class NcclAllreduce(Allreduce):
    """Send device vectors with NCCL, one GPU per rank, in stream order.

    The host also waits for the sum, since NCCL waits for ever for a rank that does not respond.
    This costs no time, because the next thing a step needs is the norm of the gradient.
    """

    def __init__(self, ranks: Communicator, xp: Namespace) -> None:
        super().__init__(ranks)
        self.xp, nccl = xp, xp.cuda.nccl
        self.types = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}
        self.sum = nccl.NCCL_SUM
        name = ranks.broadcast(list(nccl.get_unique_id()) if ranks.is_root else None)
        with ranks.guarded("the start of NCCL"):
            self.nccl: Any = nccl.NcclCommunicator(ranks.size, tuple(name), ranks.rank)

    def sum_in_place(self, vector: Array, pairwise: bool = False) -> None:
        if pairwise:
            raise GlowliteError(
                "NCCL adds in its own order: with --shards, use --gpu-exchange host"
            )
        pointer, stream = vector.data.ptr, self.xp.cuda.get_current_stream()
        kind = self.types[str(vector.dtype)]
        self.nccl.allReduce(pointer, pointer, vector.size, kind, self.sum, stream.ptr)
        event = stream.record()
        self.ranks.wait_until(lambda: event.done, "adding up by NCCL")


def make_allreduce(kind: str, ranks: Communicator, xp: Namespace) -> Allreduce:
    """Return the allreduce of a `kind` for arrays of `xp`.

    `auto` is NCCL if it is available, otherwise host. The module's docstring explains the kinds.
    Raises GlowliteError for an unknown kind, and for nccl if CuPy has no NCCL.
    """
    if kind not in KINDS:
        raise GlowliteError(f"--gpu-exchange must be one of {', '.join(KINDS)}, got {kind!r}")
    if xp is np or ranks.size == 1:
        return Allreduce(ranks)
    has_nccl = bool(getattr(getattr(xp.cuda, "nccl", None), "available", False))
    if kind == "nccl" and not has_nccl:
        raise GlowliteError(
            "--gpu-exchange nccl: CuPy finds no NCCL; install nvidia-nccl-cu12, or use"
            " --gpu-exchange host"
        )
    if kind == "nccl" or (kind == "auto" and has_nccl):
        return NcclAllreduce(ranks, xp)
    return CudaAwareAllreduce(ranks, xp) if kind == "mpi" else StagedAllreduce(ranks, xp)
