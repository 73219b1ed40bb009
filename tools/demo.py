"""The same as ``fol demo``."""

import sys

from fol.cli import main

sys.exit(main(["demo", *sys.argv[1:]]))
