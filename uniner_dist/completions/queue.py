"""Decisions of the pool, as functions of values: no Ray, no clock, no I/O.

A *work* is what one call to a replica does: a whole shard, or a range of a suspect shard's prompts. `WorkQueue` says
what to hand out next and what a death means for the works in flight; `NodeHealth` says where not to go; the functions
below say what kind of loss it was, how long to wait, and when to give up. Everything here is tested in milliseconds and
is the same at 1 and at 500 replicas.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum

#: A suspect range that dies is cut into this many: a killer among 20,000 prompts is found after about 5 deaths, where
#: halving would take 15, and a death costs a start-up of the engine.
PIECES = 8
#: Times a shard may fail for another reason than its engine before the job ends; each has some tries of its own inside.
MAX_WORK_FAILURES = 3


class ReplicaState(StrEnum):
    """What a replica is doing. (Quarantine is a state of nodes, see `NodeHealth`.)"""

    PENDING = "pending"  # asked for, not placed on a node yet
    STARTING = "starting"  # placed, loading its model
    READY = "ready"  # loaded, nothing to do
    BUSY = "busy"  # answering
    DEAD = "dead"


class Loss(StrEnum):
    """Why a replica is gone, which decides who is blamed."""

    NODE = "node"  # its node went away: nobody's fault
    START = "start"  # it never loaded: the engine's or the node's fault
    DEATH = "death"  # it died after it had loaded: perhaps the fault of a prompt


def kind_of_loss(node_is_gone: bool, state: ReplicaState) -> Loss:
    """What it means that a replica in this state answers no more."""
    if node_is_gone:
        return Loss.NODE
    return Loss.START if state in (ReplicaState.PENDING, ReplicaState.STARTING) else Loss.DEATH


@dataclass(frozen=True)
class Limits:
    """How much the pool puts up with.

    Attributes:
        suspect_after: deaths with a shard in flight before it is run alone, in ranges.
        max_kills: deaths of one prompt run alone before it is given up as a killer.
        max_attempts: deaths a shard may see outside of its ranges before the job is given up.
        max_killers: killers one shard may have before the job is given up. Deaths of ranges need no limit of their own:
            each one either makes a range smaller or counts towards a killer.
    """

    suspect_after: int = 2
    max_kills: int = 2
    max_attempts: int = 10
    max_killers: int = 50


@dataclass(frozen=True)
class Shard:
    """A shard as the manifest has it: its prompts, how many of them are asked, and estimated tokens of those."""

    name: str
    prompts: int
    asked: int
    estimated_tokens: int


@dataclass(frozen=True)
class Work:
    """Prompts `[start, stop)` of a shard; `stop` None means the whole shard.

    A work that is `alone` runs on a replica that has nothing else in flight, so that a death can be blamed on it.
    """

    shard: str
    start: int = 0
    stop: int | None = None
    merge: bool = False  # assemble the finished ranges of a suspect shard into its completions file
    known: bool = False  # answers of an earlier file are kept; only the rest is asked

    @property
    def alone(self) -> bool:
        """Whether it must not share a replica."""
        return self.stop is not None


@dataclass
class _Suspect:
    """A shard that is run in ranges: which are done, which prompts were given up."""

    prompts: int
    open_ranges: int = 1
    done: list[tuple[int, int]] = field(default_factory=list)
    killers: list[int] = field(default_factory=list)
    kills: dict[int, int] = field(default_factory=dict)


class WorkQueue:
    """All works of a completions stage: shard ids and counters only, however many prompts there are.

    Args:
        shards: shard id → number of prompts, in the order to be handed out.
        limits: how many deaths mean what.
        known: shards of which some answers are kept already.
    """

    def __init__(self, shards: Mapping[str, int], limits: Limits, known: Set[str] = frozenset()) -> None:
        self._prompts = dict(shards)
        self._limits, self._known = limits, known
        self._pending: deque[Work] = deque(self._work(shard) for shard in shards)
        self._pending_alone: deque[Work] = deque()
        self._deaths: dict[str, int] = {}
        self._deaths_in_merge: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._suspects: dict[str, _Suspect] = {}
        self.finished = 0

    @property
    def open(self) -> int:
        """Shards without a completions file yet."""
        return len(self._prompts) - self.finished

    @property
    def pending_alone(self) -> int:
        """Suspect works that wait for an idle replica."""
        return len(self._pending_alone)

    def lasts_for(self, works: int) -> bool:
        """Whether so many works are left, as many as all replicas would take if they held what one holds in advance."""
        return len(self._pending) >= works

    def take(self, idle: bool) -> Work | None:
        """The next work for a replica; suspect works go first, and only to an idle one."""
        if idle and self._pending_alone:
            return self._pending_alone.popleft()
        return self._pending.popleft() if self._pending else None

    def done(self, work: Work) -> None:
        """A work came back well."""
        self._failures.pop(work.shard, None)
        if work.stop is None:
            self.finished += 1
            self._suspects.pop(work.shard, None)
            return
        suspect = self._suspects[work.shard]
        suspect.done.append((work.start, work.stop))
        self._close_range(work.shard, suspect, opened=0)

    def give_back(self, works: Iterable[Work]) -> None:
        """A replica left without blame (its node was lost, the job drains): its works go to the front again."""
        for work in works:
            (self._pending_alone if work.alone else self._pending).appendleft(work)

    def failed(self, work: Work) -> int:
        """A work failed while its engine was well: it goes to the front again; returns how often its shard did so."""
        self.give_back([work])
        failures = self._failures[work.shard] = self._failures.get(work.shard, 0) + 1
        return failures

    def died(self, works: Iterable[Work]) -> list[str]:
        """A replica died with these works in flight; decide what becomes of each.

        Returns:
            Why the job must be given up, one sentence each; empty when it goes on.
        """
        verdicts = [self._died(work) for work in works]
        return [reason for reason in verdicts if reason is not None]

    def killers(self, shard: str) -> list[int]:
        """Prompts of a suspect shard that were given up, as row numbers."""
        return sorted(self._suspects[shard].killers) if shard in self._suspects else []

    def ranges(self, shard: str) -> list[tuple[int, int]]:
        """Finished ranges of a suspect shard, in order."""
        return sorted(self._suspects[shard].done) if shard in self._suspects else []

    def deaths(self) -> dict[str, int]:
        """Deaths that shards saw as a whole; only shards that saw one."""
        return dict(self._deaths)

    def _died(self, work: Work) -> str | None:
        if work.stop is not None:
            return self._died_alone(work, work.stop)
        counters = self._deaths_in_merge if work.merge else self._deaths
        deaths = counters[work.shard] = counters.get(work.shard, 0) + 1
        if not work.merge and deaths >= self._limits.suspect_after:
            prompts = self._prompts[work.shard]
            self._suspects[work.shard] = _Suspect(prompts)
            self._pending_alone.append(self._work(work.shard, 0, prompts))
            return None
        self.give_back([work])
        return f"shard {work.shard} saw {deaths} deaths of its replica" if deaths >= self._limits.max_attempts else None

    def _died_alone(self, work: Work, stop: int) -> str | None:
        suspect = self._suspects[work.shard]
        if stop - work.start > 1:
            pieces = split_range(work.start, stop, PIECES)
            self._pending_alone.extendleft(self._work(work.shard, *piece) for piece in reversed(pieces))
            self._close_range(work.shard, suspect, opened=len(pieces))
            return None
        kills = suspect.kills[work.start] = suspect.kills.get(work.start, 0) + 1
        if kills < self._limits.max_kills:
            self._pending_alone.appendleft(work)
            return None
        suspect.killers.append(work.start)
        self._close_range(work.shard, suspect, opened=0)
        if len(suspect.killers) > self._limits.max_killers:
            return f"shard {work.shard} has {len(suspect.killers)} prompts that killed their engine when run alone"
        return None

    def _close_range(self, shard: str, suspect: _Suspect, opened: int) -> None:
        suspect.open_ranges += opened - 1
        if suspect.open_ranges == 0:
            self._pending.appendleft(Work(shard, merge=True))

    def _work(self, shard: str, start: int = 0, stop: int | None = None) -> Work:
        return Work(shard, start, stop, known=shard in self._known)


class NodeHealth:
    """Which nodes to keep away from: those where start-ups, or replicas with whole shards, failed again and again.

    Deaths of suspect works say nothing about a node, and one finished work clears it.

    Args:
        limit: failures in a row that put a node into quarantine.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._failed_starts: dict[str, int] = {}
        self._deaths: dict[str, int] = {}

    @property
    def quarantined(self) -> frozenset[str]:
        """Nodes where no further replica should go while there are others."""
        counters = (*self._failed_starts.items(), *self._deaths.items())
        return frozenset(node for node, failures in counters if failures >= self._limit)

    def start_failed(self, node: str) -> None:
        """A replica could not load there; a node of no name (never placed) is nobody's."""
        if node:
            self._failed_starts[node] = self._failed_starts.get(node, 0) + 1

    def started(self, node: str) -> None:
        """A replica loaded there."""
        self._failed_starts.pop(node, None)

    def died(self, node: str, works: Iterable[Work]) -> None:
        """A loaded replica died there with these works in flight."""
        if node and not any(work.alone for work in works):
            self._deaths[node] = self._deaths.get(node, 0) + 1

    def worked(self, node: str) -> None:
        """A work was finished there."""
        self._deaths.pop(node, None)

    def choose(self, nodes: Iterable[str], load: Mapping[str, int]) -> str | None:
        """The emptiest healthy one of these nodes; None when all are alike (healthy or not) and Ray may choose.

        Args:
            nodes: nodes that could hold a replica.
            load: replicas per node.
        """
        nodes = list(nodes)
        healthy = [node for node in nodes if node not in self.quarantined]
        if len(healthy) == len(nodes):
            return None
        return min(healthy, key=lambda node: load.get(node, 0), default=None)


def shards_within(shards: Iterable[Shard], prompts: int | None) -> list[Shard]:
    """The shards that may be asked under a limit of prompts, larger ones first; None is no limit."""
    allowed, left = [], prompts
    for shard in sorted(shards, key=lambda shard: (-shard.asked, shard.name)):
        if left is None or shard.asked <= left:
            allowed.append(shard)
            left = None if left is None else left - shard.asked
    return allowed


def order_shards(shards: Iterable[Shard]) -> dict[str, int]:
    """Hand-out order as id → number of prompts: the largest first, so that the tail of the job is short."""
    ranked = sorted(shards, key=lambda shard: (-shard.estimated_tokens, shard.name))
    return {shard.name: shard.prompts for shard in ranked}


def split_range(start: int, stop: int, pieces: int) -> list[tuple[int, int]]:
    """`[start, stop)` in at most `pieces` ranges whose lengths differ by at most one."""
    count = min(pieces, stop - start)
    borders = [start + (stop - start) * i // count for i in range(count + 1)]
    return list(itertools.pairwise(borders))


def backoff(failures: int, first_s: float, longest_s: float = 60.0) -> float:
    """Seconds to wait before the next try after so many failures in a row: doubling, capped."""
    if failures <= 0:
        return 0.0
    # A long job beside one broken node fails thousands of times in a row; 2.0**1024 is no float any more.
    return float(min(longest_s, first_s * 2.0 ** min(failures - 1, 64)))


def gives_up_starting(failed_in_row: int, limit: int, ready: int) -> bool:
    """Whether so many start-ups failed in a row that none will ever work; with a loaded replica the job goes on."""
    return not ready and failed_in_row >= limit


def never_answers(deaths_in_row: int, limit: int, answered: bool) -> bool:
    """Whether replicas load but die, and nothing was ever answered: then the engine is to blame and not a prompt.

    Args:
        answered: whether any prompt of this run was answered, now or by an earlier start.
    """
    return not answered and deaths_in_row >= limit


def replicas_that_fit(nodes: Iterable[Mapping[str, float]], gpus: int, cpus: float, memory: float) -> int:
    """How many replicas a cluster holds, counted node by node since a replica never spans nodes.

    Args:
        nodes: each node's total resources in Ray's terms (`GPU`, `CPU` in counts, `memory` in bytes).
        gpus: GPUs of one replica; then only GPUs count.
        cpus: cores of one CPU replica.
        memory: bytes of one CPU replica; 0 if memory does not count.
    """
    if gpus:
        return sum(int(node.get("GPU", 0) // gpus) for node in nodes)

    def fit(node: Mapping[str, float]) -> int:
        by_cores = int(node.get("CPU", 0) // cpus)
        return min(by_cores, int(node.get("memory", 0) // memory)) if memory else by_cores

    return sum(fit(node) for node in nodes)


def is_stuck(now_s: float, last_progress_s: float, limit_s: float, busy: bool) -> bool:
    """Whether a replica that has work went without a new token or a finished prompt for too long."""
    return busy and now_s - last_progress_s > limit_s
