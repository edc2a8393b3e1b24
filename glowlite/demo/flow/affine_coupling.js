// bijectors/affine_coupling.py: one half is scaled and shifted by functions of the other.
//
//     y2 = s x2 + t  (`after`)  or  (x2 + t) s  (`before`)          log|det| = sum log s
//
// t and h are the even and the odd channels of net(x1), and log s is one of
//
//     exp  h          sigmoid  log sigmoid(h + 2)          bounded  c (2/pi) atan(h / c)
function AffineCoupling({ net, changed, scale, shift, bound }) {
  const logScale = {
    exp: (h) => h,
    sigmoid: (h) => Math.min(h + 2, 0) - Math.log1p(Math.exp(-Math.abs(h + 2))),
    bounded: (h) => (2 / Math.PI) * bound * Math.atan(h / bound),
  }[scale];
  const before = shift === "before";

  function transform(x2, h) {
    const t = everyOther(h, 0).data, logS = map(everyOther(h, 1), logScale).data;
    const y2 = map(x2, (v, k) => {
      const s = Math.exp(logS[k]);
      return before ? (v + t[k]) * s : v * s + t[k];
    });
    return [y2, sum(logS)];
  }

  function transformInverse(y2, h) {
    const t = everyOther(h, 0).data, logS = map(everyOther(h, 1), logScale).data;
    return map(y2, (v, k) => {
      const s = Math.exp(logS[k]);
      return before ? v / s - t[k] : (v - t[k]) / s;
    });
  }
  return Coupling(net, changed, transform, transformInverse);
}
