// Which latents a pixel moves: picked on the subject, or with the arrow keys.

const pixel = {row: Math.floor(HEIGHT / 2), column: Math.floor(WIDTH / 2)};

function pickPixel(row, column) {
  pixel.row = clamp(row, 0, HEIGHT - 1);
  pixel.column = clamp(column, 0, WIDTH - 1);
  showPixel();
  askInfluence();
}

function showPixel() {
  moveLayer(byId("pixel-frame"), pixel.column / WIDTH, pixel.row / HEIGHT);
  const words = `row ${pixel.row + 1}, column ${pixel.column + 1}`;
  byId("pixel-words").textContent = words;
  byId("pixel-pad").setAttribute("aria-valuenow", pixel.row * WIDTH + pixel.column + 1);
  byId("pixel-pad").setAttribute("aria-valuetext", words);
}

function askInfluence() {
  if (state.tab !== "latents") return;
  const message = {kind: "influence", recipe: theRecipe(), row: pixel.row, column: pixel.column};
  ask("influence", URGENCY.influence, message, (answer) => {
    if (answer.error === undefined) showInfluence(answer.maps);
  });
}

// All levels use the same scale; a level's share is its fraction of the sum of squares.
function showInfluence(maps) {
  const largest = Math.max(...maps.map((values) => Math.max(...values)), 1e-12);
  const channels = model.latent_shapes.map((shape) => (shape.length === 3 ? shape[2] : 1));
  const squares = maps.map((values, level) =>
    channels[level] * values.reduce((sum, value) => sum + value * value, 0));
  const all = squares.reduce((sum, value) => sum + value, 0) || 1;
  maps.forEach((values, level) => {
    const id = `influence-${level}`;
    drawMap(byId(id), values, model.latent_shapes[level], LITTLE_TO_MUCH, (value) =>
      Math.sqrt(value / largest));
    byId(`${id}-words`).textContent = `${Math.round((100 * squares[level]) / all)}% share`;
  });
}

function startInfluence() {
  const pad = byId("pixel-pad");
  pad.setAttribute("aria-valuemax", HEIGHT * WIDTH);
  const pick = (across, down) =>
    pickPixel(Math.floor(down * HEIGHT), Math.floor(across * WIDTH));
  onDrag(pad, pad, pick);
  onArrows(pad, (across, down, fast) => {
    const step = fast ? 4 : 1;
    pickPixel(pixel.row + step * down, pixel.column + step * across);
  });
  byId("subject").addEventListener("click", (event) => {
    if (state.tab === "latents") pick(...placeIn(byId("subject"), event));
  });
  subjectWatchers.push((answer, newest) => {
    drawPixels(byId("pixel-picture"), answer.pixels);
    if (newest) askInfluence();
  });
}
