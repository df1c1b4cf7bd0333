"""What is used of Ray's private modules."""

from __future__ import annotations


def address_of_this_machine() -> str | None:
    """`host:port` of the cluster that `ray.init("auto")` would join; None where there is none.

    Ray's public functions say so only by trying to join.
    """
    from ray._private import services

    try:
        address: str | None = services.canonicalize_bootstrap_address("auto")
    except ConnectionError:
        return None
    return address
