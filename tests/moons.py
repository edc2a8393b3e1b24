"""Two moons, and flows of the layers that docs/your_own_flow.md writes."""

import re
from pathlib import Path

import numpy as np

from glowlite import Chain, Flow, Glow, GlowConfig

PAGE = (Path(__file__).parent.parent / "docs" / "your_own_flow.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
OWN: dict = {"Chain": Chain}
exec(BLOCKS[0], OWN)  # Net, Coupling
exec(next(block for block in BLOCKS if "class Shift" in block).partition("\ncheck_layer")[0], OWN)
Net, Coupling, Shift, my_step = (OWN[name] for name in ("Net", "Coupling", "Shift", "my_step"))


def two_moons(n, seed=0):
    rng = np.random.default_rng(seed)
    t, upper = rng.uniform(0, np.pi, n), rng.random(n) < 0.5
    x = np.where(upper, np.cos(t), 1 - np.cos(t))
    y = np.where(upper, np.sin(t), 0.5 - np.sin(t))
    return (np.stack([x, y], axis=1) + 0.1 * rng.normal(size=(n, 2))).astype(np.float32)


def moons_chain(count=4):
    rng = np.random.default_rng(1)
    return Chain([Coupling(Net(rng)) for _ in range(count)])


def moons_flow(count=4, dtype="float32", base=None):
    return Flow(moons_chain(count), base, dtype=dtype)


def own_glow(**options):
    return Glow(GlowConfig((8, 8, 3), K=2, L=2), step=my_step, **options)
