"""Live views of a stage's state: redrawn in place in a terminal or a notebook, an occasional line in a log.

Also keeps the latest state on storage, from where `status` reads it, on any machine and after a crash.
"""

from __future__ import annotations

import importlib
import io
import threading
import time
from types import TracebackType
from typing import Any, ClassVar

from rich.console import Console
from rich.live import Live

from uniner_dist.core.characters import visible
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.progress import State, line, view
from uniner_dist.runtime.compat.spark_internals import java_of
from uniner_dist.runtime.logs import draws, news, shows_news
from uniner_dist.storage.control_files import SparkProgress, write_record
from uniner_dist.storage.retries import StorageError

#: Seconds between two lines of a log, two writings to storage, and two redraws.
LINE_S, STATUS_S, DRAW_S = 30.0, 5.0, 0.5
#: Columns of the view in a notebook.
_CELL_WIDTH = 90


class LiveView:
    """A view of a running stage, used as a context manager; call `show` as often as you like.

    Args:
        path: path or URL of a JSON file that is kept current.
        console: where to draw; default: stderr, or the notebook's cell.
        first_line_s: seconds until the first line of a log; a stage that takes less logs nothing.
    """

    #: Views that are open, the innermost last: only that one draws. A gate's view is open while its runs have theirs.
    _open: ClassVar[list[LiveView]] = []
    _lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, path: str, console: Console | None = None, first_line_s: float = LINE_S) -> None:
        self._path = path
        self._console = console or SafeConsole(stderr=True)
        self._draws = self._console.is_jupyter or (self._console.is_terminal and shows_news() and draws())
        self._live: Live | None = None
        self._cell: Any = None  # handle of a notebook's output
        self._is_final = False
        now = time.monotonic()
        self._next_line_s, self._next_status_s, self._next_draw_s = now + first_line_s, now, now

    def __enter__(self) -> LiveView:
        with self._lock:
            for other in self._open:
                other._hide()
            self._open.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._hide()
            self._open.remove(self)

    def due(self) -> bool:
        """Return whether `show` would do anything now."""
        shown_s = self._next_draw_s if self._draws else self._next_line_s
        return time.monotonic() >= min(shown_s, self._next_status_s)

    def show(self, state: State, final: bool = False) -> None:
        """Show and write what is due.

        A failure to write to storage is ignored; the next attempt is made after ten times the usual interval.

        Args:
            state: the latest state of the stage.
            final: whether this is the last state: it is drawn and written even if that is not due, and stays in a
                notebook's cell. A line of a log is printed only when it is due.
        """
        now = time.monotonic()
        self._is_final = final
        if self._draws:
            if final or now >= self._next_draw_s:
                self._next_draw_s = now + DRAW_S
                self._draw(state)
        elif now >= self._next_line_s:
            self._next_line_s = now + LINE_S
            news(visible(line(state)))
        if final or now >= self._next_status_s:
            self._next_status_s = now + STATUS_S
            # News for people must not stop the work: what matters fails at the next commit.
            try:
                write_record(self._path, state)
            except (StorageError, OSError):
                self._next_status_s = now + 10 * STATUS_S

    def _draw(self, state: State) -> None:
        with self._lock:
            if self._open[-1:] != [self]:
                return
            if self._console.is_jupyter:
                self._draw_in_cell(state)
                return
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(view(state), refresh=True)

    def _draw_in_cell(self, state: State) -> None:
        """Draw into an output of the notebook's cell that is replaced; rich's own way needs ipywidgets."""
        notebook: Any = importlib.import_module("IPython.display")
        shown = notebook.HTML(as_html(state))
        if self._cell is None:
            self._cell = notebook.display(shown, display_id=True)
        else:
            self._cell.update(shown)

    def _hide(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None
            if self._cell is not None and not self._is_final:
                # A state that was drawn before the end must not remain there as if it were the final one.
                notebook: Any = importlib.import_module("IPython.display")
                self._cell.update(notebook.HTML(""))


def as_html(state: State) -> str:
    """Return the view as HTML, in the colours of the page around it.

    Args:
        state: the latest state of a stage.
    """
    console = SafeConsole(record=True, file=io.StringIO(), force_jupyter=False, force_terminal=True, width=_CELL_WIDTH)
    console.print(view(state))
    style = "white-space: pre; line-height: 1.3; font-family: monospace; overflow-x: auto"
    return console.export_html(inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>')


class SparkWatch:
    """A thread that polls the running jobs of a Spark session and shows their progress.

    Args:
        spark: a classic session; of a Spark Connect session nothing can be seen.
        stage: name of our stage.
        path: path or URL of a JSON file that is kept current, as for `LiveView`.
    """

    def __init__(self, spark: Any, stage: str, path: str) -> None:
        self._context: Any = spark.sparkContext if java_of(spark) is not None else None
        self._stage, self._path = stage, path
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spark-watch", daemon=True)

    def __enter__(self) -> SparkWatch:
        if self._context is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._context is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        with LiveView(self._path) as shown:
            while not self._done.wait(DRAW_S):
                if shown.due() and (state := self._look()) is not None:
                    shown.show(state)

    def _look(self) -> SparkProgress | None:
        """Tasks of the stages that run right now; None between jobs, and when Spark is gone."""
        from uniner_dist.spark.stage import described

        try:
            tracker = self._context.statusTracker()
            found = [info for i in tracker.getActiveStageIds() if (info := tracker.getStageInfo(i)) is not None]
        except Exception as error:  # py4j has many types; the stage itself reports what happened
            if type(error).__module__.split(".")[0] not in ("py4j", "pyspark") and not isinstance(error, OSError):
                raise
            return None
        if not found:
            return None
        tasks, done = sum(info.numTasks for info in found), sum(info.numCompletedTasks for info in found)
        step = described(self._context.applicationId) or "at work"
        return SparkProgress(at=time.time(), stage=self._stage, step=step, tasks=tasks, tasks_done=done)
