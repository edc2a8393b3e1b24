"""Run under mpirun as `waits.py PLACE RANK`: that rank is stopped (SIGSTOP) at a place; the others wait for a second."""

import os
import signal
import sys

import numpy as np

import glowlite.mpi
from glowlite.command_line import run
from glowlite.communicator import CHUNK_BYTES, communicator

PLACE, RANK = sys.argv[1], int(sys.argv[2])


class Device:
    """An array that is not NumPy's, as on a device; MPI finds its numbers by DLPack."""

    def __init__(self, array):
        self.array, self.flags, self.size, self.itemsize = array, array.flags, array.size, array.itemsize
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__

    def reshape(self, shape):
        return self

    def __getitem__(self, part):
        return Device(self.array[part])


def reach(place):
    if place == PLACE and int(os.environ["PMI_RANK"]) == RANK:
        os.kill(os.getpid(), signal.SIGSTOP)


def main():
    reach("start")
    world = communicator(1.0 if PLACE == "start" else 60.0)
    world.meet(np.zeros(1), "the middle")
    world.patience = 1.0
    vector = np.ones(5 * CHUNK_BYTES // 8)
    reach("sum")
    world.add_up(vector)
    reach("tree")
    world.add_up(vector, in_a_tree=True)
    assert (vector == world.size**2).all()
    reach("device")
    world.add_up(Device(vector))
    assert (vector == world.size**3).all()
    reach("copy")
    world.copy_from_first(vector)
    reach("tell")
    world.tell("a word")
    reach("gather")
    world.gather(vector)
    reach("end")
    world.finish()


if PLACE == "finalize":
    finish = glowlite.mpi.finish
    glowlite.mpi.finish = lambda seconds: (reach("finalize"), finish(seconds))
run(main, "waits")
