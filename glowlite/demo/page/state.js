// The state of the page, also stored in the page's address, so that a link shows the same face.

const TABS = ["sample", "edit", "blend", "latents", "picture"];
const LEVEL_LETTERS = {k: "keep", n: "noise", m: "mean"};
const ATTRIBUTES = model.attributes ? model.attributes.names : [];
const FIRST_SEED = 1;
const FIRST_SAMPLE = 3;

const state = defaultState();

function sampleSource(number, seed, temperature, label = 0) {
  return {kind: "sample", seed, number, temperature, label};
}

function defaultState() {
  const seed = FIRST_SEED;
  const temperature = hundredths(model.temperature);
  const corners = [0, 1, 2, 3].map((number) => sampleSource(number, seed, temperature));
  return {
    tab: "sample", source: sampleSource(FIRST_SAMPLE, seed, temperature), alphas: {},
    levels: model.latent_shapes.map(() => "keep"), noise: 1, temperature, seed, label: 0,
    blend: {corners, across: 0.5, down: 0.5, four: true, spherical: true},
  };
}

function hasEdits() {
  return Object.values(state.alphas).some((alpha) => alpha !== 0)
    || state.levels.some((level) => level !== "keep");
}

// With edits, the displayed picture; without edits, the picture before them.
function recipeOf(source, edited) {
  const alphas = {};
  if (edited) {
    for (const name of ATTRIBUTES) if (state.alphas[name]) alphas[name] = state.alphas[name];
  }
  const replaced = edited && state.levels.some((level) => level !== "keep");
  return {source, alphas, levels: replaced ? [...state.levels] : null, noise: state.noise};
}

function blendSource() {
  const {corners, across, down, four, spherical} = state.blend;
  return {kind: "blend", corners: corners.slice(0, four ? 4 : 2), across, down: four ? down : 0,
    spherical};
}

function stateWords(withPictures = true) {
  const first = defaultState();
  const words = new URLSearchParams();
  const put = (key, value, usual) => value !== usual && words.set(key, value);
  const isOwn = (source) => source.kind === "pixels";
  put("tab", state.tab, first.tab);
  if (withPictures || !isOwn(state.source)) {
    put("of", sourceWord(state.source), sourceWord(first.source));
  }
  put("edit", ATTRIBUTES.map((name, k) => [k, Math.round(100 * (state.alphas[name] ?? 0))])
    .filter(([, alpha]) => alpha).map((pair) => pair.join(".")).join("*"), "");
  put("levels", state.levels.map((level) => level[0]).join(""),
    first.levels.map((level) => level[0]).join(""));
  put("noise", state.noise, first.noise);
  put("t", Math.round(100 * state.temperature), Math.round(100 * first.temperature));
  put("seed", state.seed, first.seed);
  put("class", state.label, first.label);
  const {corners, across, down, four, spherical} = state.blend;
  if (withPictures || !corners.some(isOwn)) {
    put("corners", corners.map(sourceWord).join("*"),
      first.blend.corners.map(sourceWord).join("*"));
  }
  put("at", `${Math.round(100 * across)}.${Math.round(100 * down)}`, "50.50");
  put("two", four ? 0 : 1, 0);
  put("straight", spherical ? 0 : 1, 0);
  return words.toString();
}

// Every part separately: damaged parts keep their defaults.
function readState(text) {
  const words = new URLSearchParams(text);
  const read = defaultState();
  if (TABS.includes(words.get("tab"))) read.tab = words.get("tab");
  for (const pair of (words.get("edit") ?? "").split("*")) {
    const [k, alpha] = pair.split(".");
    const name = ATTRIBUTES[readWhole(k, 0, ATTRIBUTES.length - 1)];
    const value = readWhole(alpha, -150, 150);
    if (name !== undefined && value !== null) read.alphas[name] = value / 100;
  }
  const levels = [...(words.get("levels") ?? "")].map((letter) => LEVEL_LETTERS[letter]);
  if (levels.length === read.levels.length && !levels.includes(undefined)) read.levels = levels;
  read.noise = readWhole(words.get("noise"), 0, LARGEST_SEED) ?? read.noise;
  const temperature = readWhole(words.get("t"), 0, 130);
  if (temperature !== null) read.temperature = temperature / 100;
  read.seed = readWhole(words.get("seed"), 0, LARGEST_SEED) ?? read.seed;
  read.label = readWhole(words.get("class"), 0, model.classes.length - 1) ?? read.label;
  readBlend(words, read.blend);
  const source = words.get("of");
  Object.assign(state, read);
  state.source = source === "b" ? blendSource() : readSource(source) ?? read.source;
}

function readBlend(words, blend) {
  const corners = (words.get("corners") ?? "").split("*").map(readSource);
  if (corners.length === 4 && !corners.includes(null)) blend.corners = corners;
  const [across, down] = (words.get("at") ?? "").split(".");
  blend.across = (readWhole(across, 0, 100) ?? 50) / 100;
  blend.down = (readWhole(down, 0, 100) ?? 50) / 100;
  blend.four = words.get("two") !== "1";
  blend.spherical = words.get("straight") !== "1";
}

// The address without its fragment, and the fragment; without own pictures where it is too long.
function addressWords() {
  const words = stateWords();
  const whole = location.href.split("#")[0].length + words.length + 1 <= LONGEST_ADDRESS;
  return {words: whole ? words : stateWords(false), whole};
}

let writing = null;

function writeAddress() {
  if (writing !== null) return;
  writing = setTimeout(() => {
    writing = null;
    const {words} = addressWords();
    const address = location.href.split("#")[0] + (words || location.hash ? `#${words}` : "");
    if (address === location.href) return;
    try {
      history.replaceState(null, "", address);
    } catch {
      written = words;
      location.replace(`#${words}`);
    }
  }, 150);
}

let written = null; // what this page wrote itself, where that counts as a change of the address

function isOwnWriting() {
  const own = written !== null && location.hash === `#${written}`;
  written = null;
  return own;
}
