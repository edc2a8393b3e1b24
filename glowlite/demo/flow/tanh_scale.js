// conditioners/tanh_scale.py: t, r = the even and the odd channels of raw(x), and h = a tanh(r) [+ b]
function TanhScale({ raw, a, b }) {
  return {
    forward(x) {
      const h = (v, c) => (a.length > 1 ? a[(c - 1) / 2] : a[0]) * Math.tanh(v) + (b ? b[0] : 0);
      return mapChannels(raw.forward(x), (v, c) => (c % 2 ? h(v, c) : v));
    },
  };
}
