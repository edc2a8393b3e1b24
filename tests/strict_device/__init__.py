"""A stand-in for CuPy that needs no GPU: NumPy inside, and outside CuPy's refusals,
some of them more strictly.

`xp` is the module, `ndarray` its arrays, `counts` what was done with them since `counts.clear()`:
`kernel` launches, `upload`s and `download`s between host and device, and `sync`hronisations, of
which a download is one. The memory of arrays is counted as CuPy's pool does, and its hooks are
called. Not as NumPy:

* an array of the host where one of the device belongs, and the reverse, is a TypeError;
  so is a list in a ufunc;
* names and keywords that the real CuPy 14.2 has not are AttributeErrors and TypeErrors:
  see cupy_api.json;
* results of reductions are arrays of the device, and float(), bool(), item() of one synchronise;
* singular matrices give NaN and no exception; indices outside wrap, here an error;
  writing to an index twice is undefined there, here an error.
"""

from __future__ import annotations

import collections
import ctypes
import json
import operator
import types
import weakref
from pathlib import Path

import numpy as np

from . import shim

API = json.loads((Path(__file__).parent / "cupy_api.json").read_text())
counts = collections.Counter()
VIEWS = {
    "reshape", "transpose", "swapaxes", "view", "squeeze", "ravel", "moveaxis", "broadcast_to",
    "expand_dims", "diagonal",
    "as_strided",
}  # fmt: skip
FREE = {
    "empty",
    "empty_like",
    "shape",
    "ndim",
    "result_type",
    "promote_types",
    "can_cast",
    "dtype",
    "finfo",
    "iinfo",
}
INPLACE = (
    "iadd",
    "isub",
    "imul",
    "itruediv",
    "ifloordiv",
    "imod",
    "ipow",
    "iand",
    "ior",
    "ixor",
    "ilshift",
    "irshift",
)
BINARY = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lt", "le", "gt", "ge",
    "eq", "ne", "and", "or",
    "xor", "lshift", "rshift",
)  # fmt: skip


class ndarray:
    """An array that lives on the device."""

    __slots__ = ("_host",)
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, host):
        host = np.asarray(host)
        if host.dtype.kind in "OUSMm":
            raise ValueError(f"Unsupported dtype {host.dtype}")
        self._host = host
        pool.hold(host)

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: ndarray(self._host.T))

    def __array_namespace__(self, **_):
        return xp

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __array_function__(self, function, *_):
        raise TypeError(f"numpy.{function.__name__} of a device array: a layer names no backend")

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        if method != "__call__":
            raise TypeError(f"numpy.{ufunc.__name__}.{method} is not for device arrays")
        return call(ufunc.__name__, ufunc, inputs, keywords)

    def get(self, out=None):
        counts["download"] += 1
        counts["sync"] += 1
        if out is None:
            return self._host.copy()
        out[...] = self._host
        return out

    def set(self, host, stream=None):
        if not isinstance(host, np.ndarray) or host.dtype != self.dtype or host.shape != self.shape:
            raise TypeError(f"set: expected an array of the host, {self.dtype} {self.shape}")
        counts["upload"] += 1
        self._host[...] = host

    def item(self):
        counts["download"] += 1
        counts["sync"] += 1
        return self._host.item()

    def tolist(self):
        return self.get().tolist()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return operator.index(self.item())

    def __bool__(self):
        return bool(self.item())

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (ndarray(part) for part in self._host)

    def __getitem__(self, index):
        index, fancy = checked(index, self.shape)
        counts["kernel"] += fancy
        return ndarray(self._host[index])

    def __setitem__(self, index, value):
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        index, _ = checked(index, self.shape, writing=True)
        host, place = host_of(value), self._host[index]
        if isinstance(host, np.ndarray) and isinstance(place, np.ndarray) and _same(host, place):
            return  # the end of x[...] += y: CuPy sees that nothing has to be copied
        counts["kernel"] += 1
        self._host[index] = host

    def __getattr__(self, name):
        if f"ndarray.{name}" not in API:
            raise AttributeError(f"'ndarray' object of CuPy has no attribute {name!r}")
        method = getattr(self._host, name)
        if not callable(method):
            return wrapped(method)
        return lambda *inputs, **keywords: call(f"ndarray.{name}", method, inputs, keywords)

    def __repr__(self):
        return f"device{self._host!r}"


def _binary(name):
    def method(self, other):
        if isinstance(other, (list, tuple, np.ndarray)):
            raise TypeError(f"Unsupported type {type(other)}")
        result = getattr(self._host, name)(host_of(other))
        if result is NotImplemented:
            return result
        counts["kernel"] += 1
        return ndarray(result)

    return method


def _inplace(name):
    def method(self, other):
        if isinstance(other, (list, np.ndarray)):
            raise TypeError(f"Unsupported type {type(other)}")
        counts["kernel"] += 1
        getattr(self._host, name)(host_of(other))
        return self

    return method


def _unary(name):
    def method(self):
        counts["kernel"] += 1
        return ndarray(getattr(self._host, name)())

    return method


for _name in BINARY:
    setattr(ndarray, f"__{_name}__", _binary(f"__{_name}__"))
    if hasattr(np.ndarray, f"__r{_name}__"):
        setattr(ndarray, f"__r{_name}__", _binary(f"__r{_name}__"))
for _name in INPLACE:
    setattr(ndarray, f"__{_name}__", _inplace(f"__{_name}__"))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _unary(f"__{_name}__"))


def _same(one, other):
    return (
        one.ctypes.data == other.ctypes.data
        and one.shape == other.shape
        and one.strides == other.strides
    )


def checked(index, shape, writing=False):
    """The index for the host, and whether it is a list of places.
    IndexError for a place outside, or written to twice.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    fancy, axis = False, 0
    explicit = sum(part is not None and part is not Ellipsis for part in parts)
    for i, part in enumerate(parts):
        if part is Ellipsis:
            axis += len(shape) - explicit
            continue
        if isinstance(part, np.ndarray) and part.ndim:
            raise TypeError(f"Unsupported type {type(part)} for indexing a device array")
        if isinstance(part, ndarray):
            part = parts[i] = part._host
        if isinstance(part, (list, np.ndarray)) and np.asarray(part).dtype != bool:
            places = np.asarray(part)
            if places.size and (places.max() >= shape[axis] or places.min() < -shape[axis]):
                raise IndexError(
                    f"index {places.max()} of axis {axis} would wrap: it has {shape[axis]}"
                )
            if writing and len(np.unique(places % shape[axis])) < places.size:
                twice = "an index is written to twice, which is undefined on a device"
                raise IndexError(f"{twice}; use cupyx.scatter_add")
            fancy = True
        axis += part is not None
    return tuple(parts), fancy


def host_of(value):
    """What NumPy works on. TypeError for an array of the host."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(host_of(part) for part in value)
    return value


def wrapped(result):
    """Results as arrays of the device, 0-d ones, too."""
    if isinstance(result, (np.ndarray, np.generic)):
        return ndarray(result)
    if isinstance(result, tuple):
        return tuple(wrapped(part) for part in result)  # named tuples of linalg, too
    return [wrapped(part) for part in result] if isinstance(result, list) else result


def call(name, function, inputs, keywords):
    """A function or method of CuPy, if it has it, and these keywords of it."""
    if name not in API:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    accepted = API[name]
    refused = (
        [] if accepted is None else [keyword for keyword in keywords if keyword not in accepted]
    )
    if refused:
        raise TypeError(f"cupy.{name} does not accept {', '.join(refused)}")
    if isinstance(function, np.ufunc) and any(isinstance(value, (list, tuple)) for value in inputs):
        raise TypeError(f"cupy.{name}: Unsupported type list")
    short = name.removeprefix("ndarray.")
    counts["kernel"] += short.rpartition(".")[2] not in VIEWS and short not in FREE
    try:
        result = function(*host_of(list(inputs)), **{k: host_of(v) for k, v in keywords.items()})
    except np.linalg.LinAlgError:
        result = np.full(inputs[0].shape, np.nan, inputs[0].dtype)  # cuSOLVER says nothing
    out = keywords.get("out")
    return out if isinstance(out, ndarray) else wrapped(result)


def _array(name):
    def make(values, *inputs, **keywords):
        if isinstance(values, ndarray):
            counts["kernel"] += name == "array" or (
                name == "ascontiguousarray" and not values.flags.c_contiguous
            )
            return ndarray(getattr(np, name)(values._host, *inputs, **keywords))
        if isinstance(values, (list, tuple)) and any(
            isinstance(value, ndarray) for value in values
        ):
            return call("stack", np.stack, [values], keywords)
        counts["upload"] += 1
        return ndarray(np.array(values, *inputs, **keywords))

    return make


class _Module(types.ModuleType):
    """A module of CuPy, over NumPy's of the same name."""

    def __init__(self, numpy, prefix=""):
        super().__init__(f"strict_device.{prefix}".rstrip("."))
        self.__dict__.update(_numpy=numpy, _prefix=prefix)

    def __getattr__(self, name):
        full = self._prefix + name
        if full == "random":
            raise AttributeError(
                "noise is drawn on the host, so that a run on a device follows one on the host"
            )
        if full not in API:
            raise AttributeError(f"module 'cupy' has no attribute {full!r}")
        target = getattr(self._numpy, name)
        if isinstance(target, types.ModuleType):
            return _Module(target, f"{full}.")
        if isinstance(target, type) or not callable(target):
            return target
        return lambda *inputs, **keywords: call(full, target, inputs, keywords)


class RawKernel:
    """A kernel in CUDA C++, compiled by g++ over a shim and run thread after thread on the host."""

    def __init__(self, code, name):
        self.function = getattr(shim.built(code, name), f"run_{name}")

    def __call__(self, grid, block, arguments):
        counts["kernel"] += 1
        words = []
        for argument in arguments:
            if isinstance(argument, ndarray):
                assert argument.flags.c_contiguous, (
                    "a kernel was given an array that is not contiguous"
                )
                words.append(ctypes.c_void_p(argument._host.ctypes.data))
            elif isinstance(argument, np.int32):
                words.append(ctypes.c_int(int(argument)))
            elif isinstance(argument, np.float64):
                words.append(ctypes.c_double(float(argument)))
            else:
                raise TypeError(f"a kernel was given a {type(argument)}")
        self.function(ctypes.c_int(grid[0]), ctypes.c_int(block[0]), *words)


class MemoryHook:
    """Whose methods are called when memory is taken or given back; a subclass overrides them."""

    name = "MemoryHook"
    active: list[MemoryHook] = []  # noqa: RUF012

    def malloc_postprocess(self, **_):
        pass

    def free_postprocess(self, **_):
        pass

    def __enter__(self):
        assert self.name not in [hook.name for hook in self.active]
        self.active.append(self)

    def __exit__(self, *_):
        self.active.remove(self)


class MemoryPool:
    """The memory of arrays of the device: what NumPy holds for them, in pieces of 512 bytes."""

    def __init__(self):
        self._held, self._limit = {}, 0  # no limit

    def hold(self, host):
        while isinstance(host.base, np.ndarray):
            host = host.base
        key, size = id(host), -(-host.nbytes // 512) * 512
        if key not in self._held:
            self._held[key] = size, weakref.ref(host, lambda _: self._free(key))
            for hook in MemoryHook.active:
                hook.malloc_postprocess(
                    device_id=0, size=host.nbytes, mem_size=size, mem_ptr=key, pmem_id=key
                )

    def _free(self, key):
        size, _ = self._held.pop(key)
        for hook in MemoryHook.active:
            hook.free_postprocess(device_id=0, mem_size=size, mem_ptr=key, pmem_id=key)

    def used_bytes(self):
        return sum(size for size, _ in self._held.values())

    def free_all_blocks(self):
        pass

    def free_bytes(self):
        return 0

    def set_limit(self, size):
        self._limit = size

    def get_limit(self):
        return self._limit


class Device:
    """A card of 1 GB, of which arrays take what the pool holds."""

    @property
    def mem_info(self):
        return 2**30 - pool.used_bytes(), 2**30


pool = MemoryPool()
xp = _Module(np)
xp.get_default_memory_pool = lambda: pool
xp.RawKernel = RawKernel
xp.ndarray = ndarray
for _name in ("array", "asarray", "ascontiguousarray"):
    setattr(xp, _name, _array(_name))
xp.asnumpy = lambda values: values.get() if isinstance(values, ndarray) else np.asarray(values)


class Event:
    def synchronize(self):
        counts["wait for an event"] += 1


class Stream:
    """Everything here is done at once; what is asked of a stream is only counted."""

    ptr = 0

    def __init__(self, non_blocking=False):
        self.non_blocking = non_blocking

    def synchronize(self):
        counts["sync"] += 1

    def record(self):
        return Event()

    def wait_event(self, event):
        assert isinstance(event, Event)


_CURRENT = Stream()
xp.cuda = types.SimpleNamespace(
    Device=Device,
    Stream=Stream,
    get_current_stream=lambda: _CURRENT,
    alloc_pinned_memory=lambda size: bytearray(size),
    MemoryHook=MemoryHook,
    nccl=None,
)
