"""Prompts as token ids, assembled from a prefix per text and a suffix per entity type.

Needs a tokenizer (as the JSON of the `tokenizers` library) and a template. The `</s>` of the template is the
end-of-turn id; the same characters in a text or a type stay text, so that no corpus can close the turn and ask its own
question. For a clean text the ids are exactly those of the whole prompt string. No I/O; needs only `tokenizers`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from uniner_dist.core.template import BOS, END_OF_TURN, Template
from uniner_dist.core.tokenizer_copies import copied, load, with_special
from uniner_dist.core.words import WordSpans, whole_spans
from uniner_dist.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from tokenizers import AddedToken, Tokenizer

#: (text, entity type) pairs the start-up check tries: scripts, white space, punctuation, and borders of every kind.
SAMPLES: Final[tuple[tuple[str, str], ...]] = (
    ("Marie Curie was born in Warsaw.", "person"),
    ("", ""),
    (" leading and trailing ", " type "),
    ("two  spaces\n\nline\r\nbreaks\ttabs", "date, time (ISO 8601)"),
    ("Zoë naïve Ångström 東京タワー Москва שלום مرحبا हिन्दी ไทย", "地名"),
    ("👩‍💻🏳️‍🌈 \U0001f600 e\u0301", "emoji {curly} [square] \"quoted\" 'single'"),
    ("{text} {entity_type} %s $1 \\n", "{text}"),
    ("1984 3.14159 https://example.org/a?b=c#d", 'a person like: "Ada", or a role'),
    ("▁already▁marked Ġbyte <0x0A>", "▁type"),
)


class PromptTokenizer:
    """Token ids of prompts for one tokenizer and one template.

    Attributes:
        eos_id: the id of the `</s>` between the turns.
        prefix_overhead: tokens of the prefix of an empty text.
        assembled: True if `prefix_ids(text) + suffix_ids(type)` is what tokenising the whole prompt gives, with the
            `</s>` between the turns as the end-of-turn id. False: use `prompt_ids`, which tokenises whole prompts.
        reason: a warning if the original tokenizer makes something else of a prompt string, or puts no BOS first; else
            None.
    """

    def __init__(self, plain: Tokenizer, marked: _MarkedTokenizer, original: Tokenizer, template: Template) -> None:
        self._plain = plain
        self._marked = marked
        self._original = original
        self._template = template
        self.eos_id = marked.eos_id
        self._guarded = _special_ids(plain, marked.eos_id)
        self._leading = _leading_ids(original)
        self._suffixes: dict[str, list[int]] = {}
        self._check_specials_stay_text()
        self.prefix_overhead = len(self.prefix_ids([""])[0])
        self.assembled = all(
            self.prefix_ids([text])[0] + self.suffix_ids(entity_type) == self._whole_ids(text, entity_type)
            for text, entity_type in SAMPLES
        )
        reasons = [self.verify(), _without_bos(original, self._leading)]
        self.reason = "; ".join(reason for reason in reasons if reason) or None

    @classmethod
    def from_json(cls, tokenizer_json: str, template: Template, eos_token: str = END_OF_TURN) -> PromptTokenizer:
        """Return the prompt tokenizer of a `tokenizer.json` and a template, checked with `SAMPLES`.

        Args:
            tokenizer_json: contents of the `tokenizer.json`.
            template: what prompts are built by.
            eos_token: text of the token that ends a turn.

        Raises:
            ConfigError: the JSON is no tokenizer, it has no `eos_token`, or it turns special tokens' text into their
                ids even where they must stay text.
        """
        original = load(tokenizer_json)
        eos_id = original.token_to_id(eos_token)
        if eos_id is None:
            raise ConfigError(f"the tokenizer has no token {eos_token!r}, which ends a turn of the prompt")
        token = original.get_added_tokens_decoder().get(eos_id)
        plain_json = tokenizer_json if token is None or token.special else with_special(tokenizer_json, eos_token)
        plain = original if plain_json is tokenizer_json else load(plain_json)
        plain.encode_special_tokens = True
        return cls(plain, _MarkedTokenizer(plain, plain_json, token, eos_id), original, template)

    def prefix_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of everything before the `</s>`, with whatever the tokenizer puts first (BOS).

        Args:
            texts: passages, unaltered.

        Returns:
            One list of ids per text, in the same order.

        Raises:
            ConfigError: a special token's id came out of a text (cannot happen with a tokenizer that passed the
                start-up check, short of a bug of the tokenizer).
        """
        prefixes = [self._template.prefix(text) for text in texts]
        encoded = [encoding.ids for encoding in self._plain.encode_batch_fast(prefixes, add_special_tokens=False)]
        for ids, text in zip(encoded, texts, strict=True):
            self._refuse_specials(ids, text)
        return [self._leading + ids for ids in encoded]

    def suffix_ids(self, entity_type: str) -> list[int]:
        """Return the ids from the `</s>` to the end, tokenised *after* a `</s>`.

        Args:
            entity_type: the word, phrase or definition that is asked for, unaltered.

        Returns:
            The ids, `</s>` first. The list is cached by type: do not change it.

        Raises:
            ConfigError: a special token's id came out of the type, or the end-of-turn token is not recognised before
                it.
        """
        known = self._suffixes.get(entity_type)
        if known is None:
            ids = self._marked.encode(".", self._template.suffix(entity_type))
            known = ids[ids.index(self.eos_id) :]
            self._refuse_specials(known[1:], entity_type)
            self._suffixes[entity_type] = known
        return known

    def prompt_ids(self, text: str, entity_type: str) -> list[int]:
        """Return the ids of the whole prompt, whichever way is exact for this tokenizer.

        Args:
            text: the passage, unaltered.
            entity_type: the word, phrase or definition that is asked for, unaltered.

        Raises:
            ConfigError: as for `prefix_ids` and `suffix_ids`.
        """
        if self.assembled:
            return self.prefix_ids([text])[0] + self.suffix_ids(entity_type)
        return self._whole_ids(text, entity_type)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text takes in a prompt: `len(prefix_ids([text])[0]) - prefix_overhead`.

        Args:
            texts: passages, unaltered.
        """
        return [len(ids) - self.prefix_overhead for ids in self.prefix_ids(texts)]

    def token_spans(self, text: str) -> npt.NDArray[np.int64]:
        """Return the code points at which the tokens of a bare text begin and end; shape: tokens × 2, ascending.

        Several tokens of one character share its span. A token that reaches across a space may come out as several.

        Args:
            text: a text without a prompt around it, of any length.
        """
        return self._by_word(text) if self._by_word.exact else whole_spans(self._plain, text)

    @cached_property
    def _by_word(self) -> WordSpans:
        return WordSpans(self._plain, [text for text, _ in SAMPLES])

    def mismatches(self, samples: Iterable[tuple[str, str]] = SAMPLES) -> list[tuple[str, str]]:
        """Return those samples whose assembled ids differ from the tokenised prompt string.

        Args:
            samples: (text, entity type) pairs. Only clean ones tell anything, without any special token's text in them.
        """
        return [
            (text, entity_type)
            for text, entity_type in samples
            if self.prefix_ids([text])[0] + self.suffix_ids(entity_type)
            != self._as_string(self._template.prompt(text, entity_type))
        ]

    def _as_string(self, prompt: str) -> list[int]:
        """Ids that the tokenizer gives for a string by itself, with the text of special tokens read as these tokens."""
        keeps_text = self._original.encode_special_tokens
        self._original.encode_special_tokens = False
        ids = list(self._original.encode(prompt).ids)
        self._original.encode_special_tokens = keeps_text
        return ids

    def verify(self, samples: Iterable[tuple[str, str]] = SAMPLES) -> str | None:
        """Check assembled ids against tokenised prompt strings, as is done at start-up.

        Args:
            samples: (text, entity type) pairs without any special token's text in them.

        Returns:
            None if the ids agree for every sample, else a warning that names the first sample whose ids differ.
        """
        wrong = self.mismatches(samples)
        if not wrong:
            return None
        text, entity_type = wrong[0]
        return (
            f"the tokenizer reads {len(wrong)} sample prompts as strings otherwise than with the end of the first turn "
            f"as id {self.eos_id}, first the one of text {text!r} and type {entity_type!r}; the id is used"
            + ("" if self.assembled else "; prompts are tokenised whole, which is slower")
        )

    def _whole_ids(self, text: str, entity_type: str) -> list[int]:
        ids = self._marked.encode(self._template.prefix(text), self._template.suffix(entity_type))
        return self._leading + ids

    def _refuse_specials(self, ids: Sequence[int], source: str) -> None:
        if not self._guarded.keys().isdisjoint(ids):
            names = sorted(self._guarded[token] for token in self._guarded.keys() & set(ids))
            raise ConfigError(f"the tokenizer made the special tokens {names} out of the plain text {source[:200]!r}")

    def _check_specials_stay_text(self) -> None:
        """Refuse a tokenizer that turns a special token's text into its id: each is tried in a few contexts."""
        for name in self._guarded.values():
            probes = [name, f"a{name}b", f" {name} ", f"{name}{name}", f"\n{name}"]
            self.prefix_ids(probes)
            for probe in probes:
                self.suffix_ids(probe)
        self._suffixes.clear()


def shared_tokens(passages: Sequence[str], prompts: Sequence[list[int]]) -> list[int]:
    """Return how many first tokens each prompt shares with all others about the same passage; 0 for one that is alone.

    The last token of a prompt is never counted as shared.

    Args:
        passages: passage id or text of each prompt; prompts of one passage are adjacent.
        prompts: token ids of each prompt, in the same order.
    """
    shared: list[int] = []
    for _, group in groupby(zip(passages, prompts, strict=True), key=itemgetter(0)):
        own = [ids for _, ids in group]
        first, last = min(own), max(own)  # what these two share all between them share
        longest = min(map(len, own)) - 1 if len(own) > 1 else 0
        common = next((i for i in range(longest) if first[i] != last[i]), longest)
        shared += [common] * len(own)
    return shared


class _MarkedTokenizer:
    """A copy of the tokenizer that recognises no special token, only one secret marker in place of the `</s>`.

    The marker has the flags of the real token, so what follows it is tokenised as after a real `</s>`, while
    a `</s>` in the text is text. It is random per instance, hence in no text, which is checked all the same. Where the
    flags keep even the real token from being recognised between the turns, the marker is added without them.
    """

    def __init__(self, plain: Tokenizer, tokenizer_json: str, token: AddedToken | None, eos_id: int) -> None:
        self._plain, self._json = plain, tokenizer_json
        self._flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        if token is not None:
            self._flags = {flag: bool(getattr(token, flag)) for flag in self._flags}
        self.eos_id = eos_id
        self._renew()
        if self._marker_id not in self._ids("text.", "USER"):
            self._flags |= {"single_word": False, "normalized": False}
            self._renew()

    def _renew(self) -> None:
        from tokenizers import AddedToken

        self._marker = f"<|{secrets.token_hex(16)}|>"
        self._tokenizer = copied(self._plain, self._json)
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.add_tokens([AddedToken(self._marker, special=False, **self._flags)])
        marker_id = self._tokenizer.token_to_id(self._marker)
        if marker_id is None:
            raise ConfigError("the tokenizer does not take an added token, so prompts cannot be assembled")
        self._marker_id = marker_id

    def _ids(self, prefix: str, suffix: str) -> list[int]:
        return list(self._tokenizer.encode(prefix + self._marker + suffix, add_special_tokens=False).ids)

    def encode(self, prefix: str, suffix: str) -> list[int]:
        """Ids of `prefix`, the `</s>` and `suffix` as one string, without what the tokenizer puts around it (BOS)."""
        while self._marker in prefix or self._marker in suffix:
            self._renew()
        ids = self._ids(prefix, suffix)
        if ids.count(self._marker_id) != 1:
            raise ConfigError("the tokenizer does not recognise the end-of-turn token between the turns of a prompt")
        return [self.eos_id if token == self._marker_id else token for token in ids]


def _special_ids(tokenizer: Tokenizer, eos_id: int) -> dict[int, str]:
    """Ids and texts of the special tokens, and of the end of a turn, that must never come out of user text.

    The unknown token is the one special id that plain text may well produce.
    """
    unknown = getattr(tokenizer.model, "unk_token", None)
    added = tokenizer.get_added_tokens_decoder()
    texts = {number: token.content for number, token in added.items() if token.special}
    texts[eos_id] = str(tokenizer.id_to_token(eos_id))  # which may be of the vocabulary alone
    return {number: text for number, text in texts.items() if text != unknown}


def _without_bos(tokenizer: Tokenizer, leading: Sequence[int]) -> str | None:
    """A warning if a tokenizer has a BOS token but puts it before no prompt, which is seldom on purpose."""
    if leading or tokenizer.token_to_id(BOS) is None:
        return None
    return f"the tokenizer puts no BOS token {BOS} before a prompt (add_bos_token is false?), so none is sent"


def _leading_ids(tokenizer: Tokenizer) -> list[int]:
    """What the tokenizer puts before every text: the BOS id, or nothing."""
    bare, full = (tokenizer.encode("x", add_special_tokens=specials).ids for specials in (False, True))
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return list(full[:start])
    return []
