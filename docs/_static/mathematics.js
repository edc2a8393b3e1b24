// Renders the TeX in a page by KaTeX, and makes every displayed formula fit the width of its text:
// whole where it fits, else broken into lines, else in smaller letters, never below SMALLEST.

const SMALLEST = 0.65; // of the usual size of letters
const SMALL_ENOUGH = 0.85; // a formula that fits at this size is not broken further

document.addEventListener("DOMContentLoaded", () => {
  const displayed = [];
  for (const place of document.querySelectorAll(".math")) {
    place.dataset.tex = place.textContent;
    draw(place, place.dataset.tex);
    keepPunctuation(place);
    if (place.tagName === "DIV") displayed.push(place);
  }
  // at first, when a window or a folded part changes its width, and when the fonts are there
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => fit(entry.target)));
  displayed.forEach((place) => observer.observe(place));
  document.fonts.addEventListener("loadingdone", () => displayed.forEach((place) => fit(place, true)));
});

function draw(place, tex) {
  katex.render(tex, place, { displayMode: place.tagName === "DIV", throwOnError: false });
}

// no line begins with the comma or full stop that follows a formula
function keepPunctuation(formula) {
  const after = formula.nextSibling;
  const marks = after?.nodeType === Node.TEXT_NODE && after.data.match(/^[.,;:!?)]+/);
  if (!marks) return;
  after.splitText(marks[0].length);
  const together = document.createElement("span");
  together.style.whiteSpace = "nowrap";
  formula.before(together);
  together.append(formula, after);
}

function fit(place, fontsAreNew = false) {
  const room = place.clientWidth;
  if (!room || (room === place.room && !fontsAreNew)) return;
  place.room = room;
  place.style.fontSize = "";
  let best = { scale: 0 };
  for (const tex of forms(place.dataset.tex)) {
    draw(place, tex);
    const scale = room / (widthOf(place) + 2); // 2 pixels for rounding
    if (scale > best.scale) best = { tex, scale };
    if (scale >= SMALL_ENOUGH) break;
  }
  draw(place, best.tex);
  if (best.scale < 1) place.style.fontSize = `${100 * Math.max(best.scale, SMALLEST)}%`;
}

function widthOf(place) {
  const boxes = [...place.querySelectorAll(".katex-html > *")].map((e) => e.getBoundingClientRect());
  return Math.max(...boxes.map((box) => box.right)) - Math.min(...boxes.map((box) => box.left));
}

// The formula as it is written; with a line for each of its equations; with a line for each side of
// an equation; and with a line for each term of a sum.
function* forms(tex) {
  yield tex;
  const whole = tex.trim().match(/^\\begin\{aligned\}([^]*)\\end\{aligned\}$/);
  const apart = /^\s*\[[^\]]*(pt|em|ex)\]/; // the distance between two rows, as in \\[2pt]
  const rows = whole ? split(whole[1], ["\\\\"]).map((row) => row.replace(apart, "")) : [tex];
  const equations = rows.flatMap((row) => {
    const cells = split(row, ["&"]);
    // two cells are an equation: its left side, and the rest
    const pairs = cells.flatMap((cell, i) => (i % 2 ? [] : [cell + (cells[i + 1] ?? "")]));
    return pairs.flatMap((pair) => split(pair, ["\\quad", "\\qquad"])).filter((part) => part.trim());
  });
  if (equations.length > rows.length) yield lines(equations);
  for (const signs of [RELATIONS, [...RELATIONS, "+", "-"]]) {
    const parts = equations.flatMap((equation) => sides(equation, signs));
    if (parts.length > equations.length) yield lines(parts);
  }
}

const RELATIONS = ["=", "\\approx", "\\le", "\\ge", "\\lesssim", "\\Longrightarrow", "\\leftarrow", "\\to", "\\sim"];
const SPACES = [" ", "\n", "\\,", "\\;", "\\!", "\\quad", "\\qquad"];

function lines(parts) {
  return `\\begin{aligned}${parts.map((part) => `& ${part}`).join("\\\\[0.2em]")}\\end{aligned}`;
}

// [token, whether it stands in no group, bracket or environment]
function* tokens(tex) {
  let depth = 0;
  for (const [token] of tex.matchAll(/\\(begin|end)\{\w+\}|\\[a-zA-Z]+|\\[^]|[^]/g)) {
    yield [token, depth === 0];
    if (/^([{([]|\\left|\\begin.+)$/.test(token)) depth += 1;
    if (/^([})\]]|\\right|\\end.+)$/.test(token)) depth = Math.max(0, depth - 1);
  }
}

function split(tex, separators) {
  const parts = [""];
  for (const [token, outside] of tokens(tex)) {
    if (outside && separators.includes(token)) parts.push("");
    else parts[parts.length - 1] += token;
  }
  return parts;
}

// the left side of an equation with its first relation, and what follows, from sign to sign
function sides(equation, signs) {
  const parts = [""];
  let related = false;
  let last = "="; // the last token but for spaces; a sign after a relation begins a number
  for (const [token, outside] of tokens(equation)) {
    const relates = outside && RELATIONS.includes(token);
    if (related && outside && signs.includes(token) && !RELATIONS.includes(last)) parts.push("\\quad {}");
    parts[parts.length - 1] += token;
    related ||= relates;
    if (!SPACES.includes(token)) last = token;
  }
  return parts;
}
