"""Notebook 9a, bits per dimension and dequantisation."""

from tutorial_answers import Answers


def tighter(body: str) -> str:
    return f"def tighter(log_p, D, n):\n    return {body}"


SUM = "np.logaddexp.reduce(log_p, axis=0)"

ANSWERS = [
    Answers(
        right=["size = 106", "size = 105.8", "size = np.float64(105)"],
        wrong=[
            ("size = 768 * best", "How many bits are in a byte"),
            ("size = 256 * best / 8", "a pixel has three"),
            ("size = 768 * best * np.log(2) / 8", "in bits already"),
            ("size = 480", "without a model"),
            ("size = 3.3", "How many numbers"),
            ("size = 'many'", "One finite number"),
            ("size = np.nan", "One finite number"),
            ("size = [106]", "One finite number"),
        ],
    ),
    Answers(
        right=["sigma = 1e-9", "sigma = 2.0**-40", "sigma = 1e-50"],
        wrong=[
            ("sigma = 1e-3", "What does half the width"),
            ("sigma = 0.5", "overlap"),
            ("sigma = 0", "positive"),
            ("sigma = -1e-8", "positive"),
            ("sigma = 1e-200", "Floating-point"),
            ("sigma = None", "One finite number"),
            ("sigma = '1e-8'", "One finite number"),
        ],
    ),
    Answers(
        right=[
            tighter(f"bits_per_dim({SUM} - np.log(len(log_p)), D, int(np.log2(n)))"),
            tighter(f"-(({SUM} - np.log(len(log_p))) / D - np.log(n)) / np.log(2)"),
        ],
        wrong=[
            (tighter("score(np.log(np.exp(log_p).mean(axis=0)), D, n)"), "Overflow"),
            (tighter(f"score({SUM}, D, n)"), "a mean is the sum divided"),
            (tighter("score(log_p.max(axis=0), D, n)"), "best draw"),
            (tighter(f"np.log(2) * score({SUM} - np.log(len(log_p)), D, n)"), "In nats"),
            (tighter(f"-({SUM} - np.log(len(log_p))) / (D * np.log(2))"), "Where is D ln n"),
            (tighter(f"score({SUM} - np.log(len(log_p)), 768, 32)"), "another D and n"),
            (tighter(f"-score({SUM} - np.log(len(log_p)), D, n)"), "Not yet"),
            (tighter("score(log_p.mean(axis=1), D, n)"), "One number per image"),
            (tighter("log_p.average()"), "AttributeError"),
            (tighter("None"), "One number per image"),
        ],
    ),
]
