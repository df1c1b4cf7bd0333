"""One run: a configuration, a corpus as found, and the folder that holds everything of it.

`pin_run` names the run by what it would do, and pins the resolved configuration in its folder; commands begin with
`pipeline.preflight.open_run`, which checks first what can be checked without Spark, Ray or a GPU. The same command over
the same corpus opens the same run and so resumes it; anything else is another run in another folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.model import identity as model
from uniner_dist.run import identity as keys
from uniner_dist.storage.filesystem import StorageError, absolute, exists, list_names, read_json, write_json
from uniner_dist.storage.layout import RunLayout, StoreLayout, WorkdirLayout
from uniner_dist.storage.snapshot import Snapshot

#: Instead of a run's id: the run of the workdir that was opened last.
LATEST = "latest"


@dataclass(frozen=True)
class Run:
    """What every stage gets. Small and picklable; the data stands in `layout`'s folders."""

    config: Config
    layout: RunLayout
    fingerprint: str  # key of answers: model, revision, precision, template, decoding
    model_name: str  # how annotations name the model
    model_identity: str  # hub name and commit, or hash of the files
    corpus_base: str  # Spark's basePath
    corpus_files: int
    corpus_bytes: int
    corpus_partitions: tuple[str, ...]  # Hive folder columns of the corpus

    @property
    def id(self) -> str:
        """Name of the run: a hash of its plan."""
        return self.layout.run_id

    @property
    def store(self) -> StoreLayout:
        """Where answers of this fingerprint are shared."""
        return StoreLayout(self.config.store_path, self.fingerprint)

    @property
    def carried(self) -> tuple[str, ...]:
        """Columns of the corpus, beside id and text, that annotations have too."""
        return self.config.carried(self.corpus_partitions)

    @property
    def partition_by(self) -> tuple[str, ...]:
        """Folder columns of the output."""
        return self.config.folders(self.corpus_partitions)


def pin_run(config: Config, snapshot: Snapshot) -> Run:
    """Name the run of a checked configuration over the corpus as it is now, and pin both.

    Args:
        snapshot: the corpus's files, from the preflight.
    """
    identity = model.identify(config.model)
    fingerprint = keys.fingerprint(config, identity)
    config = _with_absolute_paths(config)
    run_id = keys.run_id(config, fingerprint, snapshot.digest)
    run = _build(config, RunLayout(config.workdir_path, run_id), identity, fingerprint, snapshot)
    _pin(run)
    write_json(WorkdirLayout(config.workdir_path).latest, {"run_id": run_id})
    return run


def load_run(workdir: str, run_id: str | None = None) -> Run:
    """An earlier run from its folder; with a single run in the workdir its id may be left out.

    Args:
        run_id: or `LATEST`, so that a scheduler need not carry the id from stage to stage.

    Raises:
        ConfigError: no such run, or several to choose from.
    """
    workdir = absolute(workdir)
    known = list_runs(workdir)
    if run_id == LATEST and exists(WorkdirLayout(workdir).latest):
        run_id = str(read_json(WorkdirLayout(workdir).latest)["run_id"])
    if run_id is None:
        if len(known) != 1:
            found = ", ".join(known) if known else "none"
            raise ConfigError(f"--workdir {workdir}: name the run with --run; runs there: {found}")
        run_id = known[0]
    layout = RunLayout(workdir, run_id)
    if not exists(layout.config):
        found = ", ".join(known) or "none"
        raise ConfigError(f"--run {run_id}: not in {WorkdirLayout(workdir).runs}; runs there: {found}")
    pinned = read_json(layout.config)
    return Run(
        config=validate_tree(pinned["config"]),
        layout=layout,
        fingerprint=pinned["fingerprint"],
        model_name=pinned["model_name"],
        model_identity=pinned["model_identity"],
        corpus_base=pinned["corpus_base"],
        corpus_files=pinned["corpus_files"],
        corpus_bytes=pinned["corpus_bytes"],
        corpus_partitions=tuple(pinned["corpus_partitions"]),
    )


def with_limits(run: Run, max_prompts: int | None, max_gpu_hours: float | None) -> Run:
    """The run under other limits than it was opened with; None leaves one as it was."""
    given = {"max_prompts": max_prompts, "max_gpu_hours": max_gpu_hours}
    tree = run.config.model_dump()
    tree["run"] |= {name: value for name, value in given.items() if value is not None}
    return replace(run, config=validate_tree(tree))


def list_runs(workdir: str) -> list[str]:
    """Ids of the runs in a workdir."""
    return list_names(WorkdirLayout(workdir).runs)


def _build(config: Config, layout: RunLayout, identity: str, fingerprint: str, snapshot: Snapshot) -> Run:
    return Run(
        config=config,
        layout=layout,
        fingerprint=fingerprint,
        model_name=model.display_name(config.model),
        model_identity=identity,
        corpus_base=snapshot.base,
        corpus_files=len(snapshot.files),
        corpus_bytes=snapshot.total_bytes,
        corpus_partitions=snapshot.partitions,
    )


def _with_absolute_paths(config: Config) -> Config:
    tree = config.model_dump()
    tree["corpus"]["path"] = absolute(config.corpus.path)
    tree["output"]["path"] = absolute(config.output.path)
    tree["workdir"] = absolute(config.workdir_path)
    tree["gate"] |= {name: absolute(path) for name in ("gold", "corpus") if (path := tree["gate"][name])}
    tree["store"] = absolute(config.store_path)
    return validate_tree(tree)


def _pin(run: Run) -> None:
    """Write the resolved configuration; a folder that holds another plan under this id is refused, never mixed.

    Raises:
        ConfigError: that, or the folder cannot be written to.
    """
    pinned = {
        "run_id": run.id,
        "fingerprint": run.fingerprint,
        "model_name": run.model_name,
        "model_identity": run.model_identity,
        "corpus_base": run.corpus_base,
        "corpus_files": run.corpus_files,
        "corpus_bytes": run.corpus_bytes,
        "corpus_partitions": list(run.corpus_partitions),
        "config": run.config.model_dump(mode="json"),
    }
    try:
        if write_json(run.layout.config, pinned, exclusive=True):
            return
    except (OSError, StorageError) as error:
        raise ConfigError(f"--workdir {run.layout.workdir}: cannot be written to: {error}") from error
    try:
        earlier = read_json(run.layout.config)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{run.layout.config}: is not readable ({error}); remove {run.layout.root}") from error
    if earlier["fingerprint"] != run.fingerprint:
        raise ConfigError(f"{run.layout.root}: holds another run's work; remove it or choose another --workdir")
    write_json(run.layout.config, pinned)  # speed settings may differ from the last start
