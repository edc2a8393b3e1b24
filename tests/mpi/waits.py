"""Run under mpirun as `waits.py PLACE`: rank 1 is stopped (SIGSTOP) there,
or does what PLACE says; others wait a second.
"""

import os
import signal
import sys
import time

import numpy as np

import glowlite.distributed.mpi
import glowlite.distributed.mpi_processes
from glowlite.commands.program import run
from glowlite.distributed.mpi_processes import CHUNK_BYTES, NUMBERS_TAG, make_communicator

PLACE, RANK = sys.argv[1], int(os.environ["PMI_RANK"])


class Device:
    """An array that is not NumPy's, as on a device; MPI finds its numbers by DLPack."""

    def __init__(self, array):
        self.array, self.flags, self.size, self.itemsize = (
            array,
            array.flags,
            array.size,
            array.itemsize,
        )
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__

    def reshape(self, shape):
        return self

    def __getitem__(self, part):
        return Device(self.array[part])


def reach(place):
    if place == PLACE and RANK == 1:
        os.kill(os.getpid(), signal.SIGSTOP)


def misbehave(world):
    """What rank 1 does in the middle, if it is asked to."""
    if PLACE == "late":
        time.sleep(1.5)  # longer than the other waits, but there when the roll is called
    elif PLACE == "leave":
        os._exit(3)
    elif PLACE == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif PLACE == "elsewhere":
        world.allgather_numbers(np.zeros(2), "another place")
    elif (
        PLACE == "memory"
    ):  # the other hears something that it cannot understand, before this one says what it is
        world.world.Isend(np.zeros(2), 0, NUMBERS_TAG)
        time.sleep(0.5)
        raise MemoryError("Unable to allocate 3 TiB")


def main():
    reach("start")
    world = make_communicator(1.0 if PLACE == "start" else 60.0)
    world.allgather_numbers(np.zeros(1), "the middle")
    world.patience = 1.0
    if RANK == 1:
        misbehave(world)
    world.allgather_numbers(np.zeros(1), "the middle")
    vector = np.ones(5 * CHUNK_BYTES // 8)
    reach("sum")
    world.allreduce(vector)
    reach("tree")
    world.allreduce(vector, pairwise=True)
    assert (vector == world.size**2).all()
    reach("device")
    world.allreduce(Device(vector))
    assert (vector == world.size**3).all()
    reach("copy")
    world.broadcast_array(vector)
    reach("tell")
    world.broadcast("a word")
    reach("gather")
    world.allgather_rows(vector)
    reach("end")
    world.finish()


if PLACE == "elsewhere":
    glowlite.distributed.mpi_processes.CAUSE_FIRST = 0.5
if PLACE == "finalize":
    finish = glowlite.distributed.mpi.finish
    glowlite.distributed.mpi.finish = lambda seconds: (reach("finalize"), finish(seconds))
run(main, "waits")
