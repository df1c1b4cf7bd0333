"""Count what is right, a batch of annotations at a time; `scores` divides at the end.

Three ways to count each (document, entity type): `official` (strings, as the authors do), `strict` and `relaxed`
(spans, where all gold has offsets). All is held as columns of numbers, some 50 bytes for each gold pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.errors import Spurious, worst_errors
from uniner_dist.evaluation.gold import NONE, Gold
from uniner_dist.evaluation.row_batch import Flags, RowBatch, read_batch
from uniner_dist.evaluation.scores import METRICS, CountTable, Verdicts, divide
from uniner_dist.evaluation.spans import Coordinates, count_spans
from uniner_dist.evaluation.vocabulary import Numbers, Vocabulary

#: A gold pair without an annotation, among the outcomes.
MISSING: Final = "missing"
_NONE_OUTCOME: Final = "none"


class OfficialGold:
    """Gold mentions as the authors' evaluator reads them: normalised, each once.

    Their gold is the JSON string that a perfect answer is, so a mention with `]` empties the list, there too.
    """

    def __init__(self, gold: Gold) -> None:
        bracket = np.array(["]" in string for string in gold.mentions.strings], dtype=bool)
        emptied = np.zeros(gold.pairs, dtype=bool)
        emptied[gold.owner[bracket[gold.mention]]] = True
        kept = np.flatnonzero(~emptied[gold.owner])
        owner = gold.owner[kept].astype(np.int64)
        normal = gold.mentions.normal_of(gold.mention[kept].astype(np.int64))
        #: Pair and normalised mention in one number, ascending; and the place in the gold of the first such mention.
        self.keys, first = np.unique(owner << 32 | normal, return_index=True)
        self.place = kept[first]
        self.hit = np.zeros(len(self.keys), dtype=bool)
        self.counts = np.bincount(self.keys >> 32, minlength=gold.pairs)

    def find(self, keys: Numbers) -> Numbers:
        """Where keys are, -1 for those that are not there."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)


class Tally:
    """Counts so far.

    Args:
        gold: what is right.
    """

    def __init__(self, gold: Gold) -> None:
        self._gold, self._official = gold, OfficialGold(gold)
        self._counts = CountTable.of(gold.pairs, spans=gold.has_spans)
        self._counts.gold["official"] += self._official.counts
        if gold.has_spans:
            self._counts.gold["strict"] += self._unique_spans()
        self._seen = np.zeros(gold.pairs, dtype=bool)
        self._unanswered = np.zeros(gold.pairs, dtype=bool)
        self._outcomes: Counter[str] = Counter()
        self._failed_mentions = 0
        self._spurious = Spurious()
        self._outcome_names = Vocabulary()
        self._outcome = np.full(gold.pairs, NONE, dtype=np.int8)
        self._mention_verdicts, self._none_verdicts = Verdicts(), Verdicts()
        self._groups: tuple[Vocabulary, Numbers] | None = None
        self._group_of_document = np.full(len(gold.documents), NONE, dtype=np.int64)
        self.coordinates = Coordinates()
        self.without_gold = 0

    @property
    def any_seen(self) -> bool:
        """Whether any gold pair has an annotation."""
        return bool(self._seen.any())

    def add(self, batch: pa.RecordBatch, documents: Numbers, types: Numbers, groups: pa.Array | None = None) -> None:
        """Count annotations.

        Args:
            batch: columns `entities`, `outcome`, and perhaps `raw_output` and `score`.
            documents: number of each row's document in the gold, -1 if it has none.
            types: number of each row's entity type, likewise.
            groups: of each row, where the annotations have the `by` column and the gold has not.

        Raises:
            ConfigError: a pair was there already.
        """
        pairs = self._gold.find_pairs(documents, types)
        known = np.flatnonzero(pairs >= 0)
        self.without_gold += len(pairs) - len(known)
        if not len(known):
            return
        pair = pairs[known]
        self._check_repeats(pair)
        self._seen[pair] = True
        taken = batch if len(known) == batch.num_rows else batch.take(pa.array(known))
        rows = read_batch(taken, pair, self._gold.mentions)
        if groups is not None:
            self._note_groups(pair, groups.take(pa.array(known)))
        counted = np.bincount(rows.outcome, minlength=len(rows.outcomes)).tolist()
        self._outcomes.update(dict(zip(rows.outcomes, counted, strict=True)))
        self._unanswered[pair[rows.failed]] = True
        self._failed_mentions += int((~rows.counted).sum())
        self._count(rows)

    def add_rows(self, rows: list[Mapping[str, Any]], schema: pa.Schema) -> None:
        """Count a handful of rows: mappings with `doc_id`, `entity_type` and the columns of `schema`."""
        numbers = [(self._gold.documents.find(row["doc_id"]), row["entity_type"]) for row in rows]
        kinds = {name: number for number, name in enumerate(self._gold.types)}
        documents = np.array([document for document, _ in numbers], dtype=np.int64)
        types = np.array([kinds.get(name, -1) for _, name in numbers], dtype=np.int64)
        read = pa.schema([schema.field(name) for name in ("entities", "outcome", "raw_output")])
        values = [{name: row[name] for name in read.names} for row in rows]
        self.add(pa.RecordBatch.from_pylist(values, schema=read), documents, types)

    def scores(self, *, with_groups: bool = False) -> dict[str, Any]:
        """Everything, divided; to be called once, at the end."""
        missing = ~self._seen
        unanswered = self._unanswered | missing
        outcomes = self._outcomes.copy()
        failed = int(self._unanswered.sum())
        if missing.any():
            outcomes[MISSING] = int(missing.sum())
        metrics = self._metrics()
        return {
            "documents": self._gold.document_count,
            "pairs": {
                "gold": self._gold.pairs,
                "answered": int((~unanswered).sum()),
                "missing": int(missing.sum()),
                "failed": failed,
                "failed_mentions": self._failed_mentions,
                "annotations_without_gold": self.without_gold,
            },
            "outcomes": dict(outcomes.most_common()),
            **divide(self._counts, self._gold, metrics, unanswered, self._group_names() if with_groups else None),
            "confidence": self._confidence(),
            "worst": worst_errors(
                self._gold,
                self._official.keys,
                self._official.place,
                self._official.hit,
                self._spurious,
                self._outcome_of,
            ),
            "coordinates": self._coordinates(),
        }

    def _metrics(self) -> tuple[str, ...]:
        """Span metrics only where gold and annotations count in the same text."""
        comparable = self._gold.has_spans and not self.coordinates.contradicting
        return METRICS if comparable else METRICS[:1]

    def _coordinates(self) -> dict[str, Any]:
        contradicting = self.coordinates.contradicting
        example = next(((self._gold.documents.strings[one], said) for one, said in contradicting.items()), None)
        return {
            "aligned": len(self.coordinates.aligned - set(contradicting)),
            "contradicting": len(contradicting),
            "example": None if example is None else {"doc_id": example[0], "says": example[1]},
        }

    def _check_repeats(self, pair: Numbers) -> None:
        ordered = np.sort(pair)
        twice = [*pair[self._seen[pair]].tolist(), *ordered[1:][ordered[1:] == ordered[:-1]].tolist()]
        if twice:
            document = self._gold.documents.strings[self._gold.document[twice[0]]]
            name = self._gold.types[self._gold.type[twice[0]]]
            raise ConfigError(f"annotations: document {document}, type {name} stands more than once")

    def _note_groups(self, pair: Numbers, groups: pa.Array) -> None:
        if self._groups is None:
            self._groups = Vocabulary(), np.full(self._gold.pairs, NONE, dtype=np.int64)
        names, of_pair = self._groups
        numbers = names.numbers(groups)
        of_pair[pair] = numbers
        documents = self._gold.document[pair]
        new = self._group_of_document[documents] == NONE
        self._group_of_document[documents[new]] = numbers[new]

    def _group_names(self) -> tuple[Vocabulary, Numbers]:
        """Names of groups, and the number of each pair's group."""
        if self._gold.groups is not None:
            return self._gold.groups, self._gold.group.astype(np.int64)
        names, of_pair = self._groups or (Vocabulary(), np.full(self._gold.pairs, NONE, dtype=np.int64))
        return names, np.where(self._seen, of_pair, self._group_of_document[self._gold.document])

    def _unique_spans(self) -> Numbers:
        gold = self._gold
        order = np.lexsort((gold.end, gold.start, gold.owner))
        owner, start, end = gold.owner[order], gold.start[order], gold.end[order]
        new = np.ones(len(owner), dtype=bool)
        new[1:] = (owner[1:] != owner[:-1]) | (start[1:] != start[:-1]) | (end[1:] != end[:-1])
        return np.bincount(owner[new], minlength=gold.pairs)

    def _count(self, rows: RowBatch) -> None:
        keys, written, order = self._answered(rows)
        row = keys >> 32
        place = self._official.find(rows.pair[row] << 32 | (keys & 0xFFFFFFFF))
        right = place >= 0
        self._official.hit[place[right]] = True
        counts, size = self._counts, len(rows.pair)
        counts.predicted["official"][rows.pair] = np.bincount(row, minlength=size)
        counts.correct["official"][rows.pair] = np.bincount(row[right], minlength=size)
        if self._gold.has_spans:
            spans = count_spans(rows, self._gold, self.coordinates)
            counts.predicted["strict"][rows.pair] = spans.predicted
            counts.correct["strict"][rows.pair] = spans.strict
            counts.correct["relaxed"][rows.pair] = spans.relaxed
        by_order = np.flatnonzero(~right)[np.argsort(order[~right], kind="stable")]
        self._spurious.add(rows.pair[row[by_order]], keys[by_order] & 0xFFFFFFFF, written[by_order])
        numbers = np.array([self._outcome_names.number(name) for name in rows.outcomes], dtype=np.int8)
        self._outcome[rows.pair] = numbers[rows.outcome]
        self._judge(rows)

    def _answered(self, rows: RowBatch) -> tuple[Numbers, Numbers, Numbers]:
        """Row and normalised mention in one number, each once; the mention as written; and the order of appearance."""
        mentions = self._gold.mentions
        normal = mentions.normal_of(rows.mention)
        raw = np.isin(rows.row, list(rows.raw)) if rows.raw else np.zeros(len(rows.row), dtype=bool)
        kept = np.flatnonzero(rows.counted & ~raw)
        keys = [rows.row[kept] << 32 | normal[kept]]
        written = [rows.mention[kept]]
        if rows.raw:
            own, texts = self._answered_raw(rows, normal)
            keys.append(own)
            written.append(texts)
        all_keys, all_written = np.concatenate(keys), np.concatenate(written)
        found, first = np.unique(all_keys, return_index=True)
        return found, all_written[first], first

    def _answered_raw(self, rows: RowBatch, normal: Numbers) -> tuple[Numbers, Numbers]:
        keys, written = [], []
        mentions = self._gold.mentions
        for row, names in rows.raw.items():
            low, high = np.searchsorted(rows.row, [row, row + 1])
            as_written = dict(zip(normal[low:high][::-1].tolist(), rows.mention[low:high][::-1].tolist(), strict=True))
            for name in names:
                number = mentions.normal.number(name)
                keys.append(row << 32 | number)
                written.append(as_written[number] if number in as_written else mentions.number(name))
        return np.array(keys, dtype=np.int64), np.array(written, dtype=np.int64)

    def _outcome_of(self, pair: int) -> str:
        number = int(self._outcome[pair])
        return MISSING if number == NONE else self._outcome_names.strings[number]

    def _judge(self, rows: RowBatch) -> None:
        """Take note of the confidence in each mention, or in the answer that there is none."""
        none = np.array([name == _NONE_OUTCOME for name in rows.outcomes])[rows.outcome] & ~np.isnan(rows.score)
        empty = self._gold.begin[rows.pair] == self._gold.begin[rows.pair + 1]
        self._none_verdicts.add(rows.score[none], empty[none], self._gold.type[rows.pair[none]])
        scored: Flags = ~np.isnan(rows.mention_score) & rows.counted
        if not scored.any():
            return
        keys = rows.row[scored] << 32 | self._gold.mentions.normal_of(rows.mention[scored])
        order = np.lexsort((rows.mention_score[scored], keys))
        last = np.append(keys[order][1:] != keys[order][:-1], True)  # the highest score of each
        best, row = rows.mention_score[scored][order][last], keys[order][last] >> 32
        place = self._official.find(rows.pair[row] << 32 | (keys[order][last] & 0xFFFFFFFF))
        self._mention_verdicts.add(best, place >= 0, self._gold.type[rows.pair[row]])

    def _confidence(self) -> dict[str, Any] | None:
        summaries = {
            name: verdicts.summary(self._gold.types)
            for name, verdicts in (("mentions", self._mention_verdicts), ("none", self._none_verdicts))
        }
        return summaries if any(summaries.values()) else None
