"""Turn any supported object into a layer under test: a layer of NumPy arrays, or one of a
framework.

No framework is imported by this file unless one of its objects is passed in, and then it is
imported already.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from glowlite.testing.adapters import FlowAsLayer

FRAMEWORKS = ("auto", "numpy", "torch", "jax")
PROTOCOL = ("forward", "inverse", "backward")
# attributes by which objects of distrax, flowjax or TensorFlow Probability are recognised
OF_JAX = (
    ("forward_and_log_det", "inverse_and_log_det"),
    ("transform_and_log_det", "inverse_and_log_det"),
    ("bijector", "distribution", "log_prob"),
    ("bijection", "base_dist", "log_prob"),
    ("sample_and_log_prob", "event_shape"),
    ("forward", "forward_log_det_jacobian", "inverse_log_det_jacobian"),
)


def as_layer(
    thing: Any,
    framework: str = "auto",
    condition: np.ndarray | None = None,
    initialise_with: np.ndarray | None = None,
) -> Any:
    """Return `thing` with the interface that the laws need.

    A layer that already has it is returned unchanged, or at the condition if there is one. A torch
    module or transform becomes `torch_layer(thing, ...)`. An object of distrax or flowjax, or a
    tuple (forward, inverse, params) or (make, params), becomes `jax_layer(...)`.

    condition: (N, ...), or (1, ...) for every sample. initialise_with: a batch (N, ...) for the
    first pass of a torch module, which may set parameters from it; other layers do not need it.
    Raises TypeError, in one line that says what is missing, and ValueError for an unknown
    framework.
    """
    if framework not in FRAMEWORKS:
        raise ValueError(f"framework: expected one of {', '.join(FRAMEWORKS)}, got {framework!r}")
    found = framework_of(thing) if framework == "auto" else framework
    if found == "torch":
        from glowlite.testing.torch_layers import torch_layer

        return torch_layer(thing, condition, initialise_with)
    if found == "jax":
        from glowlite.testing.jax_layers import jax_layer

        return jax_layer(*_parts(thing), condition=condition)
    return _numpy_layer(thing, condition)


@contextlib.contextmanager
def from_seed(seed: int) -> Iterator[None]:
    """Inside this context, layers are made in float64 and only from this seed, as far as the
    imported frameworks allow. Otherwise numbers that a layer derives at construction would stay
    rounded to float32.

    Afterwards, torch's default dtype and the random states of torch and NumPy are restored. JAX
    stays in float64.
    """
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
    with contextlib.ExitStack() as stack:
        stack.callback(np.random.set_state, np.random.get_state())
        np.random.seed(seed)
        if torch is not None:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float64)
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.manual_seed(seed)
        yield


def framework_of(thing: Any) -> str:
    """Return numpy, torch or jax, depending on the object's type and attributes; numpy if nothing
    decides.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        of_torch = (
            torch.nn.Module,
            torch.distributions.Transform,
            torch.distributions.Distribution,
        )
        if isinstance(thing, of_torch):
            return "torch"
    if isinstance(thing, tuple):
        return "jax"
    if not _missing(thing):
        return "numpy"
    is_of_jax = any(all(hasattr(thing, name) for name in names) for names in OF_JAX)
    return "jax" if is_of_jax and not isinstance(thing, type) else "numpy"


def _parts(thing: Any) -> tuple[Any, Any, Any]:
    """Return forward, inverse and params for `jax_layer`."""
    if not isinstance(thing, tuple):
        return thing, None, None
    if len(thing) == 2 and callable(thing[0]):
        return thing[0], None, thing[1]
    if len(thing) == 3 and callable(thing[0]) and callable(thing[1]):
        return thing
    kinds = ", ".join(type(part).__name__ for part in thing)
    raise TypeError(
        f"a tuple of {kinds or 'nothing'}: expected (forward, inverse, params) or (make, params)"
    )


def _missing(thing: Any) -> list[str]:
    return [name for name in PROTOCOL if not callable(getattr(thing, name, None))]


def _numpy_layer(thing: Any, condition: np.ndarray | None) -> Any:
    name = type(thing).__name__
    if isinstance(thing, type) or (callable(thing) and len(_missing(thing)) == len(PROTOCOL)):
        called = getattr(thing, "__name__", name)
        raise TypeError(
            f"{called} is a class or a function: expected the object that it returns when called"
        )
    is_density = callable(getattr(thing, "log_prob", None))
    missing = _missing(thing)
    if missing and not (is_density and len(missing) == len(PROTOCOL)):
        raise TypeError(
            f"{name} has no {', '.join(missing)}: expected a layer with forward, inverse and"
            " backward, a torch module, or an object of distrax or flowjax"
        )
    if callable(getattr(thing, "latent_shapes", None)) and hasattr(thing, "bijector"):
        if getattr(thing, "dtype", np.float64) != np.float64:
            raise TypeError(f"{name} is in {thing.dtype}: make it with dtype='float64'")
        return FlowAsLayer(thing)
    if condition is not None and not callable(getattr(thing, "given", None)):
        raise TypeError(f"{name} has no given(condition), so it takes no condition")
    return thing if condition is None else thing.given(condition)
