// bijectors/logit.py: p = low + (high - low)(x + 1/2)          y = log p - log(1 - p)
//
//     x = (sigmoid(y) - low) / (high - low) - 1/2
//     log|det| = sum log(high - low) - log p - log(1 - p)
function Logit({ low, high }) {
  return {
    forward(x) {
      const p = map(x, (v) => low + (high - low) * (v + 0.5)).data;
      const q = map(x, (v) => 1 - high + (high - low) * (0.5 - v)).data; // 1 - p, without rounding
      const y = map(x, (_, k) => Math.log(p[k]) - Math.log(q[k]));
      // -log p - log(1 - p) = |y| + 2 log(1 + exp(-|y|))
      const size = (v) => Math.abs(v) + 2 * Math.log1p(Math.exp(-Math.abs(v)));
      return [y, sum(y.data, (v) => Math.log(high - low) + size(v))];
    },
    inverse: (y) => map(y, (v) => ((Math.tanh(v / 2) + 1) / 2 - low) / (high - low) - 0.5),
  };
}
