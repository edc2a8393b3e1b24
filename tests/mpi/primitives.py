"""Run under mpirun: every method of Ranks, against what it should give. Prints `size: fine` from rank 0."""

import numpy as np

from glowlite.distributed.communicator import CHUNK_BYTES, communicator

world = communicator(patience=20)
rank, size = world.rank, world.size
rng = np.random.default_rng(0)
everyone = rng.standard_normal((size, 700_001))  # 5.6 MB: several chunks, and a rest
for dtype in (np.float32, np.float64):
    for in_a_tree in (False, True):
        if in_a_tree and size & (size - 1):
            continue
        mine = everyone[rank].astype(dtype)
        world.add_up(mine, in_a_tree)
        np.testing.assert_allclose(
            mine, everyone.astype(dtype).sum(axis=0), rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-6
        )
        assert (world.gather(mine[None, :1000]) == mine[:1000]).all()
        if in_a_tree:
            level = list(everyone.astype(dtype))
            while len(level) > 1:
                level = [level[i] + level[i + 1] for i in range(0, len(level), 2)]
            assert mine.tobytes() == level[0].tobytes()
assert mine.nbytes > 5 * CHUNK_BYTES
picture = np.full((3, 5), rank, np.uint8)
world.copy_from_first(picture)
assert not picture.any()
assert world.tell({"step": 3, "where": "ü"} if world.leads else None) == {"step": 3, "where": "ü"}
assert world.told_by(size - 1, f"I am {rank}") == f"I am {size - 1}"
assert world.meet(np.array([rank, -rank], np.float64), "here").tolist() == [[r, -r] for r in range(size)]
rows = world.gather(np.full((rank, 2, 3), rank, np.int16))  # rank 0 has none
assert rows.shape == (size * (size - 1) // 2, 2, 3) and rows[:, 0, 0].tolist() == [r for r in range(size) for _ in range(r)]
shares = world.gather(np.arange(10)[world.share(10)])
assert shares.tolist() == list(range(10))
assert world.local_size == size and world.local_rank == rank and world.cores() >= 1
if world.leads:
    print(f"{size}: fine", flush=True)
