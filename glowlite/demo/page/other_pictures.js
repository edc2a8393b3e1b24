// "Is it a face?": bits/dim of the subject compared with those of other pictures.

const OTHER_DRAWS = 4;
const LONGEST_BAR = 1.25 * model.n_bits; // bits/dim; what costs more fades out
const otherRows = new Map(); // name -> {canvas, value, error, bar, mean}
let othersAsked = false;

function madePixels(valueAt) {
  const pixels = new Uint8Array(HEIGHT * WIDTH * CHANNELS);
  for (let k = 0; k < pixels.length; k++) {
    const place = Math.floor(k / CHANNELS);
    pixels[k] = valueAt(Math.floor(place / WIDTH), place % WIDTH);
  }
  return pixels;
}

// The same noise each time: x -> 1664525 x + 1013904223 modulo 2^32, its highest eight bits.
function noisePixels() {
  let x = 1;
  return madePixels(() => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return x >>> 24;
  });
}

function otherPictures() {
  const pictures = [["grey", "a constant grey", madePixels(() => 128)],
    ["stripes", "stripes", madePixels((row) => (row % 4 < 2 ? 40 : 215))],
    ["noise", "noise", noisePixels()]];
  if (HELD_OUT_COUNT) pictures.unshift(["held-out", `a held-out ${NOUN}`, heldOutPixels(0)]);
  return pictures;
}

function otherRow(name, words) {
  const canvas = pictureCanvas(words);
  const value = element("span", {id: `bits-${name}`}, "\u2013");
  const error = element("span", {class: "error"});
  const bar = element("span", {class: "bar"});
  otherRows.set(name, {canvas, value, error, bar, mean: 0});
  return element("tr", {}, element("td", {}, canvas), element("th", {scope: "row"}, words),
    element("td", {class: "number"}, value, error), element("td", {class: "bar-cell"}, bar));
}

function otherPictureBits(name, values) {
  const row = otherRows.get(name);
  row.mean = meanOf(values);
  row.value.textContent = decimals(row.mean);
  const error = standardError(values);
  row.error.textContent = ` ${errorWords(error)}`;
  row.bar.style.width = `${clamp((100 * row.mean) / LONGEST_BAR, 0, 100)}%`;
  row.bar.classList.toggle("beyond", row.mean > LONGEST_BAR);
  if (name === "grey") explainGrey(row.mean);
}

// Explains the cost of a constant picture: the sentence depends on the measured number.
function explainGrey(grey) {
  const start = "Bits per dimension measure how cheaply the model describes a picture, not what it shows. ";
  const usual = model.held_out ? model.held_out.bits[0] : model.n_bits;
  const why = grey < usual
    ? `A constant costs fewer bits than a held-out ${NOUN}: it has no edges and no texture to pay for, `
      + "and where neighbours are alike the model is sure of the next. Yet no sample looks like it."
    : `A constant can cost fewer bits than a real ${NOUN}, as it has no edges and no texture to pay for; in `
      + `models of photographs it often does. Here the held-out ${NOUN}s are cheaper still.`;
  byId("others-words").textContent = start + why;
}

function askOthers() {
  if (othersAsked || state.tab !== "picture") return;
  othersAsked = true;
  for (const [name, , pixels] of otherPictures()) askOther(name, pixels, 0, []);
}

function askOther(name, pixels, draw, values) {
  const message = {kind: "bits_of_pixels", pixels, draw};
  ask(`other-${name}`, URGENCY.other, message, (answer) => {
    if (answer.error !== undefined) return;
    values.push(answer.bits);
    otherPictureBits(name, values);
    if (draw + 1 < OTHER_DRAWS) askOther(name, pixels, draw + 1, values);
  });
}

function startOthers() {
  const rows = byId("others");
  byId("plain-words").textContent = `${model.n_bits} bits: the cost of a number of a picture `
    + "that is stored without compression. Bars that fade out are longer than shown.";
  rows.append(otherRow("subject", "the subject"));
  for (const [name, words, pixels] of otherPictures()) {
    rows.append(otherRow(name, words));
    drawPixels(otherRows.get(name).canvas, pixels);
  }
  subjectWatchers.push((answer) =>
    drawPixels(otherRows.get("subject").canvas, answer.pixels));
}
