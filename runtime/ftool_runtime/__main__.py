"""`python -m ftool_runtime`."""

import sys

from ftool_runtime.tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
