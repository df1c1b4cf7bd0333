"""Hugging Face datasets: a folder that `datasets.load_dataset` opens, one row per document.

`entities` has every mention, `tokens` and `ner_tags` (BIO, a ClassLabel) the ones that token classifiers can learn: of
mentions that overlap those that `without_overlaps` returns. The features are in the Parquet files' metadata, where
`datasets` itself puts them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from uniner_dist.formats.annotated_document import Document
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.tokens import borders_of, tag_bio, tokenize

_ENTITY = pa.struct(
    [
        ("entity_type", pa.string()),
        ("text", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("match", pa.string()),
        ("score", pa.float32()),
    ]
)
_ANSWER = pa.struct([("entity_type", pa.string()), ("outcome", pa.string()), ("score", pa.float32())])
_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("text", pa.string()),
        ("entities", pa.list_(_ENTITY)),
        ("answers", pa.list_(_ANSWER)),
        ("tokens", pa.list_(pa.string())),
        ("ner_tags", pa.list_(pa.int64())),
    ]
)


def files(documents: Sequence[Document], stem: str, settings: ExportSettings) -> Iterator[tuple[str, bytes]]:
    """Write all documents to one Parquet file, one row each.

    Args:
        documents: documents of one part of the export.
        stem: name of the file without ending, unique in the export.
        settings: of the export; its labels are the classes of the tags.

    Yields:
        One pair: the path relative to the export's folder, below `data`, and the content.
    """
    numbers = {name: number for number, name in enumerate(tag_names(settings))}
    rows = [_row(document, numbers) for document in documents]
    metadata = {"huggingface": json.dumps({"info": {"features": _features(settings)}})}
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, _SCHEMA.with_metadata(metadata)), sink, compression="zstd")
    yield f"data/{stem}.parquet", sink.getvalue()


def extras(settings: ExportSettings) -> Mapping[str, bytes]:
    """Return the dataset card, whose head tells `datasets` where the files are.

    Args:
        settings: of the export; the card names its models, licences and labels.

    Returns:
        File name (`README.md`) → content in UTF-8.
    """
    head = {
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}],
        "task_categories": ["token-classification"],
        "tags": ["named-entity-recognition", *settings.models],
    }
    types = "\n".join(f"- {json.dumps(label, ensure_ascii=False)}" for label in settings.labels)
    body = f"""# Annotated documents

Annotated by machine ({", ".join(settings.models) or "unknown"}); licence of the answers: {
        ", ".join(settings.licences) or "unknown"
    }.

`entities`: every mention, `text[start:end]` in code points, null where it is not in the text. `answers`: what
became of each question; only `found` and `none` are answers. `tokens`, `ner_tags`: BIO tags; of mentions that overlap
the longest is kept, of equally long ones the earliest.

Entity types:

{types}
"""
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return {"README.md": f"---\n{front}---\n\n{body}".encode()}


def tag_names(settings: ExportSettings) -> list[str]:
    """Return the names of the classes of `ner_tags`: `O`, then `B-` and `I-` of each label; a tag is an index of them.

    Args:
        settings: of the export; its labels in their order.
    """
    return ["O", *(f"{prefix}-{label}" for label in settings.labels for prefix in "BI")]


def _row(document: Document, numbers: Mapping[str, int]) -> dict[str, object]:
    mentions = document.flat_mentions
    tokens = tokenize(document.text, borders_of(mentions))
    return {
        "doc_id": document.doc_id,
        "text": document.text,
        "entities": [
            {**entity, "entity_type": answer["entity_type"]}
            for answer in document.answers
            for entity in answer["entities"]
        ],
        "answers": document.answers,
        "tokens": [document.text[start:end] for start, end in tokens],
        "ner_tags": [numbers[tag] for tag in tag_bio(tokens, mentions)],
    }


def _features(settings: ExportSettings) -> dict[str, object]:
    """The features, with lists as JSON lists: every version of `datasets` reads that spelling."""

    def value(kind: str) -> dict[str, str]:
        return {"dtype": kind, "_type": "Value"}

    strings = {name: value("string") for name in ("entity_type", "text", "match")}
    return {
        "doc_id": value("string"),
        "text": value("string"),
        "entities": [
            {
                "entity_type": strings["entity_type"],
                "text": strings["text"],
                "start": value("int32"),
                "end": value("int32"),
                "match": strings["match"],
                "score": value("float32"),
            }
        ],
        "answers": [{"entity_type": value("string"), "outcome": value("string"), "score": value("float32")}],
        "tokens": [value("string")],
        "ner_tags": [{"names": tag_names(settings), "_type": "ClassLabel"}],
    }
