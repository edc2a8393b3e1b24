"""How a layer of a public library is made for the laws.

    @layer(4)                       # the shape of one sample of x
    def actnorm():
        return shaken(ActNorm(4))

`python -m glowlite.laws FILE.py:actnorm` makes it in float64, from the seed, and in evaluation mode
after one pass in training mode, by which layers that start from their data have done so.
"""


def layer(*shape, condition=None, fails="", slow=False):
    """Say for the laws what shape (...) one sample of x, and of the condition, has; what the layer
    says when it is called, if it cannot be; and whether its laws take more than two seconds.
    """

    def recorded(function):
        function.SHAPE, function.FAILS, function.SLOW = shape, fails, slow
        if condition is not None:
            function.CONDITION_SHAPE = condition
        return function

    return recorded


def layers_of(module):
    """The functions of a module that make a layer, by name, in the order of the file."""
    return {name: thing for name, thing in vars(module).items() if hasattr(thing, "SHAPE")}


def shaken(module, by=0.3, keep=1.0):
    """The module of PyTorch with every parameter that is trained times `keep`, plus normal noise
    times `by`, in place: many a layer starts as the identity, where mistakes do not show.
    """
    import torch

    with torch.no_grad():
        for p in module.parameters():
            if p.requires_grad:
                p.copy_(keep * p + by * torch.randn_like(p))
    return module
