// conditioners/coupling_network.py: 3x3 convolution, ReLU, 1x1 convolution, ReLU, 3x3 convolution.
//
//     h1 = relu(e1 (W1^T gather(x) + b1))
//     h2 = relu(e2 (W2^T h1 + b2))
//     h  = e3 (scatter(W3^T h2) + b3)
function CouplingNetwork({ border_in, conv1, conv2, conv3 }) {
  const positive = (h) => h.map((v) => Math.max(v, 0));
  return {
    forward(x) {
      const P = pixelsOf(x);
      const h1 = positive(conv1.forward(gather(x, border_in), P)); // (width, P)
      const h2 = positive(conv2.forward(h1, P)); // (width, P)
      return conv3.forward(h2, x.H, x.W);
    },
  };
}
