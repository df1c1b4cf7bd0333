"""CoNLL: a token and its BIO tag on each line, with a tab between them, and a blank line behind each sentence.

Each document begins with comments: its id, also as JSON, the types that were answered for it, and its text as a
JSON string, by which `uniner_dist.formats.conll.reading` finds the offsets in the text as stored. Other readers skip
them, or, as spaCy's and flair's, take them for tokens: for those they are left out (`settings.comments`), and types
are written without white space.
Of mentions that overlap the one by `without_overlaps` is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from uniner_dist.errors import ConfigError
from uniner_dist.formats.annotated_document import Document, without_overlaps
from uniner_dist.formats.conll.lines import ID_COMMENT, TEXT_COMMENT, TYPES_COMMENT
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.tokens import borders_of, sentences, tag_bio, tokenize

_LINE_BREAK = re.compile(r"[\r\n\t]")


def files(documents: Sequence[Document], stem: str, settings: ExportSettings) -> Iterator[tuple[str, bytes]]:
    """One file of all documents.

    Raises:
        ConfigError: a type that cannot stand in one line.
    """
    yield f"{stem}.conll", "".join(_block(document, settings.comments) for document in documents).encode()


def _block(document: Document, comments: bool) -> str:
    text, mentions = document.text, without_overlaps(document.mentions())
    for label in {mention.label for mention in mentions}:
        _check_one_line(label)
    if not comments:
        mentions = [replace(mention, label=joined_label(mention.label)) for mention in mentions]
    tokens = tokenize(text, borders_of(mentions))
    tagged = [f"{text[start:end]}\t{tag}" for (start, end), tag in zip(tokens, tag_bio(tokens, mentions), strict=True)]
    lines = _comments(document) if comments else []
    for sentence in sentences(text, tokens, mentions):
        lines += tagged[sentence.start : sentence.stop]
        lines.append("")
    lines.append("")
    return "\n".join(lines)


def _comments(document: Document) -> list[str]:
    return [
        f"# id = {'_'.join(document.doc_id.split()) or '_'}",
        f"# {ID_COMMENT} = {json.dumps(document.doc_id, ensure_ascii=False)}",
        f"# {TYPES_COMMENT} = {json.dumps(document.answered_types(), ensure_ascii=False)}",
        f"# {TEXT_COMMENT} = {json.dumps(document.text, ensure_ascii=False)}",
    ]


def joined_label(label: str) -> str:
    """A type without white space, at which readers split lines: spaCy's takes the last word, flair's the first."""
    return "_".join(label.split())


def _check_one_line(label: str) -> None:
    if label != label.strip() or _LINE_BREAK.search(label):
        raise ConfigError(
            f"--format conll: the type {label!r} cannot be written to a CoNLL file; choose another format"
        )
