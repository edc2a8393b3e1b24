// models/preprocessed.py: preprocessing layers, and the model after them
function Preprocessed({ before, flow }) {
  return {
    forward(x) {
      const [h, logdet] = before.forward(x);
      const [y, flowLogdet] = flow.forward(h);
      return [y, logdet + flowLogdet];
    },
    inverse: (y) => before.inverse(flow.inverse(y)),
  };
}
