"""Notebook 5, convolution as gather, product and scatter."""

from tutorial_answers import Answers


def wrong_scatter(expression: str) -> str:
    """Exercise 2: `taps` (n, h, w, 3, 3, channels), of what is scattered."""
    return (
        "def wrong_scatter(v):\n    taps = v.reshape(*v.shape[:3], 3, 3, -1)\n"
        f"    return {expression}"
    )


def scattered(taps: str) -> str:
    return wrong_scatter(f"scatter(({taps}).reshape(v.shape))")


GATHER_D = """
def gather_d(x, d):
    h, w = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (d, d), (d, d), (0, 0)))
    steps = (0, d, 2 * d)
    return np.concatenate([padded[:, i : i + h, j : j + w] for i in steps for j in steps], axis=-1)
"""
SCATTER_D = """
def scatter_d(v, d):
    n, h, w, channels = v.shape
    padded = np.zeros((n, h + 2 * d, w + 2 * d, channels // 9))
    for k, tap in enumerate(np.split(v, 9, axis=-1)):
        i, j = d * (k // 3), d * (k % 3)
        padded[:, i : i + h, j : j + w] += tap
    return padded[:, d:-d, d:-d]
"""


def both(gather: str = GATHER_D, scatter: str = SCATTER_D) -> str:
    return gather + scatter


def gathers(old: str, new: str) -> str:
    assert old in GATHER_D
    return both(gather=GATHER_D.replace(old, new))


def scatters(old: str, new: str) -> str:
    assert old in SCATTER_D
    return both(scatter=SCATTER_D.replace(old, new))


BY_GATHER = """
def scatter_d(v, d):  # scatter is gather with the taps turned, and a sum
    turned = np.concatenate(np.split(v, 9, axis=-1)[::-1], axis=-1)
    taps = [gather_d(tap, d)[..., k * c : (k + 1) * c] for k, tap in
            enumerate(np.split(turned, 9, axis=-1)) for c in (tap.shape[-1],)]
    return sum(taps)
"""

ANSWERS = [
    Answers(
        right=[
            "count = 346124",
            "count = 346_000",
            "count = 346124.0",
            "count = np.array(346124)",
            "count = 55 * 512 + 513 * 512 + 512 * 108 + 12",
        ],
        wrong=[
            ("count = 345088", "add the biases"),
            ("count = 346112", "The last convolution has biases"),
            ("count = 346220", "b3 is added after scatter"),
            ("count = 55 * 512 + (9 * 512 + 1) * 512 + 512 * 108 + 12", "in the middle"),
            ("count = 7 * 512 + 513 * 512 + 512 * 12 + 12", "How many neighbours"),
            ("count = 55 * 512 + 513 * 512 + 512 * 54 + 6", "How many channels come out"),
            ("count = 0", "one matrix per tap"),
            ("count = np.nan", "one matrix per tap"),
            ("count = 'many'", "one number"),
            ("count = [346124]", "one number"),
        ],
    ),
    Answers(
        right=[
            scattered("taps[..., ::-1, ::-1, :]"),
            scattered("np.flip(taps, (3, 4))"),
            wrong_scatter("scatter(taps[..., ::-1, ::-1, :].reshape(v.shape)).tolist()"),
        ],
        wrong=[
            (scattered("taps"), "scatter itself"),
            (scattered("taps[..., ::-1, :, :]"), "the rows only"),
            (scattered("taps[..., ::-1, :]"), "the columns only"),
            (scattered("taps.swapaxes(3, 4)"), "exchanged rows and columns"),
            (scattered("v[..., ::-1]"), "channels within a copy"),
            (scattered("-taps[..., ::-1, ::-1, :]"), "The total has changed"),
            (scattered("0 * taps"), "The total has changed"),
            (wrong_scatter("taps.sum(axis=(3, 4))"), "Now shift copy k by -k"),
            (wrong_scatter("v"), "Expected (1, 7, 6, 2)"),
            (wrong_scatter("None"), "Expected (1, 7, 6, 2)"),
            (wrong_scatter("'done'"), "did not give an array"),
            (wrong_scatter("1 / no_such_name"), "no_such_name"),
            ("wrong_scatter = None", "did not give an array"),
        ],
    ),
    Answers(
        right=[both(), both(scatter=BY_GATHER)],
        wrong=[
            (both(gather="gather_d = lambda x, d: gather(x)"), "direct neighbours"),
            (gathers("(d, d), (d, d)", "(1, 1), (1, 1)"), "did not give an array"),
            (gathers("(0, d, 2 * d)", "(0, 1, 2)"), "offsets of d pixels"),
            (gathers("(0, d, 2 * d)", "(2 * d, d, 0)"), "starts at the upper left"),
            (gathers("], axis=-1)", "], axis=-1).reshape(*x.shape[:3], 9, -1)"), "gather_d gives"),
            (
                gathers(
                    "], axis=-1)",
                    "], axis=-1).reshape(*x.shape[:3], 9, -1)"
                    ".swapaxes(3, 4).reshape(*x.shape[:3], -1)",
                ),
                "copy by copy",
            ),
            (gathers("(0, 0)))", "(0, 0)), mode='edge')"), "0 outside the image"),
            (both(scatter="scatter_d = lambda v, d: scatter(v)"), "undo the shifts"),
            (scatters("enumerate(", "zip(range(8, -1, -1), "), "the wrong way"),
            (scatters("[:, d:-d, d:-d]", ""), "scatter_d gives"),
            (scatters("+= tap", "= tap"), "undo the shifts"),
            (both(scatter="def scatter_d(v, d):\n    return None"), "scatter_d gives ()"),
            (both(scatter="def scatter_d(v, d):\n    return v @ 1"), "scatter_d raised"),
        ],
    ),
]
