"""Load what is to be tested, by an importable name or by the path of a file."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from glowlite.testing.comparison import DoesNotApply
from glowlite.testing.domain import EVERYWHERE, drawn
from glowlite.testing.frameworks import as_layer, framework_of, from_seed

FIRST = 64  # number of samples of the batch that initialises a layer


class CannotLoad(ValueError):
    """There is nothing to test under this name. The message says what there is."""


@dataclass(frozen=True)
class Maker:
    """Makes a new layer with the interface of the laws: `make()`.

    thing: a layer, or a function that makes one, from a seed if it takes one (see `made_from`).
    framework, condition: as for `as_layer`. `make()` raises DoesNotApply for a layer that cannot be
    copied.
    """

    thing: Any
    seed: int = 0
    framework: str = "auto"
    condition: np.ndarray | None = None

    def __call__(self) -> Any:
        return self.initialised(None, anew=True)

    def initialised(self, x: np.ndarray | tuple[int, ...] | None, anew: bool = False) -> Any:
        """Return the layer after one pass of the batch x (N, ...), if it belongs to a framework and
        its first batch may set parameters. If x is a shape, the batch has FIRST samples, drawn by
        `batch`.

        A layer that cannot be copied is used itself, unless it has to be made `anew`.
        """
        makes = callable(self.thing) and not is_layer(self.thing)
        with from_seed(self.seed):
            made = made_from(self.thing, self.seed) if makes else copied(self.thing, anew)
        framework = framework_of(made) if self.framework == "auto" else self.framework
        # for a NumPy layer, the laws call `given(condition)`
        layer = as_layer(made, framework, None if framework == "numpy" else self.condition)
        if x is not None and framework == "torch":
            rng = np.random.default_rng(self.seed)
            self._pass(layer, batch(layer, FIRST, x, rng) if isinstance(x, tuple) else x)
        return layer

    def _pass(self, layer: Any, x: np.ndarray) -> None:
        """Run one training pass of x, cycling through the conditions."""
        if self.condition is not None:
            layer = layer.given(np.resize(self.condition, (len(x), *self.condition.shape[1:])))
        layer.forward_in_training(np.asarray(x, np.float64))


def batch(layer: Any, n: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw (n, *shape), within the layer's `domain` if it has one."""
    return drawn((n, *shape), getattr(layer, "domain", EVERYWHERE), rng)


def load(
    name: str, seed: int = 0, framework: str = "auto", condition: np.ndarray | None = None
) -> Maker:
    """Return a Maker of the layer with this name: `load("pkg.module:factory", seed=3)()` is a
    layer.

    name: `pkg.module:thing` or `path/to/file.py:thing`, `thing.part` for an attribute. Raises
    CannotLoad, or any exception of the loaded code.
    """
    return Maker(find(name), seed, framework, condition)


def find(name: str) -> Any:
    """Return the object with this name."""
    module_name, colon, path = name.rpartition(":")
    if not colon or not module_name or not path:
        raise CannotLoad(f"{name}: expected MODULE:NAME or FILE.py:NAME, such as my_flow:make")
    module = _module(module_name)
    thing: Any = module
    for part in path.split("."):
        if not hasattr(thing, part):
            own = [key for key in vars(module) if not key.startswith("_")]
            raise CannotLoad(f"{module_name} has no {path}; it has {', '.join(own) or 'nothing'}")
        thing = getattr(thing, part)
    return thing


def _module(name: str) -> ModuleType:
    if name.startswith(".") and not name.endswith(".py"):
        raise CannotLoad(f"{name}: expected the whole name of a module, such as pkg.my_flow")
    if not name.endswith(".py"):
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or name
            if missing != name and not name.startswith(f"{missing}."):
                raise CannotLoad(f"{name}: it imports {missing}, which is not installed") from None
            raise CannotLoad(f"there is no module {name}; for a file, write its .py") from None
    path = Path(name)
    if not path.is_file():
        raise CannotLoad(f"{name}: no such file")
    # register it under its name, where dataclasses look it up, unless another module has that name
    name = str(path.resolve()) if path.stem in sys.modules else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    beside = str(path.resolve().parent)
    if beside not in sys.path:
        sys.path.insert(0, beside)  # a script can import files beside it
    spec.loader.exec_module(module)
    return module


def is_layer(thing: Any) -> bool:
    """Whether it is a layer or model itself, not a function that makes one."""
    if isinstance(thing, type):
        return False
    if isinstance(thing, tuple):
        return True
    known = ("forward", "log_prob", "forward_and_log_det", "transform_and_log_det", "call_and_ladj")
    return any(callable(getattr(thing, method, None)) for method in known)


def made_from(factory: Callable[..., Any], seed: int) -> Any:
    """Return what the factory makes. It is called with the seed if it has an argument `seed`, or if
    it is a function with one required argument.

    Raises CannotLoad for a class that requires another argument.
    """
    try:
        takes = dict(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # a builtin has no signature
        takes = {}
    if "seed" in takes and takes["seed"].kind is not inspect.Parameter.POSITIONAL_ONLY:
        return factory(seed=seed)
    positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    needed = [p.name for p in takes.values() if p.kind in positional and p.default is p.empty]
    if needed and isinstance(factory, type):
        raise CannotLoad(
            f"{factory.__name__} takes {', '.join(needed)}: write a function of a seed that makes"
            " one"
        )
    return factory(seed) if needed else factory()


def copied(thing: Any, anew: bool = False) -> Any:
    """Return a copy, or the object itself if it cannot be copied, unless it has to be `anew`."""
    try:
        return copy.deepcopy(thing)
    except Exception as error:  # any failure
        if anew:
            raise DoesNotApply(f"a new one cannot be made: it cannot be copied: {error}") from error
        return thing
