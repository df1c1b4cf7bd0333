"""`python jobs/completions.py …`: the same as `uniner-dist completions …`, with the same arguments.

Also by `ray job submit -- python jobs/completions.py …`; this stage needs neither Spark nor Java.
"""

import sys

from uniner_dist.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["completions", *sys.argv[1:]]))
