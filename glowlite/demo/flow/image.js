// An image is { C, H, W, data }: planes, one per channel, data[c H W + i W + j]. A vector of D
// numbers, as NICE has, is an image of D channels of one pixel.

const image = (C, H, W, data = new Float32Array(C * H * W)) => ({ C, H, W, data });

const like = (x, data = new Float32Array(x.data.length)) => image(x.C, x.H, x.W, data);

const pixelsOf = (x) => x.H * x.W;

// channels from .. to - 1: a view
const channels = (x, from, to) =>
  image(to - from, x.H, x.W, x.data.subarray(from * pixelsOf(x), to * pixelsOf(x)));

// channels first, first + 2, first + 4, ...: a copy
function everyOther(x, first) {
  const P = pixelsOf(x), y = image(x.C / 2, x.H, x.W);
  for (let c = 0; c < y.C; c++) {
    y.data.set(x.data.subarray((2 * c + first) * P, (2 * c + first + 1) * P), c * P);
  }
  return y;
}

function joined(a, b) {
  const y = image(a.C + b.C, a.H, a.W);
  y.data.set(a.data);
  y.data.set(b.data, a.data.length);
  return y;
}

// y[k] = f(x[k], k)
function map(x, f) {
  const y = like(x);
  for (let k = 0; k < y.data.length; k++) y.data[k] = f(x.data[k], k);
  return y;
}

// y[k] = f(x[k], c) for every pixel k of channel c
function mapChannels(x, f) {
  const P = pixelsOf(x), y = like(x);
  for (let c = 0, k = 0; c < x.C; c++) for (let p = 0; p < P; p++, k++) y.data[k] = f(x.data[k], c);
  return y;
}

function sum(numbers, f = (number) => number) {
  let total = 0;
  for (let k = 0; k < numbers.length; k++) total += f(numbers[k], k);
  return total;
}

const relu = (x) => map(x, (a) => Math.max(a, 0));
