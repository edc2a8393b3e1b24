"""How gradients on a device are added up over ranks, without a device:
a stand-in for CuPy, NCCL and MPI each.
"""

import types

import numpy as np
import pytest

from glowlite.distributed.allreduce import (
    Allreduce,
    CudaAwareAllreduce,
    NcclAllreduce,
    StagedAllreduce,
    make_allreduce,
)
from glowlite.distributed.communicator import CHUNK_BYTES, OneProcess
from glowlite.errors import GlowliteError


class Device:
    """A vector on a device: NumPy refuses it, and only get and set cross over."""

    def __init__(self, array, log):
        self.array, self.log = array, log
        self.size, self.dtype, self.itemsize, self.nbytes = (
            array.size,
            array.dtype,
            array.itemsize,
            array.nbytes,
        )
        self.data = types.SimpleNamespace(ptr=array.ctypes.data)

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __getitem__(self, part):
        return Device(self.array[part], self.log)

    def get(self, out):
        assert isinstance(out, np.ndarray) and out.nbytes <= CHUNK_BYTES
        self.log.append("get")
        out[...] = self.array

    def set(self, host):
        self.log.append("set")
        self.array[...] = host


class Two(OneProcess):
    """Rank 0 of two, of which the other always has three times as much."""

    size = 2

    def __init__(self, log):
        self.log = log

    def allreduce(self, array, pairwise=False):
        self.log.append("pairwise" if pairwise else "sum")
        array = array.array if isinstance(array, Device) else array
        array *= 4


class Nccl:
    """One process's part of NCCL, called with pointers, as cupy.cuda.nccl is."""

    available = True
    NCCL_FLOAT32, NCCL_FLOAT64, NCCL_SUM = 7, 8, 0

    def __init__(self, log):
        self.log = log

    def get_unique_id(self):
        return tuple(range(-64, 64))

    def NcclCommunicator(self, size, name, rank):
        assert (size, rank) == (2, 0) and name == tuple(range(-64, 64))
        return self

    def allReduce(self, source, target, count, kind, operation, stream):
        assert source == target and operation == self.NCCL_SUM and stream == 99
        self.log.append("nccl")
        numbers = {7: np.ctypeslib.ctypes.c_float, 8: np.ctypeslib.ctypes.c_double}[kind]
        np.ctypeslib.as_array((numbers * count).from_address(source))[...] *= 4


class Event:
    """Is done when it has been asked three times."""

    def __init__(self, log):
        self.log, self.asked = log, 0

    @property
    def done(self):
        self.asked += 1
        if self.asked == 3:
            self.log.append("done")
        return self.asked == 3


def cupy(log, nccl=None):
    stream = types.SimpleNamespace(
        synchronize=lambda: log.append("synchronize"), ptr=99, record=lambda: Event(log)
    )
    cuda = types.SimpleNamespace(
        alloc_pinned_memory=lambda size: bytearray(size),
        get_current_stream=lambda: stream,
        nccl=nccl,
    )
    return types.SimpleNamespace(cuda=cuda, __name__="cupy")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["host", "mpi", "nccl"])
def test_every_kind_of_allreduce_adds_up_in_place(kind, dtype):
    log = []
    allreduce = make_allreduce(kind, Two(log), cupy(log, Nccl(log)))
    assert (
        type(allreduce)
        is {"host": StagedAllreduce, "mpi": CudaAwareAllreduce, "nccl": NcclAllreduce}[kind]
    )
    log.clear()
    whole = np.arange(600_001, dtype=dtype)
    vector = Device(whole.copy(), log)
    allreduce.sum_in_place(vector)
    assert np.array_equal(vector.array, 4 * whole)
    chunks = -(-whole.nbytes // CHUNK_BYTES)
    assert (
        log
        == {
            "host": ["get", "sum", "set"] * chunks,
            "mpi": ["synchronize", "sum"],
            "nccl": ["nccl", "done"],
        }[kind]
    )


def test_auto_takes_nccl_where_it_is():
    log = []
    assert type(make_allreduce("auto", Two(log), cupy(log, Nccl(log)))) is NcclAllreduce
    assert type(make_allreduce("auto", Two(log), cupy(log))) is StagedAllreduce
    assert type(make_allreduce("auto", Two(log), np)) is Allreduce
    # one process has nothing to exchange
    assert type(make_allreduce("nccl", OneProcess(), cupy(log))) is Allreduce


def test_what_cannot_be_is_said():
    log = []
    with pytest.raises(GlowliteError, match=r"CuPy finds no NCCL.*--gpu-exchange host"):
        make_allreduce("nccl", Two(log), cupy(log))
    with pytest.raises(GlowliteError, match="must be one of auto, nccl, mpi, host, got 'tcp'"):
        make_allreduce("tcp", Two(log), cupy(log))
    with pytest.raises(GlowliteError, match="with --shards, use --gpu-exchange host"):
        make_allreduce("nccl", Two(log), cupy(log, Nccl(log))).sum_in_place(
            Device(np.zeros(3), log), pairwise=True
        )


def test_shards_add_up_pairwise_through_the_host():
    log = []
    make_allreduce("host", Two(log), cupy(log)).sum_in_place(
        Device(np.zeros(3, np.float32), log), pairwise=True
    )
    assert log == ["get", "pairwise", "set"]


def test_a_total_is_a_new_vector():
    log, mine = [], np.array([1.0, 2.0])
    assert Allreduce(Two(log)).sum_of(mine).tolist() == [4.0, 8.0] and mine.tolist() == [1.0, 2.0]
    assert Allreduce(OneProcess()).sum_of(mine) is mine
