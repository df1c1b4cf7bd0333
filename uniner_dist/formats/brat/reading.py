"""brat's standoff files: `NAME.txt` has a document's text, `NAME.ann` its mentions.

A folder of such files enters, documents leave. Only text-bound annotations are read; relations, events, attributes and
notes say nothing about where mentions stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import GoldDocument

#: Comment in annotation.conf of an export of ours: which label a type of brat's stands for, as a JSON string.
LABEL_COMMENT: Final = "uniner-dist label"
_LABEL: Final = re.compile(rf"# {LABEL_COMMENT} (\S+) = (.*)")
_TEXT_BOUND: Final = re.compile(r"T\d+\t(\S+) (\d+ \d+(?:;\d+ \d+)*)\t.*")


def read_labels(configuration: str) -> dict[str, str]:
    """brat's types → labels, from an annotation.conf of ours; empty for others."""
    return {match[1]: json.loads(match[2]) for match in map(_LABEL.fullmatch, configuration.splitlines()) if match}


def read_brat(text: str, annotations: str, name: str, labels: Mapping[str, str], path: str = "") -> GoldDocument:
    """One document.

    Args:
        name: of its files, without ending: its id, percent-encoded.
        labels: brat's types → labels, if known; every one of them is an answer, if an empty one.

    Raises:
        ConfigError: offsets outside of the text, or a text-bound annotation of another form.
    """
    document = GoldDocument(unquote(name), text, {label: [] for label in labels.values()}, bool(labels))
    for number, line in enumerate(annotations.split("\n"), 1):
        if line.startswith("T"):
            match = _TEXT_BOUND.fullmatch(line.rstrip("\r"))
            if match is None:
                raise ConfigError(f"gold {path}, line {number}: is no text-bound annotation of brat's: {line!r}")
            label = labels.get(match[1], match[1])
            document.answers.setdefault(label, []).append(_entity(text, match[2], f"{path}, line {number}"))
    return document


def _entity(text: str, spans: str, place: str) -> dict[str, Any]:
    """A discontinuous mention counts from its first to its last character; brat splits at line breaks."""
    offsets = [int(number) for number in re.findall(r"\d+", spans)]
    start, end = min(offsets), max(offsets)
    if end > len(text) or start >= end:
        raise ConfigError(f"gold {place}: offsets {start} to {end} are not in the text of {len(text)} characters")
    return {"text": text[start:end], "start": start, "end": end}


def document_names(files: Iterable[str]) -> list[str]:
    """Paths without ending of the documents among some files, in order.

    Raises:
        ConfigError: a file of annotations without its text.
    """
    files = set(files)
    names = sorted(file.removesuffix(".ann") for file in files if file.endswith(".ann"))
    missing = [name for name in names if f"{name}.txt" not in files]
    if missing:
        raise ConfigError(f"gold {missing[0]}.ann: its text, {missing[0]}.txt, is not there")
    return names
