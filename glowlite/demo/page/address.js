// Sources as short words, for the page's address: s.7.3.70.0 is sample 3 of seed 7 at 0.70.
//
// Only letters, digits and ". * - _" are used, which an address keeps as they are. Whatever a
// damaged address says, what is read from it is a valid source, or null.

const LONGEST_ADDRESS = 8000; // letters
const LARGEST_SEED = 2 ** 31 - 1;

function sourceWord(source) {
  if (source.kind === "sample") {
    const temperature = Math.round(100 * source.temperature);
    return `s.${source.seed}.${source.number}.${temperature}.${source.label}`;
  }
  if (source.kind === "held-out") return `h.${source.number}`;
  if (source.kind === "pixels") return `p.${source.pixels}`;
  return "b"; // a blend: its corners have a place of their own
}

function readWhole(text, low, high) {
  if (!/^-?\d{1,10}$/.test(text ?? "")) return null;
  const value = Number(text);
  return value >= low && value <= high ? value : null;
}

function readSource(text) {
  const [kind, ...fields] = (text ?? "").split(".");
  if (kind === "s") {
    const seed = readWhole(fields[0], 0, LARGEST_SEED);
    const number = readWhole(fields[1], 0, 9999);
    const temperature = readWhole(fields[2], 0, 130);
    const label = readWhole(fields[3], 0, Math.max(0, model.classes.length - 1));
    if ([seed, number, temperature, label].includes(null)) return null;
    return {kind: "sample", seed, number, temperature: temperature / 100, label};
  }
  if (kind === "h") {
    const number = readWhole(fields[0], 0, HELD_OUT_COUNT - 1);
    return number === null ? null : {kind: "held-out", number};
  }
  if (kind === "p") return pixelsSource(fields[0]);
  return null;
}

// null where the letters are not those of a whole picture.
function pixelsSource(letters) {
  const pixels = unpackPixels(letters, model.n_bits, HEIGHT * WIDTH * CHANNELS);
  return pixels && {kind: "pixels", pixels: letters};
}

function sameSource(a, b) {
  return sourceWord(a) === sourceWord(b) && a.kind !== "blend";
}
