"""`spark-submit jobs/annotate.py …`: the same as `uniner-dist annotate …`, with the same arguments."""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["annotate", *sys.argv[1:]]))
