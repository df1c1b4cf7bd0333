"""Outcomes of one (document, entity type), a closed list, and how those of passages combine. Pure."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """Outcome of one cell: `FOUND` and `NONE` are answers, `SKIPPED` was not asked, the others are named failures."""

    FOUND = "found"  # the answer lists at least one mention
    NONE = "none"  # the answer is an empty list
    SKIPPED = "skipped"  # predicted as empty by triage, and not asked
    TRUNCATED = "truncated"  # cut off by max_tokens; the complete items are kept
    UNPARSEABLE = "unparseable"  # the answer is no list, and no unambiguous repair exists
    TOO_LONG = "too_long"  # the prompt does not fit the model's context
    ENGINE_ERROR = "engine_error"  # the engine refused this prompt
    KILLER = "killer"  # the prompt killed or hung its engine repeatedly and was quarantined

    @property
    def is_failure(self) -> bool:
        """True where an answer was wanted and none, or only a part of one, was obtained."""
        return self not in (*_ANSWERS, Outcome.SKIPPED)

    @property
    def is_answer(self) -> bool:
        """Whether this is an answer about the text: False for failures and for what was not asked."""
        return self in _ANSWERS


_ANSWERS = (Outcome.FOUND, Outcome.NONE)

#: Worst first: a document's outcome is the worst failure among its passages, else FOUND if any passage found something,
#: else SKIPPED if any was not asked.
SEVERITY: tuple[Outcome, ...] = (
    Outcome.KILLER,
    Outcome.ENGINE_ERROR,
    Outcome.TOO_LONG,
    Outcome.UNPARSEABLE,
    Outcome.TRUNCATED,
    Outcome.FOUND,
    Outcome.SKIPPED,
    Outcome.NONE,
)


def worst(outcomes: list[Outcome]) -> Outcome:
    """Return the outcome of a document, given those of its passages.

    Entities found in the good passages are kept next to a failure, so a partial answer is never taken for a whole one.

    Args:
        outcomes: one for each passage, in any order; at least one.
    """
    return min(outcomes, key=SEVERITY.index)


#: A reject reason that is only counted, not written: the document was erased on request, and has not changed since.
ERASED = "erased"
