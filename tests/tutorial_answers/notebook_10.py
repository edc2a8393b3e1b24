"""Notebook 10, eight workers."""

from tutorial_answers import Answers


def parts(first: str, second: str) -> str:
    return f"parts = [{first}, {second}]"


def tree(body: str) -> str:
    return f"def tree_sum(vectors):\n    {body}"


RECURSIVE = (
    "half = len(vectors) // 2\n    if half == 0:\n        return vectors[0]\n"
    "    return tree_sum(vectors[:half]) + tree_sum(vectors[half:])"
)
HALVES = (
    "while len(vectors) > 1:\n        half = len(vectors) // 2\n"
    "        vectors = [a + b for a, b in zip(vectors[:half], vectors[half:])]\n"
    "    return vectors[0]"
)
IN_PLACE = "for vector in vectors[1:]:\n        vectors[0] += vector\n    return vectors[0]"

ANSWERS = [
    Answers(
        right=["megabytes = 312", "megabytes = 312.2", "megabytes = 1.75 * 178.4"],
        wrong=[
            ("megabytes = 156.1", "How many are there"),
            ("megabytes = 78.06", "How many bytes has each"),
            ("megabytes = 356.8", "How many rounds has a trip"),
            ("megabytes = 178.4", "one whole vector"),
            ("megabytes = 2497.8", "all send together"),
            ("megabytes = 312225228", "a million"),
            ("megabytes = 22.3", "Count the rounds"),
            ("megabytes = '312'", "One finite number"),
        ],
    ),
    Answers(
        right=[
            parts("[0, 1, 2]", "[50, 51]"),
            parts("np.array([[-9.0, -8.9]])", "np.arange(9.0, 10.0, 0.1)"),
            "parts = np.array([[0, 1], [100, 101]])",
        ],
        wrong=[
            (parts("[0, 1]", "[0, 100]"), "the right way"),
            (parts("[-1, 1]", "[-100, 100]"), "the means are equal"),
            (parts("[0, 0]", "[100, 100]"), "divide by 0"),
            (parts("[3, 3]", "[3, 3]"), "no variance at all"),
            (parts("[0]", "[100]"), "At least two numbers"),
            ("parts = [[0, 1], [50, 51], [100, 101]]", "these are 3"),
            (parts("[0, np.nan]", "[1, 2]"), "below a million"),
            (parts("'a'", "'b'"), "Two arrays of numbers"),
            ("parts = None", "Two arrays of numbers"),
        ],
    ),
    Answers(
        right=[tree(RECURSIVE)],
        wrong=[
            (tree(HALVES), "Which pairs are added first"),
            (tree("return np.sum(vectors, axis=0)"), "Which pairs are added first"),
            (tree("return np.sum(vectors, axis=0, dtype=np.float64)"), "float64"),
            (tree("return vectors[0]"), "up to rounding"),
            (tree("return np.mean(vectors, axis=0)"), "up to rounding"),
            (tree(IN_PLACE), "changes the vectors"),
            (tree("return sum(vectors).sum()"), "One vector"),
            (tree("return vectors.total()"), "AttributeError"),
        ],
    ),
]
