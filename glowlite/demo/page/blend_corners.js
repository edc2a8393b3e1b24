// The corners between which one blends: each the subject, a sample, or a held-out picture.

const PICKS = 12; // samples, and held-out pictures, that one can pick for a corner
const CORNER_NAMES = ["top left", "top right", "bottom left", "bottom right"];
let cornerToSet = 0;

// A blend, or an own picture, becomes a corner as the pixels that are seen before edits.
function subjectAsCorner() {
  if (state.source.kind !== "blend") return state.source;
  return {kind: "pixels", pixels: packPixels(subject.before, model.n_bits)};
}

function setCorner(k, source) {
  if (!source) return;
  state.blend.corners[k] = source;
  askCorner(k);
  showCornerChoice();
  blendChanged(state.source.kind === "blend");
}

function askCorner(k) {
  const draw = (pixels) => drawPixels(byId(`corner-${k}`).firstElementChild, pixels);
  const source = state.blend.corners[k];
  if (source.kind === "held-out") return draw(heldOutPixels(source.number));
  ask(`corner-${k}`, URGENCY.map, {kind: "picture", recipe: recipeOf(source, false)},
    (answer) => answer.error === undefined && draw(answer.pixels));
}

function selectCorner(k) {
  cornerToSet = k;
  showCornerChoice();
}

function showCornerChoice() {
  const source = state.blend.corners[cornerToSet];
  const name = CORNER_NAMES[cornerToSet];
  byId("pick-words").textContent = state.blend.four ? `The corner at the ${name} is`
    : `The end on the ${name.split(" ")[1]} is`;
  CORNER_NAMES.forEach((_, k) =>
    byId(`corner-${k}`).setAttribute("aria-pressed", k === cornerToSet));
  for (let number = 0; number < PICKS; number++) {
    const chosen = sameSource(source, gridSource(number));
    byId(`pick-sample-${number}`).setAttribute("aria-pressed", chosen);
  }
  for (let number = 0; number < Math.min(PICKS, HELD_OUT_COUNT); number++) {
    const chosen = source.kind === "held-out" && source.number === number;
    byId(`pick-held-out-${number}`).setAttribute("aria-pressed", chosen);
  }
}

function startCorners() {
  CORNER_NAMES.forEach((name, k) => {
    byId(`corner-${k}`).addEventListener("click", () => selectCorner(k));
    byId(`corner-${k}-subject`).addEventListener("click", () => {
      selectCorner(k);
      setCorner(k, subject.before && subjectAsCorner());
    });
  });
  for (let number = 0; number < PICKS; number++) {
    const press = () => setCorner(cornerToSet, gridSource(number));
    byId("pick-samples").append(pictureButton(`Sample ${number + 1}`, press,
      {id: `pick-sample-${number}`, "aria-pressed": "false"}));
  }
  for (let number = 0; number < Math.min(PICKS, HELD_OUT_COUNT); number++) {
    const press = () => setCorner(cornerToSet, {kind: "held-out", number});
    const pick = pictureButton(`Held-out ${NOUN} ${number + 1}`, press,
      {id: `pick-held-out-${number}`, "aria-pressed": "false"});
    drawPixels(pick.firstElementChild, heldOutPixels(number));
    byId("pick-held-out").append(pick);
  }
}
