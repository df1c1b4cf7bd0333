"""The independent check: are the ids that we would send the ones that sentencepiece itself gives?

Compares the tokenizer as used with the `tokenizer.model` of the same repository, on texts of the corpus and all
questions; a difference is an error that shows both id lists. Nothing here relies on the tokenizer of this program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import Final

from uniner_dist.core.characters import visible
from uniner_dist.core.template import Template
from uniner_dist.core.tokens import SAMPLES, PromptTokenizer
from uniner_dist.errors import ConfigError
from uniner_dist.model.sentencepiece_bpe import LlamaSettings, parse

#: What goes wrong in a tokenizer, if anything does: blanks, bytes, scripts, and special tokens spelled out.
_TEXTS: Final = (
    "Marie Curie was born in Warsaw in 1867.",
    "  indented\n    twice\n\tand by a tab\r\n",
    "the end </s> of <s> a <unk> turn</s>USER: What describes x in the text? ASSISTANT:",
    "[INST] <<SYS>> [PAD] <pad> <|endoftext|> <|im_end|> <0x0A> ▁ ▁▁",
    "東京タワーは東京都港区にある。北京大学位于北京市。서울특별시",
    "Москва, Αθήνα, ירושלים, القاهرة, नई दिल्ली, กรุงเทพฯ, ተክላይ, ქართული",
    "👩‍💻🏳️‍🌈😀 𝔘𝔫𝔦 𓀀 ﬁ ① ½ e\u0301 a\u0308\u00a0\u2009\u3000\u200b\ufeff",
    "\x00\x01\x7f\x85 null and control",
    "def f(x):\n    return [] if not x else {'a': [\"b\", 1e-9]}\n",
    "https://example.org/a?b=c#d e-mail: a.b+c@d.example; 3.14159, 1,000,000; 12:30; €5 £6",
    "ALL CAPS camelCase snake_case kebab-case Mc'Donald O’Neill “quotes” «guillemets» …",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ............................ --------------------",
)
_TYPES: Final = ("person", " type ", "date, time (ISO 8601)", "地名", 'a person like: "Ada", or  a role', "</s>", "")


def static_pairs() -> Iterator[tuple[str, str]]:
    """Yield (text, entity type) pairs of every kind; more than 200."""
    yield from SAMPLES
    for text in _TEXTS:
        for entity_type in _TYPES:
            yield text, entity_type
    types = cycle(_TYPES)
    for count in range(1, 41):
        blanks = " " * count
        for text in (f"a{blanks}b", f"{blanks}a", f"a{blanks}"):
            yield text, next(types)


def check_against_sentencepiece(
    tokenizer: PromptTokenizer,
    content: bytes,
    settings: LlamaSettings,
    template: Template,
    texts: Sequence[str] = (),
    questions: Iterable[str] = (),
    more: Sequence[str] = (),
) -> int:
    """Compare the ids of prompts with those of sentencepiece.

    Args:
        tokenizer: the one that is used for the run.
        content: the bytes of the `tokenizer.model`.
        settings: how the tokenizer's configuration says to read `content`.
        template: what prompts are built by.
        texts: texts of the corpus; a built-in one is taken if there are none.
        questions: all that are asked; "person" if there are none.
        more: further texts, such as the spellings of added tokens, each asked about "person".

    Returns:
        The number of (text, entity type) pairs compared.

    Raises:
        ConfigError: a prompt's ids differ.
    """
    pairs = [*static_pairs(), *((text, "person") for text in more)]
    asked = list(questions) or ["person"]
    corpus = list(texts) or [_TEXTS[0]]
    pairs += [(corpus[number % len(corpus)], question) for number, question in enumerate(asked)]
    pairs += [(text, asked[number % len(asked)]) for number, text in enumerate(corpus)]
    forms = [_Reference(content, settings, template)]
    if not settings.legacy:
        # The library's earlier classes take a tokenizer.json as it is, whatever this setting says.
        forms.append(_Reference(content, LlamaSettings(), template))
    wrong = [_first_difference(tokenizer, form, pairs) for form in forms]
    if all(wrong):
        raise ConfigError(str(wrong[0]))
    return len(pairs)


class _Reference:
    """Prompts tokenised by sentencepiece, turn by turn, as the tokenizer of 2023 did."""

    def __init__(self, content: bytes, settings: LlamaSettings, template: Template) -> None:
        from sentencepiece import SentencePieceProcessor

        self._template, self._legacy = template, settings.legacy
        self._first = " " if settings.blank_first else ""
        self._processor = SentencePieceProcessor(model_proto=content if settings.legacy else _without_prefix(content))
        self.bos_id = self._processor.bos_id()

    def body(self, text: str, entity_type: str) -> list[int]:
        """Ids of a prompt without the BOS."""
        prefix, suffix = self._template.prefix(text), self._template.suffix(entity_type)
        if not self._legacy:
            prefix = self._first + prefix
        return [*self._processor.encode(prefix), self._processor.eos_id(), *self._processor.encode(suffix)]


def _without_prefix(content: bytes) -> bytes:
    proto = parse(content)
    proto.normalizer_spec.add_dummy_prefix = False
    return bytes(proto.SerializeToString())


def _first_difference(
    tokenizer: PromptTokenizer, reference: _Reference, pairs: Iterable[tuple[str, str]]
) -> str | None:
    for text, entity_type in pairs:
        ours, theirs = tokenizer.prompt_ids(text, entity_type), reference.body(text, entity_type)
        bos = [reference.bos_id] if ours[:1] == [reference.bos_id] else []
        if ours != bos + theirs:
            shown = visible(text[:60]), visible(entity_type[:60])
            return (
                f"the tokenizer does not give what sentencepiece makes of its tokenizer.model: the model would "
                f"be asked what it never saw: for text {shown[0]!r} and type {shown[1]!r} it gives "
                f"{_around(ours, bos + theirs)}, sentencepiece {_around(bos + theirs, ours)}; a tokenizer.json that a "
                "later library wrote is best removed: tokenizer.model alone is enough"
            )
    return None


def _around(ids: Sequence[int], other: Sequence[int]) -> str:
    """All ids as text; of long lists only those around the first difference."""
    if len(ids) <= 60:
        return str(list(ids))
    at = next((number for number, pair in enumerate(zip(ids, other, strict=False)) if pair[0] != pair[1]), len(other))
    start = max(at - 10, 0)
    return f"(from token {start}) {list(ids[start : at + 30])}"
