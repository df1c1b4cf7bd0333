"""`spark-submit jobs/annotations.py …`: the same as `uniner-dist annotations …`, with the same arguments."""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["annotations", *sys.argv[1:]]))
