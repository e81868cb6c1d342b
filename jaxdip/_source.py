"""Which source computed a result."""

import functools
import hashlib
from pathlib import Path


@functools.cache
def source_digest(pattern: str = "**/*.py") -> str:
    """SHA-256 of the package's own files, by name and content, as 64 hexadecimal digits.

    Two checkouts with one version number differ in it as soon as a line does.

    Args:
        pattern: which files, as `Path.glob` has it.
    """
    root = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.glob(pattern), key=lambda path: path.relative_to(root).as_posix()):
        content = path.read_bytes()
        total.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()
