"""Count differences, one (document, entity type) after the other, and divide at the end.

The result is counts, rates and examples. A tally can be converted to rows and added to another one, so that Spark's
tasks count their part and the driver adds them up: its size grows with types and groups, never with documents.
Intervals need independent pieces, not single documents: each document falls into one of `BUCKETS` by its id, and the
bootstrap draws buckets, which are documents as long as these are few.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from uniner_dist.comparison.figures import Differences, Example, TallySummary
from uniner_dist.core.differences import Cell, Changes, Mention, compare_mentions
from uniner_dist.core.scoring import Counts, bootstrap_intervals, total
from uniner_dist.storage.control_files import RateIntervals

BUCKETS: Final = 512
#: Examples kept of each kind of change of each entity type.
EXAMPLES: Final = 5
#: Mentions shown in one example.
_LISTED: Final = 10
#: The group of cells whose `by` column is null.
NO_GROUP: Final = "(none)"

#: Counters: cells on both sides, those with equal answers, mentions of each side, what became of them, and cells on one
#: side alone. In this order in `_Numbers` and in rows.
COUNTERS: Final = (
    "cells",
    "same",
    "mentions_before",
    "mentions_after",
    "kept",
    "moved",
    "borders",
    "vanished",
    "appeared",
    "only_before",
    "only_after",
)
_Numbers = list[int]
_Key = tuple[str, str, int]
_Examples = list[tuple[int, str]]

#: A tally as rows: counters by (scope, name, bucket), and with a `kind`, in bucket -1, the cells of an entity type that
#: changed in this way, with examples.
TALLY: Final = pa.schema(
    [
        pa.field("scope", pa.string(), nullable=False),  # "all" | "type" | "by"
        pa.field("name", pa.string(), nullable=False),
        pa.field("bucket", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        *[pa.field(name, pa.int64(), nullable=False) for name in COUNTERS],
        pa.field("examples", pa.list_(pa.struct([("rank", pa.int64()), ("example", pa.string())])), nullable=False),
    ]
)


class Tally:
    """Counts of differences so far."""

    def __init__(self) -> None:
        self._counters: dict[_Key, _Numbers] = {}
        self._kinds: dict[tuple[str, str], tuple[int, _Examples]] = {}

    def add(
        self, doc_id: str, entity_type: str, before: Cell | None, after: Cell | None, group: str | None = None
    ) -> None:
        """Count one cell, the answers for a (document, entity type).

        Args:
            doc_id: document id, as a string; it decides the bucket.
            entity_type: the entity type that was asked.
            before: the answer of the earlier side; None if it has none.
            after: the answer of the later side; None if it has none. One side must have an answer.
            group: value of the `by` column; None without such a column.
        """
        keys = _keys(entity_type, group, bucket_of(doc_id))
        if before is None or after is None:
            self._count(keys, {"only_after" if before is None else "only_before": 1})
            return
        changes = compare_mentions(before.mentions, after.mentions)
        same = changes.none and before.outcome == after.outcome
        counts = {
            "cells": 1,
            "same": int(same),
            "mentions_before": len(set(before.mentions)),
            "mentions_after": len(set(after.mentions)),
            "kept": changes.kept,
            "moved": len(changes.moved),
            "borders": len(changes.borders),
            "vanished": len(changes.vanished),
            "appeared": len(changes.appeared),
        }
        self._count(keys, counts)
        if not same:
            self._note(doc_id, entity_type, before, after, changes)

    def add_equal(self, entity_type: str, group: str | None, bucket: int, cells: int, mentions: int) -> None:
        """Count cells that the JVM has found to be equal.

        Args:
            entity_type: the entity type that was asked.
            group: value of the `by` column; None without such a column.
            bucket: bucket of the cells' documents, as `bucket_of` returns it.
            cells: number of cells.
            mentions: number of different mentions that each side of these cells has, all together.
        """
        counts = dict.fromkeys(("mentions_before", "mentions_after", "kept"), mentions)
        self._count(_keys(entity_type, group, bucket), {"cells": cells, "same": cells, **counts})

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Add a row of another tally.

        Args:
            row: column of `TALLY` → value.
        """
        if row["kind"]:
            examples = [(item["rank"], item["example"]) for item in row["examples"]]
            self._add_kind(row["name"], row["kind"], row["cells"], examples)
        else:
            self._count([(row["scope"], row["name"], row["bucket"])], {name: row[name] for name in COUNTERS})

    def to_arrow(self) -> pa.RecordBatch:
        """Return all counts and examples as rows of `TALLY`, which `add_row` takes."""
        rows: list[dict[str, object]] = []
        for (scope, name, bucket), numbers in self._counters.items():
            counts = dict(zip(COUNTERS, numbers, strict=True))
            rows.append({"scope": scope, "name": name, "bucket": bucket, "kind": "", "examples": [], **counts})
        for (entity_type, kind), (cells, examples) in self._kinds.items():
            shown = [{"rank": rank, "example": example} for rank, example in examples]
            row = {"scope": "type", "name": entity_type, "bucket": -1, "kind": kind, "examples": shown}
            rows.append(row | dict.fromkeys(COUNTERS, 0) | {"cells": cells})
        return pa.RecordBatch.from_pylist(rows, schema=TALLY)

    def summary(self) -> TallySummary:
        """Return the counts, their rates and the examples; see docs/growing.md."""
        scopes: dict[str, dict[str, list[_Numbers]]] = {"all": {"": []}, "type": {}, "by": {}}
        for (scope, name, _), numbers in sorted(self._counters.items()):
            scopes[scope].setdefault(name, []).append(numbers)
        outcomes: Counter[str] = Counter()
        of_type: dict[str, dict[str, int]] = {}
        examples: dict[str, dict[str, tuple[Example, ...]]] = {}
        for (entity_type, kind), (cells, shown) in sorted(self._kinds.items()):
            found = tuple(Example.model_validate_json(example) for _, example in shown)
            examples.setdefault(entity_type, {})[kind] = found
            if " → " in kind:
                outcomes[kind] += cells
                of_type.setdefault(entity_type, {})[kind] = cells
        return TallySummary(
            **dict(_figures(scopes["all"][""], outcomes)),
            by_type={name: _figures(one, of_type.get(name, {})) for name, one in sorted(scopes["type"].items())},
            by={name: _figures(numbers, {}) for name, numbers in sorted(scopes["by"].items())} or None,
            examples=examples,
        )

    def _count(self, keys: Iterable[_Key], counts: Mapping[str, int]) -> None:
        for key in keys:
            numbers = self._counters.setdefault(key, [0] * len(COUNTERS))
            for name, number in counts.items():
                numbers[_POSITION[name]] += number

    def _note(self, doc_id: str, entity_type: str, before: Cell, after: Cell, changes: Changes) -> None:
        """Count the cell under each kind of its changes, with an example."""
        kinds: dict[str, Callable[[], Any]] = {
            "moved": lambda: [list(map(_shown, pair)) for pair in changes.moved[:_LISTED]],
            "borders": lambda: [list(map(_shown, pair)) for pair in changes.borders[:_LISTED]],
            "vanished": lambda: list(map(_shown, changes.vanished[:_LISTED])),
            "appeared": lambda: list(map(_shown, changes.appeared[:_LISTED])),
        }
        found = {kind: show() for kind, show in kinds.items() if getattr(changes, kind)}
        if before.outcome != after.outcome:
            sides = (before.mentions, after.mentions)
            found[f"{before.outcome} → {after.outcome}"] = [list(map(_shown, side[:_LISTED])) for side in sides]
        rank = zlib.crc32(f"{doc_id}\0{entity_type}".encode())
        for kind, mentions in found.items():
            example = json.dumps({"doc_id": doc_id, "mentions": mentions}, ensure_ascii=False)
            self._add_kind(entity_type, kind, 1, [(rank, example)])

    def _add_kind(self, entity_type: str, kind: str, cells: int, examples: _Examples) -> None:
        """Add cells and keep the examples of lowest rank: the same ones, however the work was divided."""
        so_far, kept = self._kinds.get((entity_type, kind), (0, []))
        self._kinds[entity_type, kind] = (so_far + cells, sorted([*kept, *examples])[:EXAMPLES])


def bucket_of(doc_id: str) -> int:
    """Return the bucket of a document's counts, from 0 to `BUCKETS` - 1; `crc32` in Spark gives the same.

    Args:
        doc_id: document id, as a string.
    """
    return zlib.crc32(doc_id.encode()) % BUCKETS


_POSITION: Final = {name: position for position, name in enumerate(COUNTERS)}


def _keys(entity_type: str, group: str | None, bucket: int) -> list[_Key]:
    keys = [("all", "", bucket), ("type", entity_type, bucket)]
    return keys if group is None else [*keys, ("by", group, bucket)]


def _shown(mention: Mention) -> dict[str, object]:
    return {"text": mention[0], "start": mention[1], "end": mention[2]}


def _figures(buckets: list[_Numbers], outcomes: Mapping[str, int]) -> Differences:
    """Totals, and two rates: `agreement`, the share of cells with the same answer, and the mentions' `f1`.

    F1 is that of the second side's mentions scored against the first's, text and offsets alike; it is the same the
    other way round. A rate of nothing is None.
    """
    rows = [dict(zip(COUNTERS, numbers, strict=True)) for numbers in buckets]
    cells = [Counts(row["same"], row["cells"], row["cells"]) for row in rows if row["cells"]]
    mentions = [Counts(row["kept"], row["mentions_after"], row["mentions_before"]) for row in rows if row["cells"]]
    compared, listed = total(cells), total(mentions)
    mentioned = listed.gold + listed.predicted
    return Differences(
        **{name: sum(row[name] for row in rows) for name in COUNTERS},
        agreement=compared.correct / compared.gold if compared.gold else None,
        f1=2 * listed.correct / mentioned if mentioned else None,
        intervals=RateIntervals(
            agreement=bootstrap_intervals(cells)["recall"] if compared.gold else None,
            f1=bootstrap_intervals(mentions)["f1"] if mentioned else None,
        ),
        outcomes=dict(outcomes),
    )
