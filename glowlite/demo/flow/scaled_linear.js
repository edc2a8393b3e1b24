// conditioners/scaled_linear.py: a matrix product, with a bias and a scale per output.
//
//     y = (W^T x + b) e,  e = exp(3 logs)          without logs, e = 1

const outputScale = (bias, logs) => bias.map((_, c) => (logs ? Math.exp(3 * logs[c]) : 1));

// columns (rows, P) -> (C, P)
function ScaledLinear({ weight, bias, logs }) {
  const e = outputScale(bias, logs), C = bias.length;
  return {
    forward(columns, P) {
      const y = product(weight, columns, weight.length / C, C, P);
      for (let c = 0, k = 0; c < C; c++) {
        for (let p = 0; p < P; p++, k++) y[k] = (y[k] + bias[c]) * e[c];
      }
      return y;
    },
  };
}

// A 3x3 convolution as a product and a scatter: a pixel q sends W[k] h[q] to the pixel q + k. `weight`
// is (C_in [+ 1], 9, C_out); its last row, if there is a border channel, is what every pixel outside
// the image sends.
function ScatterConv({ weight, bias, logs, in_channels, with_border }) {
  const e = outputScale(bias, logs), C = bias.length, taps = weight.subarray(0, in_channels * 9 * C);
  const border = with_border ? weight.subarray(in_channels * 9 * C) : null; // (9, C_out)
  return {
    forward(h, H, W) {
      const P = H * W, y = scatter(product(taps, h, in_channels, 9 * C, P), C, H, W);
      const sent = border ? product(border, sendersOutside(H, W), 9, C, P) : null;
      return map(y, (v, k) => {
        const c = Math.floor(k / P);
        return (v + (sent ? sent[k] : 0) + bias[c]) * e[c];
      });
    },
  };
}
