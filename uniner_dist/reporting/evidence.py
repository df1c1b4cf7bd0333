"""Evidence for the report from a run's rows: examples, top mentions, failures. Reads a bounded sample only.

Whatever the run's size, at most a few shards, some files of the output and the beginning of the quarantine are read.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.core.outcomes import SEVERITY
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.evaluation.rows import DataFile, list_dataset
from uniner_dist.reporting.highlight import Marked, Mention
from uniner_dist.run.run import Run
from uniner_dist.storage.attempts import counted_files
from uniner_dist.storage.filesystem import exists, file_size, open_fs
from uniner_dist.storage.shards import read_completions, read_prompts, read_shards
from uniner_dist.storage.stage_files import counting

_EXAMPLES: Final = 8
_FAILURES: Final = 10
_TOP: Final = 10
_DOUBTFUL: Final = 8
#: Rows of the output that mentions are counted in, and rows of the quarantine that are looked at.
_ROWS: Final = 200_000
_QUARANTINED: Final = 2_000
#: Prompts of a shard that examples are chosen from.
_PROMPTS: Final = 800
#: Size up to which the list of passages is searched for the names of examples.
_SEARCHED_BYTES: Final = 32 << 20
#: Characters of a text up to which it is preferred as an example.
_SHORT: Final = 400
_ERRORS: Final = (OSError, ConfigError, StageError, pa.ArrowException)


@dataclass(frozen=True)
class Failure:
    """A question without a usable answer.

    Args:
        outcome: kind of failure, see `core.outcomes.Outcome`.
        entity_type: label of the type that was asked.
        document: id of the document.
        text: the passage.
        raw_output: what the model wrote; None without any answer.
        error: the engine's message; None without one.
        times: how many of those that were looked at have this outcome, answer and error.
    """

    outcome: str
    entity_type: str
    document: str
    text: str
    raw_output: str | None
    error: str | None
    times: int = 1


@dataclass(frozen=True)
class Doubtful:
    """An answer of low confidence: `score` is from 0 to 1."""

    score: float
    entity_type: str
    document: str
    mentions: tuple[str, ...]


@dataclass
class Folder:
    """Counts of this run's rows in one folder of the output.

    Args:
        rows: annotations.
        mentions: in all of them.
        failed: annotations without a complete answer.
    """

    rows: int = 0
    mentions: int = 0
    failed: int = 0


@dataclass
class Evidence:
    """Everything that was read.

    Args:
        top: entity type → (mention, count), most frequent first.
        doubtful: answers with the lowest scores; none where the run keeps no scores.
        folders: folder of the output, entity types aside → what is in it; empty where there is one folder.
        counted_rows: rows of the output that `top`, `doubtful` and `folders` count.
        missing: what could not be read, and why.
    """

    examples: list[Marked] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    top: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    doubtful: list[Doubtful] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)
    counted_rows: int = 0
    missing: list[str] = field(default_factory=list)


def gather(run: Run) -> Evidence:
    """Read the evidence; what was pruned or cannot be read is left out and named in `missing`.

    Args:
        run: a run whose stages are done, published or stopped by its gate.

    Returns:
        The evidence. The same run and files always give the same: its choices are random with the run's id as seed.
    """
    evidence = Evidence()
    for name, read in (("examples", _read_examples), ("mentions", _read_mentions), ("failures", _read_failures)):
        try:
            read(run, evidence)
        except _ERRORS as error:
            evidence.missing.append(f"{name}: {str(error).strip() or type(error).__name__}")
    return evidence


def _read_examples(run: Run, evidence: Evidence) -> None:
    """Passages with mentions of many types, of one shard."""
    from uniner_dist.core.parse import parse_output
    from uniner_dist.core.spans import locate_mentions

    shards = sorted(read_shards(run.layout)["shard"].to_pylist())
    if not shards:
        return
    shard = random.Random(run.id).choice(shards)
    prompts = read_prompts(run.layout, shard).slice(0, _PROMPTS)
    outputs = read_completions(run.layout.completions_file(shard), shard, run.fingerprint).slice(0, _PROMPTS)
    labels = run.config.questions.by_question()
    passages: dict[str, tuple[str, list[Mention]]] = {}
    columns = (
        prompts["passage_id"],
        prompts["text"],
        prompts["entity_type"],
        outputs["output"],
        outputs["finish_reason"],
    )
    for key, text, ask, output, finish in zip(*(column.to_pylist() for column in columns), strict=True):
        _, entities = passages.setdefault(key, (text, []))
        mentions = parse_output(output, finish).mentions if output is not None else ()
        for entity in locate_mentions(text, mentions):
            entities += [Mention(label, entity.text, entity.start, entity.end) for label in labels.get(ask, [])]

    def rank(key: str) -> tuple[bool, int, int]:
        text, entities = passages[key]
        return len(text) > _SHORT, -len({entity.label for entity in entities}), len(text)

    chosen = [key for key in sorted(passages, key=rank) if passages[key][1]][:_EXAMPLES]
    names = _documents_of(run, chosen)
    evidence.examples = [Marked(names.get(key, f"passage {key[:12]}"), *passages[key]) for key in chosen]


def _documents_of(run: Run, passages: Sequence[str]) -> dict[str, str]:
    """Passage → a document that has it; empty where the search would take long."""
    folder = counting(run.layout.occurrences)
    files = counted_files(folder)
    if sum(file_size(info) for info in files.values()) > _SEARCHED_BYTES:
        return {}
    fs, root = open_fs(folder)
    found: dict[str, str] = {}
    for name in sorted(files):
        for batch in DataFile(fs, f"{root}/{name}", {}).batches(["passage_id", "document"]):
            own = batch.filter(pc.is_in(batch.column("passage_id"), pa.array(passages, pa.string())))
            for row in own.to_pylist():
                found.setdefault(row["passage_id"], str(row["document"][run.config.corpus.id_column]))
    return found


def _read_mentions(run: Run, evidence: Evidence) -> None:
    """Count mentions in whole files, in a random order that is the same every time."""
    counters: dict[str, Counter[str]] = {}
    names = [name for name in run.partition_by if name != "entity_type"]
    for batch in _some_rows(run, names):
        own = batch.filter(pc.equal(batch.column("run_id"), run.id))
        evidence.counted_rows += own.num_rows
        _count_folders(own, names, evidence.folders)
        evidence.doubtful = _most_doubtful(own, run.config.corpus.id_column, evidence.doubtful)
        texts = pc.list_flatten(pc.cast(own.column("entities"), _TEXTS))
        types = own.column("entity_type").take(pc.list_parent_indices(own.column("entities")))
        pairs = pa.table({"type": types, "text": pc.struct_field(texts, "text")})
        for row in pairs.group_by(["type", "text"]).aggregate([([], "count_all")]).to_pylist():
            name = " ".join(row["text"].split())  # as readers see it: "Ada " is another "Ada" to them
            if name:
                counters.setdefault(row["type"], Counter())[name] += row["count_all"]
    order = {entity_type.label: place for place, entity_type in enumerate(run.config.types)}
    evidence.top = {
        label: sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:_TOP]
        for label, counted in sorted(counters.items(), key=lambda pair: order.get(pair[0], len(order)))
    }


_TEXTS: Final = pa.list_(pa.struct([("text", pa.string())]))


def _count_folders(rows: pa.RecordBatch, names: Sequence[str], folders: dict[str, Folder]) -> None:
    """Add rows to the folders that they are in; none are counted where entity types are the only folders."""
    if not names:
        return
    values = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
    keys = ["/".join(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in values]
    counts = pc.list_value_length(rows.column("entities")).to_pylist()
    for key, count, outcome in zip(keys, counts, rows.column("outcome").to_pylist(), strict=True):
        folder = folders.setdefault(key, Folder())
        folder.rows += 1
        folder.mentions += count or 0
        folder.failed += outcome not in ("found", "none", "skipped")


def _most_doubtful(rows: pa.RecordBatch, id_column: str, known: list[Doubtful]) -> list[Doubtful]:
    """The answers with the lowest scores, of those known and of some rows."""
    scored = rows.filter(pc.and_(pc.is_valid(rows.column("score")), pc.equal(rows.column("outcome"), "found")))
    lowest = scored.take(pc.select_k_unstable(scored, _DOUBTFUL, [("score", "ascending")])) if len(scored) else scored
    found = [
        Doubtful(row["score"], row["entity_type"], str(row[id_column]), tuple(e["text"] for e in row["entities"]))
        for row in lowest.to_pylist()
    ]
    return sorted([*known, *found], key=lambda one: (one.score, one.document, one.entity_type))[:_DOUBTFUL]


def _some_rows(run: Run, folders: Sequence[str]) -> Iterator[pa.RecordBatch]:
    files: list[DataFile] = list_dataset("output", run.config.output.path)
    random.Random(run.id).shuffle(files)
    left, columns = _ROWS, ["run_id", "entity_type", "entities", "outcome", "score", run.config.corpus.id_column]
    for file in files:
        for batch in file.batches(list(dict.fromkeys([*columns, *folders]))):
            yield batch
            left -= batch.num_rows
            if left <= 0:
                return


def _read_failures(run: Run, evidence: Evidence) -> None:
    """The worst of the first failures: those with the gravest outcome and the longest answers, of different types."""
    if not exists(run.layout.quarantine):
        return
    folder = counting(run.layout.quarantine)
    fs, root = open_fs(folder)
    id_column = run.config.corpus.id_column
    rows: list[_Failed] = []
    for name in sorted(counted_files(folder)):
        file = DataFile(fs, f"{root}/{name}", {})
        shown_id = id_column if id_column.lower() not in _TAKEN else f"document_{id_column}"
        for batch in file.batches([shown_id, *_FAILURE_COLUMNS]):
            rows += [_Failed(**row) for row in batch.rename_columns(["document", *_FAILURE_COLUMNS]).to_pylist()]
            if len(rows) >= _QUARANTINED:
                break
        if len(rows) >= _QUARANTINED:
            break
    severity = {outcome.value: place for place, outcome in enumerate(SEVERITY)}
    rows.sort(key=lambda row: (severity.get(row.outcome, 0), -len(row.raw_output or "")))
    rows = rows[:_QUARANTINED]
    times = Counter(row.answer for row in rows)
    first = {row.answer: row for row in reversed(rows)}
    different = [row for row in rows if first[row.answer] is row]
    evidence.failures = [
        Failure(r.outcome, r.entity_type, str(r.document), r.text, r.raw_output, r.error, times[r.answer])
        for r in _of_each_kind(different)
    ]


@dataclass(frozen=True)
class _Failed:
    """The columns of the quarantine that are read."""

    document: object
    entity_type: str
    text: str
    outcome: str
    error: str | None
    raw_output: str | None

    @property
    def answer(self) -> tuple[str, str | None, str | None]:
        """What makes two failures the same to a reader."""
        return self.outcome, self.raw_output, self.error


_FAILURE_COLUMNS: Final = ("entity_type", "text", "outcome", "error", "raw_output")
#: Names that the quarantine has for itself (see `annotations.documents.QUARANTINE_COLUMNS`).
_TAKEN: Final = frozenset({*_FAILURE_COLUMNS, "ask", "passage_id", "start"})


def _of_each_kind(rows: Sequence[_Failed]) -> list[_Failed]:
    """Some rows of each outcome and type in turn, so that one flood does not hide the others."""
    kinds: dict[tuple[str, str], list[_Failed]] = {}
    for row in rows:
        kinds.setdefault((row.outcome, row.entity_type), []).append(row)
    turns = max((len(kind) for kind in kinds.values()), default=0)
    return [kind[turn] for turn in range(turns) for kind in kinds.values() if turn < len(kind)][:_FAILURES]
