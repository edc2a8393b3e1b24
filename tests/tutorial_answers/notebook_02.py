"""Notebook 2, gradients by hand."""

from tutorial_answers import Answers


def softplus(dx: str, y: str = "np.logaddexp(0, x)", logdet: str = "") -> str:
    return (
        "class Softplus:\n    def parameters(self):\n        return {}\n"
        "    def forward(self, x):\n"
        f"        return {y}, {logdet or '-np.logaddexp(0, -x).sum(axis=1)'}\n"
        "    def inverse(self, y):\n        return y + np.log(-np.expm1(-y))\n"
        "    def backward(self, y, dy, dlogdet):\n        x = self.inverse(y)\n"
        f"        sigma = 1 / (1 + np.exp(-x))\n        return x, {dx}\n"
    )


THROUGH_LOGDET = "(1 - sigma) * dlogdet[:, None]"
DX = f"sigma * dy + {THROUGH_LOGDET}"

ANSWERS = [
    Answers(
        right=["power = -8.0", "power = -7.8", "power = np.log10(1.5e-8)"],
        wrong=[
            ("power = 8", "Which sign has the exponent"),
            ("power = -16", "Make both terms small"),
            ("power = -5", "The central difference has h ** 2 there"),
            ("power = -5.2", "The central difference has h ** 2 there"),
            ("power = 1e-8", "Give the exponent"),
            ("power = -10", "Too small"),
            ("power = -4", "Too large"),
            ("power = '-8'", "Put the exponent"),
            ("power = np.nan", "Put the exponent"),
        ],
    ),
    Answers(
        right=[
            "got = [0, 0, 0]",
            "got = -0.5e-4 * dh",
            "got = 1e-4 * np.cross(dh, [1.0, 0.0, 0.0])",  # orthogonal to dh
        ],
        wrong=[
            ("expected = np.zeros(3)\ngot = expected + 1e-4 * dh", "That is the expected gradient"),
            ("got = 1.0005e-4 * dh", "That is the expected gradient"),
            ("got = 0.5e-4 * dh", "still reduces the loss"),
            ("got = 2e-4 * dh", "still reduces the loss"),
            ("got = -dh", "off by more than 1e-3"),
            ("got = np.ones(3)", "off by more than 1e-3"),
            ("got = 0.0", "three numbers"),
            ("got = np.zeros(2)", "three numbers"),
            ("got = None", "three numbers"),
            ("got = ['a', 'b', 'c']", "three numbers"),
            ("got = np.full(3, np.nan)", "allclose refuses NaN"),
        ],
    ),
    Answers(
        right=[
            softplus("-np.expm1(-y) * dy + np.exp(-y) * dlogdet[:, None]"),
            softplus("sigma * dy + dlogdet[:, None] / (1 + np.exp(x))"),
        ],
        wrong=[
            (softplus("sigma * dy"), "What is the derivative of log sigma"),
            (softplus("sigma * dy - (1 - sigma) * dlogdet[:, None]"), "the derivative of log"),
            (softplus("sigma * dy + sigma * dlogdet[:, None]"), "the derivative of log sigma"),
            (softplus(f"dy + {THROUGH_LOGDET}"), "Through y, dx is dy times"),
            (softplus(f"dy / sigma + {THROUGH_LOGDET}"), "Through y, dx is dy times"),
            (softplus(DX, y="x", logdet="np.zeros(len(x))"), "The first result of forward"),
            (softplus(DX, logdet="np.zeros(len(x))"), "the sum of log sigma(x)"),
            (softplus(DX, logdet="-np.logaddexp(0, -x)"), "one number per sample"),
            (softplus(DX, y="undefined"), "NameError"),
            (softplus("undefined"), "NameError"),
            ("Softplus = 3", "has to give y and logdet"),
        ],
    ),
]
