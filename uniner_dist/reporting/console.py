"""A console whose output holds nothing that a terminal obeys, but what rich itself says to the terminal.

Who prints a value of a corpus makes it `visible` there already; this is the second lock, for what was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from uniner_dist.core.characters import visible


class SafeConsole(Console):
    """rich's console; every text that it renders is `visible`, however it came there."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Segments of a renderable, as rich wants them."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(visible(segment.text, keep="\n"), segment.style)
