// conditioners/residual_network.py: residual blocks, with a skip connection to the output after each.
//
//     h = conv3x3(relu([u, -u [, mask]])), u = norm(x)                 s = conv1x1(h)
//     a block:  h = h + conv3x3(relu(norm(conv3x3(relu(norm(h))))))    s = s + conv1x1(h)
//     out = conv1x1(relu(norm(s)))
const activate = (norm, x) => relu(norm ? norm.forward(x) : x);
const plus = (a, b) => map(a, (v, k) => v + b.data[k]);

function ResidualNetwork({ inputs, doubled, norm_in, conv_in, skip_in, blocks, norm_out, conv_out }) {
  function enter(x) {
    const raw = channels(x, 0, inputs), mask = channels(x, inputs, x.C);
    const u = map(norm_in ? norm_in.forward(raw) : raw, (v) => (doubled ? 2 * v : v));
    return relu(joined(joined(u, map(u, (v) => -v)), mask));
  }
  return {
    forward(x) {
      let h = conv_in.forward(enter(x));
      let s = skip_in.forward(h);
      for (const block of blocks) {
        h = block.forward(h);
        s = plus(s, block.skip.forward(h));
      }
      return conv_out.forward(activate(norm_out, s));
    },
  };
}

function ResidualBlock({ norm1, conv1, norm2, conv2, skip }) {
  const inner = (h) => conv2.forward(activate(norm2, conv1.forward(activate(norm1, h))));
  return { skip, forward: (h) => plus(h, inner(h)) };
}
