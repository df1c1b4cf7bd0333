#!/usr/bin/env bash
# Two one-token persons side by side in BILOU, and a prediction that makes one person of two tokens of them.
#
# Version:  seqeval 1.2.2.
# Expected: F1 below 1: gold has three entities, the prediction two, one of which is right.
# Seen:     the default mode gives 1.0, as it reads `U-PER U-PER` and `B-PER L-PER` alike, as one entity of both tokens;
#           `mode="strict", scheme=BILOU` gives 0.4.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check seqeval==1.2.2
cd "$place"
"$place/env/bin/python" - <<'PY'
import warnings

from seqeval.metrics import f1_score
from seqeval.scheme import BILOU

warnings.simplefilter("ignore")
gold = [["U-PER", "U-PER", "O", "B-LOC", "L-LOC"]]
predicted = [["B-PER", "L-PER", "O", "B-LOC", "L-LOC"]]
scores = f1_score(gold, predicted), f1_score(gold, predicted, mode="strict", scheme=BILOU)
seen = tuple(float(score) for score in scores)
print(seen)
assert seen == (1.0, 0.4), "the behaviour changed"
PY
