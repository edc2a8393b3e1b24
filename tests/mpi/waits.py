"""Run under mpirun as `waits.py PLACE RANK SECONDS`: that rank stops (SIGSTOP) at a place; the others have some patience."""

import os
import signal
import sys

import numpy as np

import glowlite.mpi
from glowlite.command_line import run
from glowlite.communicator import CHUNK_BYTES, communicator

place, rank, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


def reach(name):
    if name == place and rank == int(os.environ["PMI_RANK"]):
        os.kill(os.getpid(), signal.SIGSTOP)


class Device:
    """An array that is not NumPy's, as on a device; MPI finds its numbers by DLPack."""

    def __init__(self, array):
        self.array, self.flags, self.size, self.itemsize = array, array.flags, array.size, array.itemsize
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__

    def reshape(self, shape):
        return self

    def __getitem__(self, part):
        return Device(self.array[part])


def main():
    reach("start")
    world = communicator(patience)
    world.meet(np.zeros(1), "the middle")
    vector = np.ones(5 * CHUNK_BYTES // 8)
    reach("sum")
    world.add_up(vector)
    assert (vector == world.size).all()
    reach("device")
    world.add_up(Device(vector))
    assert (vector == world.size**2).all()
    reach("copy")
    world.copy_from_first(vector)
    world.tell("a word")
    reach("gather")
    world.gather(vector)
    reach("end")
    world.finish()


if place == "finalize":
    finish = glowlite.mpi.finish
    glowlite.mpi.finish = lambda seconds: (reach("finalize"), finish(seconds))
run(main, "waits")
