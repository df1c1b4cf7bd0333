"""spaCy's JSON: `Doc.to_json` of version 3, the training format of version 2, and pairs of text and entities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from uniner_dist.errors import ConfigError
from uniner_dist.formats import shapes
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.shapes import fields, items, maybe, text, whole
from uniner_dist.formats.tagging import OUTSIDE, read_tags
from uniner_dist.formats.token_text import add_mentions, align_tokens, join_tokens

if TYPE_CHECKING:
    from uniner_dist.formats.json_rows.row import JsonRow


PAIR_SHAPE = fields({"pair": shapes.row(text, fields({"entities": items(shapes.row(whole, whole, text))}))})
_DOC_SHAPE = fields(
    {"text": text, "ents": items(fields({"label": text, "start": whole, "end": whole}, {"text": maybe(text)}))}
)
_SENTENCE = fields({"tokens": items(fields({"orth": text}, {"ner": text}))})
_PARAGRAPHS_SHAPE = fields({"paragraphs": items(fields({"sentences": items(_SENTENCE)}, {"raw": maybe(text)}))})


def spacy_shape(values: Any, place: str) -> None:
    """Check that a row is a document of version 3 or of version 2.

    Args:
        values: a parsed JSON object for which `is_spacy_row` is true.
        place: path of the value in its row, for messages; empty for the row itself.

    Raises:
        ValueError: it has another form.
    """
    (_PARAGRAPHS_SHAPE if "paragraphs" in values else _DOC_SHAPE)(values, place)


def is_spacy_row(values: Mapping[str, object]) -> bool:
    """Return whether a row has the keys of a `Doc.to_json` (`text`, `ents`), or of a document of version 2.

    Args:
        values: a parsed JSON object.
    """
    return ("text" in values and "ents" in values) or "paragraphs" in values


def read_spacy_row(row: JsonRow, notes: ReadingNotes) -> GoldDocument:
    """Return the document of a row, with the mentions of `ents`, or of the tokens of all paragraphs.

    Args:
        row: a row that fits `spacy_shape`.
        notes: receives how offsets were read, and how many tokens have no annotation.

    Raises:
        ConfigError: a mention is not at its offsets, or a token not the next one of its paragraph's text.
        ValueError: a tag cannot be read.
    """
    if "paragraphs" in row.values:
        return _read_paragraphs(row, notes)
    labelled = [(ent["label"], row.claim(ent["start"], ent["end"], ent.get("text"))) for ent in row.values["ents"]]
    return row.document(row.values["text"], labelled, notes)


def pairs_of(parsed: Any) -> list[Any] | None:
    """Return the pairs `[text, {"entities": [[start, end, label], …]}]` of a file.

    Args:
        parsed: the parsed content of a JSON file: a list of pairs, or an object with such a list under `annotations`;
            nulls in the list are skipped.

    Returns:
        The pairs, at least one; None: the file has another form.
    """
    if isinstance(parsed, Mapping):
        parsed = parsed.get("annotations")
    if not isinstance(parsed, list):
        return None
    pairs = [item for item in parsed if item is not None]
    return pairs if pairs and all(map(is_pair, pairs)) else None


def pair_as_row(pair: list[Any]) -> dict[str, object]:
    """Return a pair as a row, which `find_kind` knows by its key.

    Args:
        pair: a value for which `is_pair` is true.
    """
    return {"pair": pair}


def read_pair(row: JsonRow, notes: ReadingNotes) -> GoldDocument:
    """Return the document of a pair of a text and its mentions.

    Args:
        row: a row of `pair_as_row` that fits `PAIR_SHAPE`.
        notes: receives how offsets were read.

    Raises:
        ConfigError: a mention is not at its offsets.
    """
    content, said = row.values["pair"]
    return row.document(content, [(label, row.claim(start, end)) for start, end, label in said["entities"]], notes)


def is_pair(item: Any) -> bool:
    """Return whether a value is a pair `[text, {"entities": …}]`; the entities themselves are not looked at.

    Args:
        item: a parsed JSON value.
    """
    return (
        isinstance(item, list)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], Mapping)
        and "entities" in item[1]
    )


def _read_paragraphs(row: JsonRow, notes: ReadingNotes) -> GoldDocument:
    """Tokens with tags in BILUO; a paragraph's text is `raw`, or else its tokens."""
    document = GoldDocument(row.doc_id, "")
    for paragraph in row.values["paragraphs"]:
        tokens = [token for sentence in paragraph["sentences"] for token in sentence["tokens"]]
        words = [token["orth"] for token in tokens]
        content, spans = join_tokens(words)
        if isinstance(paragraph.get("raw"), str):
            found = align_tokens(paragraph["raw"], words)
            if isinstance(found, int):
                raise ConfigError(f"gold {row.where}: the token {words[found]!r} is not the next one of its text `raw`")
            content, spans = paragraph["raw"], found
        begin = len(document.text) + bool(document.text)
        document.text += ("\n" if document.text else "") + content
        tags = [token.get("ner", "-") for token in tokens]
        notes.count("tokens without an annotation ('-') are taken to be outside of mentions", tags.count("-"))
        mentions = read_tags(OUTSIDE if tag == "-" else tag for tag in tags)
        add_mentions(document, [(start + begin, end + begin) for start, end in spans], mentions)
    return document
