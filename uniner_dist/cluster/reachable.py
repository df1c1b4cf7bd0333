"""Checks that a configured Ray cluster accepts connections, without starting or joining anything."""

from __future__ import annotations

import os
import socket
from typing import Final

from uniner_dist.config.running import RAY_HOST
from uniner_dist.core.characters import visible
from uniner_dist.runtime.compat.ray_internals import address_of_this_machine

_WAIT_S: Final = 5.0


def unreachable(address: str) -> str | None:
    """Return a message on why an address cannot be joined; None where it accepts connections, or names no host.

    A host is given 5 s to accept.

    Args:
        address: as `ray.address` of the configuration; `auto` means RAY_ADDRESS where that is set, as for Ray itself.
    """
    named = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if named in ("", "auto"):
        found_here = address_of_this_machine() is not None
        return None if found_here else "auto: no Ray cluster runs on this machine, and RAY_ADDRESS is unset"
    found = RAY_HOST.match(named)
    if found is None:
        return None
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=_WAIT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        where = f" (RAY_ADDRESS is {visible(named)})" if named != address else ""
        return f"{address}{where}: {getattr(error, 'strerror', None) or error}"
    return None
