// From the description of a model to its layers.
const LAYERS = {
  ActNorm, AdditiveCoupling, AffineCoupling, BatchNorm, Chain, Checkerboard, CheckerboardNetwork,
  ClassPrior, CouplingNetwork, Dequantizer, Flatten, Invertible1x1Conv, Invertible1x1ConvLU,
  Logit, MLP, Multiscale, NetworkBatchNorm, Permutation, Preprocessed, Rescale, ResidualBlock,
  ResidualNetwork, Reversed, ScaledLinear, Scaling, ScatterConv, Sigmoid, Split, Squeeze,
  TanhScale, TopPrior, WeightNormConv, Whitening, ZeroConv,
};

// A node that names a layer becomes it, once its parts are made; one that names a place among the
// weights becomes an array.
function build(node, weights) {
  if (node === null || typeof node !== "object") return node;
  if (Array.isArray(node)) return node.map((part) => build(part, weights));
  if ("at" in node) return weights(node);
  const parts = {};
  for (const name of Object.keys(node)) parts[name] = build(node[name], weights);
  return "layer" in node ? LAYERS[node.layer](parts) : parts;
}
