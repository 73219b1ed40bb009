"""The same as ``fol report``."""

import sys

from fol.cli import main

sys.exit(main(["report", *sys.argv[1:]]))
