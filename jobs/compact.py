"""`spark-submit jobs/compact.py …`: the same as `uniner-dist compact …`, with the same arguments."""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["compact", *sys.argv[1:]]))
