"""`python -m uniner_dist` is `uniner-dist`."""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
