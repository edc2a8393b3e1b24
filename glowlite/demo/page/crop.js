// A crop by two points: the shift, size and turn that put them where eyes go.
//
// Points of the plane as complex numbers [re, im]: z -> a z + b takes e1 to m1 and e2 to m2, with
// a = (m2 - m1) / (e2 - e1) and b = m1 - a e1.

function times([a, b], [c, d]) {
  return [a * c - b * d, a * d + b * c];
}

function over(z, [c, d]) {
  const square = c * c + d * d;
  const [re, im] = times(z, [c, -d]);
  return [re / square, im / square];
}

function minus([a, b], [c, d]) {
  return [a - c, b - d];
}

// from and to: two points each. The two numbers a and b.
function similarity(from, to) {
  const a = over(minus(to[1], to[0]), minus(from[1], from[0]));
  return {a, b: minus(to[0], times(a, from[0]))};
}

// Where eyes go, in widths of the model's picture.
function eyePlaces(width = 1) {
  return model.eyes.map(([x, y]) => [x * width, (y * width * HEIGHT) / WIDTH]);
}

// The corners of what is cropped, in the coordinates of the eyes.
function croppedCorners(eyes) {
  const {a, b} = similarity(eyePlaces(), eyes);
  return [[0, 0], [1, 0], [1, 1], [0, 1]].map(([x, y]) => {
    const z = times(a, [x, (y * HEIGHT) / WIDTH]);
    return [z[0] + b[0], z[1] + b[1]];
  });
}

function meanColour(bitmap) {
  const side = 32;
  const brush = element("canvas", {width: side, height: side}).getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, side, side);
  const data = brush.getImageData(0, 0, side, side).data;
  const means = [0, 1, 2].map((c) => meanOf([...data].filter((_, k) => k % 4 === c)));
  return `rgb(${means.map(Math.round).join(" ")})`;
}

// A picture of the model's size: drawn larger, then averaged, so that no pixel is left out.
// bitmap lies in the box {x, y, width, height} of the plane where the eyes are.
function croppedPixels(bitmap, box, eyes) {
  const finer = Math.max(1, Math.round(256 / WIDTH));
  const [width, height] = [WIDTH * finer, HEIGHT * finer];
  const large = element("canvas", {width, height});
  const brush = large.getContext("2d", {willReadFrequently: true});
  brush.imageSmoothingQuality = "high";
  brush.fillStyle = meanColour(bitmap); // of what lies beyond the picture's edge
  brush.fillRect(0, 0, width, height);
  const {a, b} = similarity(eyes, eyePlaces(width));
  brush.setTransform(a[0], a[1], -a[1], a[0], b[0], b[1]);
  brush.drawImage(bitmap, box.x, box.y, box.width, box.height);
  return averaged(brush.getImageData(0, 0, width, height).data, finer);
}

// Means over squares of finer x finer pixels, as the model counts channels.
function averaged(data, finer) {
  const pixels = new Uint8Array(HEIGHT * WIDTH * CHANNELS);
  for (let row = 0; row < HEIGHT; row++) {
    for (let column = 0; column < WIDTH; column++) {
      const sums = [0, 0, 0];
      for (let k = 0; k < finer * finer; k++) {
        const [y, x] = [row * finer + Math.floor(k / finer), column * finer + (k % finer)];
        for (let c = 0; c < 3; c++) sums[c] += data[4 * (y * WIDTH * finer + x) + c];
      }
      const colour = "#" + sums.map((sum) =>
        Math.round(sum / finer ** 2).toString(16).padStart(2, "0")).join("");
      setColour(pixels, row * WIDTH + column, colour);
    }
  }
  return pixels;
}
