// bijectors/coupling.py: one half of the channels is transformed by a map that depends on the other.
//
//     y1 = x1          y2 = f(x2; net(x1))
//
// y1 = x1, so the inverse runs the same network on the same input. `transform(x2, h)` gives y2 and the
// log-determinant, `transformInverse(y2, h)` returns x2.
function Coupling(net, changed, transform, transformInverse) {
  const halves = (x) => {
    const first = channels(x, 0, x.C / 2), second = channels(x, x.C / 2, x.C);
    return changed === "first" ? [second, first] : [first, second];
  };
  const join = (x1, x2) => (changed === "first" ? joined(x2, x1) : joined(x1, x2));
  return {
    forward(x) {
      const [x1, x2] = halves(x);
      const [y2, logdet] = transform(x2, net.forward(x1));
      return [join(x1, y2), logdet];
    },
    inverse(y) {
      const [y1, y2] = halves(y);
      return join(y1, transformInverse(y2, net.forward(y1)));
    },
  };
}

// y2 = x2 + h          x2 = y2 - h          log|det| = 0
function AdditiveCoupling({ net, changed }) {
  const transform = (x2, h) => [map(x2, (v, k) => v + h.data[k]), 0];
  return Coupling(net, changed, transform, (y2, h) => map(y2, (v, k) => v - h.data[k]));
}
