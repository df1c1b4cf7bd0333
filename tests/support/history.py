"""A world with a past: corpora, outputs, workdirs and stores, changed by whole commands; and what must be so in it.

Everything is real but the engine (scripted, in this process, without Ray). `World` gives the commands and reads what is
on disk; `Model` says what an output must hold, from what was done and nothing that the product says of itself.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from tests.support.answering import answer
from tests.support.invariants import check_files, read_annotations
from uniner_dist.completions.budget import Budget
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import Config
from uniner_dist.core.hashing import passage_id
from uniner_dist.pipeline import stages
from uniner_dist.pipeline.exclusive import working_on
from uniner_dist.run.run import list_runs, load_run
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.answer_store import list_stores, live_files
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.shards import committed_shards, read_shards

#: Names that belong to one document each: what is left of them anywhere is left of the document.
NAMES = ("Alba", "Bruno", "Clara", "Dario", "Edda", "Fabio")
_SHARED = ("Paula met Erik in Lima.", "Nobody was there.", "Refuseword Paula saw Oslo.")
PHRASES = {"person": "person", "PLACE": "place", "human": "person", "org": "a long phrase: " + "company, " * 12}


def text_of(name: str, version: int) -> str:
    """One of the texts that a document may have; some are shared by all, one is split into passages."""
    texts = [
        *_SHARED,
        f"{name} met Paula in Oslo.",
        f"In Lima {name} and Erik were seen.",
        " ".join(f"Sentence {i} says that {name} met Paula in Oslo or Lima." for i in range(30)),
        " ".join(f"Sentence {i} says that {name} met Paula in Oslo or Lima." for i in range(31)),
    ]
    return texts[version % len(texts)]


def _no_pool(run: Any, stop: Any) -> Any:
    return nullcontext()


class KilledError(BaseException):
    """The process is dead: no code of it may go on, least of all `except Exception`."""


@dataclass(frozen=True)
class Row:
    """What the model knows of a published row."""

    text: str
    ask: str
    corpus: str


@dataclass(frozen=True)
class Start:
    """What a command was about: the corpus as it was then, and the settings that decide the output."""

    number: int
    corpus: str
    documents: dict[str, str]
    types: Mapping[str, str]
    removed: str
    others: str

    def forget(self, ids: Iterable[str]) -> None:
        """An erasure takes documents out of the run, too: `restore` lets the next start have them, not this one."""
        for doc in ids:
            self.documents.pop(doc, None)

    def outdates(self, other: Start) -> bool:
        """Whether the other one is the past, once this one is published."""
        newer = self.number > other.number and self.corpus == other.corpus
        return newer and (self.documents != other.documents or bool(self.types.keys() & other.types.keys()))


class Output:
    """What an output must hold: (document, label) → row. The rule of the documentation, written once more."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.published: list[Start] = []

    def publish(self, start: Start) -> None:
        """After a publication."""
        kept = {}
        for (doc, label), row in self.rows.items():
            if doc in start.documents:
                stays = label not in start.types and start.others == "keep" and start.documents[doc] == row.text
            else:
                stays = start.removed == "keep" or (start.removed == "corpus" and row.corpus != start.corpus)
            if stays:
                kept[doc, label] = row
        for doc, text in start.documents.items():
            kept |= {(doc, label): Row(text, ask, start.corpus) for label, ask in start.types.items()}
        self.rows = kept
        self.published.append(start)

    def removed_fraction(self, start: Start) -> float:
        """Share of the corpus's rows whose document is gone."""
        gone = sum(
            doc not in start.documents and (start.removed == "all" or row.corpus == start.corpus)
            for (doc, _), row in self.rows.items()
        )
        claimed = sum(doc in start.documents for doc, _ in self.rows)
        return 0.0 if start.removed == "keep" or not gone else gone / (gone + claimed)


class Memory:
    """Which texts of which documents runs have seen, and which were erased: what `forget` knows, what stays away."""

    def __init__(self) -> None:
        self.pairs: set[tuple[str, str]] = set()  # (workdir, store) that had to do with each other
        self.seen: dict[tuple[str, str, str], dict[str, set[str]]] = {}  # (workdir, corpus, output) → id → texts
        self.away: dict[str, dict[str, set[str]]] = {}  # list of a workdir or store → id → texts; none: whatever text
        self.erased_texts: set[str] = set()

    def learn(self, workdir: str, store: str, output: str, start: Start) -> None:
        """After a start that has come to the end of stage 1."""
        self.pairs.add((workdir, store))
        seen = self.seen.setdefault((workdir, start.corpus, output), {})
        for doc, text in start.documents.items():
            seen.setdefault(doc, set()).add(text)

    def reach(self, workdir: str) -> tuple[set[str], set[str]]:
        """Workdirs and stores that hang together with a workdir."""
        workdirs: set[str] = {workdir}
        while True:
            stores = {store for place, store in self.pairs if place in workdirs}
            more = {place for place, store in self.pairs if store in stores}
            if more <= workdirs:
                return workdirs, stores
            workdirs |= more

    def forget(self, workdir: str, ids: Iterable[str]) -> dict[tuple[str, str, str], set[str]]:
        """Erase; returns what goes from each workdir, corpus and output."""
        workdirs, stores = self.reach(workdir)
        corpora = {corpus for place, corpus, _ in self.seen if place == workdir}
        targets: dict[tuple[str, str, str], set[str]] = {}
        for doc in ids:
            same, texts = self._alike(doc, workdirs, corpora)
            for key in same:
                targets.setdefault(key, set()).add(doc)
                self.seen[key].pop(doc, None)
            self.erased_texts |= texts
            for place in [*workdirs, *stores]:
                if texts or place == workdir:
                    self.away.setdefault(place, {}).setdefault(doc, set()).update(texts)
        return targets

    def _alike(self, doc: str, workdirs: set[str], corpora: set[str]) -> tuple[set[tuple[str, str, str]], set[str]]:
        """Where an id means the same document, and all of its texts: of the same corpora, or with the same text."""
        texts: set[str] = set()
        while True:
            same = {
                key
                for key, seen in self.seen.items()
                if key[0] in workdirs and (key[1] in corpora or seen.get(doc, set()) & texts)
            }
            found = texts.union(*(self.seen[key].get(doc, set()) for key in same))
            if found == texts:
                return same, texts
            texts = found

    def restore(self, workdir: str, ids: Iterable[str]) -> None:
        """Take documents off the lists."""
        workdirs, stores = self.reach(workdir)
        for place in workdirs | stores:
            for doc in ids:
                self.away.get(place, {}).pop(doc, None)

    def without_erased(self, workdir: str, store: str, documents: Mapping[str, str]) -> dict[str, str]:
        """What of a corpus a run accepts."""

        def is_away(doc: str, text: str) -> bool:
            lists = [self.away.get(place, {}) for place in (workdir, store)]
            return any(doc in known and (not known[doc] or text in known[doc]) for known in lists)

        return {doc: text for doc, text in documents.items() if not is_away(doc, text)}

    def is_gone(self, doc: str) -> bool:
        """Whether no run anywhere has the document any more."""
        return not any(doc in seen for seen in self.seen.values())


class World:
    """A folder with everything in it.

    Args:
        model_folder: of a model with a tokenizer.
    """

    def __init__(self, folder: Path, model_folder: str) -> None:
        self.folder, self.model_folder = folder, model_folder
        self.log = folder / "log.jsonl"
        self.received: Counter[tuple[str, str]] = Counter()
        self.passages: dict[str, str] = {}  # id of a passage that was ever asked → its text
        self.mutations_left: int | None = None  # of a process that is going to die

    # -- corpora -------------------------------------------------------------------------------------------------

    def write(self, name: str, documents: Mapping[str, str]) -> None:
        """Replace a corpus; other times of change make other files."""
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        table = pa.table(
            {"doc_id": list(documents), "text": list(documents.values())},
            schema=pa.schema([("doc_id", pa.string()), ("text", pa.string())]),
        )
        pq.write_table(table, place / "part-0.parquet")
        # The same content has the same time: a corpus may come back exactly as it was.
        stamp = int(passage_id(json.dumps(sorted(documents.items())))[:7], 16)
        os.utime(place / "part-0.parquet", (stamp, stamp))

    # -- commands ------------------------------------------------------------------------------------------------

    def config(self, corpus: str, output: str, types: Iterable[str], **options: Any) -> Config:
        """The configuration of a start."""
        values: dict[str, Any] = {
            "corpus.path": f"{self.folder}/{corpus}",
            "output.path": f"{self.folder}/{output}",
            "types": {label: PHRASES[label] for label in types},
            "model.name": self.model_folder,
            "model.max_tokens": 64,
            "engine.kind": "scripted",
            "engine.extra": {"log": str(self.log)},
            "prompts.overlap_tokens": 16,
            "prompts.passage_tokens": 128,
            "prompts.min_shards": 3,
            "run.max_removed_fraction": 1,
        }
        return load_config(None, [], values | options)

    def annotate(self, config: Config, refuse: bool = False) -> list[str]:
        """The main command; returns what it said. `received` is what the engine was asked meanwhile."""
        if refuse:
            extra = dict(config.engine.extra) | {"refuse": "Refuseword"}
            config = config.model_copy(update={"engine": config.engine.model_copy(update={"extra": extra})})
        said: list[str] = []
        with self.commands():
            stages.annotate(config, said.append)
        return said

    def retry(self, workdir: str, run_id: str) -> None:
        """Ask again what a run has no answer for; the engine no longer refuses."""
        with self.commands():
            run = load_run(workdir, run_id)
            extra = {"log": str(self.log)}
            config = run.config.model_copy(update={"engine": run.config.engine.model_copy(update={"extra": extra})})
            stages.retry_quarantine(type(run)(**{**vars(run), "config": config}), lambda line: None)

    def annotations(self, workdir: str, run_id: str) -> None:
        """Stage 3 alone."""
        with self.commands():
            run = load_run(workdir, run_id)
            with working_on(run) as (run, holder, _):
                stages.run_annotations(run, holder, lambda line: None)

    @contextmanager
    def commands(self) -> Iterator[None]:
        """Answer in this process instead of by Ray's actors, within the limits of the run."""
        self.received = Counter()

        def complete(run: Any, pool: Any, holder: Any, stop: Any, say: Any) -> dict[str, Any]:
            manifest = read_shards(run.layout).to_pylist()
            committed = committed_shards(run.layout)
            todo = [row for row in manifest if row["shard"] not in committed]
            budget = Budget(run, read_starts(run.layout))
            room = run.config.run.max_prompts
            spent, allowed = 0, 0
            for row in todo:
                spent += row["asked"]
                allowed += room is None or spent <= room
            left, self.mutations_left = self.mutations_left, None  # the replica is another process
            self.received += answer(run, 1 if left == 0 else allowed)
            self.passages |= {passage_id(text): text for text, _ in self.received}
            self.mutations_left = left
            if left == 0:
                raise KilledError("between two shards")
            if allowed < len(todo):
                raise budget.reached(len(todo) - allowed, sum(row["asked"] for row in manifest))
            return {}

        with (
            mock.patch.object(stages, "_complete", complete),
            mock.patch.object(stages, "open_pool", _no_pool),
        ):
            yield

    @contextmanager
    def dying(self, after: int) -> Iterator[None]:
        """Kill this process at its mutation number `after` of the file system: from there on nothing is changed.

        With 0 it dies when the first shard has been answered, if any is asked.
        """
        self.mutations_left = after
        names = ("replace", "link", "unlink", "rmdir", "rename")
        originals = {name: getattr(os, name) for name in names}

        def guarded(name: str) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                if self.mutations_left and str(self.folder) in str(args[0]):
                    self.mutations_left -= 1
                    if not self.mutations_left:
                        self.mutations_left = -1
                if self.mutations_left == -1:
                    raise KilledError(f"{name} {args[0]}")
                return originals[name](*args, **kwargs)

            return call

        with mock.patch.multiple(os, **{name: guarded(name) for name in names}):
            try:
                yield
            finally:
                self.mutations_left = None
        self.bury()

    def bury(self) -> None:
        """What a dead process held is free: its heart has stopped."""
        for beat in self.folder.rglob("*.beat.json"):
            beat.unlink()

    # -- what is on disk -----------------------------------------------------------------------------------------

    def workdirs(self) -> list[str]:
        """Every workdir that has runs."""
        return [str(path) for path in sorted(self.folder.glob("*.work")) if list_runs(str(path))]

    def stores(self) -> list[str]:
        """Every store."""
        return [str(path) for path in [*self.folder.glob("*.work/store"), *self.folder.glob("shared")]]

    def rows(self, output: str) -> dict[tuple[str, str], dict[str, Any]]:
        """All that is published."""
        place = str(self.folder / output)
        if not os.path.isdir(place):
            return {}
        check_files(place)
        rows = read_annotations(place)
        found = {(row["doc_id"], row["entity_type"]): row for row in rows}
        assert len(found) == len(rows), "a row occurs twice"
        return found

    def order(self, output: str, run: str) -> int | None:
        """Which of the output's publications was the last one of a run."""
        marker = read_marker(str(self.folder / output))
        return marker.runs[run].order if marker is not None and run in marker.runs else None

    def known(self, store: str) -> set[tuple[str, str, str]]:
        """Answers in a store: fingerprint, passage, question."""
        found = set()
        for part in list_stores(store) if os.path.isdir(store) else []:
            for name in live_files(part):
                cells = pads.dataset(f"{part.cells}/{name}").to_table(columns=["passage_id", "entity_type"])
                found |= {(part.fingerprint, row["passage_id"], row["entity_type"]) for row in cells.to_pylist()}
        return found

    def traces(self, words: Iterable[str], but: Iterable[str]) -> list[str]:
        """Files with any of the words, in their bytes or rows; corpora aside."""
        wanted, found = list(words), []
        for path in self.folder.rglob("*"):
            if not path.is_file() or path.relative_to(self.folder).parts[0] in {*but, self.log.name}:
                continue
            content = path.read_bytes()
            if content[:4] == b"PAR1":
                content += json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str).encode()
            found += [f"{path.relative_to(self.folder)}: {word}" for word in wanted if word.encode() in content]
        return found
