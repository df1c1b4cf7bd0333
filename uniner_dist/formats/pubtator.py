"""PubTator: a title, an abstract, and their mentions with offsets; blank lines separate documents."""

from __future__ import annotations

import re
from typing import Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.conll.lines import sentence_iterator
from uniner_dist.formats.coordinates import Claim, place_claims
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes

_PASSAGE: Final = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_START: Final = re.compile(r"\s*+[^|\t\n]++\|t\|")


def is_pubtator(content: str) -> bool:
    """Return whether a file begins with a title line of PubTator, such as `123|t|Title`.

    Args:
        content: text of the file.
    """
    return _START.match(content) is not None


def read_pubtator(content: str, stem: str, path: str = "", notes: ReadingNotes | None = None) -> list[GoldDocument]:
    """Return the documents of one file; the text is title and abstract with a line break between them.

    Args:
        content: text of the file.
        stem: unused, as documents have their PubMed ids; every reader of text has this parameter.
        path: path or URL of the file, for error messages and notes.
        notes: receives how the file was read and what was left out; None: nothing is noted.

    Raises:
        ConfigError: a line of another form, or a mention that is not at its offsets.
    """
    notes = notes or ReadingNotes()
    notes.say(f"{path}: PubTator, a document is its title, a line break and its abstract")
    return [_document(line, block.split("\n"), path, notes) for line, block in sentence_iterator(content)]


def _document(first: int, lines: list[str], path: str, notes: ReadingNotes) -> GoldDocument:
    passages: list[str] = []
    doc_id: str | None = None
    labels: list[str] = []
    claims: list[Claim] = []
    for number, line in enumerate(lines, first):
        passage = _PASSAGE.fullmatch(line) if not claims else None
        if passage:
            doc_id = passage[1]
            passages.append(passage[3])
            continue
        cells = line.split("\t")
        if len(cells) >= 5 and cells[1].strip().isdecimal() and cells[2].strip().isdecimal():
            labels.append(cells[4].strip())
            claims.append(Claim(int(cells[1]), int(cells[2]), cells[3], f"{path}, line {number}"))
        elif len(cells) >= 3 and cells[0] == doc_id:
            notes.count("relations are not mentions and are left out")
        else:
            raise ConfigError(f"gold {path}, line {number}: is not a line of PubTator: {line!r}")
    if doc_id is None:
        raise ConfigError(f"gold {path}, line {first}: expected a title such as 123|t|Title, got {lines[0]!r}")
    document = GoldDocument(doc_id, "\n".join(passages))
    for label, entity in zip(labels, place_claims(document.text, claims, notes), strict=True):
        document.answers.setdefault(label, []).append(entity)
    return document
