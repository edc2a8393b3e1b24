// Pixels on canvases: pictures, maps of numbers, buttons with a picture, the file to save.

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Three channels are colours; of any other number the first is shown, in grey.
function imageData(pixels) {
  const image = new ImageData(WIDTH, HEIGHT);
  for (let place = 0; place < HEIGHT * WIDTH; place++) {
    for (let colour = 0; colour < 3; colour++) {
      image.data[4 * place + colour] = pixels[place * CHANNELS + (CHANNELS === 3 ? colour : 0)];
    }
    image.data[4 * place + 3] = 255;
  }
  return image;
}

function drawPixels(canvas, pixels) {
  if (canvas.width !== WIDTH || canvas.height !== HEIGHT) {
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
  }
  canvas.getContext("2d").putImageData(imageData(pixels), 0, 0);
  canvas.classList.add("drawn");
}

function pictureCanvas(label, attributes = {}) {
  return element("canvas", {class: "picture", width: WIDTH, height: HEIGHT, role: "img",
    "aria-label": label, ...attributes});
}

// The frames around one pixel are as large as a pixel.
function sizeFrames() {
  for (const frame of document.querySelectorAll(".pixel-frame")) {
    frame.style.width = `${100 / WIDTH}%`;
    frame.style.height = `${100 / HEIGHT}%`;
  }
}

// A button that shows a picture; the name of the button is what a screen reader says.
function pictureButton(label, press, attributes = {}) {
  const canvas = element("canvas", {class: "picture", width: WIDTH, height: HEIGHT,
    "aria-hidden": "true"});
  return element("button", {type: "button", class: "thumb", "aria-label": label, title: label,
    onclick: press, ...attributes}, canvas);
}

// The colours of one pixel as #rrggbb, and back.
function colourAt(pixels, place) {
  const values = [0, 1, 2].map((k) => pixels[place * CHANNELS + (CHANNELS === 3 ? k : 0)]);
  return "#" + values.map((value) => value.toString(16).padStart(2, "0")).join("");
}

function setColour(pixels, place, colour) {
  const values = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const grey = Math.round(0.299 * values[0] + 0.587 * values[1] + 0.114 * values[2]);
  for (let channel = 0; channel < CHANNELS; channel++) {
    pixels[place * CHANNELS + channel] = CHANNELS === 3 ? values[channel] : grey;
  }
}

function heldOutPixels(number) {
  const size = HEIGHT * WIDTH * CHANNELS;
  if (!heldOutPixels.all) heldOutPixels.all = bytesOf(model.held_out.images);
  return heldOutPixels.all.subarray(number * size, (number + 1) * size);
}

const HELD_OUT_COUNT = model.held_out ? model.held_out.count : 0;

// Colours between stops [[at, [r, g, b]], ...], at from 0 to 1.
function colourBetween(stops, at) {
  let k = 1;
  while (k < stops.length - 1 && at > stops[k][0]) k++;
  const [low, from] = stops[k - 1];
  const [high, to] = stops[k];
  const share = clamp((at - low) / (high - low), 0, 1);
  return from.map((value, channel) => Math.round(value + share * (to[channel] - value)));
}

// Quieter than one's share is blue, louder is orange, just as loud is grey.
const QUIET_TO_LOUD = [[0, [0, 84, 140]], [0.25, [94, 160, 205]], [0.5, [222, 220, 214]],
  [0.75, [238, 168, 40]], [1, [176, 84, 0]]];
// From nothing (as dark as the night) to much.
const LITTLE_TO_MUCH = [[0, [22, 32, 44]], [0.35, [0, 84, 140]], [0.7, [86, 174, 230]],
  [1, [255, 244, 214]]];

// How a latent's shape lies on a map: [h, w, c] as it is, [d] in rows of about its root.
function mapShape(shape) {
  if (shape.length === 3) return [shape[0], shape[1]];
  let rows = Math.floor(Math.sqrt(shape[0]));
  while (shape[0] % rows) rows--;
  return [rows, shape[0] / rows];
}

function drawMap(canvas, values, shape, stops, placeOf) {
  const [rows, columns] = mapShape(shape);
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  for (let place = 0; place < rows * columns; place++) {
    const colour = colourBetween(stops, placeOf(values[place]));
    image.data.set([...colour, 255], 4 * place);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.classList.add("drawn");
}

// A PNG of at least 512 pixels a side, each of the model's pixels a square of whole pixels.
function savePicture(pixels, name) {
  const times = Math.ceil(512 / Math.min(WIDTH, HEIGHT));
  const small = element("canvas");
  drawPixels(small, pixels);
  const large = element("canvas", {width: WIDTH * times, height: HEIGHT * times});
  const brush = large.getContext("2d");
  brush.imageSmoothingEnabled = false;
  brush.drawImage(small, 0, 0, large.width, large.height);
  large.toBlob((blob) => {
    const address = URL.createObjectURL(blob);
    element("a", {href: address, download: name}).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }, "image/png");
}
