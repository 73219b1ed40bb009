"""The same as ``fol whiten``."""

import sys

from fol.cli import main

sys.exit(main(["whiten", *sys.argv[1:]]))
