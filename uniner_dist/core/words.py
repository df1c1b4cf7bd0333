"""Where a text's tokens stand, found word by word: a corpus repeats its words, and each is tokenised once.

A tokenizer and texts enter, code-point offsets of tokens leave. Nearly all tokenizers take a text apart at a space
behind a word, whatever stands on either side of it; a token that reaches across one comes out as several. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: A word begins at a space that follows a visible character, so that no run of white space is cut.
_BORDER: Final = re.compile(r"(?<=\S)(?= )")
#: Longer ones are not remembered: encoded data, languages without spaces.
_MAX_CHARACTERS: Final = 32
#: So many are remembered, in some 20 MB.
_MAX_WORDS: Final = 1 << 16
#: Words are tokenised behind it, as some tokenizers treat the beginning of a text otherwise.
_ANCHOR: Final = "."


def whole_spans(tokenizer: Tokenizer, text: str) -> npt.NDArray[np.int64]:
    """Begin and end of each token of a bare text, as code points; shape: tokens × 2, ascending.

    Several tokens of one character share its span.
    """
    [encoding] = tokenizer.encode_batch([text], add_special_tokens=False)  # without Python's lock, unlike `encode`
    return np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)


class WordSpans:
    """Like `whole_spans`, from what is remembered of words. Threads may share it.

    Attributes:
        exact: whether it agrees with `whole_spans` on the samples.
    """

    def __init__(self, tokenizer: Tokenizer, samples: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}
        self.exact = all(np.array_equal(self(text), whole_spans(tokenizer, text)) for text in samples)

    def __call__(self, text: str) -> npt.NDArray[np.int64]:
        first, *words = _BORDER.split(text)
        beginning = whole_spans(self._tokenizer, first)
        if not words:
            return beginning
        found = self._look_up(words)
        flat = [found[word] for word in words]
        spans = np.fromiter(chain.from_iterable(flat), np.int64).reshape(-1, 2)
        places = np.fromiter(accumulate(map(len, words[:-1]), initial=len(first)), np.int64, len(words))
        tokens = np.fromiter(map(len, flat), np.int64, len(words)) // 2
        return np.concatenate([beginning, spans + np.repeat(places, tokens)[:, None]])

    def _look_up(self, words: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Begins and ends of each word's tokens in turn, counted from the word's beginning."""
        known, different = self._known, set(words)
        found = {word: known[word] for word in different if word in known}
        new = [word for word in different if word not in found]
        if new:
            fresh = dict(zip(new, self._tokenise(new), strict=True))
            found |= fresh
            if len(known) > _MAX_WORDS:
                self._known = known = {}
            known.update((word, spans) for word, spans in fresh.items() if len(word) <= _MAX_CHARACTERS)
        return found

    def _tokenise(self, words: Sequence[str]) -> Iterator[tuple[int, ...]]:
        skip = len(_ANCHOR)
        for encoding in self._tokenizer.encode_batch([_ANCHOR + word for word in words], add_special_tokens=False):
            behind = ((max(begin - skip, 0), end - skip) for begin, end in encoding.offsets if end > skip)
            yield tuple(chain.from_iterable(behind))
