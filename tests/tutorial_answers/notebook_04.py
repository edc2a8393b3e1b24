"""Notebook 4, the invertible 1x1 convolution."""

from tutorial_answers import Answers


def logdet(value: str) -> str:
    return f"logdet_of_any = {value}"


def bad(rows: str) -> str:
    return f"bad = np.array({rows})"


def exponential(
    matrix: str = "scipy.linalg.expm(A)",
    inverse: str = "scipy.linalg.expm(-A)",
    log_abs_det: str = "np.trace(A)",
) -> str:
    return (
        f"def matrix(A):\n    return {matrix}\n"
        f"def inverse_matrix(A):\n    return {inverse}\n"
        f"def log_abs_det(A):\n    return {log_abs_det}\n"
    )


ANSWERS = [
    Answers(
        right=[logdet("153.9"), logdet("154"), logdet("153.87"), logdet("64 * np.log(11.07)")],
        wrong=[
            (logdet("64 * np.log(3 * 1.23)"), "How many are there"),
            (logdet("2.404"), "That is for one pixel"),
            (logdet("128 * np.log(11.07)"), "already contains both channels"),
            (logdet("64 * np.log2(11.07)"), "That is in bits"),
            (logdet("-153.87"), "larger or smaller"),
            (logdet("64 * np.log(1.23)"), "What does the factor 3 do"),
            (logdet("64 * np.log(9 * 0.93)"), "mind the sign"),
            (logdet("708.48"), "Where is the logarithm"),
            (logdet("100"), "what is det(3 W)"),
            (logdet("np.nan"), "Put one number"),
            (logdet("'154'"), "Put one number"),
            (logdet("np.zeros((2, 2))"), "Put one number"),
        ],
    ),
    Answers(
        right=[
            bad("[[1e4, 9999], [10001, 1e4]]"),
            bad("[[1, 1e6], [0, 1]]"),
            "bad = [[1000, 999], [1001, 1000]]",
        ],
        wrong=[
            (bad("[[1e6, 0], [0, 1e-6]]"), "rescales each number by itself"),
            (bad("[[0, -1e6], [1e-6, 0]]"), "rescales each number by itself"),
            (bad("[[10.0, 9.0], [11.0, 10.0]]"), "Is it large enough"),
            (bad("[[1.0, 1000.0], [0.0, 1.0]]"), "here little cancels"),
            (bad("[[1000.0, 999.0], [1000.0, 1000.0]]"), "The determinant has to be 1"),
            (bad("[[1.0, 1.0], [1.0, 1.0]]"), "The determinant has to be 1"),
            (bad("[[np.nan, 0], [0, 1]]"), "Entries have to be finite"),
            (bad("[[1e20, 0], [0, 1e-20]]"), "below 1e7"),
            (bad("[1.0, 1.0]"), "2 x 2 array"),
            (bad("[['a', 'b'], ['c', 'd']]"), "2 x 2 array"),
            ("bad = None", "2 x 2 array"),
            ("bad = 1j * np.eye(2)", "2 x 2 array"),
        ],
    ),
    Answers(
        right=[
            exponential(inverse="np.linalg.inv(scipy.linalg.expm(A))"),
            exponential(log_abs_det="np.linalg.slogdet(scipy.linalg.expm(A))[1]"),
            exponential(log_abs_det="np.linalg.eigvals(A).sum().real"),
        ],
        wrong=[
            (exponential("np.exp(A)"), "takes each entry by itself"),
            (exponential("scipy.linalg.expm(A).T"), "matrix: That is transposed"),
            (exponential("scipy.linalg.expm(-A)"), "matrix: That is exp(-A)"),
            (exponential("np.eye(5) + A"), "It has to be I + A"),
            (exponential(inverse="np.linalg.inv(A)"), "And that of exp(A)"),
            (exponential(inverse="scipy.linalg.expm(A).T"), "only a rotation"),
            (exponential(inverse="-scipy.linalg.expm(A)"), "The sign belongs to A"),
            (exponential(inverse="np.eye(5)"), "@ exp(A) has to be I"),
            (exponential(log_abs_det="np.linalg.det(matrix(A))"), "Which function is missing"),
            (exponential(log_abs_det="A.sum()"), "the diagonal only"),
            (exponential(log_abs_det="-np.trace(A)"), "That is of the inverse"),
            (exponential(log_abs_det="np.linalg.slogdet(A)[1]"), "and not of exp(A)"),
            (exponential(log_abs_det="np.nan"), "not a finite number"),
            (exponential(log_abs_det="0.0"), "in nats"),
            (exponential(log_abs_det="np.diag(A)"), "has to have the shape ()"),
            (exponential(log_abs_det="None"), "log_abs_det"),
            (exponential("undefined"), "NameError"),
            (exponential("'exp(A)'"), "matrix(A) has to give numbers"),
            ("matrix = 3", "matrix(A) has to give numbers"),
        ],
    ),
]
