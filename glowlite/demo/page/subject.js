// The subject: the current picture, its numbers, and what can be done with it.

const DRAWS = 8; // dequantisation noises over which bits/dim and the length of z are averaged
const subject = {
  pixels: null, // the displayed pixels
  before: null, // the same without edits
  beforeSource: null, // the source that this belongs to
  bits: [], // one number per draw of the noise
  lengths: [],
};
const subjectWatchers = []; // each is called with the answer to every picture of the subject

const bitsCurve = model.held_out ? bellCurves([{bell: model.held_out.bits, kind: "usual"}]) : null;
const lengthCurve = model.held_out
  ? bellCurves([{bell: model.held_out.length, kind: "usual"}]) : null;

function theRecipe() {
  return recipeOf(state.source, true);
}

function chooseSubject(source) {
  state.source = source;
  subjectChanged();
}

// After any change of the state that the subject depends on.
function subjectChanged() {
  document.documentElement.dataset.busy = "yes";
  forget("bits");
  clearTimeout(subject.idle);
  byId("reset").disabled = !hasEdits();
  showSampleChoice();
  ask("subject", URGENCY.subject, {kind: "picture", recipe: theRecipe()}, showSubject);
  writeAddress();
}

function showSubject(answer, newest) {
  if (answer.error !== undefined) {
    if (newest) document.documentElement.dataset.busy = "no";
    return;
  }
  subject.pixels = answer.pixels;
  drawPixels(byId("subject"), answer.pixels);
  byId("time").textContent = `A picture takes ${Math.round(median(decodeTimes))} ms here.`;
  if (!answer.finite) note("Numeric overflow: part of this picture is not finite.");
  for (const watch of subjectWatchers) watch(answer, newest);
  if (newest) showBefore();
}

// Without edits the picture before them is the subject itself.
function showBefore() {
  const word = JSON.stringify(state.source);
  if (!hasEdits()) {
    keepBefore(subject.pixels, word);
    subjectIsShown();
  } else if (word === subject.beforeSource) {
    subjectIsShown();
  } else {
    const message = {kind: "picture", recipe: recipeOf(state.source, false)};
    ask("before", URGENCY.before, message, (answer) => {
      if (answer.error === undefined) keepBefore(answer.pixels, word);
      if (!isAsked("subject")) subjectIsShown();
    });
  }
}

function keepBefore(pixels, word) {
  subject.before = pixels;
  subject.beforeSource = word;
  drawPixels(byId("before"), pixels);
}

function subjectIsShown() {
  const root = document.documentElement;
  root.dataset.busy = "no";
  root.dataset.ready = "yes";
  subject.idle = setTimeout(measureBits, 150);
}

// One draw after the other while nothing else is requested; the mean and its standard error.
function measureBits() {
  const recipe = theRecipe();
  subject.bits = [];
  subject.lengths = [];
  const measure = (draw) => ask("bits", URGENCY.bits, {kind: "bits", recipe, draw}, (answer) => {
    if (answer.error !== undefined || isAsked("subject")) return;
    subject.bits.push(answer.bits);
    subject.lengths.push(answer.length);
    showNumbers();
    if (draw + 1 < DRAWS) measure(draw + 1);
    else announceNumbers();
  });
  measure(0);
}

function showNumbers() {
  const mean = meanOf(subject.bits), length = meanOf(subject.lengths);
  const error = standardError(subject.bits);
  byId("bits").textContent = decimals(mean);
  byId("bits-error").textContent = errorWords(error);
  if (bitsCurve) bitsCurve.mark(mean);
  byId("length").textContent = decimals(length, 1);
  if (lengthCurve) lengthCurve.mark(length);
  otherPictureBits("subject", subject.bits);
}

function announceNumbers() {
  announce(`${byId("bits").textContent} bits per dimension, length of z `
    + byId("length").textContent);
}

function undoEdits() {
  state.alphas = {};
  state.levels = state.levels.map(() => "keep");
  showControls();
  subjectChanged();
}

async function copyLink() {
  const {words, whole} = addressWords();
  const address = `${location.href.split("#")[0]}#${words}`;
  const copied = await copyText(address);
  if (!copied) note("This browser does not let pages copy; the link is in the address bar.");
  else if (whole) note("Copied. The link opens this page as you see it.");
  else note("Copied without your own picture, which would make the link too long.");
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element("textarea", {class: "unseen", "aria-hidden": "true"});
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    byId("copy-link").focus();
    return copied;
  }
}

function showUsual(id, words) {
  byId(id).append(element("span", {}, `held-out ${NOUN}s`), " ",
    element("span", {class: "number"}, words));
}

function startSubject() {
  if (model.held_out) {
    byId("bits-curve").append(bitsCurve.node);
    byId("length-curve").append(lengthCurve.node);
    showUsual("bits-usual", spread(model.held_out.bits));
    showUsual("length-usual", spread(model.held_out.length, 1));
  }
  byId("save").addEventListener("click", () => {
    if (subject.pixels) savePicture(subject.pixels, `${NOUN}.png`);
  });
  byId("copy-link").addEventListener("click", copyLink);
  byId("reset").addEventListener("click", undoEdits);
}
