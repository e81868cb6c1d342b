"""Optional packages, asked for when a function needs them."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

_MEND = 'install it by pip install "jaxdip[images]"'


def optional_module(name: str) -> ModuleType:
    """The module `name`, or one line that says which extra brings it.

    Raises:
        ImportError: if the module's package is not installed.
    """
    package = name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise ImportError(f"this needs the package {package}, which is not installed: {_MEND}")
    return importlib.import_module(name)


def package_folder(name: str) -> Path:
    """Where the package `name` lies on disk; the package itself is not imported.

    Raises:
        ImportError: if the package is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"this needs the package {name}, which is not installed: {_MEND}")
    return Path(spec.submodule_search_locations[0])
