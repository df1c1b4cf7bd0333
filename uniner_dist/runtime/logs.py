"""Log of a command on standard error: plain lines at a terminal, with the time in a log file, or as JSON.

Standard output carries results only. Modules use `logging.getLogger(__name__)`, and so do the commands. A program that
uses this package as a library configures `logging` itself.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["text", "json"]

_LOGGER: Final = logging.getLogger("uniner_dist")


class _StandardError(logging.Handler):
    """Writes to the current `sys.stderr`."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self._line(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        text = record.getMessage()
        if record.exc_info:
            text += f"\n{logging.Formatter().formatException(record.exc_info)}"
        if self._form == "json":
            line = {"time": at, "level": record.levelname.lower(), "logger": record.name, "message": text}
            return json.dumps(line, ensure_ascii=False)
        # A command's final error is not a line of a log: it begins with `error:` wherever it is shown.
        is_plain = sys.stderr.isatty() or record.levelno >= logging.ERROR
        return text if is_plain else f"{at} {text}"


class _OfOthers(_StandardError):
    """Warnings of other libraries, as Python shows them where nothing is configured.

    With a handler there, a library that logs to the root logger (py4j does) does not make Python configure one of its
    own, through which our lines would come a second time.
    """

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.setLevel(logging.WARNING)
        self.addFilter(lambda record: record.name.partition(".")[0] != _LOGGER.name)


def configure(level: Level = "info", form: Form = "text") -> None:
    """Configure the level and form of the package's log; the last call wins.

    Args:
        level: lowest level that is shown.
        form: `text`, or `json` for one JSON object a line: `time` (UTC), `level`, `logger`, `message`.
    """
    for handler in [one for one in _LOGGER.handlers if isinstance(one, _StandardError)]:
        _LOGGER.removeHandler(handler)
    _LOGGER.addHandler(_StandardError(form))
    root = logging.getLogger()
    for other in [one for one in root.handlers if isinstance(one, _OfOthers)]:
        root.removeHandler(other)
    if not root.handlers:
        root.addHandler(_OfOthers(form))
    _LOGGER.setLevel(level.upper())


def configure_by_default() -> None:
    """Configure the log as a command does without options, if it has not been configured yet."""
    if not any(isinstance(one, _StandardError) for one in _LOGGER.handlers):
        configure()


def news(line: str, level: int = logging.INFO) -> None:
    """Log a line for a person; where nothing configures logging, as in a plain script, print it on standard error.

    Args:
        line: text that has no control characters which could steer a terminal, as `core.characters.visible` returns it.
        level: number of one of `logging`'s levels.
    """
    if _LOGGER.hasHandlers():
        _LOGGER.log(level, "%s", line)
    elif level >= _LOGGER.level:
        _StandardError("text").handle(_LOGGER.makeRecord(_LOGGER.name, level, "", 0, line, (), None))


def shows_news() -> bool:
    """Return whether lines of the level `info` are shown, and with them the progress of a stage."""
    return _LOGGER.getEffectiveLevel() <= logging.INFO or not _LOGGER.handlers


def draws() -> bool:
    """Return whether a view may be drawn over and over on standard error: not where each line is JSON."""
    return not any(isinstance(one, _StandardError) and one._form == "json" for one in _LOGGER.handlers)
