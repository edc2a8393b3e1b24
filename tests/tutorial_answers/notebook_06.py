"""Notebook 6, affine coupling."""

from tutorial_answers import Answers

ADDITIVE = """
class Additive:
    def __init__(self, net):
        self.net = net

    def parameters(self):
        return self.net.parameters()

    def forward(self, x):
        x1, x2 = halves(x)
        return join(x1, x2 + self.net.forward(x1)[0]), np.zeros(len(x))

    def inverse(self, y):
        y1, y2 = halves(y)
        return join(y1, y2 - self.net.forward(y1)[0])

    def backward(self, y, dy, dlogdet):
        (y1, y2), (dy1, dy2) = halves(y), halves(dy)
        t, cache = self.net.forward(y1)
        dx1 = dy1 + self.net.backward(dy2, cache)
        return join(y1, y2 - t), join(dx1, dy2)
"""


def but(*changes: tuple[str, str]) -> str:
    """The additive coupling, with some of its text replaced."""
    text = ADDITIVE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


RETURNED = "self.net.backward(dy2, cache)"

ANSWERS = [
    Answers(
        right=["count = 15", "count = 15.0", "count = 3 * 3 + 3 + 3", "count = np.int64(15)"],
        wrong=[
            ("count = 36", "What does y1 depend on?"),
            ("count = 27", "each output needs one input"),
            ("count = 21", "each output needs one input"),
            ("count = 6", "on the diagonal. What else"),
            ("count = 9", "the lower left block"),
            ("count = 12", "still missing"),
            ("count = 18", "which of the blocks are diagonal?"),
            ("count = 7", "Look at the blocks"),
            ("count = np.nan", "Look at the blocks"),
            ("count = 'fifteen'", "one number"),
            ("count = (3, 3, 9)", "one number"),
        ],
    ),
    Answers(
        right=["h = -110", "h = -20", "h = -1000.0", "h = np.float32(-30)", "h = -18.7"],
        wrong=[
            ("h = 25", "Which h make it small?"),
            ("h = -5", "near 1"),
            ("h = -17", "You are close"),
            ("h = -np.inf", "one finite number"),
            ("h = np.nan", "one finite number"),
            ("h = None", "one finite number"),
            ("h = 'small'", "one finite number"),
            ("h = [-25, -30]", "one finite number"),
        ],
    ),
    Answers(
        right=[
            but(),
            but(("y2 - t), join", "y2 - t), 1.0 * join")),
            but(("np.zeros(len(x))", "0 * x.sum(axis=(1, 2, 3))")),
        ],
        wrong=[
            (but(("x2 + self", "x2 - self")), "it should add it"),
            (but(("join(x1, x2 + self", "join(0 * x1, x2 + self")), "keep x1"),
            (but(("np.zeros(len(x))", "self.net.forward(x1)[0].sum(axis=(1, 2, 3))")), "a shift"),
            (but(("np.zeros(len(x))", "0.0")), "a shift"),
            (but(("y2 - self", "y2 + self")), "Now take it away"),
            (but(("return join(y1, y2 - self.net.forward(y1)[0])", "return None")), "Now take"),
            (but(("return join(y1, y2 - t)", "return y")), "the first result is x"),
            (but((f" + {RETURNED}", "")), "x1 acts twice"),
            (but((f"dy1 + {RETURNED}", f"dy1 - {RETURNED}")), "Which way"),
            (but((f"dy1 + {RETURNED}", RETURNED)), "Which way"),
            (but(("return join(y1, y2 - t)", f"{RETURNED}; return join(y1, y2 - t)")), "once"),
            (but(("self.net.parameters()", "{}")), "parameters: all"),
            (but(("return self.net.parameters()", "pass")), "AttributeError"),
            (but((", np.zeros(len(x))", "")), "two arrays"),
            (but(("x2 + self", "x3 + self")), "NameError"),
            (but(("        x1, x2 = halves(x)", "        x2, x1 = halves(x)")), "keep x1"),
            ("Additive = None", "TypeError"),
        ],
    ),
]
