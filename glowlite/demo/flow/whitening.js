// bijectors/whitening.py: y = (x - mean) U diag(e^s) U^T          log|det| = sum s
function Whitening({ mean, rotation, log_scale }) {
  const D = mean.length, inverseRotation = transposed(rotation, D, D);
  const scaled = (row, sign) => {
    // row U, as U^T row: `product` transposes its matrix
    const turned = product(rotation, row, D, D, 1).map((v, i) => v * Math.exp(sign * log_scale[i]));
    return product(inverseRotation, turned, D, D, 1);
  };
  return {
    forward: (x) => [like(x, scaled(x.data.map((v, i) => v - mean[i]), 1)), sum(log_scale)],
    inverse: (y) => like(y, scaled(y.data, -1).map((v, i) => v + mean[i])),
  };
}
