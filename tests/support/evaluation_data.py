"""Annotations and gold as small Parquet files, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.schemas import ENTITY

_ANNOTATIONS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("entities", pa.list_(pa.field("element", ENTITY, nullable=False))),
        ("outcome", pa.string()),
        ("raw_output", pa.string()),
        ("score", pa.float32()),
    ]
)


def entity(text: str, start: int | None = None, score: float | None = None, match: str = "exact") -> dict[str, Any]:
    """An entity of an annotation; without `start` it stands nowhere."""
    end = None if start is None else start + len(text)
    return {"text": text, "start": start, "end": end, "match": match if start is not None else "absent", "score": score}


def annotation(
    doc_id: str,
    entity_type: str,
    entities: Sequence[Mapping[str, Any]] = (),
    outcome: str | None = None,
    raw_output: str | None = None,
    score: float | None = None,
    **folders: str,
) -> dict[str, Any]:
    """A row of annotations; further keywords are folder columns."""
    return {
        "doc_id": doc_id,
        "entities": list(entities),
        "outcome": outcome or ("found" if entities else "none"),
        "raw_output": raw_output,
        "score": score,
        "folders": {**folders, "entity_type": entity_type},
    }


def write_annotations(folder: Path, rows: Iterable[Mapping[str, Any]]) -> str:
    """A dataset as the pipeline publishes it: a folder per value of each folder column."""
    files: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        path = "/".join(f"{name}={quote(value, safe=' ')}" for name, value in row["folders"].items())
        files.setdefault(path, []).append({name: row[name] for name in _ANNOTATIONS.names})
    for path, values in files.items():
        (folder / path).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(values, schema=_ANNOTATIONS), folder / path / "part-0.parquet")
    (folder / ".uniner_dist.json").write_text('{"id_column": "doc_id"}')
    return str(folder)


def write_strings(folder: Path, rows: Iterable[tuple[Any, str, Sequence[str]]]) -> str:
    """Gold with lists of strings: (document, entity type, mentions)."""
    rows = list(rows)
    table = pa.table(
        {
            "doc_id": pa.array([row[0] for row in rows]),
            "entity_type": pa.array([row[1] for row in rows], pa.string()),
            "entities": pa.array([row[2] for row in rows], pa.list_(pa.string())),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "part-0.parquet")
    return str(folder)


def write_spans(folder: Path, rows: Iterable[tuple[str, str, Sequence[tuple[str, int]]]]) -> str:
    """Gold with offsets: (document, entity type, (mention, start) each)."""
    rows = list(rows)
    span = pa.struct([("text", pa.string()), ("start", pa.int32()), ("end", pa.int32())])
    mentions = [[{"text": text, "start": at, "end": at + len(text)} for text, at in row[2]] for row in rows]
    table = pa.table(
        {
            "doc_id": pa.array([row[0] for row in rows], pa.string()),
            "entity_type": pa.array([row[1] for row in rows], pa.string()),
            "entities": pa.array(mentions, pa.list_(span)),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "part-0.parquet")
    return str(folder)


def conversation(number: int, text: str, *questions: tuple[str, str]) -> dict[str, Any]:
    turns = [("human", f"Text: {text}"), ("gpt", "I've read this text.")]
    for name, answer in questions:
        turns += [("human", f"What describes {name} in the text?"), ("gpt", answer)]
    return {"id": f"x_{number}", "conversations": [{"from": who, "value": value} for who, value in turns]}
