"""Which replica gets which work item next. Pure: no Ray, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from uniner_dist.completions.queue import WorkQueue
from uniner_dist.completions.slots import Slot
from uniner_dist.completions.work import WorkItem


def hand_out(slots: Sequence[Slot], queue: WorkQueue, most: int) -> Iterator[tuple[Slot, WorkItem]]:
    """Yield work items for the loaded replicas, the emptiest first; the caller sends each before it asks for the next.

    No replica holds more than others could still get: towards the end a second one would wait while another is idle.

    Args:
        slots: all replicas; those that have not loaded get nothing.
        queue: the work items that nobody holds yet; what is yielded is taken from it.
        most: work items that one replica may hold.

    Yields:
        A replica, and the item to send to it.
    """
    ready = [slot for slot in slots if slot.loaded]
    # While suspect items wait, one replica is let run empty so that they get their turn alone.
    isolated = ready[0] if ready and queue.pending_alone else None
    for _ in range(most):
        for slot in sorted(ready, key=lambda slot: len(slot.held)):
            if slot.alone or len(slot.held) >= most:
                continue
            if slot.held and (slot is isolated or not queue.lasts_for(len(ready) * len(slot.held))):
                continue
            item = queue.take(idle=not slot.held)
            if item is not None:
                yield slot, item
