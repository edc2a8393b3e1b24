// bijectors/reversed.py: a layer that only moves numbers, applied in the inverse direction
function Reversed({ of }) {
  return { forward: (x) => [of.inverse(x), 0], inverse: (y) => of.forward(y)[0] };
}
