// conditioners/mlp.py: fully connected layers, with h = max(a, slope a), a = h W + b, between them
function MLP({ weights, biases, slope }) {
  return {
    forward(x) {
      let h = x.data;
      weights.forEach((weight, i) => {
        const bias = biases[i], isLast = i === weights.length - 1;
        h = product(weight, h, h.length, bias.length, 1).map((v, j) => {
          const a = v + bias[j];
          return isLast ? a : Math.max(a, slope * a);
        });
      });
      return image(h.length, 1, 1, h);
    },
  };
}
