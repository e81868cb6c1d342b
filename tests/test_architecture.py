"""The house keeps its shape: direction of imports, finality of classes, lightness, no globals."""

import ast
import importlib
import inspect
import pathlib
import pkgutil
import subprocess
import sys

import equinox as eqx
import pytest

import jaxdip

ROOT = pathlib.Path(jaxdip.__file__).parent

# Each room may import the rooms listed after it in its own entry, and the leaves below all.
LEAVES = {
    "_types",
    "_random",
    "_source",
    "_tree",
    "_result",
    "_evidence",
    "_numbers",
    "_fingerprint",
}
MAY_IMPORT = {
    "generators": set(),
    "operators": set(),
    "losses": set(),
    "noise": set(),
    "imaging": set(),
    "problem": {"generators", "operators", "losses", "noise"},
    "dynamics": {"problem", "generators", "operators", "losses"},
    "analysis": {"problem", "generators", "operators", "losses"},
    "theory": {"analysis", "problem", "generators", "operators", "losses"},
    "stopping": {"theory"},
    "reconstruction": {"stopping", "dynamics", "problem", "generators", "operators", "losses"}
    | {"imaging"},
    "sweeps": set(),
    "trials": {"sweeps", "theory", "analysis", "dynamics", "problem", "generators", "operators"}
    | {"losses", "_certify"},
    "plot": {"dynamics", "problem", "sweeps"},
    "experiments": {"plot", "trials", "sweeps", "reconstruction", "stopping", "theory", "analysis"}
    | {"dynamics", "problem", "generators", "operators", "losses", "noise", "imaging"}
    | {"_certify"},
}
EVERYTHING = {"cli", "__main__", "__init__", "_certify"}


def rooms(path):
    """The room of a file, and the rooms it imports from."""
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    tree = ast.parse(path.read_text())
    imported = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "jaxdip":
                names = [f"jaxdip.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        imported |= {name.split(".")[1] for name in names if name.startswith("jaxdip.")}
    return room, imported


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    room, imported = rooms(path)
    if room in EVERYTHING:
        return
    allowed = LEAVES | {room} | MAY_IMPORT.get(room, set())
    assert imported <= allowed, f"{room} imports {sorted(imported - allowed)}"


def test_the_rule_covers_every_room():
    found = {p.relative_to(ROOT).parts[0].removesuffix(".py") for p in ROOT.rglob("*.py")}
    assert found <= set(MAY_IMPORT) | LEAVES | EVERYTHING


def modules():
    for info in pkgutil.walk_packages(jaxdip.__path__, "jaxdip."):
        if not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


def classes():
    seen = {}
    for module in modules():
        for cls in vars(module).values():
            if not inspect.isclass(cls) or not issubclass(cls, eqx.Module):
                continue
            if cls.__module__.startswith("jaxdip."):
                seen[f"{cls.__module__}.{cls.__qualname__}"] = cls
    return seen


def test_classes_are_abstract_or_final():
    for name, cls in classes().items():
        for base in cls.__mro__[1:]:
            if base.__module__.startswith("jaxdip."):
                short = base.__name__.lstrip("_")
                assert short.startswith("Abstract"), f"{name} derives from the final {base}"


def overridden(cls):
    """Methods of a class that a base of ours has already filled in; equinox writes some itself."""
    own = {k for k, v in vars(cls).items() if inspect.isfunction(v) or isinstance(v, property)}
    ours = [base for base in cls.__mro__[1:] if base.__module__.startswith("jaxdip.")]
    for base in ours:
        for method in own - {"__init__", "__hash__", "__eq__", "__repr__"}:
            theirs = vars(base).get(method)
            if theirs is not None and not getattr(theirs, "__isabstractmethod__", False):
                yield f"{cls.__name__}.{method} overrides {base.__name__}.{method}"


def test_concrete_methods_are_never_overridden():
    found = [line for cls in classes().values() for line in overridden(cls)]
    assert found == []

    class Again(jaxdip.operators.Identity):
        def adjoint(self, y):
            return 2 * y

    assert "Again.adjoint overrides Identity.adjoint" in list(overridden(Again))


def test_import_is_light_and_leaves_jax_alone():
    code = """
import sys, jax
before = {k: v for k, v in jax.config.values.items()}
import jaxdip
heavy = {"matplotlib", "zarr", "xarray", "skimage", "tyro", "PIL"} & set(sys.modules)
assert not heavy, heavy
assert before == {k: v for k, v in jax.config.values.items()}
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), "importing started a backend"
assert jaxdip.plot.__name__ == "jaxdip.plot"
try:
    jaxdip.nonsense
except AttributeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "no attribute 'nonsense'" in done.stdout


def test_public_names_have_docstrings():
    for name in jaxdip.__all__ if hasattr(jaxdip, "__all__") else dir(jaxdip):
        if name.startswith("_") or name in ("importlib",):
            continue
        assert inspect.getdoc(getattr(jaxdip, name)), name
