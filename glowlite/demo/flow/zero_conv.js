// conditioners/zero_conv.py: one 3x3 convolution, as the network of a learned prior
function ZeroConv({ conv }) {
  return { forward: (x) => conv.forward(x.data, x.H, x.W) };
}
