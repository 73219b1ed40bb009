"""The same as ``fol evaluate``."""

import sys

from fol.cli import main

sys.exit(main(["evaluate", *sys.argv[1:]]))
