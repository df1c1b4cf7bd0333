"""Which nodes replicas keep away from. Counters only: no Ray, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from uniner_dist.completions.work import WorkItem


class NodeHealth:
    """Which nodes to keep away from: those where start-ups, or replicas with whole shards, failed again and again.

    Deaths of suspect work items say nothing about a node, and one finished work item clears it. Nodes are Ray's ids.

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
        """Count a replica that could not load.

        Args:
            node: where it was; empty for one that was never placed, which is counted nowhere.
        """
        if node:
            self._failed_starts[node] = self._failed_starts.get(node, 0) + 1

    def started(self, node: str) -> None:
        """Forget the failed start-ups of a node, since a replica loaded there.

        Args:
            node: where it loaded.
        """
        self._failed_starts.pop(node, None)

    def died(self, node: str, items: Iterable[WorkItem]) -> None:
        """Count a loaded replica that died, unless it was running a suspect work item.

        Args:
            node: where it was; empty if that is unknown, and then it is counted nowhere.
            items: work items that it held.
        """
        if node and not any(item.alone for item in items):
            self._deaths[node] = self._deaths.get(node, 0) + 1

    def worked(self, node: str) -> None:
        """Forget the deaths on a node, since a work item was finished there.

        Args:
            node: where it was finished.
        """
        self._deaths.pop(node, None)

    def choose(self, nodes: Iterable[str], load: Mapping[str, int]) -> str | None:
        """Return the node with the fewest replicas among those that are not in quarantine.

        Args:
            nodes: nodes that could hold a replica.
            load: node → replicas there; a node that is missing has none.

        Returns:
            A node; None when all are alike (all healthy, or all in quarantine) and Ray may choose.
        """
        nodes = list(nodes)
        healthy = [node for node in nodes if node not in self.quarantined]
        if len(healthy) == len(nodes):
            return None
        return min(healthy, key=lambda node: load.get(node, 0), default=None)
