"""`python -m roomful`: the command line without its script."""

import sys

from .cli import main

__all__ = ()

sys.exit(main())
