// bijectors/permutation.py: reorders the channels, y[i] = x[indices[i]].  log|det| = 0
function Permutation({ indices }) {
  const moved = (x, from, to) => {
    const P = pixelsOf(x), y = like(x);
    for (let i = 0; i < x.C; i++) y.data.set(channels(x, from(i), from(i) + 1).data, to(i) * P);
    return y;
  };
  const same = (i) => i, other = (i) => indices[i];
  return { forward: (x) => [moved(x, other, same), 0], inverse: (y) => moved(y, same, other) };
}
