"""CoNLL: a token and its BIO tag on each line, with a tab between them, and a blank line after each sentence.

Each document begins with comments: its id, also as JSON, the types that were answered for it, and its text as a
JSON string, by which `uniner_dist.formats.conll.reading` finds the offsets in the text as stored. Other readers skip
them, or, as spaCy's and flair's, take them for tokens: for those they are left out (`settings.comments`), and types
are written without white space.
Of mentions that overlap those that `without_overlaps` returns are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from uniner_dist.core.split import SENTENCE_END
from uniner_dist.errors import ConfigError
from uniner_dist.formats.annotated_document import Document, Mention
from uniner_dist.formats.conll.lines import ID_COMMENT, TEXT_COMMENT, TYPES_COMMENT
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.tokens import borders_of, is_plain, plain_tokens, sentences, tag_bio, tokenize

_LINE_BREAK: Final = re.compile(r"[\r\n\t]")
_to_json = json.JSONEncoder(ensure_ascii=False).encode


def files(documents: Sequence[Document], stem: str, settings: ExportSettings) -> Iterator[tuple[str, bytes]]:
    """Write all documents to one file.

    Args:
        documents: documents of one part of the export.
        stem: name of the file without ending, unique in the export.
        settings: of the export; `comments` decides whether ids, texts and answered types are written.

    Yields:
        One pair of file name and content in UTF-8.

    Raises:
        ConfigError: a type that cannot be written in one line.
    """
    labels = {*settings.labels, *(mention.label for document in documents for mention in document.flat_mentions)}
    written = {label: _written_label(label, settings.comments) for label in labels}
    renamed = any(label != name for label, name in written.items())
    yield (
        f"{stem}.conll",
        "".join(_block(one, settings.comments, written if renamed else {}) for one in documents).encode(),
    )


def _block(document: Document, comments: bool, written: Mapping[str, str]) -> str:
    text, mentions = document.text, document.flat_mentions
    if written:
        mentions = [mention._replace(label=written[mention.label]) for mention in mentions]
    find_sentences = _plain_sentences if is_plain(text) else _sentences
    lines = [_comments(document)] if comments else []
    for sentence in find_sentences(text, mentions):
        lines += [sentence, "\n"]
    return "".join(lines)


def _sentences(text: str, mentions: Sequence[Mention]) -> Iterator[str]:
    """The lines of each sentence that has any."""
    tokens = tokenize(text, borders_of(mentions))
    tags = tag_bio(tokens, mentions)
    tagged = [f"{text[start:end]}\t{tag}\n" for (start, end), tag in zip(tokens, tags, strict=True)]
    for sentence in sentences(text, tokens, mentions):
        yield "".join(tagged[sentence.start : sentence.stop])


def _plain_sentences(text: str, mentions: Sequence[Mention]) -> Iterator[str]:
    """Same for a text whose parts can be tokenised independently; takes a third of the time."""
    lines: list[str] = []
    number = at = 0
    for end in (*[match.end() for match in SENTENCE_END.finditer(text)], len(text)):
        while number < len(mentions) and mentions[number].start < end:
            label, start, stop, *_ = mentions[number]
            lines += _outside(text, at, start)
            tokens = plain_tokens(text, start, stop)
            lines += [f"{token}\tB-{label}\n" for token in tokens[:1]]
            lines += [f"{token}\tI-{label}\n" for token in tokens[1:]]
            number, at = number + 1, stop
        if at > end:  # a sentence never ends inside a mention
            continue
        lines += _outside(text, at, end)
        at = end
        if lines:
            yield "".join(lines)
            lines = []


def _outside(text: str, start: int, end: int) -> list[str]:
    """Lines of tokens outside of mentions."""
    tokens = plain_tokens(text, start, end)
    return ["\tO\n".join(tokens), "\tO\n"] if tokens else tokens


def _comments(document: Document) -> str:
    return (
        f"# id = {'_'.join(document.doc_id.split()) or '_'}\n"
        f"# {ID_COMMENT} = {_to_json(document.doc_id)}\n"
        f"# {TYPES_COMMENT} = {_types_as_json(document.answered.types)}\n"
        f"# {TEXT_COMMENT} = {_to_json(document.text)}\n"
    )


@lru_cache
def _types_as_json(types: tuple[str, ...]) -> str:
    return _to_json(types)


def joined_label(label: str) -> str:
    """Return a type with `_` in place of white space.

    Readers split lines at white space: spaCy's takes the last word of a type, flair's the first.

    Args:
        label: an entity type.
    """
    return "_".join(label.split())


def _written_label(label: str, comments: bool) -> str:
    """The spelling of a type in files with or without comments.

    Raises:
        ConfigError: it cannot be written in one line.
    """
    if label != label.strip() or _LINE_BREAK.search(label):
        raise ConfigError(
            f"--format conll: the type {label!r} cannot be written to a CoNLL file; choose another format"
        )
    return label if comments else joined_label(label)
