"""Placement of replicas: how many the cluster fits, on which nodes, which nodes to avoid, which are lost.

Turns the pool's settings and Ray's list of nodes into actors, requested but perhaps not placed yet. Counting and
choosing are in `decisions` and `node_health`; this module applies them to Ray.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from uniner_dist.completions.decisions import replicas_that_fit
from uniner_dist.completions.node_health import NodeHealth
from uniner_dist.completions.replica import Replica, ReplicaSpec
from uniner_dist.config.schema import PoolConfig
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import StoreLayout

#: Memory reserved for one CPU replica: 1.9 GB measured with the demo model, in-process engine.
_CPU_REPLICA_BYTES = 5 * 2**29
#: Seconds for which a node that does not answer counts as lost although the gcs calls it alive.
_SILENCE_S = 60.0


class Placement:
    """Asks Ray for replicas.

    Args:
        ray: the connected `ray` module.
        config: how many replicas, and what one needs.
        spec: what every replica loads.
        env: environment of the replicas' processes, set before they import anything.
    """

    def __init__(self, ray: Any, config: PoolConfig, spec: ReplicaSpec, env: Mapping[str, str]) -> None:
        self._ray, self._config, self._spec, self._env = ray, config, spec, dict(env)
        self._reserved_bytes = 0
        #: Health of the nodes; the pool reports events to it.
        self.health = NodeHealth(config.max_start_failures)
        self._silent_since_s: dict[str, float] = {}

    def wanted(self, open_shards: int) -> int:
        """Return how many replicas to have: as configured, or what fits right now, but not more than open shards.

        Args:
            open_shards: shards that are not finished; 0 means that they are not known yet, and then all that fit are
                wanted.

        Returns:
            At least 1, also on a cluster that seems too small for one.
        """
        config = self._config
        if config.replicas != "auto":
            fit = config.replicas
        else:
            nodes = [node.resources for node in self._alive()]
            fit = replicas_that_fit(nodes, config.gpus_per_replica, config.cpus_per_replica, _CPU_REPLICA_BYTES)
            # What was counted by memory is placed by memory; a machine too small for the estimate still gets a try.
            self._reserved_bytes = 0 if config.gpus_per_replica or not fit else _CPU_REPLICA_BYTES
            fit = max(1, fit)
        return min(fit, max(open_shards or fit, 1))

    def begin(self, layout: RunLayout, store: StoreLayout) -> None:
        """Let replicas that are created from now on work in other folders.

        Args:
            layout: folders of the run whose shards they answer.
            store: folders of the store that gets the answers.
        """
        self._spec = replace(self._spec, layout=layout, store=store)

    def create(self, taken: Iterable[str]) -> Any:
        """Ask Ray for one more replica.

        Args:
            taken: nodes of the present replicas, one entry per replica; empty strings for those that are not placed.

        Returns:
            The handle of its actor, which may not be placed yet.
        """
        config = self._config
        options = {
            "num_gpus": config.gpus_per_replica,
            "num_cpus": config.cpus_per_replica if not config.gpus_per_replica else 1,
            "memory": self._reserved_bytes or None,
            "max_restarts": 0,
            "max_concurrency": config.shards_in_flight + 4,
            "runtime_env": {"env_vars": self._env},
            "scheduling_strategy": self._strategy(taken),
        }
        return self._ray.remote(Replica).options(**options).remote(self._spec)

    def is_gone(self, name: str) -> bool:
        """Return whether a node is lost, by a connection of our own: the gcs learns of it only some 15 s later.

        A node that takes no connection while the gcs calls it alive counts as lost for 60 s.

        Args:
            name: Ray's id of the node; empty for a replica that was never placed, whose node is not lost.
        """
        if not name:
            return False
        node = next((node for node in self._nodes() if node.id == name), None)
        if node is None or not node.alive:
            return True
        if _answers(node):
            self._silent_since_s.pop(name, None)
            return False
        # A node that the gcs calls alive for longer is one that only we cannot reach: then deaths count again.
        return time.monotonic() - self._silent_since_s.setdefault(name, time.monotonic()) < _SILENCE_S

    def placed(self, name: str) -> None:
        """Take note that a replica was placed on a node: if the node was silent and answers again, its silence is over.

        Args:
            name: Ray's id of the node.
        """
        if name in self._silent_since_s:
            self.is_gone(name)

    def _strategy(self, taken: Iterable[str]) -> Any:
        """Spread over the nodes, and keep away from those in quarantine while there are others."""
        node = self.health.choose(self._rooms(), Counter(taken))
        if node is None:
            # Packed on one node, which is Ray's default, CPU replicas would run out of its memory.
            return "SPREAD"
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node, soft=True)

    def _rooms(self) -> list[str]:
        """Nodes that, if they were empty, could hold a replica."""
        needs = self._config.gpus_per_replica, self._config.cpus_per_replica
        return [n.id for n in self._alive() if replicas_that_fit([n.resources], *needs, memory=0.0)]

    def _alive(self) -> list[_RayNode]:
        return [node for node in self._nodes() if node.alive]

    def _nodes(self) -> list[_RayNode]:
        return [
            _RayNode(n["NodeID"], n["Alive"], n["Resources"], (n["NodeManagerAddress"], n["NodeManagerPort"]))
            for n in self._ray.nodes()
        ]


@dataclass(frozen=True)
class _RayNode:
    """A node as `ray.nodes()` describes it; `raylet` is the address of its raylet."""

    id: str
    alive: bool
    resources: Mapping[str, float]
    raylet: tuple[str, int]


def _answers(node: _RayNode) -> bool:
    """Whether the raylet of a node takes connections."""
    try:
        socket.create_connection(node.raylet, timeout=2).close()
    except OSError:
        return False
    return True
