// conditioners/weight_norm.py: convolutions of side 1 or 3, whose weights have a direction v and a length
// g per output channel c.
//
//     w_c = g_c v_c / |v_c|          y = w^T columns(x) + b
function WeightNormConv({ v, g, bias, taps, in_channels }) {
  const rows = taps * in_channels, C = v.length / rows, w = new Float32Array(v.length);
  for (let c = 0; c < C; c++) {
    let square = 0;
    for (let k = c; k < v.length; k += C) square += v[k] * v[k];
    for (let k = c; k < v.length; k += C) w[k] = ((g ? g[c] : 1) * v[k]) / Math.sqrt(square);
  }
  return {
    forward(x) {
      const columns = taps === 9 ? gather(x) : x.data;
      const y = image(C, x.H, x.W, product(w, columns, rows, C, pixelsOf(x)));
      return bias ? mapChannels(y, (a, c) => a + bias[c]) : y;
    },
  };
}
