// bijectors/dequantizer.py: the noise between two levels, moved by a flow that sees the image.
//
//     u0 - 1/2 -> logit -> squeeze -> couplings -> unsqueeze -> sigmoid -> u - 1/2
//
// The networks of the couplings see the pixels that stay, and the image, four times as large.
function Dequantizer({ couplings }) {
  const squeeze = Squeeze({ order: "corners" });
  return {
    given(middles) {
      const [seen] = squeeze.forward(map(middles, (v) => 4 * v));
      const beside = (net) => ({ forward: (x) => net.forward(joined(x, seen)) });
      const conditional = couplings.map((part) => AffineCoupling({ ...part, net: beside(part.net) }));
      const layers = [Logit({ low: 0, high: 1 }), squeeze, ...conditional];
      return Chain({ layers: [...layers, Reversed({ of: squeeze }), Sigmoid()] });
    },
  };
}
