"""Small tokenizers of the kinds that checkpoints ship, trained in milliseconds on a few sentences."""

from __future__ import annotations

import json
from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "A virtual assistant answers questions from a user based on the provided text. USER: Text: some text",
    "ASSISTANT: I've read this text. USER: What describes person in the text? ASSISTANT:",
    "Marie Curie was born in Warsaw and worked in Paris with Pierre Curie. </s> <s> s / s>",
    "Zoë met naïve Ångström in Москва and 東京タワー; e\u0301 é ü ö 1984 3.14 (a) [b] {c}",
] * 4
SPECIALS = ["<unk>", "<s>", "</s>"]


def _byte_fallback_vocabulary(merged: Tokenizer) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The trained vocabulary behind the special tokens and the 256 byte tokens, as in a Llama 2 file."""
    model = json.loads(merged.to_str())["model"]
    tokens = SPECIALS + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [token for token in model["vocab"] if token not in tokens]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
    return {token: index for index, token in enumerate(tokens)}, merges


@cache
def llama_json(*, legacy: bool, normalized_specials: bool = False, adds_eos: bool = False) -> str:
    """A Llama-2-style tokenizer: byte-pair merges over the whole string, byte fallback, `▁` for spaces, BOS first.

    `legacy` puts a `▁` before every piece between special tokens, its absence only before the first.
    """
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, show_progress=False))
    vocabulary, merges = _byte_fallback_vocabulary(trained)
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(name, normalized=normalized_specials, special=True) for name in SPECIALS])
    single = "<s> $A </s>" if adds_eos else "<s> $A"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=f"{single} $B:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer.to_str()


@cache
def byte_level_json(*, ignore_merges: bool = False, add_prefix_space: bool = False) -> str:
    """A byte-level tokenizer as of GPT-2; `ignore_merges` emits a whole word found in the vocabulary as one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tree = json.loads(tokenizer.to_str())
    tree["model"]["ignore_merges"] = ignore_merges
    if ignore_merges:
        tree["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    return json.dumps(tree)
