"""Do the sdist and the wheel hold what they must, and nothing else? usage: check_dist.py FOLDER

FOLDER has one of each, built from the tracked files of the working directory, which is compared.
"""

import email
import pathlib
import subprocess
import sys
import tarfile
import zipfile

#: What the sdist has of the repository, beside the build's own PKG-INFO.
ROOTS = ("jaxdip/", "tests/", "benchmarks/", "notebooks/", "docs/")
FILES = {
    *("README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "pyproject.toml", ".gitignore"),
    *("constraints.txt", "constraints-lowest.txt"),
}


def one(folder: pathlib.Path, pattern: str) -> pathlib.Path:
    """The only file of a kind."""
    (found,) = folder.glob(pattern)
    return found


def differ(what: str, found: set[str], expected: set[str]) -> None:
    """Ends the program where two sets of names are not the same."""
    for names, word in ((expected - found, "lacks"), (found - expected, "should not have")):
        if names:
            sys.exit(f"the {what} {word} {', '.join(sorted(names))}")


def main() -> None:
    """Compares both with the tracked files."""
    folder = pathlib.Path(sys.argv[1])
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True)
    tracked = set(filter(None, listed.stdout.split("\0")))
    package = {name for name in tracked if name.startswith("jaxdip/")}
    if "jaxdip/py.typed" not in package:
        sys.exit("jaxdip/py.typed is not tracked")

    path = one(folder, "*.tar.gz")
    with tarfile.open(path) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    wanted = {name for name in tracked if name.startswith(ROOTS)} | FILES
    differ("sdist", names, wanted | {"PKG-INFO"})

    path = one(folder, "*.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        own = {name for name in names if ".dist-info/" in name}
        metadata = email.message_from_bytes(archive.read(one_of(own, "/METADATA")))
    differ("wheel", names - own, package)
    one_of(own, "/licenses/LICENSE")
    one_of(own, "/entry_points.txt")
    if not metadata.get_payload():
        sys.exit("the wheel's metadata lack the README")
    print(f"{path.name}: {len(package)} files, extras {metadata.get_all('Provides-Extra')}")


def one_of(names: set[str], end: str) -> str:
    """The only name with this end."""
    (found,) = (name for name in names if name.endswith(end))
    return found


if __name__ == "__main__":
    main()
