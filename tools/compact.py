"""The same as ``fol compact``."""

import sys

from fol.cli import main

sys.exit(main(["compact", *sys.argv[1:]]))
