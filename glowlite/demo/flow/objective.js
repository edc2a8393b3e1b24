// objective.py: from pixels to a density. A pixel v of 0 .. 255 is one of 2^n_bits levels, and noise u
// fills the space between two:
//
//     x = (level + u) / 2^n_bits - 1/2          bits/dim = -(log p(x) - D ln 2^n_bits) / (D ln 2)
//
// Pixels are as a picture has them, pixel by pixel; an image has planes.

const planeIndex = ([H, W, C], k) => (k % C) * H * W + Math.floor(k / C);

// `noise(k)` is u of number k
function dequantized(pixels, shape, nBits, noise = () => 0.5) {
  const [H, W, C] = shape, x = image(C, H, W);
  // in 32 bits a level and its noise can round up to the next level, but for the last one
  const below = 0.5 - 2 ** -25;
  pixels.forEach((v, k) => {
    const level = v >> (8 - nBits);
    x.data[planeIndex(shape, k)] = Math.min((level + noise(k)) / 2 ** nBits - 0.5, below);
  });
  return x;
}

// the level that holds x, clipped, in the middle of its pixel values
function toPixels(x, nBits) {
  const bins = 2 ** nBits, step = 256 / bins, shape = [x.H, x.W, x.C];
  const middle = nBits < 8 ? step / 2 : 0;
  return new Uint8Array(x.data.length).map((_, k) => {
    const level = Math.floor((x.data[planeIndex(shape, k)] + 0.5) * bins);
    return Math.min(Math.max(level, 0), bins - 1) * step + middle;
  });
}

// log p(z) of latents, nats; the logistic distribution by |z|, so that nothing overflows
const LOG_DENSITIES = {
  Normal: (v) => -0.5 * (v * v + Math.log(2 * Math.PI)),
  Logistic: (v) => -Math.abs(v) - 2 * Math.log1p(Math.exp(-Math.abs(v))),
};

const bitsPerDim = (logProb, D, nBits) => -(logProb - D * nBits * Math.LN2) / (D * Math.LN2);

function logSumExp(numbers) {
  const largest = Math.max(...numbers);
  return largest + Math.log(sum(numbers, (v) => Math.exp(v - largest)));
}
