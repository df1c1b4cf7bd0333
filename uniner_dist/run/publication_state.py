"""Whether an output holds what a run would publish now: pure decisions over the marker's entries.

What an output should hold follows from the corpus and the configuration as they are now, the store, and the documents
that were erased; never from what a run remembers of its own past. Each publication therefore leaves in the marker what
it claimed (`Claim`) and whose rows it met. A later start compares its own claim with those of all publications since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from uniner_dist.core.hashing import digest
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Marker, PublishedRun

#: Settings of `output.removed_documents`, those that remove more last.
_REMOVED = ("keep", "corpus", "all")


@dataclass(frozen=True)
class Claim:
    """What a run would publish, as the marker records it.

    Attributes:
        corpus: path of the corpus as it was named.
        corpus_real: the same without symbolic links; a corpus is the same one if either name is.
        corpus_state: hash of the corpus's files and of which columns are read; with it, documents are the same.
        opened_at: when the corpus was last found like this, in seconds since the epoch.
        types: labels.
        removed_documents, other_types: the options of that name.
    """

    corpus: str
    corpus_real: str
    corpus_state: str
    opened_at: float
    types: tuple[str, ...]
    removed_documents: str
    other_types: str

    @classmethod
    def of_entry(cls, entry: PublishedRun) -> Claim:
        """Return the claim of an entry of the marker.

        What earlier releases did not write is unknown and equals nothing.

        Args:
            entry: what the marker says of one published run.
        """
        return cls(
            entry.corpus,
            entry.corpus_real or entry.corpus,
            entry.corpus_state,
            entry.opened_at,
            entry.types,
            entry.removed_documents,
            entry.other_types,
        )

    def covers(self, other: Claim) -> bool:
        """Return whether the other's corpus is this one or a path inside of it, by either of the two names of each.

        Args:
            other: the claim of another publication.
        """
        return any(
            covers(ours, theirs)
            for ours in (self.corpus, self.corpus_real)
            for theirs in (other.corpus, other.corpus_real)
        )

    def has_same_documents(self, other: Claim) -> bool:
        """Return whether both found the same documents with the same texts; unknown states are never the same.

        Args:
            other: the claim of another publication.
        """
        return bool(self.corpus_state) and self.corpus_state == other.corpus_state


def claim_of(run: Run) -> Claim:
    """Return the claim of a run on its output.

    Args:
        run: the run, with the state of the corpus that it was opened with.
    """
    corpus, output = run.config.corpus, run.config.output
    columns = {"id": corpus.id_column, "text": corpus.text_column, "folders": list(run.partition_by)}
    return Claim(
        corpus.path,
        run.corpus_real or corpus.path,
        digest({"files": run.snapshot, "columns": columns}) if run.snapshot else "",
        run.opened_at,
        tuple(entity_type.label for entity_type in run.config.types),
        output.removed_documents,
        output.other_types,
    )


def is_up_to_date(marker: Marker | None, run_id: str, claim: Claim) -> bool:
    """Return whether publishing the run now would change nothing.

    That is so when it is published with settings that removed as much, no later publication replaced or removed rows
    of it, and none added rows that the run would remove.

    Args:
        marker: the output's marker; None for an output without one.
        run_id: id of the run.
        claim: what the run would publish now.
    """
    if marker is None or run_id not in marker.runs:
        return False
    published = marker.runs[run_id]
    if _REMOVED.index(published.removed_documents) < _REMOVED.index(claim.removed_documents):
        return False
    if published.other_types == "keep" and claim.other_types == "remove":
        return False
    return all(_leaves_alone(entry, run_id, claim) for entry in _later(marker, run_id))


def is_outdated(marker: Marker | None, run_id: str, claim: Claim) -> bool:
    """Return whether a run that saw the corpus later has published: then this run is outdated, and must not publish.

    A later run over the same documents counts only if it has an entity type in common with this one.

    Args:
        marker: the output's marker; None for an output without one.
        run_id: id of the run.
        claim: what the run would publish now.
    """
    others = () if marker is None else (entry for other, entry in marker.runs.items() if other != run_id)
    return any(
        later.opened_at > claim.opened_at
        and (later.covers(claim) or claim.covers(later))
        and (not later.has_same_documents(claim) or bool(set(later.types) & set(claim.types)))
        for later in map(Claim.of_entry, others)
    )


def is_disturbed(marker: Marker | None, run_id: str, claim: Claim) -> bool:
    """Return whether the run is published, and a later publication has changed what it published or should hold.

    The settings with which it was published count, not those of `claim`.

    Args:
        marker: the output's marker; None for an output without one.
        run_id: id of the run.
        claim: what the run would publish now.
    """
    if marker is None or run_id not in marker.runs:
        return False
    now, removed = marker.runs[run_id], marker.runs[run_id].removed_documents
    return not is_up_to_date(marker, run_id, replace(claim, removed_documents=removed, other_types=now.other_types))


def runs_over(marker: Marker, claim: Claim) -> list[str]:
    """Return ids of published runs whose corpus was this one or a path inside of it; their rows are this corpus's.

    Args:
        marker: the output's marker.
        claim: of the run whose corpus is meant.
    """
    return [run_id for run_id, entry in marker.runs.items() if claim.covers(Claim.of_entry(entry))]


def covers(outer: str, inner: str) -> bool:
    """Return whether a corpus path is another one or a path inside of it. Only the names are compared.

    Args:
        outer: path or URL of the corpus that may contain the other.
        inner: path or URL of the other corpus.
    """
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _later(marker: Marker, run_id: str) -> Iterator[PublishedRun]:
    own = marker.runs[run_id].order
    return (entry for other, entry in marker.runs.items() if other != run_id and entry.order > own)


def _leaves_alone(entry: PublishedRun, run_id: str, claim: Claim) -> bool:
    """Whether a later publication neither changed rows of the run nor added any that the run would remove."""
    later = Claim.of_entry(entry)
    if entry.touched is None:  # of an earlier release, which did not write whose rows it met
        apart = not (later.covers(claim) or claim.covers(later))
        return apart or not set(later.types) & set(claim.types)
    if run_id in entry.touched:
        return False
    if claim.other_types == "remove" and run_id in entry.met and set(later.types) - set(claim.types):
        return False
    if later.has_same_documents(claim) or claim.removed_documents == "keep":
        return True
    return claim.removed_documents == "corpus" and not claim.covers(later)
