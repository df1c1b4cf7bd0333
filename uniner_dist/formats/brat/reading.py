"""brat's standoff files: `NAME.txt` has a document's text, `NAME.ann` its mentions.

Reads the documents of a folder of such files. Only text-bound annotations are read; relations, events, attributes and
notes hold no offsets of mentions. A mention's text in its line is compared with the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final
from urllib.parse import unquote

from uniner_dist.errors import ConfigError
from uniner_dist.formats.coordinates import Claim, place_claims
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes

#: Comment in annotation.conf of this project's export: the label of one of brat's types, as a JSON string.
LABEL_COMMENT: Final = "uniner-dist label"
_LABEL: Final = re.compile(rf"# {LABEL_COMMENT} (\S+) = (.*)")
_TEXT_BOUND: Final = re.compile(r"T\d+\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")


def read_labels(configuration: str) -> dict[str, str]:
    """Return the labels of brat's types, from the comments of an `annotation.conf` that this project exported.

    Args:
        configuration: text of the file.

    Returns:
        brat's type → label; empty for a configuration from elsewhere.
    """
    return {match[1]: json.loads(match[2]) for match in map(_LABEL.fullmatch, configuration.splitlines()) if match}


def read_brat(
    text: str,
    annotations: str,
    name: str,
    labels: Mapping[str, str],
    path: str = "",
    notes: ReadingNotes | None = None,
    *,
    marked: bool = False,
) -> GoldDocument:
    """Return the document of a pair of files.

    Args:
        text: content of the `.txt` file, without a byte order mark; line breaks as in the file.
        annotations: content of the `.ann` file.
        name: name of both files without ending, which is the document's id, percent-encoded.
        labels: brat's type → label, if known; the document then has an answer for each of them, if an empty one. A
            type that is not in it is a label itself.
        path: path or URL of the `.ann` file, for error messages.
        notes: receives what was left out, and how offsets were read; None: nothing is noted.
        marked: whether a byte order mark was in front of the text; offsets may count it.

    Raises:
        ConfigError: a mention is not at its offsets, or a text-bound annotation has another form.
    """
    notes = notes or ReadingNotes()
    document = GoldDocument(unquote(name), text, {label: [] for label in labels.values()}, bool(labels))
    found: list[tuple[str, Claim]] = []
    pieces: list[Claim] = []
    for number, line in enumerate(annotations.split("\n"), 1):
        if line.startswith("T"):
            match = _TEXT_BOUND.fullmatch(line.rstrip("\r"))
            if match is None:
                raise ConfigError(f"gold {path}, line {number}: is not a text-bound annotation of brat's: {line!r}")
            claims = _claims(text, match[2], match[3], f"{path}, line {number}", notes)
            found.append((labels.get(match[1], match[1]), claims[0]))
            pieces += claims[1:]
    placed = place_claims(text, [*(claim for _, claim in found), *pieces], notes, marked=marked)
    for (label, _), entity in zip(found, placed, strict=False):
        document.answers.setdefault(label, []).append(entity)
    return document


def _claims(text: str, spans: str, said: str | None, where: str, notes: ReadingNotes) -> list[Claim]:
    """The claim of a mention from its first to its last character, and those of its pieces, if it has several.

    brat splits a mention at line breaks; other mentions in pieces are read as if they had no gaps, and counted.
    """
    places = [tuple(map(int, span.split())) for span in spans.split(";")]
    start, end = min(begin for begin, _ in places), max(stop for _, stop in places)
    if len(places) == 1:
        return [Claim(start, end, said, where)]
    pieces, rest = [], said
    for begin, stop in places:
        piece = None if rest is None else rest[: stop - begin]
        rest = None if rest is None else rest[stop - begin :].lstrip(" ")
        pieces.append(Claim(begin, stop, piece, where))
    if rest:  # the line's words and its offsets are of different lengths: an offset must be wrong
        pieces.append(Claim(start, end, said, where))
    gaps = [text[stop:begin] for (_, stop), (begin, _) in pairwise(places)]
    if any(gap.strip() for gap in gaps):
        notes.count("mentions in several pieces are read from their first to their last character")
    return [Claim(start, end, None, where), *pieces]


def document_names(files: Iterable[str]) -> list[str]:
    """Return the paths without ending of the documents among some files, sorted.

    Args:
        files: paths relative to a folder, of files of any kind.

    Raises:
        ConfigError: a file of annotations without its text.
    """
    files = set(files)
    names = sorted(file.removesuffix(".ann") for file in files if file.endswith(".ann"))
    missing = [name for name in names if f"{name}.txt" not in files]
    if missing:
        raise ConfigError(f"gold {missing[0]}.ann: its text, {missing[0]}.txt, is not there")
    return names
