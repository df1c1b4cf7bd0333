#!/usr/bin/env bash
# A sentencepiece BPE model (Llama's form: byte fallback, blanks kept), used by sentencepiece and by transformers.
#
# Versions: transformers 5.19.0, tokenizers 0.23.3, sentencepiece 0.2.3.
# Expected: the ids that the model was trained with, which sentencepiece gives.
# Seen:     for texts that begin with blanks transformers gives one blank less, with `legacy` false and true alike.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check transformers==5.19.0 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
cd "$place"
"$place/env/bin/python" - <<'PY'
import json
import random

import sentencepiece as spm
from transformers import LlamaTokenizer

random.seed(1)
words = ["river", "town", "mayor", "bread", "winter", "northern", "garden", "Ada", "Oslo"]
lines = [" ".join(random.choices(words, k=8)) for _ in range(400)]
spm.SentencePieceTrainer.train(
    sentence_iterator=iter(lines), model_prefix="tokenizer", model_type="bpe", vocab_size=330, byte_fallback=True,
    normalization_rule_name="identity", remove_extra_whitespaces=False, hard_vocab_limit=False, minloglevel=2,
)
sentencepiece = spm.SentencePieceProcessor("tokenizer.model")
expected = {"river town": 0, " river town": 1, "  Ada Oslo": 1}
config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
with open("tokenizer_config.json", "w") as stream:
    json.dump(config, stream)
differs = {}
for legacy in (False, True):
    tokenizer = LlamaTokenizer.from_pretrained(".", legacy=legacy)
    for text in ("river town", " river town", "  Ada Oslo"):
        theirs = tokenizer.encode(text, add_special_tokens=False)
        differs[legacy, text] = len(sentencepiece.encode(text)) - len(theirs)
print(differs)
assert differs == {(legacy, text): lost for legacy in (False, True) for text, lost in expected.items()}, "changed"
PY
