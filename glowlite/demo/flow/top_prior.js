// bijectors/top_prior.py: the learned prior of the last latents; mean and logs are the first and the
// last channels of a 3x3 convolution of zeros.
function TopPrior({ channels: C, prior }) {
  return affineBy((z) => topMeanAndLogs(C, prior, z));
}

function topMeanAndLogs(C, prior, z) {
  const h = prior.forward(image(2 * C, z.H, z.W));
  return [channels(h, 0, C).data, channels(h, C, 2 * C).data];
}

//     eps = (z - mean) exp(-logs)          z = mean + eps exp(logs)          log|det| = -sum logs
function affineBy(meanAndLogs) {
  return {
    forward(z) {
      const [mean, logs] = meanAndLogs(z);
      return [map(z, (v, k) => (v - mean[k]) * Math.exp(-logs[k])), -sum(logs)];
    },
    inverse(eps) {
      const [mean, logs] = meanAndLogs(eps);
      return map(eps, (v, k) => mean[k] + v * Math.exp(logs[k]));
    },
  };
}
