// bijectors/class_prior.py: a prior of the last latents for every class of images. (m, l) is the row of
// the class of `by_class` (classes, pixels, 2C), of one pixel where all pixels have the same.
//
//     eps = (z - mean - m) exp(-logs - l)          z = mean + m + eps exp(logs + l)
function ClassPrior({ channels: C, classes, prior, by_class }) {
  const places = by_class.length / classes / (2 * C);
  function meanAndLogs(label, z) {
    const P = pixelsOf(z), [mean, logs] = topMeanAndLogs(C, prior, z);
    const row = (c, p) => by_class[(label * places + (places > 1 ? p : 0)) * 2 * C + c];
    const at = (first) => (v, k) => v + row(first + Math.floor(k / P), k % P);
    return [mean.map(at(0)), logs.map(at(C))];
  }
  return { classes, given: (label) => affineBy((z) => meanAndLogs(label, z)) };
}
