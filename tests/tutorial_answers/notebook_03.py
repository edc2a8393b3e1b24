"""Notebook 3, ActNorm."""

from tutorial_answers import Answers


def both(nats: str, bits: str = "768") -> str:
    return f"nats, bits = {nats}, {bits}"


def forgetful(through_logdet: str, laws: str = "{'gradients_through_logdet'}", dx: str = "") -> str:
    return (
        "class Forgetful(ActNorm):\n    def backward(self, y, dy, dlogdet):\n"
        "        x, s = self.inverse(y), self.s.value\n"
        f"        self.s.grad[...] += (x * dy).sum(axis=(0, 1, 2)) {through_logdet}\n"
        "        self.b.grad[...] += dy.sum(axis=(0, 1, 2))\n"
        f"        return x, {dx or 's * dy'}\n"
        f"noticed_by = {laws}\n"
    )


def log_actnorm(
    l_grad: str = "3 * ((dy * y).sum(axis=(0, 1, 2)) + HW * dlogdet.sum())",
    b_grad: str = "dx.sum(axis=(0, 1, 2))",
    logdet: str = "np.full(len(x), 3 * HW * l.sum())",
    y: str = "(x + b) * np.exp(3 * l)",
    x: str = "y * np.exp(-3 * l) - b",
) -> str:
    return (
        "class LogActNorm:\n    def __init__(self, channels):\n"
        "        self.l, self.b = Parameter(np.zeros(channels)), Parameter(np.zeros(channels))\n"
        "    def parameters(self):\n        return {'l': self.l, 'b': self.b}\n"
        "    def forward(self, x):\n"
        "        l, b, HW = self.l.value, self.b.value, x.shape[1] * x.shape[2]\n"
        f"        return {y}, {logdet}\n"
        "    def inverse(self, y):\n        l, b = self.l.value, self.b.value\n"
        f"        return {x}\n"
        "    def backward(self, y, dy, dlogdet):\n"
        "        dx, HW = dy * np.exp(3 * self.l.value), y.shape[1] * y.shape[2]\n"
        f"        self.l.grad[...] += {l_grad}\n        self.b.grad[...] += {b_grad}\n"
        "        return self.inverse(y), dx\n"
    )


LAW = "'gradients_through_logdet'"
KEPT = "+ dlogdet.sum() / s"

ANSWERS = [
    Answers(
        right=[both("532.3"), both("532"), both("532.34", "768.0"), both("768 * 0.6931")],
        wrong=[
            (both("768", "532.3"), "Which logarithm gives nats"),
            (both("3 * np.log(2)", "3"), "How many pixels are there"),
            (both("256 * np.log(2)"), "How many are there"),
            (both("-532.3"), "stretch or shrink"),
            (both("np.log(768 * 2)"), "First take the product"),
            (both("532.3", "532.3"), "A bit is log 2 nats"),
            (both("532.3", "369"), "the bits are more"),
            (both("532.3", "8"), "how many nats is one bit"),
            (both("100"), "on how many numbers"),
            (both("532.3", "None"), "Put two numbers"),
            (both("'many'"), "Put two numbers"),
            (both("np.nan"), "Put two numbers"),
            ("nats, bits = np.zeros(2), 768", "Put two numbers"),
        ],
    ),
    Answers(
        right=[
            forgetful(KEPT, LAW),
            forgetful(KEPT, f"[{LAW}]"),
            forgetful("+ (dlogdet[:, None] / s).sum(axis=0)"),
        ],
        wrong=[
            (forgetful(""), "The whole term is gone"),
            (forgetful("+ 0 * dlogdet.sum() / s"), "The whole term is gone"),
            (forgetful("+ y.shape[1] * y.shape[2] * dlogdet.sum() / s"), "forgets nothing"),
            (forgetful("- dlogdet.sum() / s"), "leave everything but the factor HW"),
            (forgetful("+ y.shape[1] * dlogdet.sum() / s"), "leave everything but the factor HW"),
            (forgetful(KEPT, dx="dy"), "Only ds may differ"),
            (forgetful(KEPT, "set()"), "One law at least"),
            (forgetful(KEPT, f"{{{LAW}, 'gradients_through_y'}}"), "Through which result"),
            (forgetful(KEPT, "{'gradients_through_y'}"), "Through which result"),
            (forgetful(KEPT, "{'inverse_of_forward'}"), "a law of forward and inverse"),
            (
                forgetful(KEPT, f"{{{LAW}, 'logdet_is_that_of_the_jacobian'}}"),
                "a law of forward and inverse",
            ),
            (forgetful(KEPT, "{'logdet'}"), "Not a law: logdet"),
            (forgetful(KEPT, "None"), "Not a law: None"),
            (forgetful(KEPT, "[['a']]"), "Not a law"),
            (forgetful("+ undefined"), "NameError"),
            ("Forgetful = None", "has to be a layer"),
        ],
    ),
    Answers(
        right=[
            log_actnorm(l_grad="3 * (dy * y).sum(axis=(0, 1, 2)) + 3 * HW * dlogdet.sum()"),
            log_actnorm(logdet="np.full(len(x), HW * np.log(np.exp(3 * l)).sum())"),
        ],
        wrong=[
            (log_actnorm(y="x * np.exp(3 * l) + b", x="(y - b) / np.exp(3 * l)"), "forward has to"),
            (log_actnorm(y="(x + b) * np.exp(l)"), "forward has to give"),
            (log_actnorm(logdet="np.full(len(x), 3 * l.sum())"), "how often does it appear"),
            (log_actnorm(logdet="np.full(len(x), HW * l.sum())"), "What is s here"),
            (log_actnorm(logdet="3 * HW * l.sum()"), "one number per image"),
            (
                log_actnorm("(dy * y).sum(axis=(0, 1, 2)) + HW * dlogdet.sum()"),
                "l acts on y through exp(3 l)",
            ),
            (log_actnorm("3 * (dy * y).sum(axis=(0, 1, 2))"), "and on logdet as well"),
            (log_actnorm(b_grad="dy.sum(axis=(0, 1, 2))"), "Which factor does that bring"),
            (log_actnorm(x="(y - b) * np.exp(-3 * l)"), "Undo the two operations"),
            (log_actnorm(y="undefined"), "NameError"),
            (log_actnorm("undefined"), "NameError"),
            ("LogActNorm = dict", "LogActNorm needs l, b, and a forward"),
        ],
    ),
]
