"""Answers as text: token ids of many answers decoded in one call, exactly as they read after their prompt.

A Llama tokenizer drops the blank in front of the first token it decodes. An answer is therefore decoded after the last
token of its prompt (the anchor), and the anchor's own text is removed again. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uniner_dist.core.parse import official_items


class AnswerDecoder:
    """Decoder of the answers of one tokenizer.

    Args:
        tokenizer_json: the fast tokenizer's JSON.
        anchor: token id that precedes every answer, the last of the prompt.
    """

    def __init__(self, tokenizer_json: str, anchor: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_str(tokenizer_json)
        self._anchor = anchor
        self._skip = len(self._tokenizer.decode([anchor]))

    def texts(self, answers: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each answer, special tokens left out.

        Args:
            answers: token ids of each answer, without those of its prompt.
        """
        decoded = self._tokenizer.decode_batch([[self._anchor, *ids] for ids in answers], skip_special_tokens=True)
        return [text[self._skip :] for text in decoded]

    def empty_list_ids(self) -> list[int]:
        """Return the ids of tokens that alone, after the prompt, are a whole answer that names nothing, ascending.

        There may be several, or none. Whatever follows such a token makes no difference to the authors' parser, nor to
        that of this project. Every token of the vocabulary is decoded.
        """
        tokens = sorted(self._tokenizer.get_vocab().values())
        texts = self.texts([[token] for token in tokens])
        return [token for token, text in zip(tokens, texts, strict=True) if official_items(text.strip()) == []]

    def is_empty_list(self, token_ids: Sequence[int]) -> bool:
        """Return whether an answer names nothing: it begins with an empty list, maybe after white space.

        Args:
            token_ids: ids of the answer, without those of its prompt.
        """
        return official_items(self.texts([token_ids])[0].strip()) == []

    def token_texts(self, token_ids: Sequence[int]) -> list[str]:
        """Return what each token adds to the text; joined they are the answer. Special tokens add the empty string.

        A character that is spelled by several byte tokens is counted to the last of them.

        Args:
            token_ids: ids of the answer, without those of its prompt.
        """
        pieces, before = [], ""
        for count in range(1, len(token_ids) + 1):
            text = self.texts([token_ids[:count]])[0]
            whole = text.rstrip("\ufffd") if count < len(token_ids) else text
            pieces.append(whole[len(before) :] if whole.startswith(before) else "")
            before = whole if whole.startswith(before) else before
        return pieces
