"""Body of the command `export`: options in, a folder of files out, counters on stdout."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from uniner_dist._version import __version__
from uniner_dist.cli.as_typed import named_as_typed
from uniner_dist.cli.evaluation import names_of
from uniner_dist.config.data import CorpusConfig
from uniner_dist.config.loading import load_sections
from uniner_dist.errors import ConfigError
from uniner_dist.export.ownership import MANIFEST, check_folder, clear_folder, write_files
from uniner_dist.export.registry import register_export, source_of
from uniner_dist.export.texts import text_sources
from uniner_dist.formats.conll.writing import joined_label
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.writers import Format, get_format
from uniner_dist.storage.containment import lies_in
from uniner_dist.storage.control_files import Marker, PublishedRun
from uniner_dist.storage.filesystem import absolute, join, write_json
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.retries import StorageError


@dataclass(frozen=True)
class ExportOptions:
    """Options of the command; see its help."""

    annotations: str
    to: str
    format: str
    corpus: str | None = None
    text_column: str | None = None
    id_column: str | None = None
    types: str | None = None
    sample: int | None = None
    language: str = "xx"
    comments: bool = True
    replace: bool = False


def run_export(
    options: ExportOptions, config: Sequence[str], overrides: Sequence[str], say: Callable[[str], None]
) -> dict[str, object]:
    """Export, and report the result and what the format could not hold. Returns the content of the manifest.

    Raises:
        ConfigError: wrong options, something that is not there, a folder that holds something else, no text at all.
    """
    chosen, folder = get_format(options.format), absolute(options.to)
    marker = read_marker(options.annotations)
    parsed = load_sections(config, overrides)
    source = _source(options, marker, parsed.corpus)
    if not options.comments and options.format != "conll":
        raise ConfigError(f"--no-comments: {options.format} files have no comments; only conll has")
    for what, path in (("--annotations", options.annotations), *(("--corpus", texts.path) for texts in source.corpora)):
        if lies_in(folder, path) or lies_in(path, folder):
            raise ConfigError(f"--output {folder}: lies in {what} {path}, or contains it; choose a folder next to it")
    check_folder(folder, replace=options.replace)
    _check_types(source, marker)
    _try_format(chosen, _settings(options, marker, tuple(source.types or _known_labels(marker))))
    from uniner_dist.export.joining import find_labels, write_documents
    from uniner_dist.spark.session import QUICK_BYTES, spark_session

    with named_as_typed({"corpus": "--corpus"} if options.corpus else {}):
        corpora = [texts.listing() for texts in source.corpora]
    size = sum(listing.total_bytes for listing in (list_corpus(options.annotations), *corpora))
    with spark_session(parsed, quick=size < QUICK_BYTES) as spark:
        settings = _settings(options, marker, find_labels(spark, source, _known_labels(marker)))
        joined = _joined_labels(settings)
        salt = secrets.token_hex(16)
        manifest: dict[str, object] = {
            "dataset": "uniner-dist export",
            "format": options.format,
            "annotations": options.annotations,
            "salt": salt,
            "source": source_of(options.annotations, salt),
        }
        check_folder(folder, replace=options.replace)  # again: Spark took its time
        if marker is not None:
            _register(options.annotations, folder, say)
        clear_folder(folder)
        write_json(join(folder, MANIFEST), manifest | {"complete": False})
        counted, parts = write_documents(spark, source, folder, options.format, settings, salt)
    if not counted["documents"]:
        clear_folder(folder)
        raise ConfigError(_no_note(options, source, counted))
    write_files(folder, "extras", chosen.extras(settings).items())
    made = {"version": __version__, "labels": list(settings.labels), "licences": list(settings.licences)}
    manifest |= {
        **counted,
        **made,
        "types_joined": joined,
        "runs": list(marker.runs if marker else ()),
        "complete": True,
        "parts": parts,
    }
    write_json(join(folder, MANIFEST), manifest)
    for line in summary(manifest, folder):
        say(line)
    return manifest


def summary(manifest: Mapping[str, Any], folder: str) -> list[str]:
    """Lines that describe an export to the user."""
    lines = [
        f"{manifest['documents']:,} documents with {manifest['mentions']:,} mentions in {manifest['files']:,} files: "
        f"{folder}"
    ]
    losses = {
        "overlaps_left_out": "mentions left out because they overlap a longer one, or an earlier one as long",
        "absent_left_out": "mentions left out because they are nowhere in their text",
        "overlaps_not_flat": "mentions that overlap others are not in the tokens' tags (hf) or doc.ents (spacy)",
        "details_left_out": "mentions have a confidence or a way of matching that this format does not hold",
        "unanswered_left_out": "annotations without an answer left out",
        "ids_left_out": "documents without their ids, texts and answered types (--no-comments): corrections of these "
        "files cannot be scored",
        "types_joined": "types are written with _ in place of white space, at which readers of such files split lines",
        "empty_left_out": "documents left out because nothing in them is a token",
        "without_text": "documents left out because the corpus no longer has them",
        "text_changed": "documents left out because their text is no longer the one that was annotated; run `annotate` "
        "again to bring the annotations up to date",
    }
    lines += [f"{manifest[name]:,} {words}" for name, words in losses.items() if manifest.get(name)]
    if manifest["licences"]:
        lines.append(f"licence of the answers: {', '.join(manifest['licences'])}")
    return lines


def _register(annotations: str, folder: str, say: Callable[[str], None]) -> None:
    """Register the export next to the output, if that folder may be written to."""
    try:
        register_export(annotations, folder)
    except StorageError as error:
        say(f"`uniner-dist forget` will not know of this export: {error}")


def _source(options: ExportOptions, marker: Marker | None, corpus: CorpusConfig) -> Any:
    from uniner_dist.export.joining import Source

    if options.sample is not None and options.sample < 1:
        raise ConfigError(f"--sample {options.sample}: must be at least 1")
    types = names_of(options.types) if options.types else None
    return Source(
        options.annotations,
        text_sources(options.annotations, marker, options.corpus, options.text_column, corpus),
        options.id_column or (marker.id_column if marker else "doc_id"),
        marker.carried if marker else (),
        types,
        options.sample,
        _longest(marker, corpus.max_text_bytes),
    )


def _longest(marker: Marker | None, given: int) -> int:
    """Bytes of the longest text that any run of the output can have annotated."""
    return max([given, *(entry.max_text_bytes or 0 for entry in _entries(marker))])


def _entries(marker: Marker | None) -> list[PublishedRun]:
    return list(marker.runs.values()) if marker else []


def _known_labels(marker: Marker | None) -> list[str]:
    return list(dict.fromkeys(label for entry in _entries(marker) for label in entry.types))


def _check_types(source: Any, marker: Marker | None) -> None:
    """Before Spark: types that no run of the output asked for."""
    known = _known_labels(marker)
    missing = [name for name in source.types or () if known and name not in known]
    if missing:
        raise ConfigError(f"--types {', '.join(missing)}: not in the annotations, which have {', '.join(known)}")


def _try_format(chosen: Format, settings: ExportSettings) -> None:
    """Write no document, so that a language or type that cannot be written is refused before the former export goes."""
    for _ in chosen.files((), "", settings):
        pass


def _settings(options: ExportOptions, marker: Marker | None, labels: tuple[str, ...]) -> ExportSettings:
    models = dict.fromkeys(entry.model for entry in _entries(marker))
    licences = dict.fromkeys(entry.licence for entry in _entries(marker) if entry.licence)
    return ExportSettings(labels, tuple(models), tuple(licences), options.language, options.comments)


def _joined_labels(settings: ExportSettings) -> int:
    """How many types are written with `_` in place of white space.

    Raises:
        ConfigError: two types would be written alike.
    """
    if settings.comments:
        return 0
    written = {label: joined_label(label) for label in settings.labels}
    for one, other in combinations(written, 2):
        if written[one] == written[other]:
            raise ConfigError(f"--no-comments: types {one!r} and {other!r} would both be written {written[one]!r}")
    return sum(label != shown for label, shown in written.items())


def _no_note(options: ExportOptions, source: Any, counted: Mapping[str, int]) -> str:
    where = ", ".join(texts.path for texts in source.corpora)
    if counted["without_text"] or counted["text_changed"]:
        return (
            f"--corpus {where}: has the annotated text of no document ({counted['without_text']:,} ids are not there, "
            f"{counted['text_changed']:,} have another text); is it another corpus, or --text-column another column?"
        )
    return f"--annotations {options.annotations}: holds no rows of these types"
