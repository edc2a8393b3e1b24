// models/multiscale.py: at the end of a level but the last, half of the channels go.
//
//     x -> squeeze -> steps -> split -> squeeze -> steps -> split ... -> steps -> top prior
//                                \-> eps_0                    \-> eps_1              \-> eps_{L-1}
//
// `given(label)`: the flow of one class, where the prior of the last latents is one for each.
function Multiscale({ levels, top }) {
  const flow = (prior) => ({
    forward(x) {
      const latents = [];
      let total = 0;
      for (const { squeeze, steps, split } of levels) {
        const [y, logdet] = steps.forward(squeeze.forward(x)[0]);
        const [z1, eps, splitLogdet] = split ? split.forward(y) : [y, y, 0];
        latents.push(eps);
        x = z1;
        total += logdet + splitLogdet;
      }
      const [eps, logdet] = prior ? prior.forward(x) : [x, 0];
      return [[...latents.slice(0, -1), eps], total + logdet];
    },
    inverse(latents) {
      const last = latents[latents.length - 1];
      let x = prior ? prior.inverse(last) : last;
      for (let i = levels.length - 1; i >= 0; i--) {
        const { squeeze, steps, split } = levels[i];
        x = squeeze.inverse(steps.inverse(split ? split.inverse(x, latents[i]) : x));
      }
      return x;
    },
  });
  if (!top || !top.given) return flow(top);
  return { ...flow(top.given(0)), given: (label) => flow(top.given(label)) };
}
