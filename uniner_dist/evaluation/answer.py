"""Raw outputs as evaluation sees them. Pure; no I/O."""

from __future__ import annotations

import json


def is_passage_outputs(raw_output: str) -> bool:
    """Return whether a raw output is the list of outputs of a document of several passages.

    Such a document has no single output: the mentions located in it are its answer, and none if a passage failed. A
    model that wrote this very form would have no official answer either, so nothing is lost by the ambiguity.

    Args:
        raw_output: value of the column `raw_output` of the annotations: what the model wrote, or the JSON list of
            `{"start": …, "output": …}` that the annotations stage writes for several passages.
    """
    if not raw_output.startswith('[{"start": '):
        return False
    try:
        parts = json.loads(raw_output)
    except (ValueError, RecursionError):
        return False
    return all(isinstance(part, dict) and part.keys() == {"start", "output"} for part in parts)
