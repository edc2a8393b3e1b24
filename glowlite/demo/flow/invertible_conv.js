// bijectors/invertible_conv.py: one matrix mixes the channels of every pixel.
//
//     y = W x at every pixel          x = W^-1 y          log|det| = H W log|det W|
function Invertible1x1Conv({ weight }) {
  const C = Math.sqrt(weight.length);
  const { inverse: inverseWeight, logAbsDet } = inverted(weight, C);
  // `product` takes matrices transposed
  const W = transposed(weight, C, C), inverseW = transposed(inverseWeight, C, C);
  const mixed = (M, x) => like(x, product(M, x.data, C, C, pixelsOf(x)));
  return {
    forward: (x) => [mixed(W, x), pixelsOf(x) * logAbsDet],
    inverse: (y) => mixed(inverseW, y),
  };
}

// W = P L (U + diag(s)), equation 10, where P puts row rows[i] in place i and |s| = exp(log_s)
function Invertible1x1ConvLU({ lower, upper, log_s, sign_s, rows }) {
  const C = log_s.length, weight = new Float32Array(C * C);
  const L = (i, k) => (k < i ? lower[i * C + k] : k === i ? 1 : 0);
  const U = (k, j) => (k < j ? upper[k * C + j] : k === j ? sign_s[k] * Math.exp(log_s[k]) : 0);
  for (let i = 0; i < C; i++) {
    for (let j = 0; j < C; j++) {
      for (let k = 0; k < C; k++) weight[i * C + j] += L(rows[i], k) * U(k, j);
    }
  }
  return Invertible1x1Conv({ weight });
}
