"""The same as ``fol benchmark``."""

import sys

from fol.cli import main

sys.exit(main(["benchmark", *sys.argv[1:]]))
