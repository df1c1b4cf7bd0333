"""A small world for the sweep: a corpus, an output, a workdir with its store, an export, and what must hold of them."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support import recorded_spark
from tests.support.finished_run import traces
from tests.support.mutations import RAISED, Recorder
from tests.support.object_store import ObjectStore
from uniner_dist.cli import app as command_line
from uniner_dist.cli.app import main
from uniner_dist.cli.logging_options import command_of
from uniner_dist.core.hashing import TEXT_DIGITS, passage_id
from uniner_dist.storage import lease as leases
from uniner_dist.storage.answer_store import list_stores, live_files
from uniner_dist.storage.filesystem import find_files, join, read_bytes

Texts = Mapping[str, str | None]
#: (document, label, digest of its text, run) → how often.
Rows = Counter[tuple[str, str, str, str]]

#: Two texts are the same, one is missing; one is refused by the engine until the world is mended.
MONDAY: Texts = {
    "id-Alba": "Alba met Paula in Oslo.", "id-Bruno": "Nobody was there.", "id-Clara": "Nobody was there.",
    "id-Dario": "Dario and Edda were seen.", "id-Nil": None,
}  # fmt: skip
#: One text is edited, one document is gone, one is new.
TUESDAY: Texts = {
    "id-Alba": "Alba met Bruno again.", "id-Clara": "Nobody was there.", "id-Dario": "Dario and Edda were seen.",
    "id-Fritz": "Fritz wrote to Greta.", "id-Nil": None,
}  # fmt: skip
REFUSED: Texts = {**MONDAY, "id-Hanno": f"{recorded_spark.REFUSED} Hanno."}
#: The document that is forgotten, and what must be in no file afterwards.
GONE, WORDS = "id-Dario", ("Dario", "Edda")


@dataclass(frozen=True)
class World:
    """Paths below one folder; outputs, runs and store are objects if `remote`."""

    place: Path
    remote: bool

    @property
    def output(self) -> str:
        """Of every run."""
        return "s3://bucket/out" if self.remote else f"{self.place}/out"

    @property
    def workdir(self) -> str:
        """Of every run."""
        return "s3://bucket/work" if self.remote else f"{self.place}/work"

    @property
    def export(self) -> str:
        """Folder of the export, which is local."""
        return f"{self.place}/export"

    def annotate(self, command: str = "annotate", types: str = "person", *more: str) -> list[str]:
        """Arguments of a command that opens a run."""
        places = ["--corpus", f"{self.place}/corpus", "--output", self.output, "--workdir", self.workdir]
        settings = ["prompts.min_shards=2", "run.max_failed_fraction=1", *more]
        return [command, *places, "--types", types, *(part for one in settings for part in ("--set", one))]

    def stage(self, command: str) -> list[str]:
        """Arguments of a command that works on the latest run."""
        return [command, "--workdir", self.workdir, "--run", "latest"]

    def keep(self, command: str, *more: str) -> list[str]:
        """Arguments of a housekeeping command."""
        return [command, "--workdir", self.workdir, *more]

    @property
    def forget(self) -> list[str]:
        """Erases `GONE`."""
        return self.keep("forget", "--id", GONE)

    def write_corpus(self, texts: Texts) -> None:
        """Let the corpus be this."""
        (self.place / "corpus").mkdir(parents=True, exist_ok=True)
        table = pa.table({"doc_id": list(texts), "text": list(texts.values())})
        pq.write_table(table, self.place / "corpus/part-0.parquet")

    def mend(self) -> None:
        """Let the engine answer what it has refused."""
        (self.place / "mended").write_bytes(b"")

    def texts(self) -> dict[str, str]:
        """Documents of the corpus that can be used."""
        table = pq.read_table(self.place / "corpus/part-0.parquet", use_threads=False)
        pairs = zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True)
        return {doc_id: text for doc_id, text in pairs if text is not None}

    def copy_to(self, place: Path) -> World:
        """The same world elsewhere; paths in its files are the ones of the world that it was made for."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.place, place, symlinks=True)
        return World(place, self.remote)

    # -- what it holds -------------------------------------------------------------------------------------------------

    def rows(self) -> Rows:
        """What a reader of the output finds."""
        ObjectStore.install(self.place / "objects")
        found: Rows = Counter()
        try:
            files = sorted(find_files(self.output, ".parquet"))
        except FileNotFoundError:
            return found
        for file in files:
            label = file.split("/")[0].partition("=")[2]
            data = pa.BufferReader(read_bytes(join(self.output, file)))
            for row in pq.ParquetFile(data).read(use_threads=False).to_pylist():
                found[row["doc_id"], label, row["text_digest"], row["run_id"]] += 1
        return found

    def answers(self) -> set[tuple[str, str]]:
        """Passages and types that the store answers, but for the texts of `GONE`."""
        ObjectStore.install(self.place / "objects")
        gone = {passage_id(texts[GONE] or "") for texts in (MONDAY, TUESDAY)}
        keys: set[tuple[str, str]] = set()
        for part in list_stores(join(self.workdir, "store")):
            for name in live_files(part):
                data = pa.BufferReader(read_bytes(join(part.cells, name)))
                table = pq.ParquetFile(data).read(columns=["passage_id", "entity_type"], use_threads=False)
                keys |= set(zip(table["passage_id"].to_pylist(), table["entity_type"].to_pylist(), strict=True))
        return {key for key in keys if key[0] not in gone}

    def unfit(self, old: Rows, new: Rows) -> list[str]:
        """What a reader in the middle of a change may not find: neither the old nor the new version of a folder."""
        now = self.rows()
        if not self.remote:
            labels = {key[1] for key in [*old, *new, *now]}
            of = lambda rows, label: {key: n for key, n in rows.items() if key[1] == label}  # noqa: E731
            torn = [one for one in sorted(labels) if of(now, one) not in (of(old, one), of(new, one))]
            return [f"a reader saw neither the old nor the new {label}" for label in torn]
        seen, lasting = {key[:2] for key in now}, {key[:2] for key in old} & {key[:2] for key in new}
        problems = [f"a reader missed {key}" for key in sorted(lasting - seen)]
        return problems + [f"a reader saw {key}" for key in sorted(now.keys() - old.keys() - new.keys())]

    def problems(self, labels: tuple[str, ...], erased: bool) -> list[str]:
        """What does not hold in the end: each document × label once, of the text as it is, and erased in no file."""
        texts = {doc_id: text for doc_id, text in self.texts().items() if not (erased and doc_id == GONE)}
        due = Counter(
            {(doc, label, passage_id(text)[:TEXT_DIGITS]): 1 for doc, text in texts.items() for label in labels}
        )
        found = Counter(key[:3] for key in self.rows().elements())
        problems = [f"twice or not due: {key}" for key in sorted((found - due).elements())]
        problems += [f"missing: {key}" for key in sorted((due - found).elements())]
        problems += [
            f"erased, but in {one}" for one in (traces(self.place, WORDS, ("corpus", "mended")) if erased else ())
        ]
        if not self.remote:
            beside = [name for name in os.listdir(self.place) if name.startswith("out.publishing")]
            problems += [f"left beside the output: {name}" for name in beside]
            folders = [Path(folder) for folder, below, files in os.walk(self.output) if not below and not files]
            problems += [f"left empty: {folder.relative_to(self.output)}" for folder in folders]
        return problems


def in_child(act: Callable[[], int], log: Path) -> int:
    """What an act returns in a forked process, or by what number the process ended."""
    child = os.fork()
    if not child:
        stream = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        code = RAISED
        try:
            code = act()
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def play(world: World, arguments: list[str], recorder: Recorder | None = None) -> int:
    """Run a command of the command line in this process; returns its exit code."""
    leases.BEAT_S = 3600.0  # no heartbeat in between
    mended = world.place / "mended"
    recorded_spark.install(mended.exists)
    ObjectStore.install(world.place / "objects", recorder.change if recorder is not None else None)
    if recorder is not None:
        recorder.install()
    vars(command_line)["command_of"] = _remembered
    return main(arguments)


#: All commands in their parsed form, which takes longer to make than some of them take.
_remembered = lru_cache(maxsize=1)(command_of)
