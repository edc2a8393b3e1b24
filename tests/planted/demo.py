"""Bugs in the page of a model: in its mathematics, in what it describes, and in what keeps it shut."""

from __future__ import annotations

from . import Bug

LAW = "the demo page computes what Python computes"
SCRIPT, PAGE, WRITTEN = (
    "tests/test_demo_javascript.py",
    "tests/test_demo_page.py",
    "tests/test_demo.py",
)
FACES = "test_64_faces_are_encoded_and_64_latents_decoded_as_in_python"
OPTIONS = "test_every_option_of_every_model_is_the_same_in_javascript"
EDITS = "test_edits_positions_and_blends_are_those_of_python"
LEVELS = "test_what_a_level_says_and_what_a_pixel_moves"
LINKS = "test_a_link_shows_the_same_face"


def bug(
    what: str, file: str, old: str, new: str, *tests: str, suite: str = SCRIPT, room: str = "demo"
) -> Bug:
    return Bug(LAW, what, f"{room}/{file}", old, new, tuple(f"{suite}::{test}" for test in tests))


def option(name: str) -> str:
    return f"{OPTIONS}[{name}]"


BUGS = [
    bug(
        "an ActNorm that forgets b in its inverse",
        "flow/actnorm.js",
        "(v - b[c]) / s[c]",
        "v / s[c]",
        FACES,
    ),
    bug(
        "an ActNorm of the paper by exp(3 logs)",
        "flow/actnorm.js",
        'parametrisation === "paper" ? scale',
        "false ? scale",
        option("glow paper"),
    ),
    bug(
        "the log-determinant of an ActNorm without H W",
        "flow/actnorm.js",
        "pixelsOf(x) * logScale",
        "logScale",
        option("glow paper"),
    ),
    bug(
        "the matrix of a 1x1 convolution, not its inverse",
        "flow/invertible_conv.js",
        "mixed(inverseW, y)",
        "mixed(W, y)",
        FACES,
    ),
    bug(
        "a determinant without its logarithm's absolute value",
        "flow/product.js",
        "logAbsDet += Math.log(Math.abs(",
        "logAbsDet -= Math.log(Math.abs(",
        option("glow lu, additive"),
    ),
    bug(
        "a product that leaves out the last odd row",
        "flow/product.js",
        "for (let r = evenRows; r < rows; r++)",
        "for (let r = rows; r < rows; r++)",
        option("nice symmetric-normal"),
    ),
    bug(
        "an LU whose rows are not permuted",
        "flow/invertible_conv.js",
        "L(rows[i], k)",
        "L(i, k)",
        option("glow lu, additive"),
    ),
    bug(
        "a permutation that is its own inverse",
        "flow/permutation.js",
        "inverse: (y) => moved(y, same, other)",
        "inverse: (y) => moved(y, other, same)",
        option("glow shuffle, exp"),
    ),
    bug(
        "a coupling that always changes the second half",
        "flow/coupling.js",
        'changed === "first" ? [second, first] : [first, second]',
        "[first, second]",
        option("glow lu, additive"),
    ),
    bug(
        "an additive coupling that adds in its inverse",
        "flow/coupling.js",
        "v - h.data[k]",
        "v + h.data[k]",
        option("glow lu, additive"),
    ),
    bug(
        "a shift before the scale taken for one after it",
        "flow/affine_coupling.js",
        "return before ? v / s - t[k] : (v - t[k]) / s",
        "return before ? (v - t[k]) / s : v / s - t[k]",
        FACES,
    ),
    bug(
        "a sigmoid without its shift by 2",
        "flow/affine_coupling.js",
        "Math.min(h + 2, 0) - Math.log1p(Math.exp(-Math.abs(h + 2)))",
        "Math.min(h, 0) - Math.log1p(Math.exp(-Math.abs(h)))",
        option("glow reverse, sigmoid"),
    ),
    bug(
        "a bounded scale without its bound",
        "flow/affine_coupling.js",
        "bound * Math.atan(h / bound)",
        "Math.atan(h)",
        FACES,
    ),
    bug(
        "a border that sends by the mirrored tap",
        "flow/gather_scatter.js",
        "senders.fill(0, tap * P + q, tap * P + q + n)",
        "senders.fill(0, tap * P + p, tap * P + p + n)",
        FACES,
    ),
    bug(
        "a border that is 1 inside",
        "flow/gather_scatter.js",
        "if (withBorder) columns.fill(0, k, k + n);",
        "",
        FACES,
    ),
    bug(
        "a scatter by the mirrored tap",
        "flow/gather_scatter.js",
        "y.data[q + j] += columns[k + j]",
        "y.data[p + j] += columns[k + j]",
        FACES,
    ),
    bug(
        "an output scale of exp(logs)",
        "flow/scaled_linear.js",
        "Math.exp(3 * logs[c])",
        "Math.exp(logs[c])",
        FACES,
    ),
    bug(
        "a squeeze by columns first",
        "flow/squeeze.js",
        "2 * (i % 2) + (j % 2)",
        "(i % 2) + 2 * (j % 2)",
        FACES,
    ),
    bug(
        "corners of a squeeze in the wrong order",
        "flow/squeeze.js",
        "[0, 3, 1, 2]",
        "[0, 1, 2, 3]",
        option("realnvp authors"),
    ),
    bug(
        "a split that multiplies by the scale",
        "flow/split.js",
        "(v - mean[k]) * Math.exp(-logs[k])",
        "(v - mean[k]) * Math.exp(logs[k])",
        FACES,
    ),
    bug(
        "the top prior of another class",
        "flow/class_prior.js",
        "(label * places",
        "(0 * places",
        "test_a_sample_of_a_class_is_one_of_that_class",
    ),
    bug(
        "bits/dim of the first class alone",
        "flow/flow.js",
        "model.classes.map((_, k) => layers.given(k)) : [layers]",
        "[layers.given(0)] : [layers]",
        option("glow labels of pixels"),
    ),
    bug(
        "levels from the coarsest",
        "flow/multiscale.js",
        "latents.push(eps)",
        "latents.unshift(eps)",
        FACES,
    ),
    bug(
        "a batch normalisation by its variance",
        "flow/batch_norm.js",
        "Math.sqrt(v + eps));\n  const moved",
        "v + eps);\n  const moved",
        option("realnvp authors"),
    ),
    bug(
        "weights that are not normalised",
        "flow/weight_norm.js",
        " / Math.sqrt(square)",
        "",
        option("realnvp authors"),
    ),
    bug(
        "a logit without its range",
        "flow/logit.js",
        "/ 2 - low) / (high - low) - 0.5",
        "/ 2) - 0.5",
        option("realnvp authors"),
    ),
    bug(
        "an MLP whose last layer is cut at 0",
        "flow/mlp.js",
        "isLast ? a : ",
        "",
        option("nice unit"),
    ),
    bug(
        "a whitening that is not undone",
        "flow/whitening.js",
        "scaled(y.data, -1)",
        "scaled(y.data, 1)",
        option("nice whitened"),
    ),
    bug(
        "pixels at the lower end of their level", "flow/objective.js", "() => 0.5", "() => 0", FACES
    ),
    bug(
        "noise that is not drawn",
        "flow/worker.js",
        "() => uniform()",
        "() => 0.5",
        option("nice unit"),
    ),
    bug(
        "edits that do not hold the other attributes",
        "flow/directions.js",
        "if (!given) continue;",
        "continue;",
        EDITS,
    ),
    bug(
        "edits by the states of other images",
        "flow/directions.js",
        "> 0 ? 1 : -1))",
        "> 0 ? -1 : 1))",
        EDITS,
    ),
    bug(
        "blends down in place of across",
        "flow/walks.js",
        "walk(walk(a, c, down, spherical), walk(b, d, down, spherical), across, spherical)",
        "walk(walk(a, b, down, spherical), walk(c, d, down, spherical), across, spherical)",
        EDITS,
    ),
    bug(
        "a mean that is noise",
        "flow/worker.js",
        'choice === "noise" ? draw : () => 0',
        "draw",
        LEVELS,
    ),
    bug(
        "a pixel of another column",
        "flow/worker.js",
        "(row * W + column) * C",
        "(column * W + row) * C",
        LEVELS,
    ),
    bug(
        "the same sample for every number",
        "flow/worker.js",
        'uniforms("sample", seed, number)',
        'uniforms("sample", seed)',
        "test_samples_are_distributed_as_the_base",
    ),
    bug(
        "a logistic base sampled as a normal one",
        "flow/randomness.js",
        "return Math.log(p) - Math.log1p(-p);",
        "return Math.sqrt(-2 * Math.log(p)) * Math.cos(2 * Math.PI * u());",
        "test_samples_are_distributed_as_the_base",
    ),
    bug(
        "half numbers without the smallest ones",
        "flow/weights.js",
        "sign * fraction * 2 ** -24",
        "0",
        FACES,
    ),
    bug(
        "latents in the order of pixels",
        "description.py",
        "part = np.moveaxis(part.reshape(*part.shape[:-1], *shape), -1, -3)",
        "part = part.reshape(*part.shape[:-1], *shape)",
        "test_vectors_of_latents_are_laid_out_channel_after_channel",
        suite=WRITTEN,
    ),
    bug(
        "a subclass described as its parent",
        "description.py",
        "kind = type(part)\n    if kind not in LAYERS:",
        "kind = next((k for k in LAYERS if isinstance(part, k)), type(part))\n    if kind not in LAYERS:",
        "test_a_layer_of_one_s_own_is_refused_and_so_is_a_subclass",
        suite=WRITTEN,
    ),
    bug(
        "JSON that ends its script",
        "page.py",
        '.replace("<", "\\\\u003c")',
        "",
        "test_text_that_looks_like_markup_stays_text",
        suite=WRITTEN,
    ),
    bug(
        "a template that escapes nothing",
        "pages.py",
        "autoescape=True",
        "autoescape=False",
        "test_text_that_looks_like_markup_stays_text",
        suite=WRITTEN,
        room="files",
    ),
    bug(
        "a policy that lets requests out",
        "page.py",
        "default-src 'none'",
        "default-src *",
        "test_its_policy_lets_its_own_script_and_style_run_and_forbids_every_request",
        suite=WRITTEN,
    ),
    bug(
        "a link without edits",
        "page/state.js",
        "if (name !== undefined && value !== null) read.alphas[name] = value / 100;",
        "",
        LINKS,
        suite=PAGE,
    ),
    bug(
        "an outdated request that takes the place of a new one",
        "page/work.js",
        "if (next === null || request.urgency < next.urgency) next = request;",
        "if (next === null || request.urgency > next.urgency) next = request;",
        "test_it_opens_within_two_seconds",
        suite=PAGE,
    ),
    bug(
        "text that is read as markup",
        "page/page.js",
        'element("dd", {}, text)',
        '(() => { const d = element("dd"); d.innerHTML = text; return d; })()',
        "test_nothing_outside_is_named_and_nothing_makes_markup_of_text",
        suite=WRITTEN,
    ),
]
