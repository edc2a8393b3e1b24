"""CUDA C++ through g++: enough of the language's names for kernels that use no shared memory,
one thread after the other.
"""

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

# Functions of one name for both types, as in CUDA, from C's of two: to include all of <cmath>
# takes four times as long as the rest of a kernel.
ONE = """
extern "C" double {name}(double); extern "C" float {name}f(float);
static inline float {name}(float x) {{ return {name}f(x); }}
"""
TWO = """
extern "C" double {name}(double, double); extern "C" float {name}f(float, float);
static inline float {name}(float x, float y) {{ return {name}f(x, y); }}
"""
NAMES = (
    "".join(ONE.format(name=name) for name in ("atan", "exp", "expm1", "fabs", "log1p", "sqrt"))
    + "".join(TWO.format(name=name) for name in ("fmax", "fmin"))
    + """
#define __global__
#define __device__
#define __restrict__
struct Three { int x, y, z; };
static Three blockIdx, blockDim, threadIdx, gridDim;
"""
)


@functools.cache
def built(code, name):
    """The shared library of a kernel, whose run_NAME(grid, block,
    arguments ...) goes through all threads.
    """
    compiler = shutil.which("g++")
    assert compiler, "the kernels of the device are tested with g++: install it"
    parameters = re.search(rf"void {name}\((.*?)\) {{", code, re.DOTALL)[1]
    names = ", ".join(re.search(r"(\w+)$", part.strip())[1] for part in parameters.split(","))
    driver = f"""
extern "C" void run_{name}(const int grid, const int block, {parameters}) {{
  gridDim.x = grid; blockDim.x = block;
  for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x)
    for (threadIdx.x = 0; threadIdx.x < block; ++threadIdx.x) {name}({names});
}}
"""
    folder = Path(tempfile.mkdtemp(prefix="kernel-"))
    (folder / "k.cpp").write_text(NAMES + code + driver)
    flags = ["-O1", "-shared", "-fPIC", "-Wall", "-Werror", "-Wno-unused"]
    done = subprocess.run(
        [compiler, *flags, "-o", folder / "k.so", folder / "k.cpp"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = ctypes.CDLL(str(folder / "k.so"))
    shutil.rmtree(folder)
    return loaded
