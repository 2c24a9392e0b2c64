"""`python -m roomful.probe`: the command by itself."""

import sys

from roomful.probe.command import main

__all__ = ()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
