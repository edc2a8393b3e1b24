// Random numbers of a seed and of what they are for. They are others than NumPy's, so that a seed has
// other pictures here than `python -m glowlite.sample`.

// 32 bits of a text, by FNV-1a
function hashed(text) {
  let h = 0x811c9dc5;
  for (let k = 0; k < text.length; k++) h = Math.imul(h ^ text.charCodeAt(k), 0x01000193);
  return h >>> 0;
}

// U(0, 1) in 2^-32 (k + 1/2), by the generator sfc32: three words and a counter
function uniforms(...purpose) {
  let a = hashed(`a ${purpose}`), b = hashed(`b ${purpose}`), c = hashed(`c ${purpose}`), count = 1;
  const next = () => {
    const out = (a + b + count++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + out) | 0;
    return ((out >>> 0) + 0.5) / 2 ** 32;
  };
  for (let k = 0; k < 12; k++) next();
  return next;
}

// N(0, 1) from two uniforms, by Box and Muller; the logistic distribution by its inverse
const DRAWS = {
  Normal: (u) => Math.sqrt(-2 * Math.log(u())) * Math.cos(2 * Math.PI * u()),
  Logistic(u) {
    const p = u();
    return Math.log(p) - Math.log1p(-p);
  },
};
