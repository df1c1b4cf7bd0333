"""WebAnno TSV 3, as WebAnno and INCEpTION export it: tokens with offsets, layers in columns.

Each file is one document. The span layer with a label is read; of several such layers the one of named entities.
Stacked labels and parts of tokens are mentions of their own, labels with the same number are one mention over several
tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.conll.lines import split_lines
from uniner_dist.formats.coordinates import Claim, place_claims
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes

_FORMAT: Final = re.compile(r"#FORMAT=WebAnno TSV 3(\.\d+)?\s*")
_TOKEN: Final = re.compile(r"(\d+)-(\d+)(\.\d+)?")
_OFFSETS: Final = re.compile(r"(\d+)-(\d+)")
_LABEL: Final = re.compile(r"(.*?)(?:\[(\d+)\])?", re.DOTALL)
#: A separator that is not escaped.
_STACK: Final = re.compile(r"(?<!\\)\|")
_ESCAPED: Final = re.compile(r"\\(.)")
_CONTROL: Final = {"t": "\t", "n": "\n", "r": "\r"}
#: Names of features that hold the label, those that count more first.
_FEATURES: Final = ("value", "label", "type", "class", "category")


@dataclass
class _Layer:
    """A layer of spans, its features, and the number of its first column."""

    name: str
    features: list[str]
    first: int

    @property
    def label_column(self) -> int | None:
        """The column of the label."""
        lower = [name.lower() for name in self.features]
        named = next((lower.index(name) for name in _FEATURES if name in lower), 0 if lower else None)
        return None if named is None else self.first + named


@dataclass
class _Part:
    """Content of one line, about a token or a part of one: its offsets, its text, its cells and its line number."""

    start: int
    end: int
    said: str
    cells: list[str]
    line: int


@dataclass
class _File:
    layers: list[_Layer] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    #: Offset of each text's first token, as the file counts.
    begins: list[int] = field(default_factory=list)


def is_webanno(content: str) -> bool:
    """Return whether a file begins with the format line of WebAnno TSV, of any version.

    Args:
        content: text of the file.
    """
    return content.startswith("#FORMAT=WebAnno TSV")


def read_webanno(content: str, stem: str, path: str = "", notes: ReadingNotes | None = None) -> list[GoldDocument]:
    """Return the document of a file, as a list with one item.

    Args:
        content: text of the file.
        stem: id of the document, the file's name without ending.
        path: path or URL of the file, for error messages and notes.
        notes: receives the layer that was read and what was left out; None: nothing is noted.

    Raises:
        ConfigError: another version, no layer of spans or several without one of named entities, or offsets that
            contradict the text.
    """
    notes = notes or ReadingNotes()
    if not _FORMAT.fullmatch(split_lines(content)[0]):
        raise ConfigError(f"gold {path}, line 1: {split_lines(content)[0]!r} is not read; export WebAnno TSV 3")
    file = _parse(content, path)
    layer = _choose(file.layers, path)
    notes.say(f"{path}: WebAnno TSV, layer {layer.name}")
    try:
        return [_document(stem, file, layer, True, path, notes)]  # Java counts UTF-16
    except ConfigError as error:
        try:
            return [_document(stem, file, layer, False, path, notes)]
        except ConfigError:
            raise error from None


def _document(stem: str, file: _File, layer: _Layer, utf16: bool, path: str, notes: ReadingNotes) -> GoldDocument:
    text, begin = _text(file, utf16)
    labels, claims = _claims(file, layer, begin, path, notes)
    document = GoldDocument(stem, text)
    # Tokens prove how offsets count, those of no mention too.
    tokens = [Claim(p.start - begin, p.end - begin, p.said, f"{path}, line {p.line}") for p in file.parts]
    placed = place_claims(text, [*claims, *tokens], notes)
    for label, entity in zip(labels, placed, strict=False):
        document.answers.setdefault(label, []).append(entity)
    return document


def _parse(content: str, path: str) -> _File:
    file, column = _File(), 3
    pending: list[str] = []
    for number, line in enumerate(split_lines(content), 1):
        if line.startswith(("#T_SP=", "#T_CH=", "#T_RL=")):
            name, *features = line.split("=", 1)[1].split("|")
            if line.startswith("#T_SP="):
                file.layers.append(_Layer(name, features, column))
            column += max(1, len(features))
        elif line.startswith("#Text="):
            pending.append(_unescape(line.removeprefix("#Text=")))
        elif line.strip() and not line.startswith("#"):
            cells = line.split("\t")
            offsets = _OFFSETS.fullmatch(cells[1]) if len(cells) > 2 else None
            there = len(cells) - (len(cells) > column and not cells[-1])
            if there > column or (there < column and len(cells) > 3):
                raise ConfigError(
                    f"gold {path}, line {number}: has {there} columns, but the layers of its head say {column}"
                )
            if offsets is None or not _TOKEN.fullmatch(cells[0]):
                raise ConfigError(f"gold {path}, line {number}: is not a token of WebAnno TSV: {line!r}")
            if pending:
                file.texts.append("\n".join(pending))
                file.begins.append(int(offsets[1]))
                pending = []
            file.parts.append(_Part(int(offsets[1]), int(offsets[2]), _unescape(cells[2]), cells, number))
    if not file.parts:
        raise ConfigError(f"gold {path}: holds no tokens")
    return file


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: _CONTROL.get(match[1], match[1]), text)


def _choose(layers: Sequence[_Layer], path: str) -> _Layer:
    usable = [layer for layer in layers if layer.features]
    named = [layer for layer in usable if "namedentity" in layer.name.lower().replace("_", "")]
    chosen = named or usable
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(layer.name for layer in layers) or "none"
    raise ConfigError(
        f"gold {path}: expected one layer of spans with labels, or one of named entities; layers: {there}"
    )


def _text(file: _File, utf16: bool) -> tuple[str, int]:
    """Sentences with as many line breaks between them as their offsets leave, and the offset of the first."""
    text, begin = "", file.begins[0]
    leading = len(file.texts[0]) - len(file.texts[0].lstrip())
    begin -= leading
    for own, start in zip(file.texts, file.begins, strict=True):
        gap = start - begin - len(text) - (len(own) - len(own.lstrip()))
        units = sum(character > "\uffff" for character in text) if utf16 else 0
        text += ("\n" * max(1, gap - units) if text else "") + own
    return text, begin


def _claims(file: _File, layer: _Layer, begin: int, path: str, notes: ReadingNotes) -> tuple[list[str], list[Claim]]:
    """Labels and claims of the mentions, in order."""
    column = layer.label_column
    found: dict[tuple[str, str], list[_Part]] = {}
    for part in file.parts:
        for label, number in _cell(part, column):
            if label == "*":
                notes.count("labels are not filled in; their mentions are left out")
                continue
            key = (label, number or f"line {part.line}")
            found.setdefault(key, []).append(part)
    claims = [
        Claim(parts[0].start - begin, parts[-1].end - begin, _said(parts), f"{path}, line {parts[0].line}")
        for parts in found.values()
    ]
    return [label for label, _ in found], claims


def _said(parts: Sequence[_Part]) -> str | None:
    """The text of a mention if its tokens say it: what is between several of them, only the text knows."""
    return parts[0].said if len(parts) == 1 else None


def _cell(part: _Part, column: int | None) -> Iterator[tuple[str, str | None]]:
    """(label, number) of each label of a line; `*`: it is not filled in."""
    if column is None or column >= len(part.cells) or part.cells[column] in ("_", ""):
        return
    for item in _STACK.split(part.cells[column]):
        match = _LABEL.fullmatch(item)
        if match and match[1] not in ("_", ""):
            yield _unescape(match[1]), match[2]
