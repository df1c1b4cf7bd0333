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

    Output that is no terminal is not wrapped, unless `width` or COLUMNS sets a width.

    Args:
        options: as for `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        is_shown = self.is_terminal or self.is_jupyter or self.record
        if not is_shown and options.get("width") is None and "COLUMNS" not in os.environ:
            self.width = _UNBOUNDED

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Render a renderable, as rich expects it of a console.

        Args:
            renderable: anything that rich can print.
            options: rich's `ConsoleOptions`; None for those of this console.

        Yields:
            rich's own control codes as they are, and text without other control characters.
        """
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(visible(segment.text, keep="\n"), segment.style)
