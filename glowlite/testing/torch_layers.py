"""A PyTorch flow as a layer of NumPy arrays, for testing against the laws."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from glowlite.testing.comparison import DoesNotApply
from glowlite.testing.held_tensors import held_tensors
from glowlite.testing.torch_conventions import convention_of


def torch_layer(
    module: Any, condition: np.ndarray | None = None, initialise_with: np.ndarray | None = None
) -> TorchLayer:
    """Present a PyTorch flow as a layer under test, or as a model if it has `log_prob` and
    `sample`.

    module: an nn.Module or a torch.distributions.Transform that follows one of the conventions of
    `torch_conventions.py`: those of nflows, normflows, FrEIA, zuko and of plain codes. condition:
    (N, ...), or (1, ...) for every sample. initialise_with: a batch (N, ...) for one pass in
    training mode, which initialises layers that depend on data.

    The module itself is used, not a copy: from here on it is on the CPU, in float64, in evaluation
    mode, and laws change its parameters directly. While it runs, float64 is also torch's default,
    so that a `torch.zeros(n)` inside has the layer's dtype. Arguments share memory with the tensors
    passed to the module, so that changes of the input are noticed. Results are copied if they would
    share memory with an argument or a parameter. Raises TypeError for other kinds of objects. A
    missing inverse raises DoesNotApply when it is called.
    """
    convention = convention_of(module)
    is_model = hasattr(convention, "log_prob")
    layer = (TorchModel if is_model else TorchLayer)(convention, torch.float64, condition)
    if initialise_with is not None:
        layer.forward_in_training(initialise_with.astype(np.float64))
    return layer.eval()


class Parameter:
    """`value` and `grad` of a torch parameter: arrays that share its memory. They are looked up
    each time, since a module may give a parameter new memory.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    @property
    def value(self) -> np.ndarray:
        return self._tensor.detach().numpy()

    @property
    def grad(self) -> np.ndarray:
        if self._tensor.grad is None:
            self._tensor.grad = torch.zeros_like(self._tensor)
        return self._tensor.grad.numpy()


class TorchLayer:
    """The interface of the laws, implemented with a module and autograd.

    Gradients come from autograd at inverse(y), which is detached, so `backward` uses nothing from a
    forward pass. They are added to `grad`.
    """

    def __init__(
        self, convention: Any, dtype: torch.dtype, condition: np.ndarray | None = None
    ) -> None:
        self.module = convention.module
        self._convention, self._dtype, self._condition = convention, dtype, condition
        self._seen: dict[str, tuple[int, np.ndarray]] = {}
        _bring_to(self.module, dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.module).__name__})"

    # --- what every law calls ---

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._running(), _lent(x) as lent:
            y, logdet = self._convention.forward(lent, self._rows(len(x)))
            return self._array(y, x), self._numbers(logdet, x)

    def inverse(self, y: np.ndarray) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Return x, and the log-determinant of the inverse if the module returns one."""
        with self._running(), _lent(y) as lent:
            x, logdet = self._convention.inverse(lent, self._rows(len(y)))
            found = self._array(x, y)
            return found if logdet is None else (found, self._numbers(logdet, y))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        back = self.inverse(y)
        x = back[0] if isinstance(back, tuple) else back
        with self._running(gradients=True):
            leaf = _leaf(x)
            out, logdet = self._convention.forward(leaf.clone(), self._rows(len(x)))
            through_y = (out * _copied(dy)).sum()
            loss = through_y + (_per_sample(logdet, leaf) * _copied(dlogdet)).sum()
            return x, _pulled_back(loss, leaf)

    def inverse_backward(self, y: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """Return dy of the loss <dx, inverse(y)>; also add the gradients of the parameters."""
        with self._running(gradients=True):
            leaf = _leaf(y)
            x, _ = self._convention.inverse(leaf.clone(), self._rows(len(y)))
            return _pulled_back((x * _copied(dx)).sum(), leaf)

    def parameters(self) -> dict[str, Parameter]:
        """Return the module's parameters that have gradients; frozen ones are in `state()`."""
        return {name: Parameter(tensor) for name, tensor in self._trained().items()}

    # --- what some laws call ---

    def forward_in_training(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run `forward` in training mode, in which a module may set or update statistics. Its
        random draws are the same each time.
        """
        self.train()
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return self.forward(x)
        finally:
            self.eval()

    @property
    def domain(self) -> tuple[float, float]:
        """The range of x: an attribute `domain = (low, high)` of the module, or what a transform
        declares.
        """
        return self._ends("domain")

    @property
    def codomain(self) -> tuple[float, float]:
        """The range of y, declared in the same way."""
        return self._ends("codomain")

    def _ends(self, of: str) -> tuple[float, float]:
        said = getattr(self.module, of, None)
        if isinstance(said, tuple):
            return float(said[0]), float(said[1])
        if not hasattr(self._convention, of):
            raise AttributeError(f"{self!r} declares no {of}")
        c = self._rows(1 if self._condition is None else len(self._condition))
        return getattr(self._convention, of)(c)

    def state(self) -> dict[str, Any]:
        """Return copies of what torch would save: registered parameters and buffers; for a
        transform, every tensor.
        """
        return {
            name: value.detach().cpu().numpy().copy() if torch.is_tensor(value) else value
            for name, value in self._saved().items()
        }

    def set_state(self, saved: dict[str, Any]) -> None:
        """Load what `state()` returned, like torch: missing or unexpected names are errors."""
        if isinstance(self.module, torch.nn.Module):
            self.module.load_state_dict({name: _loaded(value) for name, value in saved.items()})
        else:
            for name, tensor in self._saved().items():
                tensor.data.copy_(_loaded(saved[name]))

    def unnamed_arrays(self) -> dict[str, np.ndarray]:
        """Return floating-point tensors in the module that are not registered: neither in
        `state()`, nor constants from `register_buffer(..., persistent=False)`.
        """
        module = self.module
        if not isinstance(module, torch.nn.Module):
            return {}
        registered = {t.data_ptr() for t in (*module.parameters(), *module.buffers())}
        return {
            path: tensor.detach().numpy()
            for path, tensor in _leaves(module).items()
            if tensor.is_floating_point() and tensor.data_ptr() not in registered
        }

    @property
    def given(self) -> Any:
        """`given(condition)` returns the layer at another condition. Only layers made with a
        condition have it, since many modules accept a condition without using it.
        """
        if self._condition is None:
            raise AttributeError(f"{self!r} was made without a condition")
        return lambda condition: type(self)(self._convention, self._dtype, condition)

    def cast(self, dtype: Any) -> TorchLayer:
        """Return a new layer with the same values in float32 or float64."""
        new = copy.deepcopy(self)
        target = torch.float32 if np.dtype(dtype) == np.float32 else torch.float64
        return type(new)(new._convention, target, new._condition)

    def train(self, mode: bool = True) -> TorchLayer:
        if isinstance(self.module, torch.nn.Module):
            self.module.train(mode)
        return self

    def eval(self) -> TorchLayer:
        return self.train(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> TorchLayer:
        """Return a copy with its own memory. Tensors with an autograd graph are copied without it,
        since torch does not copy graphs.
        """
        for _, tensor in held_tensors(self.module):
            if tensor.grad_fn is not None:
                memo[id(tensor)] = tensor.detach().clone()
        convention = type(self._convention)(copy.deepcopy(self.module, memo))
        new = type(self)(convention, self._dtype, copy.deepcopy(self._condition, memo))
        for name, p in new.parameters().items():
            p.grad[...] = self.parameters()[name].grad
        return new

    # --- how it is done ---

    def _trained(self) -> dict[str, torch.Tensor]:
        is_module = isinstance(self.module, torch.nn.Module)
        named = dict(self.module.named_parameters()) if is_module else _leaves(self.module)
        return {name: tensor for name, tensor in named.items() if tensor.requires_grad}

    def _saved(self) -> dict[str, Any]:
        is_module = isinstance(self.module, torch.nn.Module)
        return self.module.state_dict() if is_module else _leaves(self.module)

    def _rows(self, n: int) -> torch.Tensor | None:
        """Return the condition of n samples."""
        if self._condition is None:
            return None
        c = torch.from_numpy(np.array(self._condition))
        if c.is_floating_point():
            c = c.to(self._dtype)
        if len(c) not in (1, n):
            raise ValueError(f"{self!r}: expected a condition of {n} rows or of 1, got {len(c)}")
        return c if len(c) == n else c.expand(n, *c.shape[1:])

    @contextlib.contextmanager
    def _running(self, gradients: bool = False) -> Iterator[None]:
        """Make the layer's dtype torch's default, with or without gradients, and tell torch about
        changed parameters.
        """
        self._tell_of_changes()
        default = torch.get_default_dtype()
        torch.set_default_dtype(self._dtype)
        try:
            with torch.set_grad_enabled(gradients):
                yield
        except NotImplementedError as error:
            raise DoesNotApply(f"{type(self.module).__name__}: {_line(error)}") from error
        except Exception as error:
            if not _says_no_inverse(error):
                raise
            why = f"no inverse: {_line(error)}"
            raise DoesNotApply(f"{type(self.module).__name__} has {why}") from error
        finally:
            torch.set_default_dtype(default)

    def _tell_of_changes(self) -> None:
        """Raise the version of a parameter that was changed through its array, so that caches keyed
        on a tensor's version become invalid.
        """
        for name, tensor in self._trained().items():
            now = tensor.detach().numpy()
            version, before = self._seen.get(name, (-1, now))
            if version == tensor._version and not np.array_equal(now, before, equal_nan=True):
                torch.autograd.graph.increment_version(tensor)
            if version != tensor._version:
                self._seen[name] = (tensor._version, now.copy())

    def _array(self, result: Any, argument: np.ndarray) -> np.ndarray:
        """Return a result as an array that shares no memory with the argument or a parameter."""
        if not torch.is_tensor(result):
            kind, where = type(result).__name__, type(self.module).__name__
            raise TypeError(f"{where} returns a {kind} where a tensor was expected")
        array = result.detach().numpy()
        others = [argument, *(tensor.detach().numpy() for tensor in self._trained().values())]
        is_shared = 0 in array.strides or any(np.may_share_memory(array, o) for o in others)
        return array.copy() if is_shared else array

    def _numbers(self, values: Any, x: np.ndarray) -> np.ndarray:
        """Return a log-determinant or log-probability as the laws need it: (N,), float64.

        Values of another shape, or with fewer digits than the layer's dtype, are left unchanged.
        """
        found = self._array(_per_sample(values, torch.empty(len(x), dtype=self._dtype)), x)
        is_of_layer = found.dtype == (np.float32 if self._dtype == torch.float32 else np.float64)
        return found.astype(np.float64) if is_of_layer else found


class TorchModel(TorchLayer):
    """A layer with a density: `forward` goes from data to noise."""

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """The log-density of each sample, (N,), in nats."""
        with self._running(), _lent(x) as lent:
            return self._numbers(self._convention.log_prob(lent, self._rows(len(x))), x)

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Return n samples (n, ...); torch's random state is restored afterwards."""
        with self._running(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._array(self._convention.sample(n, self._rows(n)), np.empty(0))


def _leaves(module: Any) -> dict[str, torch.Tensor]:
    """Return every leaf tensor in it, by path."""
    return {path: tensor for path, tensor in held_tensors(module) if tensor.grad_fn is None}


def _per_sample(values: Any, x: torch.Tensor) -> torch.Tensor:
    """Return (N,) from one number for all samples, or from (1,) or (N, 1); otherwise unchanged."""
    if not torch.is_tensor(values):
        if values is None:
            raise TypeError("expected a log-determinant, got None")
        values = torch.as_tensor(values, dtype=x.dtype)
    if values.shape == (len(x), 1):
        return values[:, 0]
    return values.expand(len(x)) if values.shape in ((), (1,)) else values


def _says_no_inverse(error: Exception) -> bool:
    """Whether the error is that of nflows, or that of pyro, which looked for x in a missing
    cache.
    """
    of_nflows = type(error).__name__ == "InverseNotAvailable"
    return of_nflows or (isinstance(error, KeyError) and "intermediates cache" in str(error))


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or "not implemented"


# --- tensors of arrays ---


@contextlib.contextmanager
def _lent(array: np.ndarray) -> Iterator[torch.Tensor]:
    """Lend the array as a tensor with the same memory and strides.

    torch does not support negative strides, and would write into a read-only array. In these cases
    it gets a copy, and its changes are copied back, which raises NumPy's ValueError if the array is
    read-only.
    """
    can_share = array.flags.writeable and all(step >= 0 for step in array.strides)
    tensor = torch.from_numpy(array if can_share else array.copy())
    yield tensor
    if not can_share and not np.array_equal(tensor.numpy(), array, equal_nan=True):
        array[...] = tensor.numpy()


def _copied(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def _leaf(array: np.ndarray) -> torch.Tensor:
    """Return a leaf tensor at which an autograd graph begins."""
    return _copied(array).requires_grad_()


def _pulled_back(loss: torch.Tensor, leaf: torch.Tensor) -> np.ndarray:
    """Return d loss / d leaf, and add the parameters' gradients; zeros if the loss does not depend
    on the leaf.
    """
    if loss.requires_grad:
        loss.backward()
    return (torch.zeros_like(leaf) if leaf.grad is None else leaf.grad).detach().numpy()


def _loaded(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        return torch.from_numpy(np.array(value))
    return value


def _bring_to(module: Any, dtype: torch.dtype) -> None:
    """Convert all floating-point tensors in place, including unregistered ones, which `to` leaves
    out.
    """
    if isinstance(module, torch.nn.Module):
        module.to("cpu", dtype)
    for _, tensor in held_tensors(module):
        if tensor.is_floating_point() and tensor.dtype != dtype and tensor.grad_fn is None:
            tensor.data = tensor.data.to("cpu", dtype)
