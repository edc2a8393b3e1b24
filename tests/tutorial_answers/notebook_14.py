"""Notebook 14, a laboratory of stability and training."""

from tutorial_answers import Answers


def rate(expression: str) -> str:
    return f"def rate(step):\n    return {expression}\n"


COSINE = "0.005 * (1 + np.cos(np.pi * (step - 10) / 70))"

ANSWERS = [
    Answers(
        right=["size = 2.88", "size = 2.9", "size = -2.88", "size = np.float32(2.88)"],
        wrong=[
            ("size = 0.01", "one weight"),
            ("size = 0.01 * np.sqrt(288)", "random signs"),
            ("size = 288 * 1000 * 0.01", "gradient descent"),
            ("size = 1000 * 0.01", "one weight in gradient"),
            ("size = 288", "Then add up"),
            ("size = 'large'", "one number"),
            ("size = float('nan')", "one number"),
            ("size = [2.88, 2.88]", "one number"),
        ],
    ),
    Answers(
        right=["W = [[2, 1], [1, 1]]", "W = np.array([[1.0, 1.0], [1.0, 2.0]])"],
        wrong=[
            ("W = np.diag([3, 1 / 3])", "scaled alone"),
            ("W = [[0, 3], [1 / 3, 0]]", "scaled alone"),
            ("W = [[0.8, -0.6], [0.6, 0.8]]", "lambda is 1"),
            ("W = [[1, 2], [0, 1]]", "again and again"),
            ("W = [[1, 5], [0, 1]]", "9 is enough"),
            ("W = 2 * np.eye(2)", "|det W| is 4"),
            ("W = np.zeros((2, 2))", "|det W| is 0"),
            ("W = np.eye(3)", "2 x 2"),
            ("W = 'shear'", "2 x 2"),
            ("W = [[np.nan, 0], [0, 1]]", "2 x 2"),
        ],
    ),
    Answers(
        right=[
            rate(f"0.001 * (step + 1) if step < 10 else {COSINE}"),
            rate(f"min(0.001 * (step + 1), {COSINE}) if step >= 10 else (step + 1) / 1000"),
        ],
        wrong=[
            (rate(f"0.001 * step if step < 10 else {COSINE}"), "rate(0) is 0"),
            (rate("0.001 * (step + 1) if step < 10 else 0.01 * (80 - step) / 70"), "halfway down"),
            (
                rate("0.001*(step + 1) if step < 10 else 0.005*(1 + np.cos(np.pi * step / 80))"),
                "at its top",
            ),
            (rate(COSINE), "Warm-up adds"),
            (rate("0.01"), "Warm-up adds"),
            (rate("None"), "TypeError"),
            (rate("'slow'"), "ValueError"),
            (rate("np.nan"), "not a finite number"),
            (rate("1 / step"), "ZeroDivisionError"),
        ],
    ),
]
