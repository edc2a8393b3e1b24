"""Hypothesis profiles: `ci` is the same on every run;
`thorough` looks further. HYPOTHESIS_PROFILE=thorough pytest.
"""

import os
import shutil
import signal
import tempfile
from pathlib import Path

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs behind it
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:  # the processes of -n share the cores: one BLAS thread each
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import pytest
from hypothesis import HealthCheck, Phase, settings

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
COMMON = {"deadline": None, "suppress_health_check": QUIET}
# a failing example is shown as found: shrinking one takes minutes
FIND = (Phase.explicit, Phase.generate)
settings.register_profile("ci", max_examples=6, phases=FIND, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=200, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

BYTECODE = None
if {"PYTEST_XDIST_WORKER", "PYTHONDONTWRITEBYTECODE"} <= os.environ.keys():
    # where Python leaves none beside the code, each process that tests start would compile it all
    BYTECODE = Path(tempfile.gettempdir(), f"bytecode-{os.environ['PYTEST_XDIST_TESTRUNUID']}")
    del os.environ["PYTHONDONTWRITEBYTECODE"]
    os.environ["PYTHONPYCACHEPREFIX"] = str(BYTECODE)


def pytest_unconfigure():
    if BYTECODE is not None:
        shutil.rmtree(BYTECODE, ignore_errors=True)


@pytest.fixture
def undrawn():
    """A run that ends within this process draws nothing: that takes as long as all its steps."""
    from small_runs import nothing_drawn  # not every environment could import it

    with nothing_drawn():
        yield


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def faces():
    """The pretrained Glow of faces."""
    from glowlite import Glow  # not every test of the kernels' environment could import it

    return Glow.pretrained()
