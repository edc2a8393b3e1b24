"""Notebook 1, change of variables."""

from tutorial_answers import Answers


def sinh(logdet: str, dx: str, y: str = "np.sinh(x)", inverse: str = "np.arcsinh(y)") -> str:
    return (
        "class Sinh:\n    def parameters(self):\n        return {}\n"
        f"    def forward(self, x):\n        return {y}, {logdet}\n"
        f"    def inverse(self, y):\n        return {inverse}\n"
        "    def backward(self, y, dy, dlogdet):\n        x = self.inverse(y)\n"
        f"        return x, {dx}\n"
    )


LOGDET = "np.log(np.cosh(x)).sum(axis=1)"
THROUGH_Y = "np.cosh(x) * dy"
DX = f"{THROUGH_Y} + np.tanh(x) * dlogdet[:, None]"

ANSWERS = [
    Answers(
        right=["change = 0.69", "change = 0.693", "change = 0.7", "change = np.float32(0.6931)"],
        wrong=[
            ("change = -0.693", "Is p_X larger or smaller"),
            ("change = 0", "What does the other term do"),
            ("change = 2", "A change of log p_X is a logarithm"),
            ("change = 1", "In nats, logarithms are natural ones"),
            ("change = np.log(4)", "only s2 changes"),
            ("change = 0.35", "which term of the boxed equation"),
            ("change = np.nan", "Put one number"),
            ("change = 'log 2'", "Put one number"),
            ("change = np.zeros(2)", "Put one number"),
        ],
    ),
    Answers(
        right=[
            "cheat = Bend((0.001, -0.001), 0.0, 0.0)",
            "cheat = Bend((1e-3, 1e-3), 0.1, -0.4)",
            "cheat = Bend((1e-30, 1e-30))",
        ],
        wrong=[
            ("cheat = Bend((0.0, 0.0), 0.0, 0.0)", "not invertible"),
            ("cheat = Bend((1e-6, 0.0), 0.0, 0.0)", "not invertible"),
            ("cheat = Bend((0.1, 0.1), 0.0, 0.0)", "You are on the way"),
            ("cheat = Bend((50.0, 50.0), 0.0, 0.0)", "moved points away"),
            ("cheat = Bend((np.nan, 1.0), 0.0, 0.0)", "not invertible"),
            ("cheat = Bend((1e-6, 1e-6), 'a', 0.0)", "A Bend takes (s1, s2), a and b"),
            ("cheat = Bend(1e-6, 0.0, 0.0)", "A Bend takes (s1, s2), a and b"),
            ("cheat = (1e-6, 1e-6)", "cheat has to be a Bend"),
            (
                "class Still(Bend):\n    def forward(self, x):\n"
                "        return 0 * x, np.zeros(len(x))\ncheat = Still()",
                "cheat has to be a Bend",
            ),
        ],
    ),
    Answers(
        right=[
            sinh("np.log1p(np.sinh(x) ** 2).sum(axis=1) / 2", DX),
            sinh(LOGDET, "np.sqrt(1 + y**2) * dy + y / np.sqrt(1 + y**2) * dlogdet[:, None]"),
        ],
        wrong=[
            (sinh("np.log(np.cosh(x))", DX), "one number per sample"),
            (sinh("-" + LOGDET, DX), "The Jacobian is diagonal"),
            (sinh("np.cosh(x).sum(axis=1)", DX), "The Jacobian is diagonal"),
            (sinh(LOGDET, THROUGH_Y), "Differentiate it"),
            (sinh(LOGDET, f"{THROUGH_Y} - np.tanh(x) * dlogdet[:, None]"), "Differentiate it"),
            (sinh(LOGDET, "dy + np.tanh(x) * dlogdet[:, None]"), "taken at x"),
            (sinh(LOGDET, "np.cosh(y) * dy + np.tanh(x) * dlogdet[:, None]"), "taken at x"),
            (sinh(LOGDET, DX, y="np.cosh(x)"), "The first result of forward"),
            (sinh(LOGDET, DX, y="np.sinh(undefined)"), "Sinh().forward(x) has to give"),
            (sinh(LOGDET, DX, inverse="np.arcsin(y)"), "inverse_of_forward"),
            ("Sinh = None", "Sinh().forward(x) has to give"),
        ],
    ),
]
