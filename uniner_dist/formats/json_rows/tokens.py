"""Rows of tokens: GLiNER's training data, and token classification in the form of Hugging Face's datasets.

Their text is the tokens with a space between them, unless the row has a `text` in which the tokens are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from uniner_dist.formats import shapes
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.json_rows.row import JsonRow
from uniner_dist.formats.shapes import fields, items, maybe, text, text_or_number, whole
from uniner_dist.formats.tagging import OUTSIDE, TokenMention, is_tag, read_tags
from uniner_dist.formats.token_text import Span, add_mentions, align_tokens, join_tokens

_TOKENS: Final = ("tokens", "words")
_TAGS: Final = ("ner_tags", "ner", "tags", "labels", "ner_labels", "ner_tag")


_NEGATIVES = {"ner_negatives": maybe(items(text)), "negatives": maybe(items(text))}
GLINER_SHAPE = fields({"tokenized_text": items(text), "ner": items(shapes.row(whole, whole, text))}, _NEGATIVES)
_ENTITY = fields({"entity_type": text, "text": text, "start": maybe(whole), "end": maybe(whole)})
_OWN_DATASET = fields(
    {"doc_id": shapes.name, "text": text, "entities": items(_ENTITY)}
    | {"answers": items(fields({"entity_type": text, "outcome": text}))}
)


def token_shape(values: Any, place: str) -> None:
    """Check that a row has tokens and tags.

    Args:
        values: a parsed JSON object.
        place: path of the value in its row, for messages; empty for the row itself.

    Raises:
        ValueError: it has another form.
    """
    tokens, tags = token_columns(values) or ("tokens", "ner_tags")
    fields({tokens: items(text), tags: items(text_or_number)})(values, place)


def own_dataset_shape(values: Any, place: str) -> None:
    """Check that a row is one of this project's export to Hugging Face.

    Args:
        values: a parsed JSON object.
        place: path of the value in its row, for messages; empty for the row itself.

    Raises:
        ValueError: it has another form.
    """
    _OWN_DATASET(values, place)
    token_shape(values, place)


def token_columns(names: Any) -> tuple[str, str] | None:
    """Find the columns of tokens and of tags among some names.

    Args:
        names: names of columns, or a row, whose keys are taken.

    Returns:
        (name of the column of tokens, name of the column of tags); None: there are not both.
    """
    tokens = next((name for name in _TOKENS if name in names), None)
    tags = next((name for name in _TAGS if name in names), None)
    return (tokens, tags) if tokens and tags else None


def read_gliner(row: JsonRow, notes: ReadingNotes) -> GoldDocument:
    """Return the document of a row of GLiNER's training data.

    It has `tokenized_text`, and `ner: [[first token, last token, label], …]`, both ends included. Labels in
    `ner_negatives` or `negatives` were asked too.

    Args:
        row: a row that fits `GLINER_SHAPE`.
        notes: receives how many texts are not those of their tokens.

    Raises:
        ValueError: a mention is outside of the tokens.
    """
    tokens = row.values["tokenized_text"]
    mentions: list[TokenMention] = []
    for first, last, label in ((int(one), int(other), label) for one, other, label in row.values["ner"]):
        if not 0 <= first <= last < len(tokens):
            raise ValueError(f"tokens {first} to {last} are not in a text of {len(tokens)} tokens")
        mentions.append((label, first, last + 1))
    document = _document(row, tokens, notes)
    for label in row.values.get("ner_negatives", row.values.get("negatives")) or ():
        document[0].answers.setdefault(label, [])
    add_mentions(*document, mentions)
    return document[0]


def read_token_tags(row: JsonRow, notes: ReadingNotes) -> GoldDocument:
    """Return the document of a row with tokens and tags, which are names, or numbers whose names the dataset has.

    Args:
        row: a row that fits `token_shape`; numbers need its `tag_names`.
        notes: receives how many texts are not those of their tokens.

    Raises:
        ValueError: tags do not fit the tokens, or one another.
    """
    columns = token_columns(row.values)
    assert columns is not None
    tokens, tags = row.values[columns[0]], row.values[columns[1]]
    if len(tokens) != len(tags):
        raise ValueError(f"{len(tokens):,} {columns[0]} and {len(tags):,} {columns[1]}")
    named = [_named(tag, row.tag_names, columns[1]) for tag in tags]
    document, spans = _document(row, tokens, notes)
    prefixed = next((tag for tag in [*named, *(row.tag_names or ())] if tag != OUTSIDE and is_tag(tag)), None)
    bare = next((tag for tag in named if not is_tag(tag)), None)
    if bare is not None and prefixed is not None:
        raise ValueError(
            f"{columns[1]} has {bare!r} next to {prefixed!r}: all types have a prefix (B-, I-), or none has"
        )
    add_mentions(document, spans, read_tags(named, bare=bare is not None, types=_types(row.tag_names)))
    return document


def _types(names: Sequence[str] | None) -> set[str]:
    return {name.split("-", 1)[-1] for name in names or ()}


def _named(tag: Any, names: Sequence[str] | None, column: str) -> str:
    if isinstance(tag, str):
        return tag
    if names is None:
        raise ValueError(
            f"{column} holds numbers, and nothing says their names; keep the dataset's features with it "
            "(Parquet with its metadata, save_to_disk, dataset_info.json), or write the names"
        )
    if not 0 <= tag < len(names):
        raise ValueError(f"{column} has the number {tag}, and there are {len(names)} names")
    return str(names[int(tag)])


def _document(row: JsonRow, tokens: Sequence[str], notes: ReadingNotes) -> tuple[GoldDocument, list[Span]]:
    said = row.values.get("text")
    if isinstance(said, str):
        spans = align_tokens(said, tokens)
        if not isinstance(spans, int):
            return GoldDocument(row.doc_id, said), spans
        notes.count("rows have a text that is not that of their tokens; it is made of the tokens")
    joined, spans = join_tokens(tokens)
    return GoldDocument(row.doc_id, joined), spans


def with_entities(values: Mapping[str, object]) -> bool:
    """Return whether a row has the keys of this project's export to Hugging Face, which has mentions with offsets.

    Args:
        values: a row with tokens and tags.
    """
    return "entities" in values and "answers" in values and "doc_id" in values


def read_own_dataset(row: JsonRow, notes: ReadingNotes) -> GoldDocument:
    """Return the document of a row of this project's export to Hugging Face, whose mentions are in `entities`.

    `ner_tags` must not have a mention that `entities` lacks: then only one of them was corrected.

    Args:
        row: a row that fits `own_dataset_shape`.
        notes: receives how offsets were read.

    Raises:
        ConfigError: a mention is not at its offsets.
        ValueError: `ner_tags` contradict `entities`, or cannot be read.
    """
    values = row.values
    placed = [entity for entity in values["entities"] if entity["start"] is not None]
    claims = [(e["entity_type"], row.claim(e["start"], e["end"], e["text"])) for e in placed]
    document = row.document(values["text"], claims, notes)
    answered = [answer["entity_type"] for answer in values["answers"] if answer["outcome"] in ("found", "none")]
    document.answers = {name: document.answers.get(name, []) for name in answered}
    document.says_types = True
    tagged = read_token_tags(row, notes)
    for name, entities in tagged.answers.items():
        extra = [entity for entity in entities if entity not in document.answers.get(name, entities)]
        if extra:
            raise ValueError(f"ner_tags have {extra[0]['text']!r} as {name}, entities have not; correct both")
    return document
