// conditioners/checkerboard_network.py: a network that sees the kept pixels where they stand in the
// image, with 0 at the others [, and one more channel that is 1 at the kept ones]; what it says at the
// others is its output.
function CheckerboardNetwork({ image: net, kept, mask }) {
  const keptParity = kept === "even" ? 0 : 1;
  return {
    forward(half) {
      const x = image(half.C + (mask ? 1 : 0), half.H, 2 * half.W);
      putPixels(x, half, keptParity);
      if (mask) {
        const ones = image(1, half.H, half.W);
        putPixels(channels(x, half.C, half.C + 1), like(ones, ones.data.fill(1)), keptParity);
      }
      return takePixels(net.forward(x), 1 - keptParity);
    },
  };
}
