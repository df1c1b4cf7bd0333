"""`python jobs/completions.py …` or `ray job submit -- python jobs/completions.py …`: the same as `uniner-dist completions …`, with the same arguments."""

import sys

from uniner_dist.cli import main

if __name__ == "__main__":
    sys.exit(main(["completions", *sys.argv[1:]]))
