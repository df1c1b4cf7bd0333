"""Gold files in the formats of others, written for tests, and what was read of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.formats.sources import read_documents, source_format

#: Entity type → (start, end, text) of its mentions.
Found = dict[str, list[tuple[int, int, str]]]


def found_in(document: GoldDocument) -> Found:
    """Mentions of a document with any; every one is compared with the text."""
    found: Found = {}
    for name, mentions in document.answers.items():
        for mention in mentions:
            assert document.text[mention["start"] : mention["end"]] == mention["text"]
            found.setdefault(name, []).append((mention["start"], mention["end"], mention["text"]))
    return found


def read_file(folder: Path, name: str, content: str | bytes) -> tuple[list[GoldDocument], list[str]]:
    """Write a file and read it as gold: its documents, and what was said about it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    kind = source_format(str(path))
    assert kind is not None
    documents, notes = read_documents(str(path), kind)
    return documents, notes.lines()


def texts_of(document: GoldDocument) -> dict[str, list[str]]:
    """Entity type → texts of its mentions, empty ones left out."""
    return {name: [text for _, _, text in mentions] for name, mentions in found_in(document).items()}


def rows(*values: Any) -> str:
    """JSON lines."""
    import json

    return "".join(f"{json.dumps(value, ensure_ascii=False)}\n" for value in values)
