"""Notebook 11, from NICE to RealNVP to Glow."""

from tutorial_answers import Answers


def board(
    forward: str = "return Checkerboard().forward(x)",
    inverse: str = "return Checkerboard().inverse(y)",
    backward: str = "return self.inverse(y), Checkerboard().inverse(dy)",
) -> str:
    return (
        "class Board:\n    def parameters(self):\n        return {}\n"
        f"    def forward(self, x):\n        {forward}\n"
        f"    def inverse(self, y):\n        {inverse}\n"
        f"    def backward(self, y, dy, dlogdet):\n        {backward}\n"
    )


BY_INDICES = (
    "n, h, w, c = x.shape\n        odd = np.indices((h, w)).sum(axis=0) % 2 == 1\n"
    "        halves = [x[:, at].reshape(n, h, w // 2, c) for at in (~odd, odd)]\n"
    "        return np.concatenate(halves, axis=-1), np.zeros(n)"
)
COLUMNS = "return np.concatenate((x[:, :, ::2], x[:, :, 1::2]), axis=-1), np.zeros(len(x))"
SWAPPED = BY_INDICES.replace("(~odd, odd)", "(odd, ~odd)")
TWICE = BY_INDICES.replace("(~odd, odd)", "(~odd, ~odd)")
WITH_VOLUME = BY_INDICES.replace("np.zeros(n)", "np.full(n, np.log(2))")

ANSWERS = [
    Answers(
        right=["bits = 4.477", "bits = 4.48", "bits = -(5371.78 / 3072 / np.log(2) - 7)"],
        wrong=[
            ("bits = 5.477", "One bit too many"),
            ("bits = 6.477", "longer than 1"),
            ("bits = 5.251", "in nats"),
            ("bits = 2.523", "How far apart"),
            ("bits = -2.52", "How far apart"),
            ("bits = 1.75", "Divide nats by"),
            ("bits = '4.48'", "One finite number"),
            ("bits = np.nan", "One finite number"),
        ],
    ),
    Answers(
        right=[
            "direction = -2 * np.ones((6, 2, 2, 3))",
            "direction = np.zeros_like(x) + [1, 0, 0]",
            "direction = np.broadcast_to([0.5, -3, 2], x.shape)",
        ],
        wrong=[
            ("direction = 1e-9 * np.ones_like(x)", "hardly moves"),
            ("direction = x - x.mean()", "because of epsilon"),
            ("direction = np.eye(6)[0][:, None, None, None] + 0 * x", "subtracting the mean"),
            ("direction = x**2", "subtracting the mean"),
            ("direction = None", "Finite numbers"),
            ("direction = np.full_like(x, np.inf)", "Finite numbers"),
            ("direction = np.ones((6, 3))", "An array of shape"),
            ("direction = 'up'", "An array of shape"),
        ],
    ),
    Answers(
        right=[board(), board(BY_INDICES)],
        wrong=[
            (board(COLUMNS), "begin in row 1"),
            (board(SWAPPED), "Row 0"),
            (board(TWICE), "Row 0"),
            (board(WITH_VOLUME), "change a volume"),
            (board(inverse="return y"), "inverse does not give x back"),
            (board(backward="return self.inverse(y), dy"), "dx is wrong"),
            (board("return x, np.zeros(len(x))"), "should have the shape"),
            (board("return None"), "TypeError"),
            ("Board = None", "TypeError"),
        ],
    ),
]
