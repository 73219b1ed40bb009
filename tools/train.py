"""The same as ``fol train``."""

import sys

from fol.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
