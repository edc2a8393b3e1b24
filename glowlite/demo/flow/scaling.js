// bijectors/scaling.py: every component has its own scale, y = e^s x          log|det| = sum s
function Scaling({ log_scale, factor }) {
  return {
    forward(x) {
      return [map(x, (v, i) => v * Math.exp(factor * log_scale[i])), factor * sum(log_scale)];
    },
    inverse: (y) => map(y, (v, i) => v * Math.exp(-factor * log_scale[i])),
  };
}
