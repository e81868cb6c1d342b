"""`python -m jaxdip`, the same as the command `jaxdip`."""

import sys

from jaxdip.cli import main

if __name__ == "__main__":
    sys.exit(main())
