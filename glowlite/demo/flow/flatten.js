// bijectors/flatten.py: turns an image into a vector, in the order of memory
function Flatten({ image_shape: [H, W, C] }) {
  return {
    forward: (x) => [image(x.data.length, 1, 1, x.data), 0],
    inverse: (y) => image(C, H, W, y.data),
  };
}
