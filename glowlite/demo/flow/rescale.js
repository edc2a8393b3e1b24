// bijectors/rescale.py: y = low + (high - low)(x + 1/2)          log|det| = D log(high - low)
function Rescale({ low, high }) {
  return {
    forward(x) {
      const y = map(x, (v) => low + (high - low) * (v + 0.5));
      return [y, x.data.length * Math.log(high - low)];
    },
    inverse: (y) => map(y, (v) => (v - low) / (high - low) - 0.5),
  };
}
