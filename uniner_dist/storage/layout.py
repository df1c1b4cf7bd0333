"""Where the files of a run stand below the workdir, and those of the store. Names only; nothing is read or written."""

from __future__ import annotations

from dataclasses import dataclass

from uniner_dist.storage.filesystem import join


@dataclass(frozen=True)
class RunLayout:
    """Paths of one run: `<workdir>/runs/<run id>/…`."""

    workdir: str
    run_id: str

    @property
    def title(self) -> str:
        """How messages call it."""
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
    def prompts(self) -> str:
        """Prompts shards: `shard=<shard>/*.parquet`."""
        return join(self.root, "prompts")

    @property
    def occurrences(self) -> str:
        """Where each passage stands in which document."""
        return join(self.root, "occurrences")

    @property
    def rejects(self) -> str:
        """Corpus rows that could not be used."""
        return join(self.root, "rejects")

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
    def completions(self) -> str:
        """One file per shard."""
        return join(self.root, "completions")

    def completions_file(self, shard: str) -> str:
        """The file whose appearance commits a shard."""
        return join(self.completions, f"{shard}.parquet")

    @property
    def parts(self) -> str:
        """Pieces of suspect shards while they are bisected."""
        return join(self.root, "parts")

    def known_file(self, shard: str) -> str:
        """Answers that a shard need not ask for: from the store, or from an earlier file of its own; null means ask."""
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
    def holders(self) -> str:
        """Who worked and works on this run: one claim per generation, and its heartbeat."""
        return join(self.root, "holders")

    @property
    def answers(self) -> str:
        """Parsed and located answers per passage, between the halves of stage 3."""
        return join(self.root, "answers")

    @property
    def staging(self) -> str:
        """Annotations before they are published."""
        return join(self.root, "annotations")

    @property
    def quarantine(self) -> str:
        """Every cell that has no answer, with the reason and what is needed to ask again."""
        return join(self.root, "quarantine")

    @property
    def publication(self) -> str:
        """Journal of the publish step: what is added and what is replaced, JSON."""
        return join(self.root, "publication.json")

    @property
    def retry(self) -> str:
        """There from the moment that prompts without an answer are asked again until what came out is published."""
        return join(self.root, "retry.json")

    @property
    def report(self) -> str:
        """What ran and what came out, JSON."""
        return join(self.root, "report.json")

    @property
    def report_page(self) -> str:
        """The report for people, one HTML file."""
        return join(self.root, "report.html")


@dataclass(frozen=True)
class WorkdirLayout:
    """A workdir as a whole: held by what changes all of its runs, while none of them is worked on."""

    workdir: str

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"workdir {self.workdir}"

    @property
    def holders(self) -> str:
        """Who changes all runs."""
        return join(self.workdir, "holders")


@dataclass(frozen=True)
class StoreLayout:
    """Paths of the answers that one fingerprint has in a store: `<store>/<fingerprint>/…`."""

    store: str
    fingerprint: str

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"store {self.root}"

    @property
    def root(self) -> str:
        """Folder of the fingerprint."""
        return join(self.store, self.fingerprint)

    @property
    def cells(self) -> str:
        """Files of answers: small ones, one per shard of a run, and compacted ones."""
        return join(self.root, "cells")

    @property
    def manifests(self) -> str:
        """What compactions added and replaced, one JSON each."""
        return join(self.root, "manifests")

    @property
    def holders(self) -> str:
        """Who changes this part of the store other than by adding to it."""
        return join(self.root, "holders")
