// What the page is made of: the model's description, elements, words for numbers, dragging.

const model = JSON.parse(document.getElementById("model").textContent);
const [HEIGHT, WIDTH, CHANNELS] = model.image_shape;
const NOUN = model.noun;
const REDUCED_MOTION = matchMedia("(prefers-reduced-motion: reduce)");

function byId(id) {
  return document.getElementById(id);
}

// element("button", {type: "button", onclick: press}, "words", child): text is text, never markup.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function button(words, press, attributes = {}) {
  return element("button", {type: "button", onclick: press, ...attributes}, words);
}

// Radio buttons that look like one bar; options: [[value, words], ...].
function choice(name, legend, options, chosen) {
  const bar = element("div", {class: "choice", role: "radiogroup", "aria-label": legend});
  for (const [value, words] of options) {
    const id = `${name}-${value}`;
    const input = element("input", {type: "radio", name, id, value, onchange: () => chosen(value)});
    bar.append(input, element("label", {for: id}, words));
  }
  return bar;
}

function setChoice(name, value) {
  const input = byId(`${name}-${value}`);
  if (input) input.checked = true;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

function hundredths(value) {
  return Math.round(value * 100) / 100;
}

// A true minus sign, and a word where a number is none.
function decimals(value, places = 2) {
  if (!Number.isFinite(value)) return "not finite";
  const text = value.toFixed(places);
  return Number(text) === 0 ? (0).toFixed(places) : text.replace("-", "\u2212");
}

function spread(meanAndStd, places = 2) {
  return `${decimals(meanAndStd[0], places)} ± ${decimals(meanAndStd[1], places)}`;
}

function meanOf(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

// The standard error of the mean; none from one value.
function standardError(values) {
  if (values.length < 2) return NaN;
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

// "± 0.02"; what rounds to nothing is less than a hundredth.
function errorWords(error) {
  if (!Number.isFinite(error)) return "";
  return error < 0.005 ? "± <0.01" : `± ${decimals(error)}`;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function inWords(name) {
  return name.replaceAll("_", " ");
}

// Text for screen readers: at most once per second, only the latest.
let wordsToSay = "";
let saying = null;

function announce(words) {
  wordsToSay = words;
  if (saying !== null) return;
  saying = setTimeout(() => {
    saying = null;
    byId("announcement").textContent = wordsToSay;
  }, 1000);
}

// One line under the subject, for what just happened; it says the words aloud, too.
let forgetNote = null;

function note(words, seconds = 8) {
  byId("note").textContent = words;
  clearTimeout(forgetNote);
  forgetNote = setTimeout(() => (byId("note").textContent = ""), 1000 * seconds);
}

// Moves a layer that is as large as its box: a transform, for which nothing is laid out again.
function moveLayer(layer, across, down) {
  layer.style.transform = `translate(${100 * across}%, ${100 * down}%)`;
}

// Where a pointer is in a box: 0 to 1 across and down, and beyond when it has left the box.
function placeIn(box, event) {
  const bounds = box.getBoundingClientRect();
  return [(event.clientX - bounds.left) / bounds.width,
    (event.clientY - bounds.top) / bounds.height];
}

// Calls move(across, down, first) while a pointer drags from node, in the coordinates of box.
function onDrag(node, box, move, end = () => {}) {
  let pointer = null;
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pointer = event.pointerId;
    node.setPointerCapture(pointer);
    node.focus({preventScroll: true});
    event.preventDefault();
    move(...placeIn(box, event), true);
  });
  node.addEventListener("pointermove", (event) => {
    if (event.pointerId === pointer) move(...placeIn(box, event), false);
  });
  const stop = (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    end();
  };
  node.addEventListener("pointerup", stop);
  node.addEventListener("pointercancel", stop);
}

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

// Calls move(across, down, fast) for the arrow keys; fast while Shift is held.
function onArrows(node, move) {
  node.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(...arrow, event.shiftKey);
  });
}
