"""What became of one (document, entity type): the closed list of outcomes, and how passages combine. Pure."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """Outcome of one cell. `FOUND` and `NONE` are answers, everything else is a named failure."""

    FOUND = "found"  # the answer lists at least one mention
    NONE = "none"  # the answer is an empty list
    TRUNCATED = "truncated"  # cut off by max_tokens; the complete items are kept
    UNPARSEABLE = "unparseable"  # the answer is no list, and no unambiguous repair exists
    TOO_LONG = "too_long"  # the prompt does not fit the model's context
    ENGINE_ERROR = "engine_error"  # the engine refused this prompt
    KILLER = "killer"  # the prompt killed or hung its engine repeatedly and was quarantined

    @property
    def is_failure(self) -> bool:
        """True for everything but `FOUND` and `NONE`."""
        return self not in _ANSWERS


_ANSWERS = (Outcome.FOUND, Outcome.NONE)

#: Worst first: a document's outcome is the worst failure among its passages, else FOUND if any passage found something.
SEVERITY: tuple[Outcome, ...] = (
    Outcome.KILLER,
    Outcome.ENGINE_ERROR,
    Outcome.TOO_LONG,
    Outcome.UNPARSEABLE,
    Outcome.TRUNCATED,
    Outcome.FOUND,
    Outcome.NONE,
)


def worst(outcomes: list[Outcome]) -> Outcome:
    """The outcome of a document from those of its passages (at least one).

    Entities found in the good passages are kept beside a failure, so a partial answer is never taken for a whole one.
    """
    return min(outcomes, key=SEVERITY.index)


#: A reason of which nothing is written: the document was erased on request, and has not changed since.
ERASED = "erased"
