"""The name of every file and folder that is written below a workdir, in a store and next to an output.

Names only: nothing is read or written here, and nowhere else is such a name spelled out. The names of files that may be
destroyed contain the fencing token of the lease that wrote them (see `storage.lease`), so that a process that was
replaced while it was suspended can only reach its own files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from uniner_dist.storage.filesystem import join

#: Name of the file of a shard's prompts, in the folder of the shard.
PROMPTS_FILE = "part-0.parquet"


@dataclass(frozen=True)
class RunLayout:
    """Paths of one run: `<workdir>/runs/<run id>/…`.

    Attributes:
        token: generation of the lease under which this process works on the run; 0 for one that only reads.
    """

    workdir: str
    run_id: str
    token: int = 0

    def under(self, token: int) -> RunLayout:
        """Return the same run for a process with this fencing token.

        Args:
            token: generation of the lease that the process holds, from 1; see `storage.lease`.
        """
        return replace(self, token=token)

    @property
    def title(self) -> str:
        """Name of the run in messages."""
        return f"run {self.run_id}"

    @property
    def root(self) -> str:
        """Folder of the run."""
        return join(self.workdir, "runs", self.run_id)

    @property
    def config(self) -> str:
        """Resolved configuration and identity of the run, JSON."""
        return join(self.root, "config.json")

    @property
    def footers(self) -> str:
        """Footers of the corpus's files when the run was opened, JSON."""
        return join(self.root, "footers.json")

    @property
    def lease_folder(self) -> str:
        """The lease of the run."""
        return join(self.root, "holders")

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders that must not be links, for the lease."""
        return (join(self.workdir, "runs"), self.root, self.lease_folder)

    def own(self, folder: str) -> str:
        """Return the part of a folder of the run that is written under this process's lease, and destroyed by it.

        `storage.stage_files.counting` says which part of a folder counts. To readers of Parquet datasets that know
        nothing of leases it is one more folder column.

        Args:
            folder: path of one of this run's datasets, such as `occurrences`.
        """
        return join(folder, f"lease={self.token:06d}")

    # -- stage 1 -----------------------------------------------------------------------------------------------------

    @property
    def prompts(self) -> str:
        """Prompts shards: see `prompts_folder`."""
        return join(self.root, "prompts")

    def prompts_folder(self, shard: str) -> str:
        """Return the folder of a shard's prompts, which has one file (`PROMPTS_FILE`).

        Args:
            shard: name of the shard, as in the manifest (see `prompts.packing.Packing.shard_name`).
        """
        return join(self.prompts, f"shard={shard}")

    @property
    def occurrences(self) -> str:
        """In which documents each passage occurs, and at which offset."""
        return join(self.root, "occurrences")

    @property
    def rejects(self) -> str:
        """Corpus rows that could not be used."""
        return join(self.root, "rejects")

    @property
    def splits(self) -> str:
        """Passages of long texts, while stage 1 works."""
        return join(self.root, "splits")

    @property
    def repeats(self) -> str:
        """Rows whose id occurred before, while stage 1 works."""
        return join(self.root, "repeats")

    @property
    def shards(self) -> str:
        """Manifest of the shards; written last by stage 1, so its presence says that stage 1 is done."""
        return join(self.root, "shards.parquet")

    @property
    def prompts_summary(self) -> str:
        """Counts of stage 1, JSON."""
        return join(self.root, "prompts.json")

    @property
    def plan(self) -> str:
        """What the run was expected to ask and cost, JSON."""
        return join(self.root, "plan.json")

    @property
    def gates(self) -> str:
        """One folder per quality gate (`GateLayout`)."""
        return join(self.root, "gate")

    @property
    def triage(self) -> str:
        """Files of triage."""
        return join(self.root, "triage")

    @property
    def triage_learnt(self) -> str:
        """Result of learning from the sample, JSON; if it exists, the sample has been asked."""
        return join(self.triage, "learnt.json")

    @property
    def triage_bound(self) -> str:
        """The prompts that may be skipped, as a bound, JSON; if it exists, all prompts that calibrate were asked."""
        return join(self.triage, "bound.json")

    def triage_classifier(self, digest: str) -> str:
        """Return the path of the weights by which prompts are left out, which are named by their own hash.

        Args:
            digest: first 32 hex digits of the SHA-256 of the file.
        """
        return join(self.triage, f"classifier-{digest}.parquet")

    @property
    def triage_verdict(self) -> str:
        """Result of the check, JSON."""
        return join(self.triage, "verdict.json")

    @property
    def checks(self) -> str:
        """Which prompts are asked only to check triage: one file for each shard with any."""
        return join(self.root, "checks")

    def check_file(self, shard: str) -> str:
        """Return the path of the prompts of a shard that are asked only to check triage; without any there is no file.

        Args:
            shard: name of the shard, as in the manifest.
        """
        return join(self.checks, f"{shard}.parquet")

    # -- stage 2 -----------------------------------------------------------------------------------------------------

    @property
    def completions(self) -> str:
        """One file per shard."""
        return join(self.root, "completions")

    def completions_file(self, shard: str) -> str:
        """Return the path of the file whose appearance commits a shard.

        Args:
            shard: name of the shard, as in the manifest.
        """
        return join(self.completions, f"{shard}.parquet")

    @property
    def parts(self) -> str:
        """Pieces of suspect shards while they are bisected."""
        return join(self.root, "parts")

    def part_file(self, shard: str, start: int, stop: int) -> str:
        """Return the path of the answers to a range of a suspect shard's prompts.

        Args:
            shard: name of the shard, as in the manifest.
            start: row of the first prompt of the range in the shard, from 0.
            stop: row after the last prompt of the range.
        """
        return join(self.parts, shard, f"{start}-{stop}.parquet")

    def known_file(self, shard: str) -> str:
        """Return the path of the answers that a shard need not ask for; null in it means ask.

        They come from the store, or from an earlier file of the shard's own. A shard that has to ask for everything has
        no such file.

        Args:
            shard: name of the shard, as in the manifest.
        """
        return join(self.parts, shard, "known.parquet")

    @property
    def attempts(self) -> str:
        """One JSON per start of the completions stage: counters and events, for the report."""
        return join(self.root, "attempts")

    @property
    def progress(self) -> str:
        """Latest state of the pool, JSON, rewritten every few seconds."""
        return join(self.root, "progress.json")

    @property
    def spark_progress(self) -> str:
        """Latest state of a Spark stage, JSON, rewritten every few seconds while it works."""
        return join(self.root, "progress-spark.json")

    @property
    def retry(self) -> str:
        """Exists from the moment that prompts without an answer are asked again until the result is published."""
        return join(self.root, "retry.json")

    # -- stage 3 -----------------------------------------------------------------------------------------------------

    @property
    def publishing(self) -> str:
        """One folder per lease under which stage 3 was begun; all of it goes once the run is published."""
        return join(self.root, "publishing")

    @property
    def published_by(self) -> str:
        """Files of stage 3 under this lease, before publication."""
        return join(self.publishing, f"{self.token:06d}")

    @property
    def answers(self) -> str:
        """Parsed and located answers per passage, between the halves of stage 3."""
        return join(self.published_by, "answers")

    @property
    def staging(self) -> str:
        """Annotations before they are published."""
        return join(self.published_by, "annotations")

    @property
    def staged(self) -> str:
        """Exists once the annotations of this lease are audited: their counts, JSON."""
        return join(self.published_by, "staged.json")

    @property
    def rewritten(self) -> str:
        """Files of the output without the rows that this run replaces."""
        return join(self.published_by, "rewritten")

    @property
    def placeholder(self) -> str:
        """A file with all columns and no rows."""
        return join(self.published_by, "empty.parquet")

    @property
    def publication(self) -> str:
        """Journal of the publish step: what is added and what is replaced, JSON. It counts if the marker names it."""
        return join(self.published_by, "publication.json")

    @property
    def annotations_summary(self) -> str:
        """Counts of stage 3, JSON."""
        return join(self.root, "annotations.json")

    @property
    def quarantine(self) -> str:
        """Every cell that has no answer, with the reason and what is needed to ask again."""
        return join(self.root, "quarantine")

    @property
    def renewed(self) -> str:
        """Exists from the moment that the run is planned again until the result is published."""
        return join(self.root, "renewed.json")

    @property
    def stale(self) -> str:
        """Exists when other runs of the workdir were opened since this one was planned, until it is planned again."""
        return join(self.root, "stale.json")

    @property
    def report(self) -> str:
        """Report of the run, JSON."""
        return join(self.root, "report.json")

    @property
    def report_page(self) -> str:
        """Report as a page, one HTML file."""
        return join(self.root, "report.html")

    # -- what may be removed -----------------------------------------------------------------------------------------

    @property
    def between_stages(self) -> tuple[str, ...]:
        """Files that stage 3 rebuilds from its start; the others are of earlier releases."""
        old = ("answers", "annotations", "carried", "publication.json", "empty.parquet")
        return (self.publishing, *(join(self.root, name) for name in old))

    def between_stages_until_now(self, tokens: Iterable[str]) -> tuple[str, ...]:
        """Return those of `between_stages` that are not of a later lease.

        Args:
            tokens: names of the folders in `publishing`; those whose number is above this process's token, and names
                that are no number, are left out.
        """
        mine = [join(self.publishing, name) for name in tokens if name.isdigit() and int(name) <= self.token]
        return (*mine, *self.between_stages[1:])

    @property
    def of_stage_1(self) -> tuple[str, ...]:
        """Files that stage 1 rebuilds from its start, and those that depend on it."""
        made = (self.prompts, self.completions, self.parts, self.rejects, self.occurrences, self.splits, self.repeats)
        return (*made, self.checks, self.triage, self.quarantine, self.retry, *self.between_stages)

    @property
    def by_lease(self) -> tuple[str, ...]:
        """Folders whose entries bear the fencing token of the lease that wrote them (see `storage.stage_files`)."""
        planned = (self.prompts, self.occurrences, self.rejects, self.splits, self.repeats)
        return (*planned, self.completions, self.parts, self.checks, self.publishing, self.quarantine)

    @property
    def payload(self) -> tuple[str, ...]:
        """Files that pruning removes: texts, answers and what shows them; the manifest first. All are our own."""
        shown = (self.gates, self.progress, self.spark_progress, self.report_page)
        return (self.shards, *(path for path in (*self.of_stage_1, *shown) if path != self.occurrences))


@dataclass(frozen=True)
class GateLayout:
    """Folder of a quality gate of a run: another gold or sample size is another gate."""

    root: str

    @property
    def corpus(self) -> str:
        """Texts of the gold slice and of the sample."""
        return join(self.root, "corpus")

    @property
    def gold(self) -> str:
        """Gold answers under the ids of that corpus."""
        return join(self.root, "gold")

    @property
    def annotations(self) -> str:
        """Annotations of the gate's own run."""
        return join(self.root, "annotations")

    @property
    def work(self) -> str:
        """Workdir of the gate's own run."""
        return join(self.root, "work")

    @property
    def verdict(self) -> str:
        """Figures of the passed gate, JSON."""
        return join(self.root, "verdict.json")

    @property
    def scores(self) -> str:
        """All scores against the gold, JSON."""
        return join(self.root, "scores.json")

    @property
    def drift(self) -> str:
        """The whole comparison with the pinned answers, JSON."""
        return join(self.root, "drift.json")
