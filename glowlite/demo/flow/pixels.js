// Pictures as text, for an address: the level of every number, n_bits each, in base64url.

function packPixels(pixels, nBits) {
  const bytes = new Uint8Array(Math.ceil((pixels.length * nBits) / 8));
  pixels.forEach((v, k) => {
    const level = v >> (8 - nBits);
    for (let b = 0; b < nBits; b++) {
      const bit = k * nBits + b;
      bytes[bit >> 3] |= ((level >> (nBits - 1 - b)) & 1) << (7 - (bit & 7));
    }
  });
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// `count` numbers, each in the middle of its level; null for a text that holds another number of them
function unpackPixels(text, nBits, count) {
  let bytes;
  try {
    bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
  if (bytes.length !== Math.ceil((count * nBits) / 8)) return null;
  const step = 2 ** (8 - nBits);
  return new Uint8Array(count).map((_, k) => {
    let level = 0;
    for (let b = 0; b < nBits; b++) {
      const bit = k * nBits + b;
      level = 2 * level + ((bytes.charCodeAt(bit >> 3) >> (7 - (bit & 7))) & 1);
    }
    return level * step + (nBits < 8 ? step / 2 : 0);
  });
}
