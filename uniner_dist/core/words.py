"""Offsets of a text's tokens, found word by word: a corpus repeats its words, and each is tokenised once.

Returns code-point offsets. Nearly all tokenizers split a text at a space after a word, whatever is on either side of
it; a token that spans such a place comes out as several. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: A word begins at a space that follows a visible character, so that no run of white space is cut.
_BORDER: Final = re.compile(r"(?<=\S)(?= )")
#: Longer words are not cached: encoded data, languages without spaces.
_MAX_CHARACTERS: Final = 32
#: Size of the LRU cache of words.
_MAX_WORDS: Final = 1 << 16
#: Words are tokenised after it, as some tokenizers treat the beginning of a text otherwise.
_ANCHOR: Final = "."


def whole_spans(tokenizer: Tokenizer, text: str) -> npt.NDArray[np.int64]:
    """Return the begin and end of each token of a bare text, as code points; shape: tokens × 2, ascending.

    Several tokens of one character share its span.

    Args:
        tokenizer: one that neither truncates nor pads.
        text: a text without a prompt around it; all of it is tokenised at once.
    """
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    return np.array(offsets, dtype=np.int64).reshape(-1, 2)


class WordSpans:
    """Same as `whole_spans`, with a cache of words.

    Attributes:
        exact: whether it agrees with `whole_spans` on the samples.
    """

    def __init__(self, tokenizer: Tokenizer, samples: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        added = (re.escape(token.content) for token in tokenizer.get_added_tokens_decoder().values())
        self._added = re.compile("|".join(sorted(added, reverse=True)) or r"(?!)")
        self._remembered = lru_cache(_MAX_WORDS)(self._tokenise)
        self.exact = all(np.array_equal(self(text), whole_spans(tokenizer, text)) for text in samples)

    def __call__(self, text: str) -> npt.NDArray[np.int64]:
        """Begin and end of each token of `text`, as code points; shape: tokens × 2, ascending."""
        if self._added.search(text):  # what follows a token such as `<s>` may be tokenised as a beginning
            return whole_spans(self._tokenizer, text)
        first, *words = _BORDER.split(text)
        spans = [self._remembered(word) if len(word) <= _MAX_CHARACTERS else self._tokenise(word) for word in words]
        relative = np.fromiter(chain.from_iterable(spans), np.int64).reshape(-1, 2)
        begins = np.fromiter(accumulate(map(len, words), initial=len(first)), np.int64)[:-1]
        tokens = np.fromiter(map(len, spans), np.int64, len(spans)) // 2
        return np.concatenate([whole_spans(self._tokenizer, first), relative + np.repeat(begins, tokens)[:, None]])

    def _tokenise(self, word: str) -> tuple[int, ...]:
        """Begin and end of each token in turn, relative to the word's beginning; flat."""
        skip = len(_ANCHOR)
        offsets = self._tokenizer.encode(_ANCHOR + word, add_special_tokens=False).offsets
        inside = ((max(begin - skip, 0), end - skip) for begin, end in offsets if end > skip)
        return tuple(chain.from_iterable(inside))
