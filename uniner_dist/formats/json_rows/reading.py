"""JSON rows of any tool: the keys of a file's first row show which kind it is, and every row must be of that kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.json_rows.own_reading import OWN_SHAPE, read_own
from uniner_dist.formats.json_rows.row import JsonRow
from uniner_dist.formats.json_rows.tokens import (
    GLINER_SHAPE,
    own_dataset_shape,
    read_gliner,
    read_own_dataset,
    read_token_tags,
    token_columns,
    token_shape,
    with_entities,
)
from uniner_dist.formats.json_rows.tools import (
    PRODIGY_SHAPE,
    doccano_shape,
    is_doccano,
    is_prodigy,
    read_doccano,
    read_prodigy,
)
from uniner_dist.formats.shapes import Shape, describe
from uniner_dist.formats.spacy.json_reading import (
    PAIR_SHAPE,
    is_pair,
    is_spacy_row,
    pair_as_row,
    read_pair,
    read_spacy_row,
    spacy_shape,
)

RowReader = Callable[[JsonRow, ReadingNotes], GoldDocument | None]

#: Of each kind: a test of a row's keys, the shape of its values, its reader, and its name.
_KINDS: Final[Sequence[tuple[Callable[[Mapping[str, Any]], bool], Shape, RowReader, str]]] = (
    (lambda row: "annotations" in row and "doc_id" in row, OWN_SHAPE, read_own, "JSON lines of an export"),
    (
        lambda row: token_columns(row) is not None and with_entities(row),
        own_dataset_shape,
        read_own_dataset,
        "a dataset of an export",
    ),
    (lambda row: "tokenized_text" in row and "ner" in row, GLINER_SHAPE, read_gliner, "GLiNER"),
    (
        lambda row: token_columns(row) is not None and "spans" not in row,
        token_shape,
        read_token_tags,
        "token classification",
    ),
    (is_spacy_row, spacy_shape, read_spacy_row, "spaCy"),
    (lambda row: is_prodigy(row) and ("spans" in row or not is_doccano(row)), PRODIGY_SHAPE, read_prodigy, "Prodigy"),
    (is_doccano, doccano_shape, read_doccano, "doccano"),
    (lambda row: "pair" in row, PAIR_SHAPE, read_pair, "spaCy's pairs of text and entities"),
)


def read_jsonl(content: str, stem: str, path: str = "", notes: ReadingNotes | None = None) -> list[GoldDocument]:
    """Return the documents of one file of JSON lines; see `read_rows`.

    Args:
        content: text of the file; blank lines are skipped.
        stem: prefix of the ids of rows that have none, the file's name without ending.
        path: path or URL of the file, for error messages and notes.
        notes: receives which kind of rows they are and what was left out; None: nothing is noted.

    Raises:
        ConfigError: a line is not JSON, or of no known form; the message names it.
    """

    def rows() -> Iterable[tuple[str, Any]]:
        for number, line in enumerate(content.split("\n"), 1):
            if line.strip():
                where = f"{path}, line {number}"
                try:
                    yield where, json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ConfigError(f"gold {where}: is not JSON ({error})") from error

    return read_rows(rows(), stem, path, notes or ReadingNotes())


def find_kind(values: Any) -> tuple[Shape, RowReader, str] | None:
    """Find the kind of a row by its keys.

    Args:
        values: the parsed JSON value; a pair of spaCy's as `pair_as_row` returns it.

    Returns:
        Shape of the row's values, reader of such rows, and name of the kind in messages; None: of no known kind.
    """
    if isinstance(values, Mapping):
        for fits, shape, reader, name in _KINDS:
            if fits(values):
                return shape, reader, name
    return None


def read_rows(
    rows: Iterable[tuple[str, Any]],
    stem: str,
    path: str,
    notes: ReadingNotes,
    tag_names: Sequence[str] | None = None,
) -> list[GoldDocument]:
    """Return the documents of rows that are all of one kind; without an id of its own a row has `STEM-N`.

    Args:
        rows: (file and line, for error messages; parsed JSON value) of each row.
        stem: prefix of the ids of rows that have none; N is the number of the row, from 0.
        path: path or URL of the file, for the notes.
        notes: receives which kind of rows they are and what was left out.
        tag_names: names of the numbers in `ner_tags`; None: tags are names, or the rows are of another kind.

    Returns:
        A document for each row, in order; rows that are no gold, such as tasks rejected in Prodigy, have none.

    Raises:
        ConfigError: a row of no known kind or of another one than the first, or a mention that is not at its offsets.
    """
    documents: list[GoldDocument] = []
    kind: tuple[Shape, RowReader, str] | None = None
    for number, (where, value) in enumerate(rows):
        values = pair_as_row(value) if is_pair(value) else value
        found = find_kind(values)
        if found is None or (kind is not None and found[2] != kind[2]):
            expected = f"the form of {kind[2]}" if kind else "a known form"
            raise ConfigError(f"gold {where}: is not of {expected}: {_keys(values)}")
        if kind is None:
            kind = found
            notes.say(f"{path}: {kind[2]}")
        row = JsonRow(values, where, f"{stem}-{number}", tag_names)
        try:
            kind[0](values, "")
            document = kind[1](row, notes)
        except ConfigError:
            raise
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"gold {where}: is not of the form of {kind[2]}: {error}") from error
        if document is not None:
            documents.append(document)
    return documents


def _keys(values: Any) -> str:
    return f"keys {', '.join(map(str, values))}" if isinstance(values, Mapping) else describe(values)
