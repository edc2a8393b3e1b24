// bijectors/batch_norm.py and conditioners/batch_norm.py, by the running mean m and variance v, which
// are constants once a model is trained.

// y = (x - m) / sqrt(v + eps)     x = y sqrt(v + eps) + m     log|det| = -1/2 sum log(v + eps)
//
// of the channels `changed`, pairs [first, one after the last] that share m and v
function BatchNorm({ mean, variance, eps, changed }) {
  const deviation = variance.map((v) => Math.sqrt(v + eps));
  const moved = (x, f) => {
    const y = like(x, x.data.slice());
    for (const [from, to] of changed) {
      channels(y, from, to).data.set(mapChannels(channels(x, from, to), f).data);
    }
    return y;
  };
  const logScale = -changed.length * sum(deviation, Math.log);
  return {
    forward: (x) => [moved(x, (v, c) => (v - mean[c]) / deviation[c]), pixelsOf(x) * logScale],
    inverse: (y) => moved(y, (v, c) => v * deviation[c] + mean[c]),
  };
}

// y = gain (x - m) / sqrt(v + eps) + bias; without `gain`, 1
function NetworkBatchNorm({ mean, variance, eps, gain, bias }) {
  const slope = variance.map((v, c) => (gain ? gain[c] : 1) / Math.sqrt(v + eps));
  return { forward: (x) => mapChannels(x, (v, c) => (v - mean[c]) * slope[c] + bias[c]) };
}
