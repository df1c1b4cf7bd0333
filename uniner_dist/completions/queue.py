"""Queue of work items: what to hand out next, and how to react to crashes. No Ray, no clock, no I/O.

A *work item* is what one call to a replica does: a whole shard, or a range of a suspect shard's prompts. A shard whose
replica dies again and again is suspect: its prompts are run alone in ranges, and a range that dies is cut until the
poison prompt is found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from uniner_dist.completions.decisions import split_range
from uniner_dist.completions.work import WorkItem

#: A suspect range that dies is cut into this many: a poison prompt among 20,000 is found after about 5 deaths, where
#: halving would take 15, and a death costs a start-up of the engine.
PIECES = 8


@dataclass(frozen=True)
class Limits:
    """Limits of crashes that the pool tolerates.

    Attributes:
        suspect_after: deaths with a shard in flight before it is run alone, in ranges.
        max_crashes: deaths of one prompt run alone before it is given up as poison.
        max_attempts: deaths a shard may see outside of its ranges before the job is given up.
        max_poison: poison prompts one shard may have before the job is given up. Deaths of ranges need no limit of
            their own: each one either makes a range smaller or counts towards a poison prompt.
    """

    suspect_after: int = 2
    max_crashes: int = 2
    max_attempts: int = 10
    max_poison: int = 50


@dataclass
class _Suspect:
    """A shard that is run in ranges: which are done, which prompts were given up."""

    prompts: int
    open_ranges: int = 1
    done: list[tuple[int, int]] = field(default_factory=list)
    poison: list[int] = field(default_factory=list)
    crashes: dict[int, int] = field(default_factory=dict)


class WorkQueue:
    """All work items of a completions stage: shard ids and counters only, however many prompts there are.

    Args:
        shards: shard id → number of prompts, in the order to be handed out.
        limits: numbers of crashes and their consequences.
        known: shards of which some answers are kept already.
    """

    def __init__(self, shards: Mapping[str, int], limits: Limits, known: Set[str] = frozenset()) -> None:
        self._prompts = dict(shards)
        self._limits, self._known = limits, known
        self._pending: deque[WorkItem] = deque(self._work(shard) for shard in shards)
        self._pending_alone: deque[WorkItem] = deque()
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
        """Suspect work items that wait for an idle replica."""
        return len(self._pending_alone)

    def lasts_for(self, items: int) -> bool:
        """Return whether enough items are left that taking one in advance leaves no other replica idle.

        Args:
            items: how many the replicas together would hold in advance if each held as many as the one that asks.
        """
        return len(self._pending) >= items

    def take(self, idle: bool) -> WorkItem | None:
        """Remove the next work item for a replica; suspect ones go first, and only to an idle one.

        Args:
            idle: whether the replica holds no work item.

        Returns:
            The item; None when there is none for this replica now.
        """
        if idle and self._pending_alone:
            return self._pending_alone.popleft()
        return self._pending.popleft() if self._pending else None

    def done(self, item: WorkItem) -> None:
        """Take note of a finished work item; after the last range of a suspect shard its merge is queued, at the front.

        Args:
            item: as it was taken.
        """
        self._failures.pop(item.shard, None)
        if item.stop is None:
            self.finished += 1
            self._suspects.pop(item.shard, None)
            return
        suspect = self._suspects[item.shard]
        suspect.done.append((item.start, item.stop))
        self._close_range(item.shard, suspect, opened=0)

    def requeue(self, items: Iterable[WorkItem]) -> None:
        """Put items back at the front, without blame: their replica was lost through no fault of theirs (lost node).

        Args:
            items: as they were taken.
        """
        for item in items:
            (self._pending_alone if item.alone else self._pending).appendleft(item)

    def failed(self, item: WorkItem) -> int:
        """Put back, at the front, a work item that failed while its engine worked.

        Args:
            item: as it was taken.

        Returns:
            How often work items of its shard have failed so since the last one that was finished, this time included.
        """
        self.requeue([item])
        failures = self._failures[item.shard] = self._failures.get(item.shard, 0) + 1
        return failures

    def died(self, items: Iterable[WorkItem]) -> list[str]:
        """Requeue each item that a replica held when it died, or cut it into ranges, or give up its prompt.

        Args:
            items: as they were taken.

        Returns:
            Why the job must be given up, one sentence each; empty when it goes on.
        """
        verdicts = [self._died(item) for item in items]
        return [reason for reason in verdicts if reason is not None]

    def poison_prompts(self, shard: str) -> list[int]:
        """Return the given-up prompts of a suspect shard as ascending row numbers; empty for other shards.

        Args:
            shard: name of the shard.
        """
        return sorted(self._suspects[shard].poison) if shard in self._suspects else []

    def ranges(self, shard: str) -> list[tuple[int, int]]:
        """Return the finished ranges `(start, stop)` of a suspect shard, sorted by start; empty for other shards.

        Args:
            shard: name of the shard.
        """
        return sorted(self._suspects[shard].done) if shard in self._suspects else []

    def deaths(self) -> dict[str, int]:
        """Return shard → deaths that it saw when it was run as a whole; only shards that saw one."""
        return dict(self._deaths)

    def _died(self, item: WorkItem) -> str | None:
        if item.stop is not None:
            return self._died_alone(item, item.stop)
        counters = self._deaths_in_merge if item.merge else self._deaths
        deaths = counters[item.shard] = counters.get(item.shard, 0) + 1
        if not item.merge and deaths >= self._limits.suspect_after:
            prompts = self._prompts[item.shard]
            self._suspects[item.shard] = _Suspect(prompts)
            self._pending_alone.append(self._work(item.shard, 0, prompts))
            return None
        self.requeue([item])
        return f"shard {item.shard} saw {deaths} deaths of its replica" if deaths >= self._limits.max_attempts else None

    def _died_alone(self, item: WorkItem, stop: int) -> str | None:
        suspect = self._suspects[item.shard]
        if stop - item.start > 1:
            pieces = split_range(item.start, stop, PIECES)
            self._pending_alone.extendleft(self._work(item.shard, *piece) for piece in reversed(pieces))
            self._close_range(item.shard, suspect, opened=len(pieces))
            return None
        crashes = suspect.crashes[item.start] = suspect.crashes.get(item.start, 0) + 1
        if crashes < self._limits.max_crashes:
            self._pending_alone.appendleft(item)
            return None
        suspect.poison.append(item.start)
        self._close_range(item.shard, suspect, opened=0)
        if len(suspect.poison) > self._limits.max_poison:
            return f"shard {item.shard} has {len(suspect.poison)} prompts that killed their engine when run alone"
        return None

    def _close_range(self, shard: str, suspect: _Suspect, opened: int) -> None:
        suspect.open_ranges += opened - 1
        if suspect.open_ranges == 0:
            self._pending.appendleft(WorkItem(shard, merge=True))

    def _work(self, shard: str, start: int = 0, stop: int | None = None) -> WorkItem:
        return WorkItem(shard, start, stop, known=shard in self._known)
