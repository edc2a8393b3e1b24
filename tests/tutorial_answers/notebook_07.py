"""Notebook 7, squeeze, split, many scales."""

from tutorial_answers import Answers


def swapped(*axes: int, then: str = "") -> str:
    """Exercise 2: the axes n, h, w, c, i, j of the blocks, in some order."""
    order = axes or (0, 1, 2, 3, 5, 4)
    return (
        "def swapped(x):\n    n, h, w, c = x.shape\n"
        "    y = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 5, 2, 4)\n"
        f"    y = y.transpose{order}.reshape(n, h // 2, w // 2, 4 * c)\n"
        f"    return y{then}"
    )


def levels(
    noise: str = "T * draw.standard_normal((n, *shape))",
    temperatures: str = "temperatures",
    draw: str = "draw = np.random.default_rng(seed)",
    result: str = "model.inverse(latents)",
) -> str:
    return (
        f"def sample_levels(model, temperatures, n, seed):\n    {draw}\n    latents = []\n"
        f"    for T, shape in zip({temperatures}, model.config.latent_shapes()):\n"
        f"        latents.append(({noise}).astype(np.float32))\n    return {result}"
    )


RESTARTED = "T * np.random.default_rng(seed).standard_normal((n, *shape))"

ANSWERS = [
    Answers(
        right=[
            "shapes = [[16, 16, 6], [8, 8, 12], [4, 4, 48]]",
            "shapes = np.array([(16, 16, 6), (8, 8, 12), (4, 4, 48)])",
            "shapes = (16.0, 16, 6), (8, 8, 12), (4, 4, 48)",
        ],
        wrong=[
            ("shapes = [(16, 16, 12), (8, 8, 24), (4, 4, 48)]", "after squeeze"),
            ("shapes = [(16, 16, 6), (8, 8, 12), (4, 4, 24)]", "no split"),
            ("shapes = [(6, 16, 16), (12, 8, 8), (48, 4, 4)]", "(h, w, c)"),
            ("shapes = [(4, 4, 48), (8, 8, 12), (16, 16, 6)]", "Largest first"),
            ("shapes = [(32, 32, 1.5), (16, 16, 3), (8, 8, 12)]", "starts with a squeeze"),
            ("shapes = [(16, 16, 6), (8, 8, 6), (4, 4, 12)]", "2112 numbers come out"),
            ("shapes = [(16, 16, 8), (8, 8, 8), (4, 4, 32)]", "The total is right"),
            ("shapes = [(16, 16, 6)]", "three shapes"),
            ("shapes = [1536, 768, 768]", "three shapes"),
            ("shapes = None", "three shapes"),
            ("shapes = 'abc'", "three shapes"),
            ("shapes = [(np.nan, 1, 1)] * 3", "nan numbers"),
        ],
    ),
    Answers(
        right=[
            swapped(),
            "def swapped(x):\n    return squeeze(x.swapaxes(1, 2)).swapaxes(1, 2)",
            "def swapped(x):\n    y = squeeze(x)\n    y[..., 1::4], y[..., 2::4] = "
            "y[..., 2::4].copy(), y[..., 1::4].copy()\n    return y",
        ],
        wrong=[
            (swapped(0, 1, 2, 3, 4, 5), "squeeze itself"),
            (swapped(0, 1, 2, 5, 4, 3), "c should be outermost"),
            (swapped(0, 1, 2, 4, 5, 3), "c comes first, then"),
            (swapped(0, 2, 1, 3, 4, 5), "Only the channels"),
            (swapped(0, 2, 1, 3, 5, 4), "but the image is transposed"),
            (swapped(then="[..., ::-1]"), "Which of them should be in channel 1"),
            (swapped(then=" * 0"), "missing, or there twice"),
            (swapped(then="[..., :4]"), "Expected the shape"),
            (swapped(then=".nothing"), "swapped raised"),
            ("def swapped(x):\n    return None", "Expected the shape"),
            ("swapped = None", "swapped raised"),
        ],
    ),
    Answers(
        right=[
            levels(),
            levels(noise="draw.normal(0, T, (n, *shape))"),
            levels(draw="draw = np.random.RandomState(seed)"),
        ],
        wrong=[
            (levels(temperatures="[temperatures[1]] * 3"), "the second temperature"),
            (levels(temperatures="reversed(temperatures)"), "The first temperature is"),
            (levels(noise="T**2 * draw.standard_normal((n, *shape))"), "the square root of one"),
            (levels(noise="T**0.5 * draw.standard_normal((n, *shape))"), "not a variance"),
            (levels(noise="draw.standard_normal((n, *shape))"), "temperature 1"),
            (levels(noise="T * draw.random((n, *shape))"), "Encoded again"),
            (levels(noise=RESTARTED), "the same noise"),
            (levels(noise="T * draw.standard_normal(shape) + np.zeros((n, 1, 1, 1))"), "the same."),
            (levels(draw="draw = np.random.default_rng()"), "The same seed"),
            (levels(draw="draw = np.random.default_rng(3)"), "Another seed"),
            (levels(noise="T * draw.standard_normal((16, *shape))"), "Expected the shape (2"),
            (levels(result="latents"), "sample_levels raised"),
            (levels(result="None"), "Expected the shape"),
            (levels(result="model.inverse(latents) * np.nan"), "not finite"),
            (levels(noise="T * draw.standard_normal(n, *shape)"), "sample_levels raised"),
        ],
    ),
]
