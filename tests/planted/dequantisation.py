"""Bugs in the noise between levels that a model makes itself: its density, its gradients, and its way through a run."""

from __future__ import annotations

from . import Bug

LAW = "learned noise has the right density and gradient"
RUNS = "every image of a run has its own noise"
SIGMOID, FLOW, NET = (
    "bijectors/sigmoid.py",
    "models/dequantized.py",
    "conditioners/conditioned.py",
)
MODEL, DEQUANTIZER = "models/image_model.py", "bijectors/dequantizer.py"
STEPS, SCORES = "training/run.py", "training/scoring.py"


def tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/test_dequantisation.py::{name}" for name in names)


OF_SIGMOID = ("tests/test_laws.py::test_layer[host-sigmoid]",)
ONCE = ("tests/test_laws.py::test_layer_once[dequantizer]",)
DENSITY = tests("test_its_density_is_that_of_the_image_over_that_of_the_noise[glow]")
QUADRATURE = tests(
    "test_importance_samples_come_to_the_probability_that_a_quadrature_finds[variational]"
)
BOUND = tests("test_the_gradients_are_those_of_the_bound[glow-colour]")
LAWS = tests("test_the_flow_of_the_noise_of_an_image_obeys_the_laws[glow-colour]")
START = tests("test_noise_that_is_learned_starts_as_uniform_noise")
ENDS = tests("test_noise_at_the_ends_of_its_interval_leaves_everything_finite[float32]")
DRAWS = tests("test_several_draws_of_a_score_are_the_mean_of_p_over_q")
LANES = tests("test_the_second_lane_has_noise_of_its_own_wherever_it_runs[more0]")
LATENTS = tests("test_latents_of_images_are_those_of_the_noise_that_was_trained")
FILES = tests("test_a_file_has_the_noise_too[glow]")

BUGS = [
    Bug(LAW, "log|det| of a sigmoid with the sign for a logit", SIGMOID, "-sum_per_sample(size", "sum_per_sample(size", OF_SIGMOID),
    Bug(LAW, "the slope of a sigmoid is left out of its gradient", SIGMOID, "dy * (0.5 + y) * (0.5 - y)", "dy * (0.5 + y)", OF_SIGMOID),
    Bug(LAW, "log|det| of a sigmoid has half its derivative", SIGMOID, "- 2 * per_sample", "- per_sample", OF_SIGMOID),
    Bug(LAW, "the gradient of the condition is added to that of the noise", NET, "dboth[..., :channels]", "dboth[..., -channels:]", BOUND),
    Bug(LAW, "every sample sees the first image", NET, "condition = xp.broadcast_to(condition, ", "condition = xp.broadcast_to(condition[:1], ", ONCE),
    Bug(LAW, "the network sees no image", NET, ".astype(x.dtype)", ".astype(x.dtype) * 0", ONCE),
    Bug(LAW, "only one half of the noise is changed", DEQUANTIZER, '"second" if k % 2 == 0 else "first"', '"second"', tests("test_both_halves_of_the_noise_are_changed")),
    Bug(LAW, "the density of the noise is not counted", FLOW, "return y, noise_logdet + logdet\n", "return y, logdet\n", DENSITY + QUADRATURE),
    Bug(LAW, "the density of the noise is not counted in training", FLOW, "return y, noise_logdet + logdet, Noise", "return y, logdet, Noise", BOUND),
    Bug(LAW, "noise spans the whole range instead of one level", FLOW, "self.middles + noise / self.n_bins, below", "self.middles + noise, below", DENSITY),
    Bug(LAW, "the gradient of the image goes on as that of the noise", FLOW, "of_noise = cache.noise, dx / self.n_bins,", "of_noise = cache.noise, dx,", BOUND),
    Bug(LAW, "log|det| of the noise has no gradient", FLOW, "dx / self.n_bins, dlogdet, cache.of_noise", "dx / self.n_bins, 0 * dlogdet, cache.of_noise", BOUND),
    Bug(LAW, "without a cache the gradient is that of the image", FLOW, "backward(noise, dx / self.n_bins, dlogdet)", "backward(noise, dx, dlogdet)", LAWS),
    Bug(LAW, "white can be 1/2", FLOW, "minimum(self.middles + noise / self.n_bins, below)", "minimum(self.middles + noise / self.n_bins, 0.5)", ENDS),
    Bug(LAW, "noise may be at an end", "objective.py", "-end, end)", "-0.5, 0.5)", ENDS),
    Bug(LAW, "its networks see no data at the start", FLOW, "self.image(self.dequantizer.initialize(x, total))", "self.image(self.dequantizer.forward(x)[0])", START),
    Bug(LAW, "levels of another number of bits", MODEL, "2 ** check_n_bits(n_bits))", "2 ** (check_n_bits(n_bits) + 1))", DENSITY),
    Bug(RUNS, "scores use uniform noise", SCORES, "model.dtype, model.xp, model.variational)\n            log_probs.append(to_host(log_of(*given.of_noise(x, n_bits))))", "model.dtype, model.xp)\n            log_probs.append(to_host(log_of(given, x)))", DRAWS),
    Bug(RUNS, "the parts of the model and their gradients are in different orders", FLOW, "self.dequantizer, self.flow = dequantizer, flow", "self.flow, self.dequantizer = flow, dequantizer", LANES),
    Bug(RUNS, "latents use uniform noise", "latent/directions.py", "model.xp, model.variational)\n        latents, _ = model.forward(model.dequantized(x, model.n_bits))", "model.xp)\n        latents, _ = model.forward(x)", LATENTS),
    Bug(RUNS, "a file does not record that the noise is learned", "models/image_config.py", "if not self.variational:  # as", "if True:  # as", FILES),
]  # fmt: skip
