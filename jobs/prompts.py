"""`spark-submit jobs/prompts.py …`: the same as `uniner-dist prompts …`, with the same arguments."""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["prompts", *sys.argv[1:]]))
