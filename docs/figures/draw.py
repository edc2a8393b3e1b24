"""The drawings of docs/design.md: python docs/figures/draw.py [--out docs/images]."""

from __future__ import annotations

import argparse
from pathlib import Path

from canvas import BLUE, GREEN, GREY, INK, LIGHT, RED, YELLOW, Canvas

FLOORS = (  # from the top down: folders of glowlite/, and what is in them
    ("reproduce", "the paper's experiments, from runs to figures"),
    ("commands   bench   interop", "what is typed; the clock; other people's codes"),
    ("drawing   demo", "sheets, plots, reports; a page that runs a model"),
    ("training   latent", "step, loop, guards, checkpoints; walks, directions"),
    ("data", "readers, preparation, batches"),
    ("models   flow", "GlowConfig, Glow; a bijector and a base"),
    ("fast", "tiles over threads, folded matrices, kernels"),
    ("bijectors   objective", "the invertible layers, Chain; bits per dimension"),
    ("conditioners   distributed", "networks inside a coupling; many processes"),
    ("files", "read and written whole or not at all"),
    ("arrays", "NumPy or CuPy, parameters, random numbers"),
    ("errors   terminal   testing", "lines for a person; the laws, by themselves"),
)
LAYERS = ("models   flow", "bijectors   objective", "conditioners   distributed")  # the mathematics


def floors() -> Canvas:
    c = Canvas(74, 4.1 * len(FLOORS) + 3.5)
    for i, (rooms, what) in enumerate(reversed(FLOORS)):
        y = 1.9 + 4.1 * i
        c.box(3, y, 63, 3.4, "", "#cfe5f2" if rooms in LAYERS else LIGHT)
        c.text(4.2, y + 1.7, rooms, 9.5, across="left", bold=True)
        c.text(29, y + 1.7, what, 8.2, "#444444", across="left")
    top = 4.1 * len(FLOORS) + 1.2
    c.arrow((69.5, top), (69.5, 1.9), BLUE, thick=2.2)
    c.text(71.3, top / 2, "imports go down", 9, BLUE, turn=90)
    return c


def protocol() -> Canvas:
    c = Canvas(74, 36)
    for y, name in ((25, "forward"), (14.5, "inverse"), (4, "backward")):
        c.box(28, y, 18, 7, name, BLUE, 11, bold=True)
    c.arrow((15, 28.5), (28, 28.5))
    c.text(10.5, 28.5, "x  (N, H, W, C)")
    c.arrow((46, 30), (58, 30))
    c.arrow((46, 27), (58, 27), GREEN)
    c.text(60, 30, "y", across="left")
    c.text(60, 27, "logdet  (N,) float64", color=GREEN, across="left")
    c.arrow((58, 18), (46, 18))
    c.text(60, 18, "y", across="left")
    c.arrow((28, 18), (15, 18))
    c.text(13.5, 18, "x", across="right")
    for y, name, color in ((9.5, "y", INK), (7.5, "dy", RED), (5.5, "dlogdet  (N,)", RED)):
        c.arrow((58, y), (46, y), color)
        c.text(60, y, name, color=color, across="left")
    c.arrow((28, 9), (15, 9))
    c.text(13.5, 9, "x, rebuilt", across="right")
    c.arrow((28, 6.2), (15, 6.2), RED)
    c.text(13.5, 6.2, "dx", color=RED, across="right")
    c.arrow((37, 4), (37, 2.4), RED)
    c.text(38, 2.2, "adds to the grad of each parameter", 8.5, RED, across="left")
    return c


def flow_step() -> Canvas:
    c = Canvas(74, 24)
    c.box(12, 7, 11, 11, "ActNorm\n\ns x + b", "#cfe5f2", 9.5)
    c.box(28, 7, 11, 11, "1x1\nconvolution\n\nW x", "#cfe5f2", 9.5)
    c.box(44, 4, 20, 16, "", "#f7f7f7")
    c.text(54, 21.6, "affine coupling", 9.5)
    for start, end in ((4, 12), (23, 28), (39, 44)):
        c.arrow((start, 12.5), (end, 12.5))
    c.text(3, 12.5, "x", across="right")
    c.line((44, 46, 46), (12.5, 12.5, 16.5))
    c.line((46, 46), (12.5, 7.5))
    c.arrow((46, 16.5), (64, 16.5))
    c.arrow((46, 7.5), (53.5, 7.5))
    c.box(53.5, 5.6, 7, 3.8, "s x2 + t", YELLOW, 8)
    c.arrow((60.5, 7.5), (64, 7.5))
    c.box(53.5, 11, 7, 3.2, "net", GREEN, 9)
    c.arrow((57, 16.5), (57, 14.2), GREEN)
    c.arrow((57, 11), (57, 9.4), GREEN)
    c.text(58, 10.2, "t, s", 7.5, GREEN, across="left")
    c.text(49, 17.5, "x1", 8.5)
    c.text(49, 8.6, "x2", 8.5)
    c.line((64, 66, 66), (16.5, 16.5, 12.5))
    c.line((64, 66, 66), (7.5, 7.5, 12.5))
    c.arrow((66, 12.5), (70, 12.5))
    c.text(71, 12.5, "y", across="left")
    c.text(17.5, 2.4, "HW sum log|s|", 8, "#666666")
    c.text(33.5, 2.4, "HW log|det W|", 8, "#666666")
    c.text(54, 2.4, "sum log s", 8, "#666666")
    c.text(6, 2.4, "logdet:", 8, "#666666")
    return c


def multiscale() -> Canvas:
    c = Canvas(74, 34)
    levels = (
        ("8 x 8 x 12", "8 x 8 x 6", 384),
        ("4 x 4 x 24", "4 x 4 x 12", 192),
        ("2 x 2 x 48", "2 x 2 x 48", 192),
    )
    c.text(6.5, 25.5, "image\n16 x 16 x 3", 8.5)
    c.arrow((6.5, 23), (6.5, 18.8))
    for i, (inside, leaves, numbers) in enumerate(levels):
        x = 3 + 23 * i
        c.box(x, 13, 7, 5.6, "squeeze", LIGHT, 8)
        c.arrow((x + 7, 15.8), (x + 8.6, 15.8))
        c.box(x + 8.6, 11.6, 7, 8.4, "K steps\nof flow", "#cfe5f2", 8.5)
        c.text(x + 12.1, 21.4, inside, 8, GREY)
        c.arrow((x + 15.6, 15.8), (x + 17.2, 15.8))
        last = i == 2
        c.box(x + 17.2, 13, 4.6, 5.6, "top\nprior" if last else "split", YELLOW, 8)
        if not last:
            c.arrow((x + 21.8, 15.8), (x + 23, 15.8))
        c.arrow((x + 19.5, 13), (x + 19.5, 8.2), RED)
        c.text(
            x + 19.5 - (1.5 if last else 0),
            5.4,
            f"eps {i + 1}:  {leaves}\n{numbers} numbers",
            8,
            RED,
        )
        c.text(x + 11, 30.5, f"level {i + 1}", 10, bold=True)
    c.text(6, 6.4, "N(0, 1)\nunder the model", 8, RED)
    for x in (25.4, 48.4):
        c.line((x, x), (9.5, 29), "#cccccc", ":")
    return c


def coupling_network() -> Canvas:
    c = Canvas(74, 36)
    note = "every pixel is a row; widths to scale, of a coupling of 12 channels"
    c.text(37, 33.4, f"{note} (the ends are thinner still)", 8.5, GREY)
    columns = (
        ("x\n6", 6, LIGHT),
        ("gather(x)\n9 x 6 = 54", 54, YELLOW),
        ("h1\n512", 512, "#cfe5f2"),
        ("h2\n512", 512, "#cfe5f2"),
        ("columns\n9 x 12 = 108", 108, YELLOW),
        ("output\n12", 12, LIGHT),
    )
    names = ("nine shifts", "W1, ReLU", "W2, ReLU", "W3", "nine shifts,\nadded up")
    x, places = 3.0, []
    for name, channels, color in columns:
        width = max(channels * 9 / 512, 0.5)
        c.box(x, 11, width, 17, "", color)
        c.text(x + width / 2, 8.2, name, 8)
        places.append((x, x + width))
        x += width + 8.4
    for i, name in enumerate(names):
        color = BLUE if i in (1, 2, 3) else RED
        c.arrow((places[i][1] + 0.4, 19.5), (places[i + 1][0] - 0.4, 19.5), color)
        c.text((places[i][1] + places[i + 1][0]) / 2, 22.2, name, 8, color)
    c.text(37, 3.4, "blue: matrix products, all of the work      red: moves of thin arrays", 8.5)
    return c


def gather_scatter() -> Canvas:
    c = Canvas(74, 30)

    def grid(x, marks, title):
        for i in range(4):
            for j in range(4):
                color, text = marks.get((i, j), ("white", ""))
                c.box(x + 4 * j, 19 - 4 * i, 3.6, 3.6, text, color, 8)
        c.text(x + 8, 26.3, title, 9.5, bold=True)

    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    taps = {
        (1 + i, 1 + j): (YELLOW if (i, j) != (0, 0) else RED, str(3 * i + j + 5)) for i, j in steps
    }
    grid(5, taps, "gather: a pixel reads")
    grid(52, taps, "scatter: a pixel sends")
    for k in range(9):
        c.box(28 + 2.1 * k, 14.4, 1.9, 3.6, str(k + 1), YELLOW if k != 4 else RED, 7.5)
    c.text(37.4, 20, "9 C numbers of the pixel", 8.5)
    c.arrow((21.6, 16.2), (27.2, 16.2), BLUE)
    c.arrow((47.6, 16.2), (51.2, 16.2), BLUE)
    c.text(
        37, 3.4, "<gather(x), v>  =  <x, scatter(v)>:  each carries the gradient of the other", 9
    )
    return c


def memory() -> Canvas:
    c = Canvas(74, 42.5)
    c.text(41, 39.9, "steps of flow of one level, forward", 9, GREY)
    c.arrow((24, 38.1), (58, 38.1), GREY)
    rows = (  # budget, in words, the inputs that are kept, and the hidden maps
        ("0", "nothing; 4 passes", range(0), range(0)),
        ("128MB", "what fits; between the two", range(7, 12), range(7, 12)),
        ("all", "all; 3 passes", range(12), range(12)),
        ("0+anchored:4", "every fourth input; 4 passes", range(0, 12, 4), range(0)),
    )
    for row, (name, what, inputs, hidden) in enumerate(rows):
        y = 30.5 - 8.5 * row
        c.text(3, y + 2.6, name, 10.5, across="left", bold=True)
        c.text(3, y - 0.2, what, 7.2, "#444444", across="left")
        for i in range(12):
            x, kept = 24 + 3.2 * i, i in inputs
            c.box(x, y, 2.6, 4, "", BLUE if kept else "white", edge=INK if kept else "#bbbbbb")
            if i in hidden:
                c.box(x, y - 2.6, 2.6, 2.2, "", YELLOW)
        c.box(24 + 3.2 * 12, y, 2.6, 4, "y", RED, 9)
    c.text(69, 32.5, "red: output", 8, RED)
    c.text(69, 24, "blue: inputs", 8, BLUE)
    c.text(69, 15.5, "yellow:\nhidden maps", 8, "#8a5f00")
    return c


def backward() -> Canvas:
    c = Canvas(74, 38)
    c.text(6, 35, "three layers, back from the output", 9, GREY, across="left")
    for row in range(4):
        y = 28 - 7.2 * row
        for i in range(4):
            x = 6 + 17 * i
            here, gone = i == 3 - row, i > 3 - row
            color = RED if here else "white"
            name, edge, ink = (
                (f"x{i}, dx{i}", INK, "white") if here else (f"x{i}", "#cccccc", "#bbbbbb")
            )
            c.box(x, y, 7.5, 4.6, name, color, 9, edge, ink)
            if gone:
                c.line((x + 1, x + 6.5), (y + 0.8, y + 3.8), "#cccccc")
            if i < 3:
                now = i == 2 - row
                if now:
                    c.arrow((x + 16.8, y + 2.3), (x + 7.8, y + 2.3), BLUE, thick=2)
                    c.text(x + 12.2, y + 4.3, f"backward {i + 1}", 8, BLUE)
    note = "Each arrow rebuilds the input, makes its gradient, and forgets what it came from"
    c.text(37, 3, f"red: all that is alive.  {note}", 8)
    return c


FIGURES = (
    floors,
    protocol,
    flow_step,
    multiscale,
    coupling_network,
    gather_scatter,
    memory,
    backward,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--format", default="svg")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for figure in FIGURES:
        figure().save(options.out / f"design-{figure.__name__.replace('_', '-')}.{options.format}")


if __name__ == "__main__":
    main()
