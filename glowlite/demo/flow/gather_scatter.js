// conditioners/gather_scatter.py: a 3x3 convolution is a gather and a product, or a product and a
// scatter. The nine taps k, in the order dy, dx, each in {-1, 0, 1}:
//
//     gather(x)[k][p] = x[p + k], 0 outside the image          scatter(v)[q] = sum_k v[k][q - k]

// calls f(tap, p, q, n) for all runs of n pixels p, p + 1, ... of a row whose neighbours at the tap,
// q, q + 1, ..., are inside the image
function forRuns(H, W, f) {
  for (let tap = 0; tap < 9; tap++) {
    const dy = Math.floor(tap / 3) - 1, dx = (tap % 3) - 1, j = Math.max(0, -dx);
    for (let i = Math.max(0, -dy); i < Math.min(H, H - dy); i++) {
      f(tap, i * W + j, (i + dy) * W + j + dx, W - Math.abs(dx));
    }
  }
}

// columns (9 (C + border), P); the border channel, the last of each tap, is 1 outside the image
function gather(x, withBorder = false) {
  const P = pixelsOf(x), stride = (x.C + (withBorder ? 1 : 0)) * P;
  const columns = new Float32Array(9 * stride);
  if (withBorder) for (let tap = 1; tap <= 9; tap++) columns.fill(1, tap * stride - P, tap * stride);
  forRuns(x.H, x.W, (tap, p, q, n) => {
    let k = tap * stride + p;
    for (let c = 0; c < x.C; c++, k += P, q += P) {
      for (let j = 0; j < n; j++) columns[k + j] = x.data[q + j];
    }
    if (withBorder) columns.fill(0, k, k + n);
  });
  return columns;
}

// an image of C channels from columns (9 C, P); what is sent out of the image is lost
function scatter(columns, C, H, W) {
  const P = H * W, y = image(C, H, W);
  forRuns(H, W, (tap, p, q, n) => {
    for (let c = 0, k = tap * C * P + p; c < C; c++, k += P, q += P) {
      for (let j = 0; j < n; j++) y.data[q + j] += columns[k + j];
    }
  });
  return y;
}

// (9, P): 1 where the pixel that would send to p by tap k, at p - k, is outside the image
function sendersOutside(H, W) {
  const P = H * W, senders = new Float32Array(9 * P).fill(1);
  forRuns(H, W, (tap, p, q, n) => senders.fill(0, tap * P + q, tap * P + q + n));
  return senders;
}
