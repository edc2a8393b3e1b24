"""Notebook 9b, training Glow on faces."""

from tutorial_answers import Answers


def cheat(dlogdet: str, deps: str = "deps") -> str:
    return (
        "def cheat(latents, n):\n    deps, dlogdet = loss_gradients(latents, n)\n"
        f"    return {deps}, {dlogdet}"
    )


def average(
    value: str = "self.a / (1 - self.beta**self.t)",
    update: str = "self.beta * self.a + (1 - self.beta) * theta",
    start: str = "0 * theta",
) -> str:
    return (
        "class Average:\n    def __init__(self, theta, beta):\n"
        f"        self.a, self.beta, self.t = {start}, beta, 0\n"
        f"    def update(self, theta):\n        self.a = {update}\n        self.t += 1\n"
        f"    def value(self):\n        return {value}"
    )


WEIGHTED = (
    "class Average:\n    def __init__(self, theta, beta):\n        self.all, self.beta = [], beta\n"
    "    def update(self, theta):\n        self.all.append(theta)\n"
    "    def value(self):\n        w = self.beta ** np.arange(len(self.all))[::-1]\n"
    "        return np.average(self.all, axis=0, weights=w)"
)

ANSWERS = [
    Answers(
        right=["times = 3.16", "times = 3.2", "times = 10**0.5"],
        wrong=[
            ("times = 0.316", "which of the two steps is longer"),
            ("times = 0.1", "What does v lose"),
            ("times = 100", "root of v"),
            ("times = 31.6", "And m"),
            ("times = 1", "something changes"),
            ("times = -3.16", "what is their quotient"),
            ("times = 'three'", "One finite number"),
            ("times = float('inf')", "One finite number"),
        ],
    ),
    Answers(
        right=[
            cheat("np.zeros(n)"),
            cheat("[0.0] * n"),
            "def cheat(latents, n):\n    c = 1 / (n * 768 * np.log(2))\n"
            "    return [c * eps for eps in latents], np.zeros(n)",
        ],
        wrong=[
            (cheat("-0.5 * dlogdet"), "pushes too hard"),
            (cheat("0.5 * dlogdet"), "What does its gradient do"),
            (cheat("0.1 * dlogdet"), "Make it pull less"),
            (cheat("dlogdet", "[2 * d for d in deps]"), "deps stays as it is"),
            (cheat("0 * dlogdet", "latents"), "deps stays as it is"),
            (cheat("0.0"), "one number per face"),
            (cheat("np.full(n, np.nan)"), "Finite numbers"),
            ("def cheat(latents, n):\n    return None", "TypeError"),
            ("cheat = None", "TypeError"),
        ],
    ),
    Answers(
        right=[average(), WEIGHTED],
        wrong=[
            (average("self.a"), "not yet to 1"),
            (average("self.a / self.t", "self.a + theta"), "plain mean"),
            (average("self.a", "theta"), "Where are the ones before"),
            (average(update="(1 - self.beta) * self.a + self.beta * theta"), "newest weight"),
            (average("self.a", start="theta"), "newest weight"),
            (average("self.a[:3]"), "as long as theta"),
            (average("None"), "as long as theta"),
            (average("self.mean"), "AttributeError"),
        ],
    ),
]
