// bijectors/actnorm.py: one scale and one shift per channel.
//
//     y = s x + b          x = (y - b) / s          log|det| = H W sum log|s|
//
// `paper`: s and b themselves. `openai`: s = exp(3 logs), b = b' s.
function ActNorm({ parametrisation, scale, bias, logs }) {
  const s = parametrisation === "paper" ? scale : logs.map((l) => Math.exp(3 * l));
  const b = parametrisation === "paper" ? bias : bias.map((shift, c) => shift * s[c]);
  const logScale = sum(s, (v) => Math.log(Math.abs(v)));
  return {
    forward: (x) => [mapChannels(x, (v, c) => s[c] * v + b[c]), pixelsOf(x) * logScale],
    inverse: (y) => mapChannels(y, (v, c) => (v - b[c]) / s[c]),
  };
}
