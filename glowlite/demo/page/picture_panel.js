// Your picture: a file that never leaves the page, cropped by two handles on the eyes.

const LARGEST_SIDE = 1024; // pixels of what is kept of a file
const own = {bitmap: null, box: null, eyes: [[0.35, 0.4], [0.65, 0.4]], pixels: null};

function eyeHandles() {
  return [byId("eye-left"), byId("eye-right")];
}

async function takeFile(file) {
  if (!file) return;
  try {
    const whole = await createImageBitmap(file);
    const share = Math.min(1, LARGEST_SIDE / Math.max(whole.width, whole.height));
    own.bitmap = await createImageBitmap(whole, {resizeQuality: "high",
      resizeWidth: Math.max(1, Math.round(whole.width * share)),
      resizeHeight: Math.max(1, Math.round(whole.height * share))});
  } catch {
    note(`${file.name || "This"} is not a picture that this browser can read.`);
    return;
  }
  placePicture();
}

// The whole picture in the middle of the stage; the eyes as if its middle were cropped.
function placePicture() {
  const {width, height} = own.bitmap;
  const side = Math.max(width, height);
  own.box = {x: (1 - width / side) / 2, y: (1 - height / side) / 2, width: width / side,
    height: height / side};
  const scale = Math.min(own.box.width, (own.box.height * WIDTH) / HEIGHT);
  const [left, top] = [(1 - scale) / 2, (1 - (scale * HEIGHT) / WIDTH) / 2];
  own.eyes = eyePlaces(scale).map(([x, y]) => [left + x, top + y]);
  byId("stage").classList.add("full");
  for (const handle of eyeHandles()) handle.disabled = false;
  byId("encode").disabled = false;
  showCrop();
}

function moveEye(k, x, y) {
  const moved = [clamp(x, 0, 1), clamp(y, 0, 1)];
  const other = own.eyes[1 - k];
  // eyes at one place would ask for an infinite enlargement
  if (Math.hypot(moved[0] - other[0], moved[1] - other[1]) < 0.02) return;
  own.eyes[k] = moved;
  showCrop();
}

function showCrop() {
  eyeHandles().forEach((handle, k) => moveLayer(handle.parentElement, ...own.eyes[k]));
  own.pixels = croppedPixels(own.bitmap, own.box, own.eyes);
  drawPixels(byId("preview"), own.pixels);
  drawStage();
}

// The picture, and a veil over what is not cropped.
function drawStage() {
  const canvas = byId("stage-picture");
  const side = Math.round(canvas.clientWidth * Math.min(2, devicePixelRatio)) || 320;
  canvas.width = canvas.height = side;
  const brush = canvas.getContext("2d");
  const {x, y, width, height} = own.box;
  brush.imageSmoothingQuality = "high";
  brush.drawImage(own.bitmap, x * side, y * side, width * side, height * side);
  const outline = new Path2D();
  croppedCorners(own.eyes).forEach(([across, down], k) =>
    outline[k ? "lineTo" : "moveTo"](across * side, down * side));
  outline.closePath();
  const veil = new Path2D(outline);
  veil.rect(0, 0, side, side);
  brush.fillStyle = "rgb(12 16 22 / 0.55)";
  brush.fill(veil, "evenodd");
  brush.strokeStyle = "#fff";
  brush.lineWidth = side / 160;
  brush.stroke(outline);
}

function pixelsAsSubject(pixels) {
  chooseSubject({kind: "pixels", pixels: packPixels(pixels, model.n_bits)});
}

function startOwnPicture() {
  const stage = byId("stage");
  byId("file").addEventListener("change", (event) => {
    takeFile(event.target.files[0]);
    event.target.value = ""; // the same file can be chosen again
  });
  for (const kind of ["dragover", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      stage.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        openTab("picture");
        takeFile(event.dataTransfer.files[0]);
      }
    });
  }
  document.addEventListener("dragleave", () => stage.classList.remove("over"));
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find(({type}) => type.startsWith("image/"));
    if (!file) return;
    openTab("picture");
    takeFile(file);
  });
  eyeHandles().forEach((handle, k) => {
    onDrag(handle, stage, (x, y) => moveEye(k, x, y));
    onArrows(handle, (across, down, fast) => {
      const step = fast ? 0.03 : 0.005;
      moveEye(k, own.eyes[k][0] + step * across, own.eyes[k][1] + step * down);
    });
  });
  byId("encode").addEventListener("click", () => own.pixels && pixelsAsSubject(own.pixels));
  addEventListener("resize", () => own.bitmap && drawStage());
}
