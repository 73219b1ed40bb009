"""The same as ``fol sweep``."""

import sys

from fol.cli import main

sys.exit(main(["sweep", *sys.argv[1:]]))
