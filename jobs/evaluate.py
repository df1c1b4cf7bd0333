"""`python jobs/evaluate.py …`: the same as `uniner-dist evaluate …`, with the same arguments."""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
