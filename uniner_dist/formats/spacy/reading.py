"""spaCy's DocBin, read by spaCy itself."""

from __future__ import annotations

from typing import Any

from uniner_dist.errors import ConfigError
from uniner_dist.formats.annotated_document import ANSWERED, Mention, without_overlaps
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.shapes import fields, items, text
from uniner_dist.formats.spacy.writing import SPANS_KEY


def read_docbin(content: bytes, stem: str, path: str, notes: ReadingNotes) -> list[GoldDocument]:
    """Return the documents of one file, with mentions of `doc.spans["sc"]` where there are any, else of `doc.ents`.

    Those of this project's export have their own ids, and answers for the types that were answered.

    Args:
        content: the file, as `DocBin.to_bytes` writes it.
        stem: prefix of the ids of documents that have none (`STEM-N`), the file's name without ending.
        path: path or URL of the file, for error messages and notes.
        notes: receives that the file is a DocBin.

    Raises:
        ConfigError: spaCy is not installed, it cannot read the file, or a document's `ents` and spans contradict.
    """
    try:
        import spacy
        from spacy.tokens import DocBin
    except ImportError as error:
        raise ConfigError(f'gold {path}: needs spaCy: pip install "uniner-dist[export]"') from error
    try:
        docs = list(DocBin().from_bytes(content).get_docs(spacy.blank("xx").vocab))
    except Exception as error:  # msgpack, zlib and spaCy each have their own
        raise ConfigError(f"gold {path}: is not a DocBin that this spaCy reads: {error}") from error
    notes.say(f"{path}: spaCy DocBin")
    return [_document(doc, f"{stem}-{number}", f"{path}: document {number}") for number, doc in enumerate(docs)]


def _flat(doc: Any, spans: set[tuple[int, int, str]]) -> set[tuple[int, int, str]]:
    """Of the spans of this project's export, those that `doc.ents` must have."""
    mentions = [Mention(label, start, end, doc.text[start:end]) for start, end, label in spans]
    lengths = {(mention.start, mention.end) for mention in without_overlaps(mentions)}
    return {span for span in spans if span[:2] in lengths and sum(other[:2] == span[:2] for other in spans) == 1}


def _document(doc: Any, default_id: str, where: str) -> GoldDocument:
    data = doc.user_data
    doc_id = data.get("doc_id")
    document = GoldDocument(default_id if doc_id is None else str(doc_id), doc.text)
    if "annotations" in data:
        try:
            items(fields({"entity_type": text, "outcome": text}))(data["annotations"], "user_data['annotations']")
        except ValueError as error:
            raise ConfigError(f"gold {where}: {error}") from error
        answered = [answer["entity_type"] for answer in data["annotations"] if answer["outcome"] in ANSWERED]
        document.answers = {name: [] for name in answered}
        document.says_types = True
    spans = list(doc.spans[SPANS_KEY]) if SPANS_KEY in doc.spans else []
    known = {(span.start_char, span.end_char, span.label_) for span in spans}
    ents = {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
    wrong = (ents - known) | (_flat(doc, known) - ents if document.says_types else set())
    if known and wrong:
        start, end, label = min(wrong)
        raise ConfigError(
            f"gold {where}: doc.ents and doc.spans[{SPANS_KEY!r}] contradict each other in {doc.text[start:end]!r} as "
            f"{label}; correct both, or remove one of them"
        )
    for span in spans or doc.ents:
        entity = {"text": span.text, "start": span.start_char, "end": span.end_char}
        document.answers.setdefault(span.label_, []).append(entity)
    return document
