// Draw: a picture by hand, pixel by pixel, that becomes the subject.

const LARGEST_PAINTED = 64; // pixels a side; larger pictures are not drawn by hand
const SWATCHES = 10;
const STEPS_BACK = 200;
const painting = {pixels: null, before: [], row: 0, column: 0, tool: "brush", encoded: null,
  opened: false};

function paintPlace() {
  return painting.row * WIDTH + painting.column;
}

function keepForUndo() {
  painting.before.push(painting.pixels.slice());
  if (painting.before.length > STEPS_BACK) painting.before.shift();
  byId("paint-undo").disabled = false;
}

function showPainting() {
  drawPixels(byId("paint-picture"), painting.pixels);
  moveLayer(byId("paint-frame"), painting.column / WIDTH, painting.row / HEIGHT);
  const words = `row ${painting.row + 1}, column ${painting.column + 1}`;
  byId("paint").setAttribute("aria-label", `Drawing, ${words}, `
    + colourAt(painting.pixels, paintPlace()));
}

// Whether two colours look alike: no channel differs by a tenth of its range.
function alike(one, other) {
  const parts = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  const [a, b] = [parts(one), parts(other)];
  return a.every((part, k) => Math.abs(part - b[k]) < 26);
}

// The most common colours of the drawing, so that one can go on with them; of like ones, one.
function showSwatches() {
  const counts = new Map();
  for (let place = 0; place < HEIGHT * WIDTH; place++) {
    const colour = colourAt(painting.pixels, place);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const common = [...counts].sort((a, b) => b[1] - a[1]).map(([colour]) => colour);
  const chosen = [];
  for (const colour of common) {
    if (chosen.length < SWATCHES && !chosen.some((other) => alike(colour, other))) chosen.push(colour);
  }
  byId("swatches").replaceChildren(...chosen.map((colour) => {
    const swatch = button("", () => chooseColour(colour),
      {class: "swatch", "aria-label": `Colour ${colour}`, title: colour});
    swatch.style.backgroundColor = colour;
    return swatch;
  }));
}

function chooseColour(colour) {
  byId("colour").value = colour;
  if (painting.tool === "pick") chooseTool("brush");
}

function chooseTool(tool) {
  painting.tool = tool;
  setChoice("tool", tool);
}

// All places of one colour that hang together with the first.
function filledPlaces(first) {
  const colour = colourAt(painting.pixels, first);
  const found = new Set([first]);
  for (const place of found) {
    const [row, column] = [Math.floor(place / WIDTH), place % WIDTH];
    for (const [across, down] of Object.values(ARROWS)) {
      const [y, x] = [row + down, column + across];
      const next = y * WIDTH + x;
      const inside = y >= 0 && y < HEIGHT && x >= 0 && x < WIDTH;
      if (inside && colourAt(painting.pixels, next) === colour) found.add(next);
    }
  }
  return found;
}

// What the tool does at the frame; first: a new stroke begins.
function useTool(first) {
  const place = paintPlace();
  if (painting.tool === "pick") {
    byId("colour").value = colourAt(painting.pixels, place);
    return;
  }
  if (first) keepForUndo();
  const places = painting.tool === "fill" ? filledPlaces(place) : [place];
  for (const each of places) setColour(painting.pixels, each, byId("colour").value);
  showPainting();
}

// After a stroke: where the drawing is the subject, the subject is drawn with it.
function strokeEnded() {
  if (painting.tool === "pick") chooseTool("brush");
  showSwatches();
  const {kind, pixels} = state.source;
  if (kind === "pixels" && pixels === painting.encoded) encodePainting();
}

function encodePainting() {
  painting.encoded = packPixels(painting.pixels, model.n_bits);
  chooseSubject({kind: "pixels", pixels: painting.encoded});
}

function startPaintingFrom(pixels) {
  keepForUndo();
  painting.pixels = pixels;
  showPainting();
  strokeEnded();
}

// The first time the tab is open, the drawing is what is the subject then.
function openPainting() {
  if (state.tab !== "picture" || painting.opened || !subject.pixels) return;
  painting.opened = true;
  painting.pixels = subject.pixels.slice();
  showPainting();
  showSwatches();
}

function blankPixels() {
  return new Uint8Array(HEIGHT * WIDTH * CHANNELS).fill(236);
}

// A line from the last pixel to this one, so that a fast finger leaves no gaps.
function paintTo(row, column, first) {
  const [fromRow, fromColumn] = first ? [row, column] : [painting.row, painting.column];
  const steps = Math.max(Math.abs(row - fromRow), Math.abs(column - fromColumn), 1);
  for (let k = first ? steps : 1; k <= steps; k++) {
    painting.row = Math.round(fromRow + ((row - fromRow) * k) / steps);
    painting.column = Math.round(fromColumn + ((column - fromColumn) * k) / steps);
    useTool(first);
  }
  showPainting();
}

function startPainting() {
  byId("draw-part").hidden = Math.max(HEIGHT, WIDTH) > LARGEST_PAINTED;
  painting.pixels = blankPixels();
  painting.row = Math.floor(HEIGHT / 2);
  painting.column = Math.floor(WIDTH / 2);
  const tools = [["brush", "Brush"], ["fill", "Fill"], ["pick", "Pick up"]];
  byId("tools").append(choice("tool", "Tool", tools, chooseTool));
  chooseTool("brush");
  const grid = byId("paint-grid");
  grid.style.backgroundSize = `${100 / WIDTH}% ${100 / HEIGHT}%`;
  const pad = byId("paint");
  onDrag(pad, pad, (across, down, first) => {
    const [row, column] = [Math.floor(down * HEIGHT), Math.floor(across * WIDTH)];
    paintTo(clamp(row, 0, HEIGHT - 1), clamp(column, 0, WIDTH - 1), first);
  }, strokeEnded);
  onArrows(pad, (across, down) => {
    painting.row = clamp(painting.row + down, 0, HEIGHT - 1);
    painting.column = clamp(painting.column + across, 0, WIDTH - 1);
    showPainting();
  });
  pad.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    useTool(true);
    strokeEnded();
  });
  byId("paint-undo").addEventListener("click", () => {
    painting.pixels = painting.before.pop() ?? painting.pixels;
    byId("paint-undo").disabled = painting.before.length === 0;
    showPainting();
    strokeEnded();
  });
  byId("paint-subject").addEventListener("click", () =>
    subject.pixels && startPaintingFrom(subject.pixels.slice()));
  byId("paint-blank").addEventListener("click", () => startPaintingFrom(blankPixels()));
  byId("paint-encode").addEventListener("click", encodePainting);
  showPainting();
  showSwatches();
  subjectWatchers.push(openPainting);
}
