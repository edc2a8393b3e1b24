// bijectors/flatten.py: an image becomes a vector, channel after channel, as it lies here anyway
function Flatten({ image_shape: [H, W, C] }) {
  return {
    forward: (x) => [image(x.data.length, 1, 1, x.data), 0],
    inverse: (y) => image(C, H, W, y.data),
  };
}
