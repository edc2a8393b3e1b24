// flow.py: an invertible map from pictures to noise, and the distribution of that noise. Latents are one
// vector here, level after level, finest first.
//
//     log p(x) = log p_z(z) + log|det dz/dx|
function Flow(model, weights) {
  const layers = build(model.layers, weights);
  const dequantizer = build(model.dequantizer, weights); // null where the noise is uniform
  const logDensity = LOG_DENSITIES[model.base];
  const shapes = model.latent_shapes.map((shape) => {
    const [h, w, c] = shape.length === 3 ? shape : [1, 1, shape[0]];
    return { h, w, c, size: h * w * c };
  });
  const D = sum(shapes, (shape) => shape.size);

  // of a level: { from, to, h, w, c }
  const levels = shapes.map((shape, i) => {
    const from = sum(shapes.slice(0, i), (before) => before.size);
    return { ...shape, from, to: from + shape.size };
  });
  const cut = (z) => levels.map(({ c, h, w, from, to }) => image(c, h, w, z.slice(from, to)));

  function vector(latents) {
    const z = new Float32Array(D);
    latents.forEach(({ data }, i) => z.set(data, levels[i].from));
    return z;
  }

  // latents, and log|det|
  function forward(x, flow = layers) {
    const [latents, logdet] = flow.forward(x);
    return [vector(Array.isArray(latents) ? latents : [latents]), logdet];
  }
  function inverse(z, flow = layers) {
    const latents = cut(z);
    return flow.inverse(model.many_latents ? latents : latents[0]);
  }

  // log P of pixels, for one draw of the noise between levels: log p(x) - log q(u), and the latents
  function densityOfPixels(pixels, shape, nBits, noise) {
    if (!dequantizer) return density(dequantized(pixels, shape, nBits, noise));
    const middles = dequantized(pixels, shape, nBits);
    const start = map(middles, () => noise() - 0.5);
    const [moved, logdet] = dequantizer.given(middles).forward(start);
    const { logProb, latents } = density(map(middles, (v, k) => v + moved.data[k] / 2 ** nBits));
    return { logProb: logProb + logdet, latents };
  }

  // log p(x), and the latents; where there are classes, of the mixture of all, each as probable as any
  // other, and the latents of the first
  function density(x) {
    const flows = model.classes.length ? model.classes.map((_, k) => layers.given(k)) : [layers];
    const passes = flows.map((flow) => forward(x, flow));
    const each = passes.map(([z, logdet]) => sum(z, logDensity) + logdet);
    return { logProb: logSumExp(each) - Math.log(each.length), latents: passes[0][0] };
  }

  // a sample of class `label`, as latents of the first class: of one picture the classes have other
  // latents, and walks and edits are those of the first
  function sample(uniform, temperature, label) {
    const z = new Float32Array(D).map(() => temperature * DRAWS[model.base](uniform));
    return label ? forward(inverse(z, layers.given(label)))[0] : z;
  }
  return { D, levels, forward, inverse, density, densityOfPixels, sample };
}
