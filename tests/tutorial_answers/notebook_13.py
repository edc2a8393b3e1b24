"""Notebook 13, a playground in two dimensions."""

from tutorial_answers import Answers


def tear(expression: str) -> str:
    return f"def tear(z):\n    return {expression}\n"


def shears(expression: str) -> str:
    return f"def shears(theta):\n    return {expression}\n"


AREA = "2 * np.pi * np.log(2)"
TAN = "np.tan(theta / 2)"

ANSWERS = [
    Answers(
        right=[
            f"area = {AREA} / np.exp(ell)",
            "area = round(4.355 * np.exp(-ell), 2)",
            f"area = np.array([{AREA} * np.exp(-ell)])[0]",
        ],
        wrong=[
            (f"area = {AREA} * np.exp(ell)", "Which way do you go"),
            (f"area = {AREA}", "in the plane of z"),
            ("area = np.pi * np.log(2) * np.exp(-ell)", "below the square"),
            ("area = np.pi * np.exp(-ell)", "Half of the noise"),
            (f"area = {AREA} * ell", "Find the disc"),
            ("area = 'half'", "one number"),
            ("area = float('nan')", "one number"),
            ("area = [1.0, 2.0]", "one number"),
        ],
    ),
    Answers(
        right=[
            tear("np.where(z > 0, z + 1, z - 1)"),
            tear("0.5 * z + 1.5 * np.sign(z)"),
            tear("[v + (1 if v > 0 else -1) for v in z]"),
        ],
        wrong=[
            (tear("z + 0.5 * np.sign(z)"), "At which z is a jump allowed"),
            (tear("3000 * z"), "is a stretch"),
            (tear("z + 2 * np.tanh(100 * z)"), "is a stretch"),
            (tear("abs(z) + 1"), "Not increasing"),
            (tear("-z - np.sign(z)"), "Not increasing"),
            (tear("np.sign(z) * 2"), "two z share"),
            (tear("np.where(z > 0, z + 1, np.nan)"), "one finite number"),
            (tear("None"), "one finite number"),
            (tear("z[0]"), "one finite number"),
            (tear("[z[:3], z[:4]]"), "ValueError"),
            (tear("z + sign(z)"), "NameError"),
            ("tear = 1", "TypeError"),
        ],
    ),
    Answers(
        right=[
            shears("(1 - np.cos(theta)) / np.sin(theta), -np.sin(theta), " + TAN),
            shears(f"np.array([{TAN}, -np.sin(theta), {TAN}])"),
        ],
        wrong=[
            (shears(f"-{TAN}, np.sin(theta), -{TAN}"), "clockwise"),
            (shears("theta / 2, -theta, theta / 2"), "the upper right"),
            (shears("np.tan(theta), -np.sin(theta), np.tan(theta)"), "b is right"),
            (shears(f"{TAN}, -np.sin(theta), 0"), "gives you c"),
            (shears(f"{TAN}, -np.sin(theta)"), "three finite numbers"),
            (shears("None, None, None"), "three finite numbers"),
            (shears("1 / 0, 0, 0"), "ZeroDivisionError"),
            (shears("'a', 'b', 'c'"), "ValueError"),
        ],
    ),
]
