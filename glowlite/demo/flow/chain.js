// bijectors/chain.py: layers one after the other; their log-determinants add up.
function Chain({ layers }) {
  return {
    forward(x) {
      let total = 0;
      for (const layer of layers) {
        const [y, logdet] = layer.forward(x);
        x = y;
        total += logdet;
      }
      return [x, total];
    },
    inverse: (y) => layers.reduceRight((x, layer) => layer.inverse(x), y),
  };
}
