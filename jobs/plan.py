"""`spark-submit jobs/plan.py …`: the same as `uniner-dist plan …`, with the same arguments."""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["plan", *sys.argv[1:]]))
