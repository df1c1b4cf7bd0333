"""Checks whether the Ray cluster that a configuration names answers; nothing is started and nothing is joined."""

from __future__ import annotations

from uniner_dist.cluster.reachable import unreachable
from uniner_dist.config.running import RAY_HOST
from uniner_dist.doctor.finding import Finding, problem


def check_ray_address(address: str) -> list[Finding]:
    """Return one finding: whether the configured Ray cluster accepts connections.

    Args:
        address: `ray.address` of the configuration. `host:port` is connected to, and for `auto` a cluster must run on
            this machine or in RAY_ADDRESS; other values are only named in the finding.
    """
    refused = unreachable(address)
    if refused is not None:
        advice = "start the cluster, or check host, port and firewall"
        return [problem("Engines", "ray.address", refused, advice)]
    named = f"{address} takes connections" if RAY_HOST.match(address) else address
    return [Finding("Engines", "ray.address", named)]
