// Latents: where the information of the picture goes, level by level.

const LEVELS = model.latent_shapes.length;
const LEVEL_CHOICES = [["keep", "keep"], ["noise", "noise"], ["mean", "mean"]];

function levelName(level) {
  if (LEVELS === 1) return "The only level";
  const words = [`Level ${level + 1}`];
  if (level === 0) words.push("the finest");
  if (level === LEVELS - 1) words.push("the coarsest");
  return words.join(", ");
}

function levelSize(shape) {
  const numbers = shape.reduce((product, length) => product * length, 1);
  return shape.length > 1 ? `${shape.join(" × ")} = ${numbers} numbers` : `${numbers} numbers`;
}

function setLevels(levels) {
  state.levels = levels;
  showLevels();
  subjectChanged();
}

function showLevels() {
  state.levels.forEach((level, k) => setChoice(`level-${k}`, level));
}

// Of mean eps^2: a quarter, 1 and 4 are blue, grey and orange, by its logarithm.
function loudness(value) {
  return 0.5 + Math.log2(Math.max(value, 1e-6)) / 4;
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
