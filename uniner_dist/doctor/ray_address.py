"""Whether the Ray cluster that a configuration names answers at all; nothing is started and nothing is joined."""

from __future__ import annotations

import re
import socket
from typing import Final

from uniner_dist.doctor.finding import Finding, problem

_HOST: Final = re.compile(r"^(?:ray://)?(\[[^\]]+\]|[^:/]+):(\d+)$")
_WAIT_S: Final = 5.0


def check_ray_address(address: str) -> list[Finding]:
    """A connection to `host:port`; other addresses are only named."""
    found = _HOST.match(address)
    if found is None:
        return [Finding("Engines", "ray.address", address)]
    host, port = found[1].strip("[]"), int(found[2])
    try:
        socket.create_connection((host, port), timeout=_WAIT_S).close()
    except OSError as error:
        advice = "start the cluster, or check host, port and firewall"
        return [problem("Engines", "ray.address", f"{address}: {error.strerror or error}", advice)]
    return [Finding("Engines", "ray.address", f"{address} takes connections")]
