// latent/walks.py: between two latents, vectors a and b, at t in [0, 1].
//
//     linear  (1 - t) a + t b          spherical  (sin((1 - t) w) a + sin(t w) b) / sin w
//
// w is the angle between a and b. Half way between two independent latents, a linear walk is at
// 1/sqrt(2) of their length, as a sample at temperature 0.7 is; a spherical one keeps the length.
function walk(a, b, t, spherical) {
  const dot = (p, q) => sum(p, (v, k) => v * q[k]);
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  const w = Math.acos(Math.min(Math.max(dot(a, b) / (lengths || 1), -1), 1));
  const curved = spherical && Math.sin(w) > 1e-6;
  const fromA = curved ? Math.sin((1 - t) * w) / Math.sin(w) : 1 - t;
  const fromB = curved ? Math.sin(t * w) / Math.sin(w) : t;
  return a.map((v, k) => fromA * v + fromB * b[k]);
}

// two corners: from the first to the second; four, a b over c d: two walks down, and one across
function blended(corners, across, down, spherical) {
  const [a, b, c, d] = corners;
  if (corners.length === 2) return walk(a, b, across, spherical);
  return walk(walk(a, c, down, spherical), walk(b, d, down, spherical), across, spherical);
}
