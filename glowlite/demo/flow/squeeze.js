// bijectors/squeeze.py: every 2x2 block of pixels becomes one pixel of four times the channels.
//
//     channels  y[4c + 2dy + dx][i][j] = x[c][2i + dy][2j + dx]          log|det| = 0
//     corners   y[k C + c][i][j]       = x[c][2i + dy][2j + dx], 2dy + dx = 0, 3, 1, 2 for k = 0 .. 3
function Squeeze({ order }) {
  const CORNER = [0, 3, 1, 2];
  // calls f(k, l) for all numbers k of the image and l of the squeezed one that are the same
  function pairs({ C, H, W }, f) {
    for (let c = 0, k = 0; c < C; c++) {
      for (let i = 0; i < H; i++) {
        for (let j = 0; j < W; j++, k++) {
          const corner = 2 * (i % 2) + (j % 2);
          const channel = order === "channels" ? 4 * c + corner : CORNER.indexOf(corner) * C + c;
          f(k, (channel * (H >> 1) + (i >> 1)) * (W >> 1) + (j >> 1));
        }
      }
    }
  }
  return {
    forward(x) {
      const y = image(4 * x.C, x.H / 2, x.W / 2);
      pairs(x, (k, l) => (y.data[l] = x.data[k]));
      return [y, 0];
    },
    inverse(y) {
      const x = image(y.C / 4, 2 * y.H, 2 * y.W);
      pairs(x, (k, l) => (x.data[k] = y.data[l]));
      return x;
    },
  };
}
