// The weights of a page: base64 text, arrays one after the other, each in 16 or 32 bits.

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return bytes;
}

// a number of 16 bits: sign, 5 bits of exponent, 10 of fraction
function half(bits) {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// a function that gives the array of { at: byte, count, type: "float16" or "float32" }
function weightsIn(base64) {
  const bytes = bytesOf(base64).buffer, table = new Float32Array(1 << 16);
  for (let bits = 0; bits < table.length; bits++) table[bits] = half(bits);
  return ({ at, count, type }) => {
    if (type === "float32") return new Float32Array(bytes.slice(at, at + 4 * count));
    const halves = new Uint16Array(bytes, at, count), array = new Float32Array(count);
    for (let k = 0; k < count; k++) array[k] = table[halves[k]];
    return array;
  };
}
