"""The same as ``fol city``."""

import sys

from fol.cli import main

sys.exit(main(["city", *sys.argv[1:]]))
