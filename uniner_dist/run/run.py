"""One run: a configuration, a corpus as found, and the folder that holds everything of it.

`name_run` names the run by what it would do, and `pin_run` pins its configuration in its folder; commands begin with
`pipeline.preflight.open_run`, which checks first what can be checked without Spark, Ray or a GPU. The same command over
the same corpus opens the same run and so resumes it; anything else is another run in another folder.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from uniner_dist import model
from uniner_dist.config.caller import Caller, Owned, settled
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.run import identity as keys
from uniner_dist.run.registry import register
from uniner_dist.storage.containment import is_link
from uniner_dist.storage.control_files import ControlFileError, LatestRun, PinnedRun, read_control, write_control
from uniner_dist.storage.control_files.forms import RUN_ID, has_form
from uniner_dist.storage.filesystem import absolute, exists, join, list_names, real_path, write_json
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import StoreLayout, WorkdirLayout
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.snapshot import Snapshot
from uniner_dist.storage.table_names import table_root
from uniner_dist.storage.table_version import format_version

#: Given instead of a run's id: the run of the workdir that was opened last.
LATEST = "latest"


@dataclass(frozen=True)
class Run:
    """A run, as every stage gets it. Small and picklable; the data is in `layout`'s folders."""

    config: Config
    layout: RunLayout
    fingerprint: str  # key of answers: weights, ids that are sent, precision, decoding
    model_name: str  # how annotations name the model
    model_identity: str  # hub name and commit, and a hash over all bytes of the files
    corpus_base: str  # Spark's basePath
    corpus_files: int
    corpus_bytes: int
    corpus_partitions: tuple[str, ...]  # Hive folder columns of the corpus
    snapshot: str = ""  # hash over the corpus's files
    corpus_real: str = ""  # path of the corpus without symbolic links
    corpus_table: Literal["Delta", "Iceberg"] | None = None  # format of a table
    corpus_version: str | None = None  # of a table, see `storage.table_version.TableVersion`
    opened_at: float = field(default=0.0, compare=False)  # when the corpus was last found like this, since the epoch

    @property
    def id(self) -> str:
        """Name of the run: a hash of its plan."""
        return self.layout.run_id

    def under(self, token: int) -> Run:
        """Return the same run for a process that holds its lease.

        Args:
            token: the lease's fencing token, which goes into the names of what the process writes.
        """
        return replace(self, layout=self.layout.under(token))

    @property
    def store(self) -> StoreLayout:
        """Where answers of this fingerprint are shared."""
        return StoreLayout(self.config.store_path, self.fingerprint)

    @property
    def erased_lists(self) -> tuple[str, str]:
        """Folders of the lists of documents that were erased and stay away: the workdir's and the store's."""
        return WorkdirLayout(self.layout.workdir).erased, self.store.erased

    @property
    def corpus_version_text(self) -> str | None:
        """The version of the table that is read, for messages; None for plain Parquet."""
        return format_version(self.corpus_table or "", self.corpus_version) if self.corpus_version else None

    @property
    def carried(self) -> tuple[str, ...]:
        """Columns of the corpus, besides id and text, that annotations have too."""
        return self.config.carried(self.corpus_partitions)

    @property
    def partition_by(self) -> tuple[str, ...]:
        """Folder columns of the output."""
        return self.config.folders(self.corpus_partitions)


def name_run(config: Config, snapshot: Snapshot) -> Run:
    """Return the run of a checked configuration over the present corpus; nothing is written.

    Args:
        config: checked; relative paths are resolved against the current folder.
        snapshot: the corpus's files, from the preflight.

    Raises:
        ConfigError: there is no such model, or a path is of a kind that is not taken.
    """
    identity = model.identify(config.model)
    fingerprint = keys.fingerprint(config, identity)
    config = with_absolute_paths(config)
    run_id = keys.run_id(config, fingerprint, snapshot.digest)
    return _build(config, RunLayout(config.workdir_path, run_id), identity, fingerprint, snapshot)


def pin_run(run: Run) -> None:
    """Write the configuration of a run into its folder, and the run into the list of its workdir.

    A run that is planned already is marked as stale if another run of the workdir was opened after it.

    Args:
        run: as `name_run` returned it.

    Raises:
        ConfigError: the folder holds another run's work, or cannot be written to.
    """
    config = run.config
    _pin(run)
    register(config.workdir_path, config.store_path)
    if exists(run.layout.shards) and _latest(config.workdir_path) != run.id:
        write_json(run.layout.stale, {"since": run.opened_at})
    write_control(WorkdirLayout(config.workdir_path).latest, LatestRun(run_id=run.id))


def load_run(
    workdir: str, run_id: str | None = None, caller: Caller | None = None, uses: Collection[Owned] = ()
) -> Run:
    """Load an earlier run from its folder; with a single run in the workdir its id may be left out.

    Args:
        workdir: path or URL of the workdir.
        run_id: or `LATEST`, so that a scheduler need not carry the id from stage to stage.
        caller: options of the command that works on the run; None for a command that only reads it.
        uses: those options of the configuration that only the caller may decide and that the work depends on.

    Returns:
        The run as it was pinned, with the caller's own options in place of what is stored.

    Raises:
        ConfigError: no such run, or several to choose from; or its folder sets options otherwise than the caller.
        ControlFileError: its configuration file does not belong to this run.
    """
    workdir = absolute(workdir)
    known = list_runs(workdir)
    if run_id == LATEST:
        run_id = _latest(workdir) or LATEST
    if run_id is None:
        if len(known) != 1:
            if not known:
                raise ConfigError(no_runs(workdir))
            found = ", ".join(known)
            raise ConfigError(f"--workdir {workdir}: name the run with --run; runs there: {found}")
        run_id = known[0]
    layout = RunLayout(workdir, run_id)
    if run_id not in known or not exists(layout.config):
        found = ", ".join(known) or "none"
        raise ConfigError(f"--run {run_id}: not in {WorkdirLayout(workdir).runs}; runs there: {found}")
    run = _from_pinned(layout, read_control(layout.config, PinnedRun))
    stores = [absolute(store) for store in caller.stores] if caller else []
    own = join(run.config.workdir_path, "store")
    if not is_link(own):
        stores.append(own)  # a store in the workdir need not be named by the caller
    return replace(run, config=settled(run.config, caller, uses, stores, layout.config))


def _from_pinned(layout: RunLayout, pinned: PinnedRun) -> Run:
    """The run that a folder says it is, if that is what its configuration makes of it.

    Raises:
        ControlFileError: it is not.
    """
    try:
        config = validate_tree(pinned.config)
    except ConfigError as error:
        problems = [f"{layout.config}: {visible(problem)}" for problem in error.problems]
        raise ControlFileError(problems) from None
    fingerprint = keys.fingerprint(config, pinned.model_identity)
    wrong = {
        "workdir": (real_path(config.workdir_path), real_path(layout.workdir)),
        "fingerprint": (pinned.fingerprint, fingerprint),
        "run_id": (pinned.run_id, layout.run_id),
        "id that follows from its configuration": (
            keys.run_id(config, fingerprint, pinned.snapshot or ""),
            layout.run_id,
        ),
    }
    problems = [f"its {name} is {found}, not {due}" for name, (found, due) in wrong.items() if found != due]
    if problems:
        raise ControlFileError(
            f"{layout.config}: is not this run's ({'; '.join(problems)}); the command that began the run, with its "
            "configuration, pins it again"
        )
    return Run(
        config=config,
        layout=layout,
        fingerprint=fingerprint,
        model_name=pinned.model_name,
        model_identity=pinned.model_identity,
        corpus_base=pinned.corpus_base,
        corpus_files=pinned.corpus_files,
        corpus_bytes=pinned.corpus_bytes,
        corpus_partitions=pinned.corpus_partitions,
        snapshot=pinned.snapshot or "",
        corpus_real=pinned.corpus_real or config.corpus.path,
        corpus_table=pinned.corpus_table,
        corpus_version=pinned.corpus_version,
        opened_at=pinned.opened_at,
    )


def with_limits(run: Run, max_prompts: int | None, max_gpu_hours: float | None) -> Run:
    """Return the run under other limits than it was opened with.

    Args:
        run: the run as it was loaded.
        max_prompts: the most prompts that the run asks in all its starts; None leaves the limit that it has.
        max_gpu_hours: the most GPU hours of all its starts, a CPU replica counting as one GPU; None leaves the limit
            that it has.

    Raises:
        ConfigError: a limit is negative.
    """
    given = {"max_prompts": max_prompts, "max_gpu_hours": max_gpu_hours}
    tree = run.config.model_dump()
    tree["run"] |= {name: value for name, value in given.items() if value is not None}
    return replace(run, config=validate_tree(tree))


def list_runs(workdir: str) -> list[str]:
    """Return the ids of the runs in a workdir, sorted: folders named like one, and no links. Empty without a workdir.

    Args:
        workdir: path or URL of the workdir.
    """
    folder = WorkdirLayout(workdir).runs
    return [name for name in list_names(folder) if has_form(RUN_ID, name) and not is_link(join(folder, name))]


def no_runs(workdir: str) -> str:
    """Return the message that a folder has no runs: it proposes `<folder>.work` if that has any, else how to begin one.

    Args:
        workdir: the folder that was given as `--workdir`; it may be an output by mistake, whose default workdir has the
            same name with `.work` at its end.
    """
    meant = f"{workdir.rstrip('/')}.work"
    hint = f"did you mean {meant}?" if list_runs(meant) else "`uniner-dist annotate` or `prompts` begins one"
    return f"--workdir {workdir}: there are no runs; {hint}"


def _latest(workdir: str) -> str | None:
    """Id of the run that was opened last."""
    path = WorkdirLayout(workdir).latest
    return read_control(path, LatestRun).run_id if exists(path) else None


def _build(config: Config, layout: RunLayout, identity: str, fingerprint: str, snapshot: Snapshot) -> Run:
    table = snapshot.table
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
        snapshot=snapshot.digest,
        corpus_real=real_path(table_root(config.corpus.path)),
        corpus_table=table.format if table is not None else None,
        corpus_version=table.version if table is not None else None,
        opened_at=_opened_at(layout, snapshot),
    )


def _opened_at(layout: RunLayout, snapshot: Snapshot) -> float:
    """When the corpus was last found like this: now, unless a run resumes with an earlier version of a table."""
    if snapshot.table is None or snapshot.table.newest or not exists(layout.config):
        return time.time()
    return read_control(layout.config, PinnedRun).opened_at


def with_absolute_paths(config: Config) -> Config:
    """Return the configuration with the same places, independent of the working directory.

    Args:
        config: its paths of corpus, output, workdir, store, gate and model may be relative to the current folder.

    Raises:
        ConfigError: a path is a URL of a kind that is not taken.
    """
    tree = config.model_dump()
    tree["corpus"]["path"] = absolute(config.corpus.path)
    tree["output"]["path"] = absolute(config.output.path)
    tree["workdir"] = absolute(config.workdir_path)
    tree["gate"] |= {name: absolute(path) for name in ("gold", "corpus") if (path := tree["gate"][name])}
    tree["store"] = absolute(config.store_path)
    if config.model.name != "demo" and not model.is_hub_name(config.model.name):
        tree["model"]["name"] = absolute(config.model.name)
    return validate_tree(tree)


def _pin(run: Run) -> None:
    """Write the resolved configuration; a folder that holds another plan under this id is refused, never mixed.

    Raises:
        ConfigError: that, or the folder cannot be written to.
    """
    pinned = PinnedRun(
        run_id=run.id,
        fingerprint=run.fingerprint,
        snapshot=run.snapshot or None,
        model_name=run.model_name,
        model_identity=run.model_identity,
        corpus_base=run.corpus_base,
        corpus_files=run.corpus_files,
        corpus_bytes=run.corpus_bytes,
        corpus_partitions=run.corpus_partitions,
        corpus_real=run.corpus_real or None,
        corpus_table=run.corpus_table,
        corpus_version=run.corpus_version,
        opened_at=run.opened_at,
        config=run.config.model_dump(mode="json"),
    )
    try:
        if write_control(run.layout.config, pinned, exclusive=True):
            return
    except (OSError, StorageError) as error:
        raise ConfigError(f"--workdir {run.layout.workdir}: cannot be written to: {error}") from error
    try:
        earlier = read_control(run.layout.config, PinnedRun)
    except ControlFileError as error:
        raise ControlFileError(f"{error.problems[0]}; remove {run.layout.root}") from None
    if earlier.fingerprint != run.fingerprint:
        raise ConfigError(f"{run.layout.root}: holds another run's work; remove it or choose another --workdir")
    write_control(run.layout.config, pinned)  # speed settings may differ from the last start
