"""spaCy's DocBin: files for `spacy train`, or to open as documents.

`doc.spans["sc"]` has every mention that has offsets, `doc.ents` those that it allows: of mentions that overlap those
that `without_overlaps` returns. `doc.user_data` has `doc_id` and `annotations`, which is everything published. Tokens
are spaCy's own, cut at the borders of mentions; spaCy aligns them with a pipeline's tokens when it trains.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from uniner_dist.errors import ConfigError
from uniner_dist.formats.annotated_document import Document, Mention
from uniner_dist.formats.settings import ExportSettings

#: Key of `doc.spans` that spaCy's span categoriser reads by default.
SPANS_KEY = "sc"


def files(documents: Sequence[Document], stem: str, settings: ExportSettings) -> Iterator[tuple[str, bytes]]:
    """Write all documents to one DocBin.

    Args:
        documents: documents of one part of the export.
        stem: name of the file without ending, unique in the export.
        settings: of the export; `language` chooses spaCy's tokenizer.

    Yields:
        One pair of file name and content.

    Raises:
        ConfigError: spaCy does not know the language, or lacks a library for it.
    """
    from spacy.tokens import DocBin

    nlp = _pipeline(settings.language)
    docs = DocBin(attrs=["ORTH", "SPACY", "ENT_IOB", "ENT_TYPE"], store_user_data=True)
    for document in documents:
        docs.add(_doc(nlp, document))
    yield f"{stem}.spacy", docs.to_bytes()


@lru_cache(maxsize=4)
def _pipeline(language: str) -> Any:
    import spacy

    try:
        return spacy.blank(language)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--language {language}: spaCy has no tokenizer for it: {reason}") from error


def _doc(nlp: Any, document: Document) -> Any:
    from spacy.tokens import Doc

    mentions = document.mentions()
    words, spaces = _words(nlp.tokenizer(document.text), mentions)
    doc = Doc(nlp.vocab, words=words, spaces=spaces)
    doc.spans[SPANS_KEY] = [_span(doc, mention) for mention in mentions]
    doc.set_ents([_span(doc, mention) for mention in document.flat_mentions])
    doc.user_data["doc_id"] = document.doc_id
    doc.user_data["annotations"] = list(document.answers)
    return doc


def _span(doc: Any, mention: Mention) -> Any:
    return doc.char_span(mention.start, mention.end, label=mention.label)


def _words(tokens: Any, mentions: Sequence[Mention]) -> tuple[list[str], list[bool]]:
    """spaCy's tokens, cut at mentions' borders: words, and whether the single space after each belongs to it."""
    starts, ends = {mention.start for mention in mentions}, {mention.end for mention in mentions}
    borders = sorted(starts | ends)
    words: list[str] = []
    spaces: list[bool] = []
    for token in tokens:
        start, end = token.idx, token.idx + len(token)
        # A space that a mention begins or ends with has to be a token.
        lone = bool(token.whitespace_) and (end in starts or end + 1 in ends)
        points = [start, *borders[bisect_right(borders, start) : bisect_left(borders, end)], end]
        words += [token.text[first - start : last - start] for first, last in pairwise(points)]
        words += [token.whitespace_] * lone
        spaces += [False] * (len(words) - len(spaces))
        spaces[-1] = bool(token.whitespace_) and not lone
    return words, spaces
