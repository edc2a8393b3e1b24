// bijectors/sigmoid.py: y = sigmoid(x) - 1/2 = tanh(x / 2) / 2
//
//     x = log(1/2 + y) - log(1/2 - y)          log|det| = -sum |x| + 2 log(1 + exp(-|x|))
function Sigmoid() {
  const size = (v) => Math.abs(v) + 2 * Math.log1p(Math.exp(-Math.abs(v)));
  return {
    forward: (x) => [map(x, (v) => Math.tanh(v / 2) / 2), -sum(x.data, size)],
    inverse: (y) => map(y, (v) => Math.log(0.5 + v) - Math.log(0.5 - v)),
  };
}
