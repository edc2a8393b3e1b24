"""Notebook 15, your own images."""

from tutorial_answers import Answers


def prepare(expression: str) -> str:
    return f"def prepare(images):\n    return {expression}\n"


def unlift(blue: str = "t - co // 2", red: str = "b + co", green: str = "t + cg") -> str:
    return (
        "def unlift(ycc):\n    y, co, cg = np.moveaxis(ycc, -1, 0)\n    t = y - cg // 2\n"
        f"    b = {blue}\n    return np.stack(({red}, {green}, b), axis=-1)\n"
    )


def returning(expression: str) -> str:
    return f"def unlift(ycc):\n    return {expression}\n"


NOISY = (
    "(images.astype(int) + np.random.default_rng(0).integers(-16, 17, images.shape))"
    ".clip(0, 255).astype(np.uint8)"
)

ANSWERS = [
    Answers(
        right=["difference = -2.0", "difference = np.log2(1 / 4)", "difference = '-2'"],
        wrong=[
            ("difference = 2", "higher or lower"),
            ("difference = np.log(1 / 4)", "How many bits is"),
            ("difference = np.log(4)", "the sign is wrong"),
            ("difference = -6", "How many numbers has a pixel"),
            ("difference = 6", "for each pixel, and the sign"),
            ("difference = -4", "with ell and without"),
            ("difference = 'lower'", "one number"),
            ("difference = float('inf')", "one number"),
        ],
    ),
    Answers(
        right=[
            prepare("images // 32 * 32 + 15"),
            prepare("(np.round(images / 32) * 32).clip(0, 255).astype(np.uint8)"),
        ],
        wrong=[
            (prepare("images // 2"), "which one can see"),
            (prepare("images // 25 * 25 + 12"), "changes by 249"),
            (prepare("np.zeros_like(images)"), "which one can see"),
            (prepare(NOISY), "Noise needs bits"),
            (prepare("images // 16 * 16"), "How many different levels"),
            (prepare("images - images % 2"), "How many different levels"),
            (prepare("images / 32"), "Expected uint8"),
            (prepare("images[:3]"), "Expected uint8"),
            (prepare("None"), "Expected uint8"),
            (prepare("imgs"), "NameError"),
        ],
    ),
    Answers(
        right=[
            unlift(blue="t - np.floor(co / 2).astype(int)"),
            unlift().replace("t = y - cg // 2", "t = y - (cg >> 1)"),
        ],
        wrong=[
            (unlift(blue="t - co / 2"), "Half a level"),
            (unlift(green="y + cg"), "Green is wrong"),
            (unlift(blue="y - co // 2"), "With t and co"),
            (unlift(red="b - co"), "What was co"),
            (returning("ycc[..., 0]"), "Expected the shape"),
            (returning("None"), "Expected the shape"),
            (returning("ycc.astype(str)"), "Expected numbers"),
            (returning("np.full(ycc.shape, np.nan)"), "not finite"),
            (returning("ycc @ np.eye(2)"), "ValueError"),
            ("def lift(rgb):\n    return rgb\n\n\n" + returning("ycc"), "Green is wrong"),
        ],
    ),
]
