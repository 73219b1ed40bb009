"""The same as ``fol challenge``."""

import sys

from fol.cli import main

sys.exit(main(["challenge", *sys.argv[1:]]))
