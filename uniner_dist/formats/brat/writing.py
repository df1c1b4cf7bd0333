"""brat's standoff files: for each document its text in one file and its mentions in another.

Mentions may overlap. A line break inside a mention splits its span in two, as brat writes it. Scores and matches
other than exact are in notes. brat's types are ASCII words: the labels that they mean are in visual.conf,
which brat shows, and in annotation.conf for `uniner_dist.formats.brat.reading`, which reads the files back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from uniner_dist.errors import ConfigError
from uniner_dist.formats.annotated_document import Document, Mention
from uniner_dist.formats.brat.reading import LABEL_COMMENT
from uniner_dist.formats.settings import ExportSettings

#: Longest name of a file on nearly all file systems, less the ending.
_NAME_BYTES = 250
_LINES = re.compile(r"[^\r\n]+")


def files(documents: Sequence[Document], stem: str, settings: ExportSettings) -> Iterator[tuple[str, bytes]]:
    """Write two files per document, in a folder named by the stem.

    Args:
        documents: documents of one part of the export.
        stem: name of the folder, unique in the export.
        settings: of the export; its labels include those of all mentions.

    Yields:
        (path relative to the export's folder, content in UTF-8): the text of a document, then its mentions.

    Raises:
        ConfigError: an id that is empty, or too long for the name of a file.
    """
    names = brat_types(settings.labels)
    for document in documents:
        path = f"{stem}/{_file_name(document.doc_id)}"
        yield f"{path}.txt", document.text.encode()
        lines = [line for n, m in enumerate(document.mentions(), 1) for line in _lines(n, m, names)]
        yield f"{path}.ann", "".join(f"{line}\n" for line in lines).encode()


def extras(settings: ExportSettings) -> Mapping[str, bytes]:
    """Return the configuration files, which brat looks for in a document's folder and those above it.

    Args:
        settings: of the export; its labels become brat's types.

    Returns:
        File name → content in UTF-8.
    """
    names = brat_types(settings.labels)
    comments = [f"# {LABEL_COMMENT} {name} = {json.dumps(label)}" for label, name in names.items()]
    annotation = [
        *comments,
        *("[entities]", *names.values(), "", "[relations]"),
        # brat refuses mentions that cross or nest unless this is said.
        "<OVERLAP>\tArg1:<ENTITY>, Arg2:<ENTITY>, <OVL-TYPE>:<ANY>",
        *("", "[events]", "", "[attributes]", ""),
    ]
    shown = [f"{name} | {' '.join(label.replace('|', '/').split())}" for label, name in names.items()]
    visual = ["[labels]", *shown, "", "[drawing]", "SPAN_DEFAULT\tfgColor:black, bgColor:lightgreen", ""]
    return {"annotation.conf": "\n".join(annotation).encode(), "visual.conf": "\n".join(visual).encode()}


def brat_types(labels: Sequence[str]) -> dict[str, str]:
    """Return the name of each label in brat: ASCII letters, digits, `-` and `_`, no two alike.

    Args:
        labels: entity types; their order decides which of two names that would be alike gets a number.

    Returns:
        Label → brat's type.
    """
    names: dict[str, str] = {}
    for label in labels:
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", label).strip("_") or "type"
        name, number = stem, 2
        while name in names.values():
            name, number = f"{stem}_{number}", number + 1
        names[label] = name
    return names


def _lines(number: int, mention: Mention, names: Mapping[str, str]) -> Iterator[str]:
    pieces = [piece.span() for piece in _LINES.finditer(mention.text)]
    spans = ";".join(f"{mention.start + start} {mention.start + end}" for start, end in pieces)
    shown = " ".join(mention.text[start:end] for start, end in pieces)
    yield f"T{number}\t{names[mention.label]} {spans}\t{shown}"
    notes = [f"match={mention.match}"] if mention.match != "exact" else []
    notes += [f"score={mention.score:.4f}"] if mention.score is not None else []
    if notes:
        yield f"#{number}\tAnnotatorNotes T{number}\t{' '.join(notes)}"


def _file_name(doc_id: str) -> str:
    name = quote(doc_id, safe="")
    if name[:1] in ("_", "."):  # names that begin so are hidden to many tools
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if not 0 < len(name) <= _NAME_BYTES:
        raise ConfigError(f"--format brat: the id {doc_id[:80]!r} cannot be the name of a file; choose another format")
    return name
