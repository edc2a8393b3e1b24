// bijectors/checkerboard.py: the even pixels become the first half of the channels, the odd ones the
// second; two neighbours of a row become one pixel.  log|det| = 0

// pixel j' of row i of the half of one parity is the pixel 2j' + (i + parity) mod 2 of the image
const checkerboardColumn = (i, j, parity) => 2 * j + ((i + parity) % 2);

function takePixels(x, parity) {
  const half = image(x.C, x.H, x.W / 2);
  for (let c = 0, k = 0; c < half.C; c++) {
    for (let i = 0; i < half.H; i++) {
      for (let j = 0; j < half.W; j++, k++) {
        half.data[k] = x.data[(c * x.H + i) * x.W + checkerboardColumn(i, j, parity)];
      }
    }
  }
  return half;
}

function putPixels(x, half, parity) {
  for (let c = 0, k = 0; c < half.C; c++) {
    for (let i = 0; i < half.H; i++) {
      for (let j = 0; j < half.W; j++, k++) {
        x.data[(c * x.H + i) * x.W + checkerboardColumn(i, j, parity)] = half.data[k];
      }
    }
  }
}

function Checkerboard() {
  return {
    forward: (x) => [joined(takePixels(x, 0), takePixels(x, 1)), 0],
    inverse(y) {
      const C = y.C / 2, x = image(C, y.H, 2 * y.W);
      putPixels(x, channels(y, 0, C), 0);
      putPixels(x, channels(y, C, 2 * C), 1);
      return x;
    },
  };
}
