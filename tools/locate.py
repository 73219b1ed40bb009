"""The same as ``fol locate``."""

import sys

from fol.cli import main

sys.exit(main(["locate", *sys.argv[1:]]))
