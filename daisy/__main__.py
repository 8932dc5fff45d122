# PYTHON_ARGCOMPLETE_OK
"""`python -m daisy`, the command `daisy` where no script of that name is on the path."""

from __future__ import annotations

import sys

from daisy.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
