"""Detection of completions other than the empty list. Pure; no Spark."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.parse import parse_output

#: How engines spell the empty list, after a prompt that ends without a blank and after one that does not.
EMPTY_OUTPUTS = (" []", "[]")


def is_filled(completions: pa.Table) -> pa.Array:
    """Return a mask of the completions that are anything other than the empty list; failures count as filled.

    Args:
        completions: rows with `output` and `finish_reason`, as `schemas.COMPLETIONS` has them; a null output is a
            failure or was skipped.

    Returns:
        Booleans without nulls, one per row.
    """
    outputs = completions["output"]
    empty = pc.fill_null(pc.is_in(outputs, pa.array(EMPTY_OUTPUTS)), False).combine_chunks()
    rest = pc.indices_nonzero(pc.and_(pc.invert(empty), pc.is_valid(outputs).combine_chunks()))
    texts, reasons = (completions[name].take(rest).to_pylist() for name in ("output", "finish_reason"))
    none = [parse_output(text, reason).outcome is Outcome.NONE for text, reason in zip(texts, reasons, strict=True)]
    also_empty = rest.filter(pa.array(none, pa.bool_()))
    filled = ~empty.to_numpy(zero_copy_only=False)
    filled[also_empty.to_numpy()] = False
    return pa.array(filled)
