"""The same as ``fol index``."""

import sys

from fol.cli import main

sys.exit(main(["index", *sys.argv[1:]]))
