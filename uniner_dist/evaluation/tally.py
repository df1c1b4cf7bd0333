"""Counts correct annotations, one batch at a time; `scores` divides at the end.

Three ways to count each (document, entity type): `official` (strings, as the authors do), `strict` and `relaxed`
(spans, where all gold has offsets). What is answered is held as columns of numbers and compared at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from uniner_dist.core.outcomes import Outcome
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.active_pairs import ActivePairs
from uniner_dist.evaluation.answered import Answered
from uniner_dist.evaluation.coordinates import Coordinates, align
from uniner_dist.evaluation.errors import worst_errors
from uniner_dist.evaluation.figures import Confidence, Contradiction, CoordinatesFound, Pairs, Tallied
from uniner_dist.evaluation.gold_columns import NONE, Gold
from uniner_dist.evaluation.official import OfficialGold, OfficialMatches, match_official
from uniner_dist.evaluation.row_batch import WHOLE, Flags, RowBatch, read_batch
from uniner_dist.evaluation.scores import CountTable, Three, Verdicts, divide
from uniner_dist.evaluation.spans import SpanMatches, match_spans
from uniner_dist.evaluation.vocabulary import Numbers, Small, Vocabulary

#: A gold pair without an annotation, among the outcomes.
MISSING: Final = "missing"
_NONE_OUTCOME: Final = "none"
_SKIPPED: Final = Outcome.SKIPPED.value


class Tally:
    """Counts so far.

    Args:
        gold: the gold answers; mentions that are answered are added to its vocabulary.
    """

    def __init__(self, gold: Gold) -> None:
        self._gold = gold
        self._answered = Answered(gold.mentions)
        self._outcomes: Counter[str] = Counter()
        self._failed_mentions = 0
        self._outcome_names = Vocabulary()
        self._outcome = np.full(gold.pairs, NONE, dtype=np.int8)
        self._mention_verdicts, self._none_verdicts = Verdicts(), Verdicts()
        self._groups: tuple[Vocabulary, Numbers] | None = None
        self._group_of_document = np.full(len(gold.documents), NONE, dtype=np.int64)
        self.coordinates = Coordinates()
        self.without_gold = 0

    @cached_property
    def _official(self) -> OfficialGold:
        return OfficialGold(self._gold)

    @property
    def any_seen(self) -> bool:
        """Whether any gold pair has an annotation."""
        return bool((self._outcome != NONE).any())

    def add(self, batch: pa.RecordBatch, documents: Small, types: Numbers, groups: pa.Array | None = None) -> None:
        """Count annotations.

        Args:
            batch: columns `entities`, `outcome`, and perhaps `raw_output` and `score`.
            documents: number of each row's document in the gold, -1 if the gold does not have it.
            types: number of each row's entity type in the gold, -1 if the gold does not have it.
            groups: value of the `by` column of each row, where the annotations have that column and the gold has not;
                else None.

        Raises:
            ConfigError: a pair was there already.
        """
        pair = self._gold.find_pairs(documents, types)
        unknown = pair < 0
        if unknown.any():
            known = np.flatnonzero(~unknown)
            self.without_gold += len(pair) - len(known)
            pair, batch = pair[known], batch.take(pa.array(known))
            groups = groups if groups is None else groups.take(pa.array(known))
        if not len(pair):
            return
        self._check_repeats(pair)
        rows = read_batch(batch, pair, self._gold.mentions)
        if groups is not None:
            self._note_groups(pair, groups)
        counted = np.bincount(rows.outcome, minlength=len(rows.outcomes)).tolist()
        self._outcomes.update({name: number for name, number in zip(rows.outcomes, counted, strict=True) if number})
        self._outcome[pair] = np.array([self._outcome_names.number(name) for name in rows.outcomes], np.int8)[
            rows.outcome
        ]
        self._failed_mentions += len(rows.counted) - int(np.count_nonzero(rows.counted))
        if self._gold.texts and self._gold.has_spans:
            rows = align(rows, self._gold, self.coordinates)
        self._answered.add(rows)
        self._judge(rows)

    def add_rows(self, rows: list[Mapping[str, Any]], schema: pa.Schema) -> None:
        """Count a handful of rows.

        Args:
            rows: mappings with `doc_id`, `entity_type`, `entities`, `outcome` and `raw_output`.
            schema: Arrow types of the last three; its other fields are ignored.

        Raises:
            ConfigError: a pair was there already.
        """
        numbers = [(self._gold.documents.find(row["doc_id"]), row["entity_type"]) for row in rows]
        documents = np.array([document for document, _ in numbers], dtype=np.int32)
        types = np.array([self._gold.type_numbers.get(name, -1) for _, name in numbers], dtype=np.int64)
        read = pa.schema([schema.field(name) for name in ("entities", "outcome", "raw_output")])
        values = [{name: row[name] for name in read.names} for row in rows]
        self.add(pa.RecordBatch.from_pylist(values, schema=read), documents, types)

    def scores(self, *, with_groups: bool = False) -> Tallied:
        """Compute all scores from the counts; to be called once, at the end.

        Args:
            with_groups: whether scores per value of the `by` column are computed too.

        Returns:
            All scores and counts. Span metrics are None unless every gold mention has offsets and gold and annotations
            count in the same texts.
        """
        gold, missing = self._gold, self._outcome == NONE
        whole = np.array([name in WHOLE for name in self._outcome_names.strings] + [False])
        unanswered = ~whole[self._outcome]
        outcomes, absent = self._outcomes.copy(), int(np.count_nonzero(missing))
        skipped = outcomes[_SKIPPED]
        failed = int(np.count_nonzero(unanswered)) - absent - skipped
        if absent:
            outcomes[MISSING] = absent
        pair, start, end, mention = self._answered.columns()
        active = ActivePairs(gold.pairs, [gold.owner, pair, *self._answered.raw_pairs()])
        official = match_official(self._official, gold, *self._answered.official(pair, mention))
        spans = match_spans(gold, active, (pair, start, end, mention), self.coordinates) if gold.has_spans else None
        counts = CountTable.of(active, self._mentions(official, spans))
        divided = divide(counts, gold, unanswered, self._group_names() if with_groups else None)
        return Tallied(
            **dict(divided),
            documents=gold.document_count,
            pairs=Pairs(
                gold=gold.pairs,
                answered=gold.pairs - absent - failed - skipped,
                missing=absent,
                failed=failed,
                failed_mentions=self._failed_mentions,
                annotations_without_gold=self.without_gold,
                skipped=skipped,
            ),
            outcomes=dict(outcomes.most_common()),
            confidence=self._confidence(),
            worst=worst_errors(
                gold, self._official.keys, self._official.place, official.hit, official.spurious, self._outcome_of
            ),
            coordinates=self._coordinates(),
        )

    def _mentions(self, official: OfficialMatches, spans: SpanMatches | None) -> dict[str, Three]:
        """Metric → the pair of each correct, predicted and gold mention.

        Span metrics only where gold and annotations count in the same text.
        """
        found: dict[str, Three] = {"official": (official.correct, official.predicted, self._official.pair)}
        if spans is not None and not self.coordinates.contradicting:
            found["strict"] = (spans.strict, spans.predicted, spans.gold)
            found["relaxed"] = (spans.relaxed, spans.predicted, spans.gold)
        return found

    def _coordinates(self) -> CoordinatesFound:
        contradicting = self.coordinates.contradicting
        example = next(((self._gold.documents.strings[one], said) for one, said in contradicting.items()), None)
        return CoordinatesFound(
            aligned=len(self.coordinates.aligned - set(contradicting)),
            contradicting=len(contradicting),
            example=None if example is None else Contradiction(doc_id=example[0], says=example[1]),
        )

    def _check_repeats(self, pair: Numbers) -> None:
        twice = pair[self._outcome[pair] != NONE].tolist()
        if not (pair[1:] > pair[:-1]).all():
            ordered = np.sort(pair)
            twice += ordered[1:][ordered[1:] == ordered[:-1]].tolist()
        if twice:
            first = np.array(twice[:1])
            document = self._gold.documents.strings[int(self._gold.document_of(first)[0])]
            name = self._gold.types[int(self._gold.type_of(first)[0])]
            raise ConfigError(f"annotations: document {document}, type {name} occurs more than once")

    def _note_groups(self, pair: Numbers, groups: pa.Array) -> None:
        if self._groups is None:
            self._groups = Vocabulary(), np.full(self._gold.pairs, NONE, dtype=np.int64)
        names, of_pair = self._groups
        numbers = names.numbers(groups)
        of_pair[pair] = numbers
        documents = self._gold.document_of(pair)
        new = self._group_of_document[documents] == NONE
        self._group_of_document[documents[new]] = numbers[new]

    def _group_names(self) -> tuple[Vocabulary, Numbers]:
        """Names of groups, and the number of each pair's group."""
        if self._gold.groups is not None:
            return self._gold.groups, self._gold.group.astype(np.int64)
        names, of_pair = self._groups or (Vocabulary(), np.full(self._gold.pairs, NONE, dtype=np.int64))
        of_document = self._group_of_document[self._gold.document_of(self._gold.all_pairs)]
        return names, np.where(self._outcome != NONE, of_pair, of_document)

    def _outcome_of(self, pair: int) -> str:
        number = int(self._outcome[pair])
        return MISSING if number == NONE else self._outcome_names.strings[number]

    def _judge(self, rows: RowBatch) -> None:
        """Record the confidence in each mention, or in the answer that there is none."""
        gold = self._gold
        if rows.score is not None:
            none = np.array([name == _NONE_OUTCOME for name in rows.outcomes])[rows.outcome] & ~np.isnan(rows.score)
            pair = rows.pair[none]
            empty = np.searchsorted(gold.owner, pair) == np.searchsorted(gold.owner, pair, side="right")
            self._none_verdicts.add(rows.score[none], empty, gold.type_of(pair))
        if rows.mention_score is None:
            return
        scored: Flags = ~np.isnan(rows.mention_score) & rows.counted
        if not scored.any():
            return
        keys = rows.row[scored] << 32 | gold.mentions.normal_of(rows.mention[scored])
        order = np.lexsort((rows.mention_score[scored], keys))
        last = np.append(keys[order][1:] != keys[order][:-1], True)  # the highest score of each
        best, row = rows.mention_score[scored][order][last], keys[order][last] >> 32
        place = self._official.find(rows.pair[row] << 32 | (keys[order][last] & 0xFFFFFFFF))
        self._mention_verdicts.add(best, place >= 0, gold.type_of(rows.pair[row]))

    def _confidence(self) -> Confidence | None:
        mentions, none = (one.summary(self._gold.types) for one in (self._mention_verdicts, self._none_verdicts))
        return Confidence(mentions=mentions, none=none) if mentions or none else None
