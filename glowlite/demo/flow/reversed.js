// bijectors/reversed.py: a layer that only moves numbers, run the other way
function Reversed({ of }) {
  return { forward: (x) => [of.inverse(x), 0], inverse: (y) => of.forward(y)[0] };
}
