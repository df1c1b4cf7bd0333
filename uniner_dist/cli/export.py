"""Body of the command `export`: options in, a folder of files out, counters on stdout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uniner_dist._version import __version__
from uniner_dist.cli.evaluation import names_of
from uniner_dist.config.loading import load_config
from uniner_dist.errors import ConfigError
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.writers import get_format
from uniner_dist.storage.filesystem import (
    absolute,
    exists,
    find_files,
    join,
    read_json,
    remove,
    write_bytes,
    write_json,
)
from uniner_dist.storage.marker import covers, read_marker
from uniner_dist.storage.snapshot import take_snapshot

#: Written first and last: says that a folder is an export of ours, and in the end what is in it.
MANIFEST = "export.json"


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


def run_export(
    options: ExportOptions, config: str | None, overrides: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """Export, and say what came out and what the format could not carry. Returns what stands in the manifest.

    Raises:
        ConfigError: wrong options, something that is not there, a folder that holds something else, no text at all.
    """
    chosen, folder = get_format(options.format), absolute(options.to)
    marker = read_marker(options.annotations) or {}
    source = _source(options, marker)
    _check_folder(folder)
    placeholders = {"corpus.path": options.annotations, "output.path": folder, "types": "any"}
    parsed = load_config(config, overrides, placeholders)  # only its section `spark` is used
    from uniner_dist.export.joining import find_labels, write_documents
    from uniner_dist.spark.session import QUICK_BYTES, spark_session

    size = sum(take_snapshot(path).total_bytes for path in (options.annotations, *(path for path, _ in source.corpora)))
    with spark_session(parsed, quick=size < QUICK_BYTES) as spark:
        settings = _settings(options, marker, find_labels(spark, source, _known_labels(marker)))
        manifest: dict[str, Any] = {
            "dataset": "uniner-dist export",
            "format": options.format,
            "annotations": options.annotations,
        }
        for path in find_files(folder) if exists(folder) else ():
            remove(join(folder, path))
        write_json(join(folder, MANIFEST), manifest | {"complete": False})
        counted = write_documents(spark, source, folder, options.format, settings)
    if not counted["documents"]:
        remove(join(folder, MANIFEST))
        raise ConfigError(_nothing(options, source, counted))
    for name, content in chosen.extras(settings).items():
        write_bytes(join(folder, name), content)
    made = {"version": __version__, "labels": list(settings.labels), "licences": list(settings.licences)}
    manifest |= {**counted, **made, "runs": list(marker.get("runs", {})), "complete": True}
    write_json(join(folder, MANIFEST), manifest)
    for line in summary(manifest, folder):
        say(line)
    return manifest


def summary(manifest: Mapping[str, Any], folder: str) -> list[str]:
    """What to tell a person about an export, one line each."""
    lines = [
        f"{manifest['documents']:,} documents with {manifest['mentions']:,} mentions in {manifest['files']:,} files: "
        f"{folder}"
    ]
    losses = {
        "overlaps_left_out": "mentions left out because they overlap a longer one, or an earlier one as long",
        "absent_left_out": "mentions left out because they stand nowhere in their text",
        "without_text": "documents left out because the corpus no longer has them",
        "text_changed": "documents left out because their text is no longer the one that was annotated; run `annotate` "
        "again to bring the annotations up to date",
    }
    lines += [f"{manifest[name]:,} {words}" for name, words in losses.items() if manifest[name]]
    if manifest["licences"]:
        lines.append(f"licence of the answers: {', '.join(manifest['licences'])}")
    return lines


def _source(options: ExportOptions, marker: Mapping[str, Any]) -> Any:
    from uniner_dist.export.joining import Source

    if options.sample is not None and options.sample < 1:
        raise ConfigError(f"--sample {options.sample}: must be at least 1")
    types = names_of(options.types) if options.types else None
    return Source(
        options.annotations,
        _corpora(options, marker),
        options.id_column or marker.get("id_column") or "doc_id",
        tuple(marker.get("carried", ())),
        types,
        options.sample,
    )


def _corpora(options: ExportOptions, marker: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the texts are: as given, else every corpus that the output was made of, the latest first."""
    entries = sorted(marker.get("runs", {}).values(), key=lambda entry: -int(entry["order"]))
    if options.corpus:
        known = (entry.get("text_column") for entry in entries if covers(entry["corpus"], options.corpus))
        return [(options.corpus, options.text_column or next(known, None) or "text")]
    if not entries:
        raise ConfigError(f"--annotations {options.annotations}: does not say what it was made of; give --corpus")
    found: dict[str, str] = {}
    for entry in entries:
        found.setdefault(entry["corpus"], options.text_column or entry.get("text_column") or "text")
    inner = {path for path in found for other in found if other != path and covers(other, path)}
    return [(path, text) for path, text in found.items() if path not in inner]


def _known_labels(marker: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(label for entry in marker.get("runs", {}).values() for label in entry["types"]))


def _settings(options: ExportOptions, marker: Mapping[str, Any], labels: tuple[str, ...]) -> ExportSettings:
    entries = list(marker.get("runs", {}).values())
    models = dict.fromkeys(str(entry["model"]) for entry in entries)
    licences = dict.fromkeys(str(entry["licence"]) for entry in entries if entry.get("licence"))
    return ExportSettings(labels, tuple(models), tuple(licences), options.language)


def _check_folder(folder: str) -> None:
    if exists(folder):
        manifest = join(folder, MANIFEST)
        ours = exists(manifest) and read_json(manifest).get("dataset") == "uniner-dist export"
        others = [] if ours else sorted(find_files(folder))
        if others:
            raise ConfigError(f"--to {folder}: already holds something else ({', '.join(others[:3])} …)")


def _nothing(options: ExportOptions, source: Any, counted: Mapping[str, int]) -> str:
    where = ", ".join(path for path, _ in source.corpora)
    if counted["without_text"] or counted["text_changed"]:
        return (
            f"--corpus {where}: has the annotated text of no document ({counted['without_text']:,} ids are not there, "
            f"{counted['text_changed']:,} have another text); is it another corpus, or --text-column another column?"
        )
    return f"--annotations {options.annotations}: holds no rows of these types"
