"""Control of Python's cyclic garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: New objects that are alive before the collector runs: thousands of documents, which have no reference cycles, are
#: otherwise traversed again and again (a quarter of the CPU time of an export).
_OBJECTS: Final = 1_000_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Run the cyclic garbage collector some thousand times less often in this block; reference counting is unchanged.

    Yields:
        Nothing; the previous threshold is restored after the block.
    """
    before = gc.get_threshold()
    if before[0]:  # else the caller has switched collections off
        gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
