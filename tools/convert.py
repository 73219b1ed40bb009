"""The same as ``fol convert``."""

import sys

from fol.cli import main

sys.exit(main(["convert", *sys.argv[1:]]))
