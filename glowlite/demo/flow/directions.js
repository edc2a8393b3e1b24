// latent/directions.py: directions of attributes j in latent space, vectors of D numbers.
//
//     mean  z + alpha d_j
//     held  z + alpha r_j d_j + |alpha| sum_{k != j} s_k d_{k|j}
//
// d_j is the difference of means, r_j as much of it as is enough; s_k = 1 if k holds, else -1; d_{k|j},
// in `given`, holds attribute k where it is, while j changes.
function Directions({ names, mean, given, reach, reader, side }) {
  const A = names.length, D = mean.length / A;
  const rowOf = (M, row) => M.subarray(row * D, (row + 1) * D);

  // 1 where an attribute is read from pixels, else -1: a linear map of pixels shrunk by means of blocks
  function states(pixels, [H, W, C]) {
    const byY = Math.max(1, Math.floor(H / side)), byX = Math.max(1, Math.floor(W / side));
    const h = Math.floor(H / byY), w = Math.floor(W / byX), features = new Float64Array(h * w * C + 1);
    for (let i = 0; i < h * byY; i++) {
      for (let j = 0; j < w * byX; j++) {
        for (let c = 0; c < C; c++) {
          const block = (Math.floor(i / byY) * w + Math.floor(j / byX)) * C + c;
          features[block] += pixels[(i * W + j) * C + c] / (byY * byX) / 255;
        }
      }
    }
    for (let k = 0; k < h * w * C; k++) features[k] -= 0.5;
    features[h * w * C] = 1;
    return names.map((_, j) => (sum(features, (f, k) => f * reader[k * A + j]) > 0 ? 1 : -1));
  }

  // z, moved by { name: alpha, ... } for a picture of these states
  function edited(z, states, alphas) {
    const moved = Float32Array.from(z);
    const add = (factor, direction) => direction.forEach((v, i) => (moved[i] += factor * v));
    const changed = names.map((name, j) => j).filter((j) => alphas[names[j]]);
    for (const j of changed) {
      const alpha = alphas[names[j]];
      add(alpha * (given ? reach[j] : 1), rowOf(mean, j));
      if (!given) continue;
      for (let k = 0; k < A; k++) {
        if (changed.includes(k)) continue;
        const row = (2 * j + (alpha > 0 ? 1 : 0)) * A + k;
        add((Math.abs(alpha) / changed.length) * states[k], rowOf(given, row));
      }
    }
    return moved;
  }

  // where z stands along each direction, in units of it
  function positions(z) {
    return Float32Array.from(names, (_, j) => {
      const d = rowOf(mean, j);
      return sum(d, (v, i) => v * z[i]) / sum(d, (v) => v * v);
    });
  }
  return { states, edited, positions };
}
