"""Which nodes replicas keep away from. Counters only: no Ray, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from uniner_dist.completions.work import WorkItem


class NodeHealth:
    """Which nodes to keep away from: those where start-ups, or replicas with whole shards, failed again and again.

    Deaths of suspect work items say nothing about a node, and one finished work clears it.

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

    def died(self, node: str, items: Iterable[WorkItem]) -> None:
        """A loaded replica died there with these work items in flight."""
        if node and not any(item.alone for item in items):
            self._deaths[node] = self._deaths.get(node, 0) + 1

    def worked(self, node: str) -> None:
        """A work item was finished there."""
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
