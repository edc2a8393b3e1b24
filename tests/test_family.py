"""NICE, put together from layers, against a NICE that somebody else wrote: log-likelihoods,
latents, samples and every gradient (tests/golden/family).
"""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from glowlite import MLP, AdditiveCoupling, Chain, Flow, Logistic, Normal, Permutation, Scaling
from glowlite.objective import loss_gradients

GOLDEN = Path(__file__).parent / "golden" / "family"
FILES = {"nice_fmu2_logistic": Logistic(), "nice_fmu2_gaussian": Normal()}


class Golden:
    """One file: arrays by name, and what it says of itself."""

    def __init__(self, name):
        with safe_open(GOLDEN / f"{name}.safetensors", "np") as file:
            self.facts = file.metadata()
            self.arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118

    def networks(self, kind):
        """The linear layers of each coupling, as (weight (in, out), bias), of `param` or `grad`."""
        middle = range(int(self.facts["hidden_layers"]) - 1)
        names = ["in_block.0", *(f"mid_block.{j}.0" for j in middle), "out_block"]
        return [
            [
                (
                    self.arrays[f"{kind}/coupling.{k}.{name}.weight"].T,
                    self.arrays[f"{kind}/coupling.{k}.{name}.bias"],
                )
                for name in names
            ]
            for k in range(int(self.facts["couplings"]))
        ]


def nice(golden, base):
    """Even components first, couplings that change one half and then the other, the order as it
    was, a scale for each component.
    """
    D = int(golden.facts["dimension"])
    layers = {"even_odd": Permutation.even_odd(D)}
    for k, linears in enumerate(golden.networks("param")):
        net = MLP(D // 2, D // 2, [weight.shape[1] for weight, _ in linears[:-1]])
        for (weight, bias), own_weight, own_bias in zip(
            linears, net.weights, net.biases, strict=True
        ):
            own_weight.value[...], own_bias.value[...] = weight, bias
        changes_even = (int(float(golden.facts["mask_config"])) + k) % 2 == 1
        layers[f"coupling{k}"] = AdditiveCoupling(D, net, "first" if changes_even else "second")
    layers["as_it_was"] = Permutation(layers["even_odd"].indices.value.argsort())
    layers["scaling"] = Scaling((D,))
    layers["scaling"].log_scale.value[...] = golden.arrays["param/scaling.scale"][0]
    flow = Flow(Chain(layers), base, dtype="float64", event_shape=(D,))
    flow.initialized = True
    return flow, layers


@pytest.mark.parametrize("name", FILES)
def test_a_nice_of_these_layers_is_that_of_another_code(name):
    golden = Golden(name)
    flow, layers = nice(golden, FILES[name])
    x = golden.arrays["x"]
    latents, logdet = flow.forward(x)
    np.testing.assert_allclose(latents[0], golden.arrays["z"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(logdet, golden.arrays["logdet"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(flow.log_prob(x), golden.arrays["log_prob"], rtol=0, atol=1e-10)
    sample = flow.inverse([golden.arrays["sample/z"]])
    np.testing.assert_allclose(sample, golden.arrays["sample/x"], rtol=0, atol=1e-10)

    _, dx = flow.backward(latents, *loss_gradients(latents, len(x), FILES[name]))
    flow.store.grad[...] = 0
    loss, _ = flow.gradients(x)
    assert loss == pytest.approx(golden.arrays["loss"][0], rel=1e-12)
    theirs = golden.arrays["grad_x"]
    np.testing.assert_allclose(dx, theirs, rtol=0, atol=1e-8 * abs(theirs).max())
    pairs = [(layers["scaling"].log_scale.grad, golden.arrays["grad/scaling.scale"][0])]
    for k, linears in enumerate(golden.networks("grad")):
        net = layers[f"coupling{k}"].net
        pairs += [(p.grad, w) for p, (w, _) in zip(net.weights, linears, strict=True)]
        pairs += [(p.grad, b) for p, (_, b) in zip(net.biases, linears, strict=True)]
    assert sum(own.size for own, _ in pairs) == len(flow.store)
    for own, theirs in pairs:
        np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-8 * abs(theirs).max())
