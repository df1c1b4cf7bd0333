"""The demonstration model's tokenizer: byte-level BPE whose word borders suit copying.

A name must become the same tokens in a text and behind the quote of an answer, or a small model cannot copy it. So a
blank is a token of its own before any word that may start a name, and sticks only to a closed list of small words;
the brackets and quotes of an answer are single tokens; digits go in pairs. Every byte has a token, so any text
encodes without loss.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from training import sentences
from training.questions import PARAPHRASES, TYPES

UNK, BOS, EOS = "<unk>", "<s>", "</s>"
PREFIX = "A virtual assistant answers questions from a user based on the provided text. USER: Text: "
PREFIX_END = " ASSISTANT: I've read this text."
SUFFIX_START = "USER: What describes "
SUFFIX_END = " in the text? ASSISTANT:"

_SMALL_WORDS = (
    "the a an of and to in on at by for from with was is are were be been has have had will would can could not no as "
    "that this it its he she they we you I his her their my our your who which when while because but or if than so "
    "after before until since between under over into about against during near around also only very more most then "
    "there here did does do said says say told met went came goes moved left lived worked won lost made gave found sold"
)
_LITERALS = [
    r"A virtual assistant answers questions from a user based on the provided text\. USER: Text:",
    r" ASSISTANT: I've read this text\.",
    r"USER: What describes",
    r" in the text\? ASSISTANT:",
]
_PATTERN = "|".join(
    [
        *_LITERALS,
        r' \[\]', r' \["', r'", "', r'"\]', r"'s(?![\p{L}\p{M}])",
        r" (?:" + _SMALL_WORDS.replace(" ", "|") + r")(?![\p{L}\p{M}\p{N}])",
        r"[\p{L}\p{M}]+", r"\p{N}{1,2}", r"\s", r"[^\s\p{L}\p{M}\p{N}]",
    ]
)  # fmt: skip


def prompt_prefix(text: str) -> str:
    """The prompt up to, not including, its end-of-sequence token."""
    return PREFIX + text + PREFIX_END


def prompt_suffix(entity_type: str) -> str:
    """The prompt behind its end-of-sequence token."""
    return SUFFIX_START + entity_type + SUFFIX_END


def _corpus(texts: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    asked = [*TYPES, *(phrase for phrases in PARAPHRASES.values() for phrase in phrases)]
    for _ in range(texts):
        text = sentences.make_text(rng, sentences=rng.randint(1, 4))
        yield prompt_prefix(text.text)
        for name in rng.sample(asked, 3):
            yield prompt_suffix(name)
        yield ' ["' + '", "'.join(text.surface(mention) for mention in text.mentions) + '"]'
        yield " []"


def train_tokenizer(vocabulary: int = 3000, texts: int = 12000, seed: int = 0) -> PreTrainedTokenizerFast:
    """Train on generated training-side texts; ids 0, 1, 2 are `<unk>`, `<s>`, `</s>`."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[UNK, BOS, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=4,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(texts, seed), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def save_tokenizer(directory: Path, **options: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer and write it to `directory`."""
    tokenizer = train_tokenizer(**options)
    tokenizer.save_pretrained(directory)
    return tokenizer
