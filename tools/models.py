"""The same as ``fol models``."""

import sys

from fol.cli import main

sys.exit(main(["models", *sys.argv[1:]]))
