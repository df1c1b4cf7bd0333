"""A pool that stays warm: loaded when first needed, kept between calls, closed by the user or at exit.

A pool has replicas of one fingerprint, on the one Ray of this process, which is started by the first annotator that
needs it and stopped by the last one that is closed. A pool that broke is discarded, and the next call loads another. No
data of a corpus passes through here.
"""

from __future__ import annotations

import atexit
import itertools
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from uniner_dist import model
from uniner_dist.cluster.connect import ray_cluster
from uniner_dist.cluster.watch import check_cluster, cluster_is_lost, watch_cluster
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.stage import open_pool
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import Config, RayConfig
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import ConfigError, DrainedError, StageError
from uniner_dist.model.check import check_model
from uniner_dist.run import identity as keys
from uniner_dist.run.run import Run
from uniner_dist.runtime.signals import StopRequest, stop_on_signals
from uniner_dist.storage.filesystem import absolute, join, remove
from uniner_dist.storage.layout import RunLayout

#: Settings for interactive use: a stop is not delayed for long.
_DEFAULTS: dict[str, object] = {"pool.drain_timeout_s": 10, "corpus.path": "-", "output.path": "-", "types": "entity"}
#: On a GPU, as in conf/cluster.yaml.
_GPU_DEFAULTS: dict[str, object] = {"pool.gpus_per_replica": 1, "pool.max_in_flight": 1024, "pool.replicas": "auto"}

#: Seconds after which the resources of a killed replica are free again, at most.
_RELEASE_S = 5.0


class _SharedRay:
    """The reference-counted Ray connection of this process; one that existed before is left as it was."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stack: ExitStack | None = None
        self._users: weakref.WeakSet[WarmPool] = weakref.WeakSet()
        self._ray: Any = None

    def join(self, user: WarmPool, config: RayConfig) -> Any:
        """The connected `ray` module."""
        with self._lock:
            if self._stack is None:
                stack = ExitStack()
                self._ray = stack.enter_context(ray_cluster(config))  # may fail, or be stopped: then there is none
                self._stack = stack
            self._users.add(user)
            return self._ray

    def leave(self, user: WarmPool) -> None:
        """Stop Ray when the last user leaves, or when the cluster is lost."""
        with self._lock:
            self._users.discard(user)
            if self._stack is None or (self._users and not cluster_is_lost()):
                return
            self.end()

    def end(self) -> None:
        """Stop Ray, even if others use it."""
        with self._lock:
            for other in list(self._users):
                other.discard_pool()
            self._users.clear()
            stack, self._stack, self._ray = self._stack, None, None
            if stack is not None:
                stack.close()

    def others(self, user: WarmPool) -> int:
        """Annotators other than this one."""
        return sum(other is not user for other in self._users)


_shared = _SharedRay()
#: Open ones; closed at the end of the process, before Ray's own end.
_open: weakref.WeakSet[WarmPool] = weakref.WeakSet()


def _close_all() -> None:
    for warm in list(_open):
        warm.close()
    _shared.end()  # an annotator was dropped without close(): its replicas ended with it, Ray did not


class WarmPool:
    """One warm pool with its configuration, folders and tokenizer.

    Args:
        options: dotted key → value of the configuration.
        file: path of a YAML file of the configuration; None for the defaults.
        workdir: path or URL of a folder for runs and for what passes between calls; None: a temporary one, removed at
            the end.
        say: called with each line of news.

    Raises:
        ConfigError: a wrong option, or no such model.
    """

    def __init__(
        self, options: dict[str, object], file: str | None, workdir: str | None, say: Callable[[str], None]
    ) -> None:
        self._options, self._file, self.say = options, file, say
        self._gpu_options: dict[str, object] = {}
        self._commit: str | None = None
        self._numbers = itertools.count(1)
        self._stack: ExitStack | None = None
        self._pool: Pool | None = None
        self._tokenizer: tuple[str, PromptTokenizer] | None = None
        self.session = uuid.uuid4().hex[:8]
        self._own_folder = tempfile.mkdtemp(prefix="uniner-dist-") if workdir is None else None
        folder = absolute(workdir) if workdir is not None else str(self._own_folder)
        #: Folders for DataFrames in transit, for calls in memory, and for the main job's runs and store.
        self.frames, self.calls, self.workdir = (join(folder, name) for name in ("frames", "calls", "work"))
        self._finalizer = weakref.finalize(self, _remove, self._own_folder)
        # Resolved once: later calls, and the replicas, ask for this commit.
        self._commit = model.pinned(self.config().model).revision
        config = self.config()
        check_model(config.model, gpus=config.pool.gpus_per_replica, extra=config.engine.extra)
        self.chosen = config.pool.model_fields_set
        if workdir is None and config.ray.address != "local":
            raise ConfigError(
                f"ray.address is {config.ray.address}: its replicas need a folder that all machines see; "
                "give workdir='s3://…' or another shared place"
            )

    @property
    def is_temporary(self) -> bool:
        """Whether the workdir is removed with the annotator."""
        return self._own_folder is not None

    def config(self, **options: Any) -> Config:
        """Return the configuration of one call.

        Args:
            options: further options by name, with a double underscore for the dot of the dotted name, such as
                `output__path`; they take precedence over all others.

        Raises:
            ConfigError: with every problem found.
        """
        dotted = {name.replace("__", "."): value for name, value in options.items()}
        config = load_config(self._file, [], {**_DEFAULTS, **self._options, **self._gpu_options, **dotted})
        if self._commit is None:
            return config
        return config.model_copy(update={"model": config.model.model_copy(update={"revision": self._commit})})

    def run(self, config: Config, number: int) -> Run:
        """Return a run that exists for one call: a folder, a fingerprint, a name; nothing is written.

        Args:
            config: of the call.
            number: of the call, from `next_number`; 0 for the loading of the pool.
        """
        identity = model.identify(config.model)
        layout = RunLayout(self.calls, f"{self.session}-{number}")
        return Run(
            # What replicas put into a store is removed after the call: the annotator itself remembers its answers.
            config=config.model_copy(update={"store": join(layout.root, "store")}),
            layout=layout,
            fingerprint=keys.fingerprint(config, identity),
            model_name=model.display_name(config.model),
            model_identity=identity,
            corpus_base="",
            corpus_files=0,
            corpus_bytes=0,
            corpus_partitions=(),
        )

    def next_number(self) -> int:
        """Return the number of the next call, from 1 on."""
        return next(self._numbers)

    @property
    def tokenizer(self) -> tuple[str, PromptTokenizer]:
        """The model's tokenizer: its JSON, and ready to use."""
        if self._tokenizer is None:
            config = self.config()
            source = model.load_tokenizer_json(config.model)
            self._tokenizer = source, PromptTokenizer.from_json(source, get_template(config.model.template))
        return self._tokenizer

    @property
    def is_loaded(self) -> bool:
        """Whether replicas are loaded or loading."""
        return self._pool is not None

    @contextmanager
    def at_work(self) -> Iterator[StopRequest]:
        """Context of one call: signals become a stop, a lost cluster is noticed, a broken pool is discarded.

        Yields:
            The request to stop, which a signal makes.

        Raises:
            KeyboardInterrupt: stopped by Ctrl-C; the annotator stays usable.
        """
        watch_cluster(attended=True)
        stop: StopRequest | None = None
        try:
            with stop_on_signals() as stop:
                yield stop
        except (ConfigError, GeneratorExit):
            raise
        except BaseException as error:
            # Spark and Ray raise errors of their own when a signal interrupts them; the caller gets KeyboardInterrupt.
            stopped = isinstance(error, (DrainedError, KeyboardInterrupt)) or (stop is not None and stop.requested)
            if not stopped or cluster_is_lost():
                self.unload()
            if not stopped:
                raise
            raise KeyboardInterrupt("stopped; the annotator stays usable, and what was answered is kept") from None
        finally:
            watch_cluster(attended=False)

    def pool(self) -> Pool:
        """Return the warm pool; it is loaded if it is not, or if its cluster is lost.

        Raises:
            ConfigError: replicas of other annotators leave no room for one.
            StageError: Ray or the replicas could not be started.
        """
        if self._pool is not None:
            try:
                check_cluster()
                return self._pool
            except StageError as error:
                self.say(f"{error}; starting another")
                self.unload()
        self._load()
        assert self._pool is not None
        return self._pool

    def _load(self) -> None:
        ray = _shared.join(self, self.config().ray)
        _open.add(self)
        atexit.unregister(_close_all)  # again, so that it comes before what Ray has registered
        atexit.register(_close_all)
        try:
            self._choose_replicas(ray)
            config = self.config()
            self._check_room(ray, config)
            stack = ExitStack()
            self._pool = stack.enter_context(open_pool(self.run(config, 0), _is_stopped))
            self._stack = stack
        except BaseException:
            self.unload()
            raise
        self.say(f"loading {model.display_name(config.model)} …")

    def _choose_replicas(self, ray: Any) -> None:
        """One replica on CPU, all GPUs where there are any, unless the user chose otherwise."""
        has_gpu = ray.cluster_resources().get("GPU", 0) >= 1 and self.config().model.name != "demo"
        chosen = _GPU_DEFAULTS if has_gpu else {"pool.replicas": 1}
        self._gpu_options = {key: value for key, value in chosen.items() if key.split(".")[1] not in self.chosen}

    def _check_room(self, ray: Any, config: Config) -> None:
        """Replicas of another annotator keep their resources while it is open: raise instead of waiting for ever."""
        others, until = _shared.others(self), time.monotonic() + _RELEASE_S
        while others and not _has_room(ray.available_resources(), config):
            if time.monotonic() > until:
                raise ConfigError(
                    f"no room for another replica besides those of {others} other annotator(s) of this process: close "
                    "one of them (annotator.close()), or give them fewer replicas (replicas=1)"
                )
            time.sleep(0.2)

    def discard_pool(self) -> None:
        """Drop a pool whose cluster is gone."""
        self._pool = self._stack = None

    def unload(self) -> None:
        """Kill the replicas; the next call loads others."""
        stack, self._pool, self._stack = self._stack, None, None
        try:
            if stack is not None:
                stack.close()
        finally:
            _shared.leave(self)

    def close(self) -> None:
        """Unload, and remove what is temporary."""
        _open.discard(self)
        self.unload()
        remove(self.calls)
        self._finalizer()


def _has_room(free: Mapping[str, float], config: Config) -> bool:
    gpus, cpus = config.pool.gpus_per_replica, config.pool.cpus_per_replica
    return free.get("GPU", 0) >= gpus if gpus else free.get("CPU", 0) >= cpus


def _is_stopped() -> bool:
    return StopRequest.current is not None and StopRequest.current.requested


def _remove(folder: str | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
