"""`spark-submit jobs/diff.py …`: the same as `uniner-dist diff …`, with the same arguments."""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["diff", *sys.argv[1:]]))
