// Latents: where the information of the picture goes, level by level.

const LEVELS = model.latent_shapes.length;
const LEVEL_CHOICES = [["keep", "keep"], ["noise", "noise"], ["mean", "mean"]];

function levelName(level) {
  if (LEVELS === 1) return "The only level";
  const words = [`Level ${level + 1}`];
  if (level === 0) words.push("finest");
  if (level === LEVELS - 1) words.push("coarsest");
  return words.join(", ");
}

function levelSize(shape) {
  const numbers = shape.reduce((product, length) => product * length, 1);
  return shape.length > 1 ? `${shape.join("×")} = ${numbers} numbers` : `${numbers} numbers`;
}

function setLevels(levels) {
  state.levels = levels;
  showLevels();
  subjectChanged();
}

function showLevels() {
  state.levels.forEach((level, k) => setChoice(`level-${k}`, level));
}

// The mean square of what the model expects: of a standard normal, or of a standard logistic.
const EXPECTED_SQUARE = model.base === "Logistic" ? Math.PI ** 2 / 3 : 1;

// A quarter of what is expected, as much, and four times as much: blue, grey and orange.
function loudness(value) {
  return 0.5 + Math.log2(Math.max(value / EXPECTED_SQUARE, 1e-6)) / 4;
}

function loudWords() {
  const [quarter, one, four] = [0.25, 1, 4].map((share) =>
    decimals(share * EXPECTED_SQUARE, model.base === "Logistic" || share < 1 ? 2 : 0));
  const cooled = decimals(model.temperature ** 2 * EXPECTED_SQUARE);
  return `Mean square of the latents, from ${quarter} in blue to ${four} in orange. The model expects `
    + `${one}, in grey; samples at temperature ${decimals(model.temperature, 1)} have ${cooled}.`;
}

function showMaps(answer) {
  if (state.tab !== "latents") {
    showMaps.kept = answer;
    return;
  }
  answer.maps.forEach((values, level) => {
    const shape = model.latent_shapes[level];
    drawMap(byId(`eps-${level}`), values, shape, QUIET_TO_LOUD, loudness);
    const mean = meanOf([...values]);
    byId(`eps-${level}-words`).textContent = `mean ${decimals(mean)}`;
  });
}

function levelCard(level) {
  const shape = model.latent_shapes[level];
  const map = (id, label) => element("canvas", {class: "map", id, role: "img", "aria-label": label,
    width: mapShape(shape)[1], height: mapShape(shape)[0]});
  const figure = (id, label) => element("figure", {},
    map(id, label), element("figcaption", {class: "fine number", id: `${id}-words`}));
  return element("section", {class: "level", "aria-label": levelName(level)},
    element("div", {class: "level-words"},
      element("h3", {}, levelName(level)),
      element("p", {class: "fine number"}, levelSize(shape)),
      choice(`level-${level}`, `${levelName(level)}: what to do with it`, LEVEL_CHOICES, (what) =>
        setLevels(state.levels.map((old, k) => (k === level ? what : old))))),
    figure(`eps-${level}`, `Mean square of the latents of level ${level + 1}, a map`),
    figure(`influence-${level}`, `How much the pixel moves the latents of level ${level + 1}`));
}

function openLatents() {
  showLevels();
  if (state.tab !== "latents") return;
  if (showMaps.kept) showMaps(showMaps.kept);
  showPixel();
  askInfluence();
}

function startLatents() {
  byId("many-levels").hidden = LEVELS === 1;
  byId("one-level").hidden = LEVELS > 1;
  byId("level-buttons").hidden = LEVELS === 1;
  for (let level = 0; level < LEVELS; level++) byId("levels").append(levelCard(level));
  byId("loud-words").textContent = loudWords();
  const coarsest = LEVELS - 1;
  byId("only-coarsest").addEventListener("click", () =>
    setLevels(state.levels.map((_, k) => (k === coarsest ? "keep" : "noise"))));
  byId("all-but-coarsest").addEventListener("click", () =>
    setLevels(state.levels.map((_, k) => (k === coarsest ? "noise" : "keep"))));
  byId("keep-all").addEventListener("click", () => setLevels(state.levels.map(() => "keep")));
  byId("another-noise").addEventListener("click", () => {
    state.noise = state.noise % LARGEST_SEED + 1;
    subjectChanged();
  });
  subjectWatchers.push(showMaps);
  startInfluence();
}
