"""Builds the API pages from the docstrings. usage: python -W error docs/api.py FOLDER

One page for each public package, with everything that it names, wherever it is defined; private
modules have no page. Any warning of pdoc, such as an annotation that names nothing, ends the build.
"""

import importlib
import inspect
import pathlib
import pkgutil
import sys
import types
import warnings

import pdoc

import jaxdip


def public_modules() -> list[str]:
    """jaxdip, and every module below it without a leading underscore in its name."""
    found = [jaxdip.__name__]
    for info in pkgutil.walk_packages(jaxdip.__path__, "jaxdip."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            found.append(info.name)
    return found


def names(module: types.ModuleType) -> list[str]:
    """What a module is for: the functions and classes of ours that it defines or passes on."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isroutine(value))
        and str(getattr(value, "__module__", "")).partition(".")[0] == "jaxdip"
    ]


def main() -> None:
    """Writes the pages and says how many names they have."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -W error docs/api.py FOLDER")
    # An annotation inside equinox itself, which the result codes inherit; ours are all checked.
    warnings.filterwarnings("ignore", message=r".* type annotation for equinox\._enum\.")
    told = 0
    for name in (modules := public_modules()):
        module = importlib.import_module(name)
        # pdoc passes over what a package takes from its private modules unless it is listed.
        module.__dict__["__all__"] = names(module)
        told += len(names(module))
    pdoc.render.configure(docformat="google", math=True)
    pdoc.pdoc(*modules, r"!\._", output_directory=pathlib.Path(sys.argv[1]))
    print(f"{len(modules)} pages, {told} names")


if __name__ == "__main__":
    main()
