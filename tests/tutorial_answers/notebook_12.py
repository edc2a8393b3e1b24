"""Notebook 12, ten broken layers."""

from tutorial_answers import Answers

JACOBIAN = "logdet_is_that_of_the_jacobian"


def laws(*names: str) -> str:
    return f"catching = {set(names)!r}"


def bins(expression: str) -> str:
    """Exercise 3 of notebook 12, with its other half solved."""
    return (
        f"class MyBins(cases[9].Broken):\n    def bins(self, x):\n        return {expression}\n"
        "class MyInverse(cases[10].Broken):\n    def inverse_of_w(self):\n"
        "        return np.linalg.inv(self.w.value)\n"
    )


def inverse(method: str) -> str:
    """The same, with bins solved and some method that is to mend the inverse."""
    body = "".join(f"    {line}\n" for line in method.splitlines())
    return (
        "class MyBins(cases[9].Broken):\n    def bins(self, x):\n"
        "        return np.clip(np.floor(x).astype(int) + 2, 0, 3)\n"
        f"class MyInverse(cases[10].Broken):\n{body}"
    )


def kept_unless(same: str, remembered: str) -> str:
    """The inverse is kept as long as `same` is true of what was `remembered` with it."""
    return inverse(
        f"def inverse_of_w(self):\n    if self.kept.size == 0 or not ({same}):\n"
        f"        self.mark, self.kept = {remembered}, np.linalg.inv(self.w.value)\n"
        "    return self.kept"
    )


W = "self.w.value"
FORGETS = "def forward(self, x):\n    self.kept = np.zeros((0, 0))\n    return super().forward(x)"
NOT_BY_BACKWARD = "def inverse(self, y):\n    return y @ np.linalg.inv(self.w.value)"
NOT_AN_ARRAY = "def inverse_of_w(self):\n    return np.linalg.inv(self.w)"
SUM = f"{W}.sum()"

ANSWERS = [
    Answers(
        right=[f"catching = {JACOBIAN!r}", f"catching = [{JACOBIAN!r}]", laws(JACOBIAN)],
        wrong=[
            (laws("inverse_of_forward", JACOBIAN), "Does pixels"),
            (laws(JACOBIAN, "samples_are_independent"), "alone and in a batch"),
            (laws(JACOBIAN, "gradients_through_logdet"), "What does backward differentiate"),
            (laws(), "from an independent source"),
            (laws("logdet"), "logdet: not one of the four"),
        ],
    ),
    Answers(
        right=[
            "sample = [[2, 0, 0]]",
            "sample = np.full((1, 3), 2.0)",
            "sample = (-7, 2, 0.1)",
        ],
        wrong=[
            ("sample = np.zeros((1, 3))", "lie in existing bins"),
            ("sample = [[-2.0, 0, 1]]", "the other end"),
            ("sample = [[2.001, 3, 4]]", "no bin is looked up"),
            ("sample = [[1.9999999, 0, 0]]", "the first number"),
            ("sample = [[np.nan, 0, 0]]", "Finite"),
            ("sample = 2.0", "Three numbers"),
            ("sample = 'two'", "Three numbers"),
        ],
    ),
    Answers(
        right=[
            bins("np.where(x == 2, 3, np.floor(x).astype(int) + 2)"),
            bins("np.searchsorted([-1, 0, 1], x, side='right')"),
            kept_unless(f"np.array_equal(self.mark, {W})", f"{W}.copy()"),
            kept_unless(f"self.mark == {W}.tobytes()", f"{W}.tobytes()"),
            kept_unless("False", "None"),
        ],
        wrong=[
            (bins("np.minimum(np.floor(x).astype(int) + 2, 4)"), "gives 4"),
            (bins("(np.floor(x).astype(int) + 2) % 4"), "gives 0 for x = 2"),
            (bins("np.minimum(np.floor(x).astype(int) + 2, 2)"), "gives 2 for x = 2"),
            (bins("np.ceil(x).astype(int) + 1"), "gives -1 for x = -2"),
            (bins("np.clip(np.round(x).astype(int) + 2, 0, 3)"), "between"),
            (bins("np.clip(np.floor(x) + 2, 0, 3)"), "IndexError"),
            (bins("np.floor(y)"), "NameError"),
            (kept_unless(f"self.mark is {W}", W), "keep a copy"),
            (kept_unless(f"np.array_equal(self.mark, {W})", W), "keep a copy"),
            (inverse(FORGETS), "Who has to notice"),
            (inverse(NOT_BY_BACKWARD), "Who has to notice"),
            (kept_unless(f"np.allclose(self.mark, {W})", f"{W}.copy()"), "not nearly equal"),
            (kept_unless(f"np.isclose(self.mark, {SUM}, rtol=1e-13)", SUM), "all of W"),
            (inverse(NOT_AN_ARRAY), "LinAlgError"),
        ],
    ),
]
