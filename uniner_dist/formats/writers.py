"""Registry of the export formats."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.annotated_document import Document
from uniner_dist.formats.brat import writing as brat
from uniner_dist.formats.conll import writing as conll
from uniner_dist.formats.huggingface import writing as huggingface
from uniner_dist.formats.json_rows import own_writing as jsonlines
from uniner_dist.formats.labelstudio import writing as labelstudio
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.spacy import writing as spacy

File = tuple[str, bytes]


def _no_extra_files(settings: ExportSettings) -> Mapping[str, bytes]:
    return {}


@dataclass(frozen=True)
class Format:
    """An export format.

    Args:
        files: makes files of some documents: (documents, stem of the files' names, settings) → (path relative to the
            export's folder, content) of each file.
        extras: makes the files of the export as a whole: settings → file name → content.
        flat: mentions that overlap a kept one are lost, and counted.
        partly_flat: the format has a field for mentions that do not overlap, next to the one for all.
        keeps_absent: mentions that are nowhere in the text are kept too; otherwise they are lost, and counted.
        keeps_details: confidences and ways of matching are kept; otherwise mentions that have them are counted.
        keeps_unanswered: annotations without an answer are kept; otherwise they are lost, and counted.
        library: module that must be installed wherever the tasks run.
    """

    files: Callable[[Sequence[Document], str, ExportSettings], Iterable[File]]
    extras: Callable[[ExportSettings], Mapping[str, bytes]] = field(default=_no_extra_files)
    flat: bool = False
    partly_flat: bool = False
    keeps_absent: bool = True
    keeps_details: bool = True
    keeps_unanswered: bool = True
    library: str | None = None


FORMATS: Final[Mapping[str, Format]] = {
    "conll": Format(conll.files, flat=True, keeps_absent=False, keeps_details=False, keeps_unanswered=False),
    "spacy": Format(spacy.files, partly_flat=True, library="spacy"),
    "labelstudio": Format(labelstudio.files, labelstudio.extras),
    "hf": Format(huggingface.files, huggingface.extras, partly_flat=True),
    "brat": Format(brat.files, brat.extras, keeps_absent=False, keeps_unanswered=False),
    "jsonl": Format(jsonlines.files),
}


def get_format(name: str) -> Format:
    """Return the export format of a name.

    Args:
        name: value of the option `--format`, a key of `FORMATS`.

    Raises:
        ConfigError: unknown, or its library is not installed here.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name}: unknown; one of {', '.join(FORMATS)}")
    found = FORMATS[name]
    if found.library and importlib.util.find_spec(found.library) is None:
        raise ConfigError(f'--format {name}: needs {found.library}: pip install "uniner-dist[export]"')
    return found


def count(document: Document, chosen: Format, settings: ExportSettings | None = None) -> dict[str, int]:
    """Count what a format keeps and loses of a document.

    Args:
        document: an exported document.
        chosen: the format it is written in.
        settings: settings of the export; None: as with comments.

    Returns:
        Counter, one of those in `export.writing.COUNTERS` → how many mentions, annotations or (0 or 1) documents.
    """
    mentions = document.mentions()
    absent = len(document.absent())
    overlapping = len(mentions) - len(document.flat_mentions) if chosen.flat or chosen.partly_flat else 0
    detailed = sum(mention.score is not None or mention.match != "exact" for mention in mentions)
    bare = settings is not None and not settings.comments
    return {
        "mentions": len(mentions),
        "overlaps_left_out": overlapping if chosen.flat else 0,
        "absent": absent,
        "absent_left_out": 0 if chosen.keeps_absent else absent,
        "overlaps_not_flat": overlapping if chosen.partly_flat else 0,
        "details_left_out": 0 if chosen.keeps_details else detailed,
        "unanswered_left_out": 0 if chosen.keeps_unanswered else len(document.answered.failures),
        "ids_left_out": int(bare),
        "empty_left_out": int(bare and not document.text.strip()),
    }
