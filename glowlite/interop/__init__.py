"""Import the weights of other codes into a Glow, RealNVP or NICE, and export its gradients and
running statistics under their names.

    tensors = {name: tensor.numpy() for name, tensor in torch_model.state_dict().items()}
    model = from_weights(tensors, kind="rosinality", image_size=(64, 64))

The kinds, by their names:

    A, y0ast                              Glow, PyTorch
    B, rosinality                         Glow, PyTorch
    C, openai                             the original Glow, TensorFlow
    realnvp-authors, tensorflow/models    the original RealNVP, TensorFlow
    realnvp-chute, chrischute/real-nvp    RealNVP, PyTorch
    realnvp-fmu2, fmu2/realNVP            RealNVP, PyTorch
    nice-fmu2, fmu2/NICE                  NICE, PyTorch
    nice-daksh, DakshIdnani/pytorch-nice  NICE, PyTorch

`y0ast`, `rosinality`, `openai`, `realnvp` and `nice`, the modules here, describe how each code
names and stores every parameter. `python -m glowlite.interop check FILE...` compares imported
models with results computed by those codes.
"""

from glowlite.interop.weights import from_weights, their_gradients, their_statistics

__all__ = ["from_weights", "their_gradients", "their_statistics"]
