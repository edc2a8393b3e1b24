// bijectors/split.py: half of the channels leave as noise, whose prior depends on those that stay.
//
//     z1, z2 = halves of x          mean, logs = the even and the odd channels of prior(z1)
//     eps = (z2 - mean) exp(-logs)          z2 = mean + eps exp(logs)          log|det| = -sum logs
function Split({ prior }) {
  const meanAndLogs = (z1) => {
    if (!prior) return [new Float32Array(z1.data.length), new Float32Array(z1.data.length)];
    const h = prior.forward(z1);
    return [everyOther(h, 0).data, everyOther(h, 1).data];
  };
  return {
    forward(x) {
      const z1 = channels(x, 0, x.C / 2), z2 = channels(x, x.C / 2, x.C);
      const [mean, logs] = meanAndLogs(z1);
      return [z1, map(z2, (v, k) => (v - mean[k]) * Math.exp(-logs[k])), -sum(logs)];
    },
    inverse(z1, eps) {
      const [mean, logs] = meanAndLogs(z1);
      return joined(z1, map(eps, (v, k) => mean[k] + v * Math.exp(logs[k])));
    },
  };
}
