"""Run under mpirun: every method of MpiProcesses, against what it should give. Prints `size:
fine` from rank 0.
"""

import numpy as np

from glowlite.distributed.mpi_processes import CHUNK_BYTES, make_communicator

world = make_communicator(patience=20)
rank, size = world.rank, world.size
rng = np.random.default_rng(0)
everyone = rng.standard_normal((size, 700_001))  # 5.6 MB: several chunks, and a rest
for dtype in (np.float32, np.float64):
    for pairwise in (False, True):
        if pairwise and size & (size - 1):
            continue
        mine = everyone[rank].astype(dtype)
        world.allreduce(mine, pairwise)
        np.testing.assert_allclose(
            mine,
            everyone.astype(dtype).sum(axis=0),
            rtol=1e-5 if dtype == np.float32 else 1e-13,
            atol=1e-6,
        )
        assert (world.allgather_rows(mine[None, :1000]) == mine[:1000]).all()
        if pairwise:
            level = list(everyone.astype(dtype))
            while len(level) > 1:
                level = [level[i] + level[i + 1] for i in range(0, len(level), 2)]
            assert mine.tobytes() == level[0].tobytes()
assert mine.nbytes > 5 * CHUNK_BYTES
picture = np.full((3, 5), rank, np.uint8)
world.broadcast_array(picture)
assert not picture.any()
assert world.broadcast({"step": 3, "where": "ü"} if world.is_root else None) == {
    "step": 3,
    "where": "ü",
}
assert world.broadcast(f"I am {rank}", root=size - 1) == f"I am {size - 1}"
assert world.allgather_numbers(np.array([rank, -rank], np.float64), "here").tolist() == [
    [r, -r] for r in range(size)
]
rows = world.allgather_rows(np.full((rank, 2, 3), rank, np.int16))  # rank 0 has none
assert rows.shape == (size * (size - 1) // 2, 2, 3) and rows[:, 0, 0].tolist() == [
    r for r in range(size) for _ in range(r)
]
shares = world.allgather_rows(np.arange(10)[world.share(10)])
assert shares.tolist() == list(range(10))
assert world.local_size == size and world.local_rank == rank and world.cores() >= 1
if world.is_root:
    print(f"{size}: fine", flush=True)
