"""Notebook 8, memory for free."""

from tutorial_answers import Answers

DRIFTS = """
def drifts(chain, y, kept):
    off = {}
    for i, layer in reversed(list(enumerate(chain.layers))):
        y = layer.inverse(y)
        if i in kept:
            off[i] = float(np.abs(y - kept[i]).max())
            y = kept[i]
    return off
"""


def but(old: str = "", new: str = "") -> str:
    """The solution, with some of its text replaced."""
    assert old in DRIFTS
    return DRIFTS.replace(old, new) if old else DRIFTS


IN_SLICES = """
def drifts(chain, y, kept):
    off, ends = {}, [*sorted(kept)[1:], len(chain.layers)]
    for first, end in reversed(list(zip(sorted(kept), ends))):
        y = Chain(chain.layers[first:end]).inverse(kept.get(end, y))
        off[first] = np.max(np.abs(y - kept[first]))
    return off
"""

ANSWERS = [
    Answers(
        right=["alive = 13.86", "alive = 13.9", "alive = 14.0", "alive = 2 * 48**0.5"],
        wrong=[
            ("alive = 7", "near the best k"),
            ("alive = 6.93", "near the best k"),
            ("alive = 13", "Round 48/k up"),
            ("alive = 48", "Try other k"),
            ("alive = 49", "Try other k"),
            ("alive = 1", "not invertible"),
            ("alive = 16", "derivative"),
            ("alive = -13.86", "derivative"),
            ("alive = np.nan", "one number"),
            ("alive = '14 or so'", "one number"),
            ("alive = (6, 8)", "one number"),
        ],
    ),
    Answers(
        right=["every = 8.0", "every = np.int64(8)", "every = '8'"],
        wrong=[
            ("every = 0", "no anchors"),
            ("every = 25", "Take 1 to 24"),
            ("every = -1", "Take 1 to 24"),
            ("every = 9", "Keep more anchors"),
            ("every = 12", "Keep more anchors"),
            ("every = 7", "fewer anchors"),
            ("every = 1", "fewer anchors"),
            ("every = 7.5", "one whole number"),
            ("every = None", "one whole number"),
            ("every = np.inf", "one whole number"),
            ("every = [8]", "one whole number"),
        ],
    ),
    Answers(
        right=[but("float(np.abs(y - kept[i]).max())", "np.abs(y - kept[i]).max()"), IN_SLICES],
        wrong=[
            (but("            y = kept[i]\n", ""), "Go on from the anchor"),
            (but("np.abs(y - kept[i]).max()", "(y - kept[i]).max()"), "as you report"),
            (but("np.abs(y - kept[i]).max()", "(kept[i] - y).max()"), "as you report"),
            (but("np.abs(y - kept[i]).max()", "np.abs(y - kept[i]).mean()"), "as you report"),
            (but("np.abs(y - kept[i]).max()", "((y - kept[i]) ** 2).max()"), "as you report"),
            (but("        y = layer.inverse(y)\n", ""), "Nothing has drifted yet"),
            (but("layer.inverse(y)", "layer.forward(y)[0]"), "Nothing has drifted yet"),
            (but("off[i] = ", "y = kept[i]; off[i] = "), "before you replace"),
            (but("if i in kept", "if i in kept and i"), "The keys should be"),
            (but("if i in kept", "if True"), "drifts raised"),
            (but("return off", "return list(off.values())"), "drifts raised"),
            (but("return off", "return max(off.values())"), "drifts raised"),
            (but("    return off\n", ""), "drifts raised"),
            ("def drifts(chain, y, kept):\n    return {i: np.nan for i in kept}", "Nothing has"),
            ("def drifts(chain, y, kept):\n    return {i: 1e-12 for i in kept}", "as you report"),
            ("def drifts(chain, y, kept):\n    return {i: 0 for i in kept}", "before you replace"),
        ],
    ),
]
