// The worker of the page: it is sent the model once, then one request at a time. A picture is described
// by a recipe { source, alphas, levels, noise }: where it comes from, by how much each attribute is
// changed, and by what the latents of each level are replaced.

let studio = null;

function Studio(model, base64) {
  const weights = weightsIn(base64), flow = Flow(model, weights), shape = model.image_shape;
  const directions = model.attributes && Directions(build(model.attributes.directions, weights));
  const heldOut = model.held_out && bytesOf(model.held_out.images);
  const found = new Map(); // latents and pixels of sources, the latest last

  const lengthOf = (z) => Math.sqrt(sum(z, (v) => v * v));
  const encode = (pixels) => flow.forward(dequantized(pixels, shape, model.n_bits))[0];
  const decode = (z) => toPixels(flow.inverse(z), model.n_bits);

  function latentsOf(source) {
    if (source.kind === "sample") {
      const { seed, number, temperature, label } = source;
      return flow.sample(uniforms("sample", seed, number), temperature, label);
    }
    if (source.kind !== "blend") return encode(pixelsGiven(source));
    const corners = source.corners.map((corner) => remembered(corner).latents);
    return blended(corners, source.across, source.down, source.spherical);
  }

  function pixelsGiven(source) {
    if (source.kind === "held-out") {
      return heldOut.subarray(source.number * flow.D, (source.number + 1) * flow.D);
    }
    return source.kind === "pixels" ? unpackPixels(source.pixels, model.n_bits, flow.D) : null;
  }

  // the latents of a source, and, when they are asked for, the states of its attributes
  function remembered(source) {
    const key = JSON.stringify(source);
    const known = found.get(key) ?? { latents: latentsOf(source) };
    found.delete(key);
    found.set(key, known);
    if (found.size > 64) found.delete(found.keys().next().value);
    return known;
  }

  function latentsOfRecipe({ source, alphas, levels, noise }) {
    const known = remembered(source);
    let z = known.latents;
    if (directions && Object.values(alphas ?? {}).some((alpha) => alpha)) {
      known.states ??= directions.states(pixelsGiven(source) ?? decode(z), shape);
      z = directions.edited(z, known.states, alphas);
    }
    if (!levels) return z;
    z = Float32Array.from(z);
    levels.forEach((choice, i) => {
      const { from, to } = flow.levels[i], uniform = uniforms("level", noise, i);
      const draw = () => model.temperature * DRAWS[model.base](uniform);
      if (choice !== "keep") z.set(z.subarray(from, to).map(choice === "noise" ? draw : () => 0), from);
    });
    return z;
  }

  // of every level a map (h, w): the mean over channels of f, which is given each latent's index; of
  // vectors, every number
  const maps = (f) =>
    flow.levels.map(({ from, h, w, c }) => {
      const [channels, places] = h * w > 1 ? [c, h * w] : [1, c];
      return new Float32Array(places).map((_, p) => {
        let total = 0;
        for (let k = 0; k < channels; k++) total += f(from + k * places + p);
        return total / channels;
      });
    });

  let last = { key: "", pixels: null }; // the picture shown last, which is asked about again and again

  function pixelsOfRecipe(recipe) {
    const key = JSON.stringify(recipe);
    if (key !== last.key) last = { key, pixels: decode(latentsOfRecipe(recipe)) };
    return last.pixels;
  }

  function picture({ recipe }) {
    const start = performance.now(), z = latentsOfRecipe(recipe), x = flow.inverse(z);
    const milliseconds = performance.now() - start, pixels = toPixels(x, model.n_bits);
    last = { key: JSON.stringify(recipe), pixels };
    return {
      milliseconds,
      pixels,
      finite: x.data.every(Number.isFinite),
      maps: maps((i) => z[i] * z[i]),
      length: lengthOf(z),
      positions: directions ? directions.positions(z) : new Float32Array(0),
    };
  }

  // bits/dim, and the length of the latents, with the noise of draw number `draw`
  function bitsOfPixels({ pixels, draw }) {
    const uniform = uniforms("dequantize", draw);
    const { logProb, latents } = flow.densityOfPixels(pixels, shape, model.n_bits, () => uniform());
    return { bits: bitsPerDim(logProb, flow.D, model.n_bits), length: lengthOf(latents) };
  }

  const bits = ({ recipe, draw }) => bitsOfPixels({ pixels: pixelsOfRecipe(recipe), draw });

  // how much each latent moves, by the root of the mean square over channels, if all colours of one
  // pixel move by a level
  function influence({ recipe, row, column }) {
    const [, W, C] = shape, pixels = pixelsOfRecipe(recipe), moved = pixels.slice();
    const step = 2 ** (8 - model.n_bits);
    for (let k = (row * W + column) * C, c = 0; c < C; c++, k++) {
      moved[k] += pixels[k] + step > 255 ? -step : step;
    }
    const before = encode(pixels), after = encode(moved);
    return { maps: maps((i) => (after[i] - before[i]) ** 2).map((m) => m.map(Math.sqrt)) };
  }

  return {
    picture, bits, bits_of_pixels: bitsOfPixels, influence,
    encode: ({ pixels }) => ({ latents: encode(pixels) }),
    log_prob: ({ pixels }) => flow.density(dequantized(pixels, shape, model.n_bits)),
    decode: ({ latents }) => ({ x: flow.inverse(latents).data }),
  };
}

function answer(data) {
  if (data.model) {
    const start = performance.now();
    studio = Studio(data.model, data.weights);
    return { ready: true, milliseconds: performance.now() - start };
  }
  return studio[data.kind](data);
}

self.onmessage = ({ data }) => {
  try {
    self.postMessage({ id: data.id, ...answer(data) });
  } catch (error) {
    self.postMessage({ id: data.id, error: String(error) });
  }
};
