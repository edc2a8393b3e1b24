"""Carry the weights of three other Glow codes into a Glow, and its gradients back under their
names.

    tensors = {name: tensor.numpy() for name, tensor in torch_model.state_dict().items()}
    model = from_weights(tensors, kind="rosinality", image_size=(64, 64))

`y0ast`, `rosinality` and `openai`, the modules here, say what each code calls and how it stores
every parameter. `python -m glowlite.interop check FILE...` holds imported models against results
that those codes gave.
"""

from glowlite.interop.weights import from_weights, their_gradients

__all__ = ["from_weights", "their_gradients"]
