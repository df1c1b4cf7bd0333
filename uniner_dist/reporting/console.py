"""A rich console that prints no control characters other than those that rich itself emits.

Callers make values of a corpus `visible` themselves; this is the second line of defence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.segment import Segment

from uniner_dist.core.characters import visible

#: Width of output that is no terminal; rich needs a number.
_UNBOUNDED: Final = 10_000


class SafeConsole(Console):
    """rich's console; every text that it renders is made `visible`.

    Output that is no terminal is not wrapped, unless COLUMNS sets a width.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        is_shown = self.is_terminal or self.is_jupyter or self.record
        if not is_shown and options.get("width") is None and "COLUMNS" not in os.environ:
            self.width = _UNBOUNDED

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Segments of a renderable, as rich expects them."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(visible(segment.text, keep="\n"), segment.style)
