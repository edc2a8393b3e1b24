"""Imports go strictly down: the floors of the library, its two optional libraries, and the time an import takes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "glowlite"

# A file or a folder of glowlite/ and its floor; a module imports from its own floor or from below
FLOORS = {
    "errors": 0, "backend": 0, "shapes": 0, "pixels": 0, "testing": 0, "blas": 0, "arguments": 0, "schema": 0, "launcher": 0,
    "inputs": 0, "terminal": 0, "typed": 0, "start_up": 0, "limits": 0, "conversion": 0, "kernels": 1,
    "parameters": 1, "stacks": 1, "staging": 1, "communicator": 1, "workers": 1, "randomness": 1, "exchange": 1,
    "tensor_file": 1, "storage": 1, "outputs": 1,
    "bijectors": 2, "conditioners": 2,
    "models": 3, "objective": 3, "optimizers": 3, "data": 3, "latent": 3,
    "interop": 4, "batches": 4, "evaluation": 4, "guards": 4, "settings": 4, "sheets": 4, "directions": 4, "drawing": 4,
    "update": 5, "training": 5,
    "checkpoint": 5, "trainer": 5, "tensorboard": 5, "pictures": 5, "run_folder": 5, "run_place": 5, "run_files": 5,
    "presets": 5,
    "command_line": 6, "data_options": 6, "options": 6, "option_sources": 6, "interrupts": 6, "train": 6, "bench": 6,
    "sample": 6, "evaluate": 6, "report": 6, "trained": 6, "export": 6, "interpolate": 6, "reconstruct": 6, "figures": 6,
    "edit": 6, "config_file": 6,
    "patience": 0, "mpi": 1, "agreement": 5,
}  # fmt: skip
TOP = max(FLOORS.values())
ONLY_IN = {"cupy": "backend.py", "mpi4py": "mpi.py"}
IMPORT_SECONDS = 0.4


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, `glowlite` for the package itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST, package: str = "") -> set[str]:
    """The dotted names that the code imports, at its top or inside a function; `from a import b` gives a and a.b.

    `package`: the one that relative imports start from. `importlib.import_module("a")` and `__import__("a")` count, too.
    """
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                names.add(str(node.args[0].value))
    return names


def imports_of(name: str, path: Path) -> set[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return imports(ast.parse(path.read_text(), str(path)), package)


def floor(name: str) -> int:
    """The floor of a module of glowlite. The package itself, which collects public names, is on the top one, for users
    and command lines; so is any `__main__`, which is a command line.
    """
    parts = name.split(".")
    if len(parts) == 1 or parts[-1] == "__main__":
        return TOP
    assert parts[1] in FLOORS, f"{name} has no floor yet: add it to FLOORS, as low as its imports allow"
    return FLOORS[parts[1]]


def upward(name: str, imported: set[str], known: set[str]) -> list[str]:
    """What a module imports from a floor above its own."""
    return [target for target in sorted(imported & known) if floor(target) > floor(name)]


MODULES = modules()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_nothing_from_above(name):
    assert upward(name, imports_of(name, MODULES[name]), set(MODULES)) == []


def test_every_floor_is_that_of_something_or_of_the_design():
    """The table holds no name by mistake: those that are not there yet are the ones the design announces."""
    there = {name.split(".")[1] for name in MODULES if "." in name}
    assert set(FLOORS) - there <= {"sample"}


def test_no_two_modules_import_each_other():
    """Within a floor as well there is an order: following imports never leads back."""
    graph = {name: imports_of(name, path) & set(MODULES) - {name, "glowlite"} for name, path in MODULES.items()}
    while graph:
        bottom = {name for name, needs in graph.items() if not needs & set(graph)}
        assert bottom, f"these import each other in a circle: {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in bottom}


@pytest.mark.parametrize("library", ONLY_IN)
def test_an_optional_library_is_imported_in_one_file(library):
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for name, path in MODULES.items()
        if any(imported.split(".")[0] == library for imported in imports_of(name, path))
    }
    assert importers <= {ONLY_IN[library]}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from glowlite.models.glow import Glow", ["glowlite.models.glow"]),
        ("def f():\n    import glowlite.trainer", ["glowlite.trainer"]),
        ("from glowlite import Glow", ["glowlite"]),
        ("from .. import trainer", ["glowlite", "glowlite.trainer"]),
        ("from ..models import glow", ["glowlite.models", "glowlite.models.glow"]),
        ("import importlib\nimportlib.import_module('glowlite.checkpoint')", ["glowlite.checkpoint"]),
        ("from glowlite.parameters import Parameter\nfrom .base import Bijector\nimport numpy", []),
    ],
)
def test_the_walk_sees_every_way_of_importing(code, expected):
    assert upward("glowlite.bijectors.new", imports(ast.parse(code), "glowlite.bijectors"), set(MODULES)) == expected


def test_the_walk_sees_a_library_imported_by_name():
    code = "import importlib\ndef f():\n    importlib.import_module('cupy')\n    from mpi4py import MPI"
    assert {"cupy", "mpi4py"} <= imports(ast.parse(code))


def in_a_new_process(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_glowlite_brings_in_no_heavy_library():
    heavy = {"matplotlib", "PIL", "mpi4py", "cupy", "torch", "safetensors", "tqdm", "h5py", "lmdb"}
    loaded = in_a_new_process("import sys, glowlite; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert "numpy" in loaded and heavy.isdisjoint(loaded)


def test_import_glowlite_takes_less_than_four_tenths_of_a_second():
    """The best of five: other work on the machine can only add to it."""
    code = "import time; start = time.perf_counter(); import glowlite; print(time.perf_counter() - start)"
    assert min(float(in_a_new_process(code)) for _ in range(5)) <= IMPORT_SECONDS
