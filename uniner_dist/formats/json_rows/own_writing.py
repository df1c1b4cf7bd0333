"""JSON lines: one document a line, with everything that the annotations say about it. Read back by `read_jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from uniner_dist.formats.annotated_document import Document
from uniner_dist.formats.settings import ExportSettings


def files(documents: Sequence[Document], stem: str, settings: ExportSettings) -> Iterator[tuple[str, bytes]]:
    """One file of all documents."""
    lines = (
        json.dumps({"doc_id": d.doc_id, "text": d.text, "annotations": list(d.answers)}, ensure_ascii=False)
        for d in documents
    )
    # Line breaks inside of strings are escaped by JSON, so that one line is one document.
    yield f"{stem}.jsonl", "".join(f"{line}\n" for line in lines).encode()
