"""JSON lines: one document a line, with everything that the annotations have about it. Read back by `read_jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from uniner_dist.formats.annotated_document import Document
from uniner_dist.formats.settings import ExportSettings


def files(documents: Sequence[Document], stem: str, settings: ExportSettings) -> Iterator[tuple[str, bytes]]:
    """Write all documents to one file.

    Args:
        documents: documents of one part of the export.
        stem: name of the file without ending, unique in the export.
        settings: unused; every export format has this parameter.

    Yields:
        One pair of file name and content in UTF-8.
    """
    lines = (
        json.dumps({"doc_id": d.doc_id, "text": d.text, "annotations": list(d.answers)}, ensure_ascii=False)
        for d in documents
    )
    # Line breaks inside strings are escaped by JSON, so that one line is one document.
    yield f"{stem}.jsonl", "".join(f"{line}\n" for line in lines).encode()
