"""A console whose output holds nothing that a terminal obeys, but what rich itself says to the terminal.

Who prints a value of a corpus makes it `visible` there already; this is the second lock, for what was forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.segment import Segment

from uniner_dist.core.characters import visible

#: Columns of what is no terminal; rich wants a number.
_UNBOUNDED: Final = 10_000


class SafeConsole(Console):
    """rich's console; every text that it renders is `visible`, however it came there.

    What is no terminal has no width: its lines are not wrapped, unless COLUMNS says at which column.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        is_shown = self.is_terminal or self.is_jupyter or self.record
        if not is_shown and options.get("width") is None and "COLUMNS" not in os.environ:
            self.width = _UNBOUNDED

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Segments of a renderable, as rich wants them."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(visible(segment.text, keep="\n"), segment.style)
