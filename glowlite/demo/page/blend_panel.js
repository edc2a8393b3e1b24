// Blend: between two pictures or four, on sliders or on a pad with a map of blends behind it.

const MAP_SIDE = 5; // the map has 5 x 5 blends, or 5 x 1 between two corners
let mapWords = ""; // the corners that the map is of

// Where 0 and 1 are on the pad: in the middle of its first and of its last picture.
function padPlace(value) {
  return (0.5 + (MAP_SIDE - 1) * value) / MAP_SIDE;
}

function padValue(place) {
  return hundredths(clamp((MAP_SIDE * place - 0.5) / (MAP_SIDE - 1), 0, 1));
}

function mapRows() {
  return state.blend.four ? MAP_SIDE : 1;
}

function blendChanged(live = true) {
  showBlend();
  if (live) chooseSubject(blendSource());
  else writeAddress();
  askMap();
}

function moveBlend(across, down) {
  state.blend.across = across;
  if (state.blend.four) state.blend.down = down;
  blendChanged();
}

// The map is asked for again only where its corners, or the way between them, are others.
function askMap() {
  if (state.tab !== "blend") return;
  const {corners, four, spherical} = state.blend;
  const words = JSON.stringify([corners, four, spherical]);
  if (words === mapWords) return;
  mapWords = words;
  forget("map-");
  const canvas = byId("map");
  if (canvas.width !== MAP_SIDE * WIDTH || canvas.height !== mapRows() * HEIGHT) {
    canvas.width = MAP_SIDE * WIDTH;
    canvas.height = mapRows() * HEIGHT;
  }
  for (let k = 0; k < MAP_SIDE * mapRows(); k++) askMapPicture(k);
}

function askMapPicture(k) {
  const [column, row] = [k % MAP_SIDE, Math.floor(k / MAP_SIDE)];
  const source = {...blendSource(), across: column / (MAP_SIDE - 1), down: row / (MAP_SIDE - 1)};
  ask(`map-${k}`, URGENCY.map, {kind: "picture", recipe: recipeOf(source, false)}, (answer) => {
    if (answer.error !== undefined || row >= mapRows()) return;
    const place = [column * WIDTH, row * HEIGHT];
    byId("map").getContext("2d").putImageData(imageData(answer.pixels), ...place);
  });
}

function showBlend() {
  const {across, down, four, spherical} = state.blend;
  setChoice("corners", four ? "4" : "2");
  byId("spherical").checked = spherical;
  byId("across").value = across;
  byId("down").value = down;
  byId("across-value").textContent = decimals(across);
  byId("down-value").textContent = decimals(down);
  byId("down").disabled = !four;
  byId("blend-board").classList.toggle("two", !four);
  const pad = byId("pad");
  pad.style.aspectRatio = `${MAP_SIDE * WIDTH} / ${mapRows() * HEIGHT}`;
  moveLayer(byId("pad-handle"), padPlace(across), four ? padPlace(down) : 0.5);
  pad.setAttribute("aria-valuenow", Math.round(100 * across));
  pad.setAttribute("aria-valuetext", `across ${Math.round(100 * across)} percent`
    + (four ? `, down ${Math.round(100 * down)} percent` : ""));
}

// When the tab is opened, or the state is another.
function openBlend() {
  showBlend();
  showCornerChoice();
  if (state.tab !== "blend") return;
  askMap();
  state.blend.corners.forEach((_, k) => askCorner(k));
}

function startBlend() {
  const sizes = [["2", "two"], ["4", "four"]];
  byId("corner-count").append(choice("corners", "How many corners", sizes, (value) => {
    state.blend.four = value === "4";
    selectCorner(state.blend.four || cornerToSet < 2 ? cornerToSet : 0);
    blendChanged(state.source.kind === "blend");
  }));
  byId("spherical").addEventListener("change", (event) => {
    state.blend.spherical = event.target.checked;
    blendChanged(state.source.kind === "blend");
  });
  byId("across").addEventListener("input", (event) =>
    moveBlend(Number(event.target.value), state.blend.down));
  byId("down").addEventListener("input", (event) =>
    moveBlend(state.blend.across, Number(event.target.value)));
  const pad = byId("pad");
  onDrag(pad, pad, (across, down) => moveBlend(padValue(across), padValue(down)));
  onArrows(pad, (across, down, fast) => {
    const step = fast ? 0.25 : 0.05;
    const moved = (value, by) => hundredths(clamp(value + step * by, 0, 1));
    moveBlend(moved(state.blend.across, across), moved(state.blend.down, down));
  });
  startCorners();
}
