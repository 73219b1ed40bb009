"""The same as ``fol data``."""

import sys

from fol.cli import main

sys.exit(main(["data", *sys.argv[1:]]))
