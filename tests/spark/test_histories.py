"""Histories nobody thought of: commands in any order, and after each the output is what a full run would give.

The machine draws documents, types, labels, phrases, corpora, outputs, stores, crashes, retries, limits and settings. A
short run with fixed draws belongs to `make test`; `make histories` draws new ones for as long as one likes.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from pyspark.sql import SparkSession

from tests.support.history import NAMES, PHRASES, KilledError, Memory, Output, Start, World, text_of
from uniner_dist.cli.maintenance import run_compact, run_erasure, run_prune, run_restore
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import Config
from uniner_dist.core.hashing import passage_id
from uniner_dist.errors import AuditError, LimitError, StageError, ThresholdError
from uniner_dist.run.run import list_runs, load_run
from uniner_dist.spark.session import get_spark

pytestmark = pytest.mark.spark

HISTORIES, STEPS = int(os.environ.get("HISTORIES", "2")), int(os.environ.get("STEPS", "5"))
_GOOD = ("found", "none")
_TYPES = st.sampled_from(
    [("person",), ("person", "PLACE"), ("PLACE",), ("human",), ("human", "PLACE"), ("org", "PLACE")]
)
_VERSIONS = st.integers(0, 6)
_CHANGES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(NAMES), st.one_of(st.none(), _VERSIONS, _VERSIONS)), max_size=3
)
_CRASHES = st.sampled_from([None, None, None, 0, 3, 9, 17, 30, 60])
_SETTINGS = st.fixed_dictionaries(
    {
        "spelled": st.sampled_from(["{}", "{}/.", "../{here}/{}", "link-{}"]),
        "output.removed_documents": st.sampled_from(["corpus", "corpus", "keep", "all"]),
        "output.other_types": st.sampled_from(["keep", "keep", "remove"]),
        "model.max_tokens": st.sampled_from([64, 64, 64, 48]),
        "run.max_removed_fraction": st.sampled_from([1, 1, 0.5]),
    }
)


class Histories(RuleBasedStateMachine):
    """One history. `begin` is set by the test: it makes a new world."""

    model_folder: ClassVar[str]
    folders: ClassVar[Path]
    truth: ClassVar[dict[tuple[Any, ...], dict[str, Any]]]
    count: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.folder = self.folders / f"history-{type(self).count}"
        self.folder.mkdir()
        self.world = World(self.folder, self.model_folder)
        self.corpora: dict[str, dict[str, str]] = {}
        self.outputs = {"o1": Output(), "o2": Output()}
        self.starts: list[tuple[str, str, Start]] = []
        self.last: Config | None = None
        self.corpus = ""
        self.paid: dict[str, set[tuple[str, str, str]]] = {}
        self.memory = Memory()
        self.gone: set[str] = set()  # names of which no trace may be left
        self.steps: list[str] = []
        self.commands = 0

    def teardown(self) -> None:
        """Keep the disk small, and tell how far it has come, and what ended it, before hypothesis plays it again."""
        error = sys.exc_info()[1]
        if os.environ.get("TELL"):
            print(f"history {type(self).count}: {self.commands} commands", flush=True)
            if isinstance(error, Exception):
                print("".join(traceback.format_exception(error)), *self.steps, sep="\n", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, text: str) -> None:
        """What is done next."""
        self.commands += 1
        self.note(text)

    def note(self, text: str) -> None:
        """For the message of a failure."""
        self.steps.append(text)
        if os.environ.get("TELL"):
            print(f"  {type(self).count}.{len(self.steps)} {text}", flush=True)

    # -- documents -------------------------------------------------------------------------------------------------

    @initialize(versions=st.lists(_VERSIONS, min_size=3, max_size=3), types=_TYPES)
    def first_day(self, versions: list[int], types: tuple[str, ...]) -> None:
        """Two corpora with a document in common, of which one is annotated: of some rules none may be drawn at all."""
        for corpus, names in (("a", NAMES[:3]), ("b", NAMES[2:5])):
            self.write(corpus, {f"id-{n}": text_of(n, v) for n, v in zip(names, versions, strict=True)})
        self.command(f"annotate a → o1 {types}")
        self.start("a", self.world.config("a", "o1", types), False, None)

    def write(self, corpus: str, documents: dict[str, str]) -> None:
        self.corpora[corpus] = documents
        self.world.write(corpus, documents)

    def change(self, corpus: str, name: str, version: int | None) -> None:
        """Add a document, edit it, or (None) take it out, unless it is the last one."""
        documents = {key: text for key, text in self.corpora[corpus].items() if key != f"id-{name}"}
        if version is not None:
            documents[f"id-{name}"] = text_of(name, version)
        if documents:
            self.write(corpus, documents)

    def edit(self, changes: list[tuple[str, str, int | None]]) -> None:
        for change in changes:
            self.change(*change)

    # -- commands --------------------------------------------------------------------------------------------------

    @rule(
        changes=_CHANGES,
        corpus=st.sampled_from("aab"),
        output=st.sampled_from(["o1", "o1", "o2"]),
        types=_TYPES,
        store=st.sampled_from([None, None, "shared"]),
        settings=_SETTINGS,
        limit=st.sampled_from([None, None, None, None, 0, 2]),
        refuse=st.booleans(),
        crash=_CRASHES,
    )
    def day(
        self,
        changes: list[tuple[str, str, int | None]],
        corpus: str,
        output: str,
        types: tuple[str, ...],
        store: str | None,
        settings: dict[str, Any],
        limit: int | None,
        refuse: bool,
        crash: int | None,
    ) -> None:
        """The corpora change, and one of them is annotated."""
        self.edit(changes)
        link = self.folder / f"link-{corpus}"
        if not link.is_symlink():
            link.symlink_to(self.folder / corpus)
        settings = dict(settings)
        path = settings.pop("spelled").format(corpus, here=self.folder.name)
        options = settings | {"run.max_prompts": limit}
        if store:
            options["store"] = f"{self.folder}/{store}"
        self.command(f"{changes}; annotate {path} → {output} {types} {store} {settings} limit={limit} refuse={refuse}")
        self.start(corpus, self.world.config(path, output, types, **options), refuse, crash)

    @rule(changes=_CHANGES, refuse=st.booleans(), crash=_CRASHES)
    def same_command(self, changes: list[tuple[str, str, int | None]], refuse: bool, crash: int | None) -> None:
        """The last command once more, on another day or on the same."""
        if self.last is not None:
            self.edit(changes)
            self.command(f"{changes}; the same command; refuse={refuse}")
            self.start(self.corpus, self.last, refuse, crash)

    @rule(place=st.integers(0, 20))
    def retry(self, place: int) -> None:
        """Some run, of whatever day, asks its failures again: the present never becomes the past."""
        self.some_run(place, self.world.retry, "retry")

    @rule(place=st.integers(0, 20))
    def publish_some_run(self, place: int) -> None:
        """Stage 3 of some run."""
        self.some_run(place, self.world.annotations, "annotations of")

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=2), workdir=st.integers(0, 5), gone=st.booleans())
    def forget(self, names: list[str], workdir: int, gone: bool) -> None:
        """Erase documents, which may be in the corpora still."""
        workdirs = self.world.workdirs()
        if not workdirs:
            return
        place = workdirs[workdir % len(workdirs)]
        if gone:
            self.edit([(corpus, name, None) for corpus in "ab" for name in names])
        self.command(f"forget {names} in {Path(place).name}, out of the corpora: {gone}")
        known = {store: self.world.known(store) for store in self.world.stores()}
        run_erasure(place, [f"id-{name}" for name in names], None, self.note)
        for (owner, corpus, output), ids in self.memory.forget(place, [f"id-{name}" for name in names]).items():
            model = self.outputs[output]
            model.rows = {key: row for key, row in model.rows.items() if key[0] not in ids}
            for where, _, start in self.starts:
                if (where, start.corpus) == (owner, corpus):
                    start.forget(ids)
        for store, before in known.items():
            for _, passage, ask in before - self.world.known(store):
                text = self.world.passages[passage]
                assert any(text in erased for erased in self.memory.erased_texts), f"lost: {text} {ask}"
            self.paid[store] = self.paid.get(store, set()) & self.world.known(store)
        self.gone |= {name for name in names if self.memory.is_gone(f"id-{name}")}
        for output in self.outputs:
            self.check(output, set(), None)

    @precondition(lambda self: self.world.workdirs() and self.memory.erased_texts)
    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6), workdir=st.integers(0, 5))
    def restore(self, names: list[str], workdir: int) -> None:
        """Let erased documents come back."""
        workdirs = self.world.workdirs()
        place = workdirs[workdir % len(workdirs)]
        self.command(f"restore {names} in {Path(place).name}")
        run_restore(place, [f"id-{name}" for name in names], None, self.note)
        self.memory.restore(place, [f"id-{name}" for name in names])

    def known_stores(self) -> list[str]:
        """Stores that hold answers."""
        return [place for place in sorted(self.paid) if self.world.known(place)]

    @precondition(lambda self: self.known_stores())
    @rule(grace=st.sampled_from([0, 24]), store=st.integers(0, 5))
    def compact(self, grace: int, store: int) -> None:
        """Few large files instead of many small ones."""
        stores = self.known_stores()
        self.command(f"compact {stores[store % len(stores)]} {grace}")
        run_compact(None, stores[store % len(stores)], grace, None, self.note)

    @rule(workdir=st.integers(0, 5))
    def prune(self, workdir: int) -> None:
        """Old runs lose their payload."""
        workdirs = self.world.workdirs()
        if workdirs:
            self.command(f"prune {workdirs[workdir % len(workdirs)]}")
            run_prune(workdirs[workdir % len(workdirs)], 0, self.note)

    def start(self, corpus: str, config: Config, refuse: bool, crash: int | None) -> None:
        self.last, self.corpus = config, corpus
        if crash is not None:
            try:
                with self.world.dying(crash):
                    self.run_and_check(corpus, config, refuse)
                return
            except KilledError as error:
                self.note(f"  … died: {error}")
                self.world.bury()
        self.run_and_check(corpus, config, refuse)

    def run_and_check(self, corpus: str, config: Config, refuse: bool) -> None:
        name, store = config.output.path.rsplit("/", 1)[-1], config.store_path
        output, known = self.outputs[name], self.world.known(store)
        assert self.paid.get(store, set()) <= known, "an answer that was paid for is in the store no more"
        place = config.workdir_path
        start = Start(
            len(self.starts),
            corpus,
            self.memory.without_erased(place, store, self.corpora[corpus]),
            {one.label: one.ask for one in config.types},
            config.output.removed_documents,
            config.output.other_types,
        )
        fraction = output.removed_fraction(start)
        try:
            self.world.annotate(config, refuse)
        except LimitError:
            assert config.run.max_prompts is not None
        except ThresholdError:
            assert fraction > config.run.max_removed_fraction
        else:
            output.publish(start)
        run = load_run(place, "latest")
        self.starts.append((place, run.id, start))
        self.memory.learn(place, store, name, start)
        self.gone -= {one for one in NAMES if f"id-{one}" in start.documents}
        self.check_asked(start, run.fingerprint, known, store)
        self.check(name, self.world.known(store), start if start in output.published else None)

    def some_run(self, place: int, command: Any, word: str) -> None:
        runs = [(workdir, run) for workdir in self.world.workdirs() for run in list_runs(workdir)]
        if not runs:
            return
        workdir, run = runs[place % len(runs)]
        name = Path(workdir).stem
        self.command(f"{word} {name} {run}")
        before = self.world.order(name, run)
        try:
            command(workdir, run)
        except (StageError, ThresholdError, AuditError, LimitError) as error:
            self.note(f"  … {str(error)[:80]}")
        if self.world.order(name, run) != before:
            start = next(start for *key, start in reversed(self.starts) if key == [workdir, run])
            assert not any(later.outdates(start) for later in self.outputs[name].published), "the past was published"
            self.outputs[name].publish(start)
        self.check(name, set(), None)

    # -- what must be so ---------------------------------------------------------------------------------------------

    def check_asked(self, start: Start, fingerprint: str, known: set[Any], store: str) -> None:
        """Nothing that the store answers was asked, nothing twice, and nothing of other documents or types."""
        received = self.world.received
        assert max(received.values(), default=1) == 1, "asked twice"
        for text, ask in received:
            assert ask in start.types.values()
            assert any(text in document for document in start.documents.values())
        asked = {(fingerprint, passage_id(text), ask) for text, ask in received}
        assert not asked & known, "asked although the store had the answer"
        self.paid.setdefault(store, set()).update(asked & self.world.known(store))

    def check_traces(self) -> None:
        """No byte of the erased is left anywhere but in the corpora."""
        words = [word for name in self.gone for word in (name, f"id-{name}")]
        assert not words or self.world.traces(words, but=("a", "b")) == []

    def check(self, name: str, known: set[Any], start: Start | None) -> None:
        """Every row that must be there is there, and is what a full run gives, or a failure that nobody answered."""
        self.check_traces()
        expected, rows = self.outputs[name].rows, self.world.rows(name)
        assert rows.keys() == expected.keys(), self.steps
        for key, wanted in expected.items():
            row = rows[key]
            if row["outcome"] in _GOOD:
                truth = self.truth[wanted.text, wanted.ask]
                assert {name: row[name] for name in truth} == truth, self.steps
                continue
            assert row["outcome"] == "engine_error", row
            assert "Refuseword" in wanted.text
            if start is not None and key[0] in start.documents and key[1] in start.types:
                answered = (row["fingerprint"], passage_id(wanted.text), wanted.ask) in known
                assert not answered, "the store has its answer"


#: Thousands of plans over a handful of rows: interpreting them costs less than generating and compiling their code.
_TINY_PLANS = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@pytest.fixture(scope="module")
def session(request: pytest.FixtureRequest) -> SparkSession:
    """That of all tests, or for a long run one of its own."""
    if "HISTORIES" not in os.environ:
        found: SparkSession = request.getfixturevalue("spark")
        return found
    options: dict[str, Any] = {"corpus.path": "-", "output.path": "-", "types": "person", "spark.master": "local[1]"}
    return get_spark(load_config(None, [], options | {"spark.conf": _TINY_PLANS}), quick=True)


@pytest.fixture(scope="module")
def truth(
    session: SparkSession, model_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What a full run gives for every text and phrase."""
    world = World(tmp_path_factory.mktemp("truth"), model_folder)
    texts = sorted({text_of(name, version) for name in NAMES for version in range(7)})
    world.write("all", {f"{n}": text for n, text in enumerate(texts)})
    found = {}
    for types in (("person", "PLACE"), ("org", "PLACE")):
        world.annotate(world.config("all", f"full-{types[0]}", types))
        for (doc, label), row in world.rows(f"full-{types[0]}").items():
            values = {
                name: row[name] for name in ("entities", "outcome", "repair", "score", "raw_output", "text_digest")
            }
            assert found.setdefault((texts[int(doc)], PHRASES[label]), values) == values
    return found


def test_in_every_history_the_output_is_what_a_full_run_gives(
    session: SparkSession, model_folder: str, tmp_path: Path, truth: dict[tuple[Any, ...], dict[str, Any]]
) -> None:
    Histories.model_folder, Histories.folders, Histories.truth = model_folder, tmp_path, truth
    fixed = "HISTORIES" not in os.environ
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            derandomize=fixed,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
