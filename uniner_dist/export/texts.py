"""Sources of the texts of an export: the corpora of an output, tables at the versions that were annotated.

Offsets refer to the text that was annotated, and a document without mentions does not show that it was edited later; so
no other version of a table is read in place of the annotated one unless the command names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uniner_dist.config.data import CorpusConfig
from uniner_dist.errors import ConfigError
from uniner_dist.run.publication_state import covers
from uniner_dist.spark.catalog import table_location
from uniner_dist.storage.control_files import Marker, PublishedRun
from uniner_dist.storage.filesystem import absolute, exists
from uniner_dist.storage.listing import Listing
from uniner_dist.storage.snapshot import Snapshot, footers_of, with_footers
from uniner_dist.storage.tables.open import NEWEST, Wanted, open_corpus
from uniner_dist.storage.tables.present import require_files


@dataclass(frozen=True)
class TextSource:
    """A corpus with texts.

    Args:
        path: path, URL, or name of a table in a catalog, as the run or the command named it.
        text_column: name of the column of texts.
        wanted: version of a table; the newest one by default.
    """

    path: str
    text_column: str
    wanted: Wanted = NEWEST

    def listing(self) -> Listing:
        """Return the listing of the corpus's files.

        Raises:
            ConfigError: it is not there, or the version of a table is no longer available.
        """
        try:
            listing = open_corpus(table_location(self.path), self.wanted)
            require_files(listing)
        except ConfigError as error:
            if self.wanted.pinned is None:
                raise
            raise ConfigError(
                f"{error.problems[0]}. It is the version that was annotated; `--set corpus.version=VERSION` takes the "
                "texts of another one, which may differ from what was annotated"
            ) from error
        return listing

    def snapshot(self) -> Snapshot:
        """Return the listing with the footers of its files.

        Raises:
            ConfigError: see `listing`, or a footer cannot be read.
        """
        listing = self.listing()
        return with_footers(listing, footers_of(listing))


def text_sources(
    annotations: str, marker: Marker | None, given: str | None, text_column: str | None, corpus: CorpusConfig
) -> list[TextSource]:
    """Return the corpus that is given, else every corpus that the output was made of, that of the latest run first.

    Of these, a corpus inside another one is left out.

    Args:
        annotations: path or URL of the output.
        marker: marker of the output; None if it has none, so that `given` is needed.
        given: path or URL of a corpus that the command names; None: those of the marker.
        text_column: column of texts that the command names; None: that of the run, or `text` without one.
        corpus: configuration whose `version` and `as_of`, where set, take precedence over the versions in the marker.

    Raises:
        ConfigError: the output is not there, or its marker names no run and `given` is None.
    """
    entries = sorted(marker.runs.values() if marker else (), key=lambda entry: -entry.order)
    asked = Wanted.of(corpus)
    if given:
        place = absolute(given)
        of_it = [entry for entry in entries if covers(entry.corpus, place)]
        column = text_column or next((entry.text_column for entry in of_it), None) or "text"
        same = [entry for entry in of_it if entry.corpus == place]
        return [TextSource(given, column, _wanted(same, asked))]
    if not entries:
        wrong = "does not say what it was made of; give --corpus" if exists(annotations) else "is not there"
        raise ConfigError(f"--annotations {annotations}: {wrong}")
    found: dict[str, TextSource] = {}
    for entry in entries:
        source = TextSource(entry.corpus, text_column or entry.text_column, _wanted([entry], asked))
        found.setdefault(entry.corpus, source)
    inner = {path for path in found for other in found if other != path and covers(other, path)}
    return [source for path, source in found.items() if path not in inner]


def _wanted(entries: Sequence[PublishedRun], asked: Wanted) -> Wanted:
    """The version that the command names, else the one that the latest of these runs read."""
    if asked != NEWEST or not entries or entries[0].corpus_pinned is None:
        return asked
    return Wanted(pinned=entries[0].corpus_pinned)
