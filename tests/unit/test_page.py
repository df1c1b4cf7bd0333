"""The report page: what it reads, what it draws, and that nothing of a corpus gets out of its place."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ray.conftest import make_run_in
from tests.support.evaluation_data import entity
from tests.support.report_page import HOSTILE, evidence, report, report_values
from tests.support.scripted import complete
from uniner_dist.cli.app import main
from uniner_dist.completions.history import _MAX_POINTS, _MAX_REPLICAS, History, ReplicaLife
from uniner_dist.completions.slots import Slot
from uniner_dist.completions.work import Loss, ReplicaState
from uniner_dist.reporting import charts
from uniner_dist.reporting.earlier import compare_reports
from uniner_dist.reporting.evidence import Evidence, Folder, _count_folders, gather
from uniner_dist.reporting.figures import REJECTED, checks, plan_rows, quality_tiles, rejected, verdict, work_tiles
from uniner_dist.reporting.html import _few_lines, render
from uniner_dist.reporting.next_steps import next_steps
from uniner_dist.run.run import Run
from uniner_dist.schemas import ANNOTATION_FIELDS
from uniner_dist.storage.control_files import Attempt, AttemptHistory, Life

_VOID = {"meta", "br", "img", "link", "input"}


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("uniner_dist.completions.history.time", clock)
    return clock


def slot(number: int, state: ReplicaState, placed_s: float = 1000.0) -> Slot:
    return Slot(number, None, 1000.0, placed_s=placed_s, state=state, node="node-of-some-length")


# -- history ---------------------------------------------------------------------------------------------------------


def test_a_history_tells_lives_and_throughput(clock: Clock) -> None:
    history = History(began_at=1000.0)
    history.look([slot(0, ReplicaState.PENDING)], 0, 0)
    clock.now = 1004.0
    history.look([slot(0, ReplicaState.STARTING, 1003.0)], 0, 0)
    clock.now = 1010.0
    history.look([slot(0, ReplicaState.BUSY, 1003.0)], 50, 700)
    clock.now = 1012.0
    history.ended(0, Loss.DEATH)
    history.ended(7, Loss.START)
    history.look([], 60, 800)
    assert history.points == [[0.0, 0, 0, 0, 0], [4.0, 0, 0, 0, 1], [10.0, 50, 700, 1, 0], [12.0, 60, 800, 0, 0]]
    assert history.replicas == [ReplicaLife(0, "node-of-", 3.0, 10.0, 12.0, "death")]


def test_a_history_stays_small_and_keeps_its_first_and_last_point(clock: Clock) -> None:
    history = History(began_at=1000.0)
    for step in range(100_000):
        clock.now = 1000.0 + step / 5
        history.look([slot(step // 50, ReplicaState.BUSY)], step, step)
    history.look([], 100_000, 100_000, last=True)
    assert len(history.points) <= _MAX_POINTS + 1
    assert history.points[0][0] == 0
    assert history.points[-1][:2] == [clock.now - 1000, 100_000]
    gaps = {
        round(after[0] - before[0]) for before, after in zip(history.points[:-2], history.points[1:-1], strict=True)
    }
    assert gaps == {round(history.step_s)}
    assert len(history.replicas) == _MAX_REPLICAS
    assert history.replicas_left_out == 2000 - _MAX_REPLICAS


def test_starts_are_drawn_one_behind_the_other_and_prompts_are_conserved() -> None:
    first = AttemptHistory(points=((0, 0, 0, 0, 1), (10, 0, 0, 1, 0), (20, 100, 0, 1, 0)))
    life = Life(number=3, node="n", placed_s=-2.0, ready_s=5.0)
    second = AttemptHistory(points=((0, 0, 0, 1, 0), (30, 600, 0, 1, 0)), replicas=(life,), replicas_left_out=4)
    line = charts.timeline([Attempt(history=first), Attempt(), Attempt(history=second)])
    assert line is not None
    assert (line.end_s, line.starts_s, line.more_lives) == (52, [0, 20], 4), "a start begins with its first replica"
    assert sum((end - begin) * rate for begin, end, rate in line.rates) == pytest.approx(700, rel=0.01)
    assert [(one.placed_s, one.ready_s, one.ended_s) for one in line.lives] == [(20, 27, 52)]
    assert charts.timeline([Attempt(), Attempt()]) is None
    assert "replica 3 on node n: loaded in 7 s" in charts.replicas(line)
    assert 'class="start"' in charts.throughput(line)
    named = life.model_copy(update={"node": "</title><script>"})
    hostile = [Attempt(history=second.model_copy(update={"replicas": (named,)}))]
    assert "<script>" not in charts.replicas(charts.timeline(hostile) or line)


@pytest.mark.parametrize(
    ("value", "top"), [(0.3, 0.4), (1, 1), (3.2, 4), (47, 50), (401, 500), (999, 1000), (8001, 10_000)]
)
def test_axes_end_at_numbers_that_read_well(value: float, top: float) -> None:
    assert charts.nice(value) == pytest.approx(top)


# -- the page --------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Checks that what opens is closed; gathers the tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + " "


def test_the_axis_of_a_run_of_seconds_has_decimals() -> None:
    def ticks(end_s: float) -> list[str]:
        return re.findall(r'class="tick"[^>]*>([^<]*)', charts.throughput(charts.Timeline(end_s, [0.0], [], [], 0)))

    assert ticks(0.4) == ["0.0 s", "0.1 s", "0.2 s", "0.3 s", "0.4 s"]
    assert ticks(40.0) == ["0 s", "10 s", "20 s", "30 s", "40 s"]


def test_hostile_text_stays_text_and_the_page_needs_no_network() -> None:
    page = render(report(), evidence())
    parsed = Tags()
    parsed.feed(page)
    assert parsed.open == []
    assert not parsed.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert not {name for name in parsed.attributes if name.startswith("on") or name == "src"}
    assert all(link.startswith("#") for link in parsed.attributes["href"])
    assert not re.search(r"https?:|url\(|@import", page)
    assert "default-src 'none'; form-action 'none'; base-uri 'none'" in page
    assert page.count("&lt;script&gt;") >= 15
    assert "49" not in parsed.text, "templates in data are not evaluated"
    assert not {"\u202e", "\x1b"} & set(page)
    assert parsed.attributes["name"] >= {"viewport"}


def test_the_page_shows_the_figures() -> None:
    parsed = Tags()
    parsed.feed(render(report(), evidence()))
    text = " ".join(parsed.text.split())
    for words in (
        "Published; 1 annotation (12.50%) without a complete answer",
        "5 rows of the corpus = 4 documents + 1 rejected",
        "8 annotations = 4 documents × 2 types",
        "prompts/s 2 30 tokens/s while answering",
        "prefix cache 60% of prompt tokens",
        "cost 1.25 0.5 GPU hours at the given price",
        "Events of start 1",
        "prompts to ask 8 8 100%",
    ):
        assert words in text


def test_counts_that_do_not_add_up_are_marked() -> None:
    wrong = report(annotations={**report_values()["annotations"], "rows": 7})
    assert [holds for holds, _ in checks(wrong)] == [True, False, False, False]
    assert [holds for holds, _ in checks(report())] == [True, True, True, True]
    assert '<b class="no">✗</b>7 annotations' in render(wrong, Evidence())


def test_a_run_that_passed_its_gate_has_a_page_with_its_figures() -> None:
    bulk = {"documents": 12, "agreement": 1.0, "f1": None}
    gate = {"passed": True, "f1": 0.5, "documents": 12, "published": {"gold": None, "bulk": bulk}}
    assert "Stopped by its quality gate" not in render(report(gate=gate), Evidence())


def test_a_run_that_its_gate_stopped_or_without_any_start_has_a_page_too() -> None:
    gate = {"passed": False, "problems": [HOSTILE]}
    nothing = {"prompts": 0, "prompts_per_s": None, "prefix_hit_rate": None, "gpu_hours": 0}
    completions = report_values()["completions"] | nothing
    stopped = report(annotations=None, publication=None, gate=gate, attempts=[], plan=None, completions=completions)
    page = render(stopped, Evidence())
    assert verdict(stopped)[0] == "bad"
    assert "Stopped by its quality gate" in page
    assert "<script" not in page
    assert not {"cost", "GPU hours"} & {name for name, _, _ in work_tiles(stopped)}


# -- what is read for it ---------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with completions, an output and a quarantine, as far as the page looks at them."""
    texts = ["Ada met Bob.", "nothing here", "Eve."]
    run = make_run_in(tmp_path, [texts], ["person", "place"])
    complete(run)
    rows = [
        {
            "doc_id": f"doc {number}",
            "entity_type": kind,
            "entities": [entity(name, 0) for name in names],
            "outcome": "found",
            "score": score,
            "run_id": owner,
        }
        for number, (kind, names, score, owner) in enumerate(
            (
                ("person", ["Ada"] * 3, 0.9, run.id),
                ("person", ["Ada ", " "], 0.25, run.id),  # as a model may spell it
                ("place", ["Ada"], 0.1, "another"),
            )
        )
    ]
    fields = [field for field in ANNOTATION_FIELDS if field.name in rows[0]]
    write(tmp_path / "output", rows, pa.schema([pa.field("doc_id", pa.string()), *fields]))
    failed = [
        {
            "doc_id": f"d{i}",
            "entity_type": "person",
            "text": "Ada",
            "outcome": outcome,
            "error": None,
            "raw_output": "x" * i,
        }
        for i, outcome in enumerate(["truncated"] * 30 + ["unparseable"] * 3 + ["killer"])
    ]
    write(Path(run.layout.quarantine), failed)
    places = [{"passage_id": p, "document": {"doc_id": f"doc {n}"}} for n, p in enumerate(_passages(run))]
    write(Path(run.layout.occurrences), places)
    return run


def _passages(run: Run) -> list[str]:
    from uniner_dist.storage.shards import read_prompts

    return list(dict.fromkeys(read_prompts(run.layout, "00000-0000")["passage_id"].to_pylist()))


def write(folder: Path, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> None:
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "part-0.parquet")


def test_examples_mentions_and_failures_are_read_from_the_runs_files(run: Run) -> None:
    found = gather(run)
    assert found.missing == []
    assert [(one.title, one.text, [e.label for e in one.entities]) for one in found.examples] == [
        ("doc 2", "Eve.", ["person"]),
        ("doc 0", "Ada met Bob.", ["person", "person"]),
    ]
    assert found.top == {"person": [("Ada", 4)]}
    assert found.counted_rows == 2
    assert len(found.failures) == 10
    assert [failure.document for failure in found.failures[:4]] == ["d33", "d32", "d29", "d31"]
    assert [(one.score, one.document, one.mentions) for one in found.doubtful] == [
        (0.25, "doc 1", ("Ada ", " ")),
        (pytest.approx(0.9), "doc 0", ("Ada", "Ada", "Ada")),
    ]


def test_failures_with_the_same_answer_are_told_once(run: Run) -> None:
    path = Path(run.layout.quarantine) / "part-0.parquet"
    rows = pq.read_table(path)
    alike = rows.set_column(rows.schema.get_field_index("raw_output"), "raw_output", pa.array(["[oops"] * len(rows)))
    pq.write_table(alike, path)
    found = gather(run).failures
    assert sorted((failure.outcome, failure.times) for failure in found) == [
        ("killer", 1),
        ("truncated", 30),
        ("unparseable", 3),
    ]


def test_folders_are_told_apart(tmp_path: Path) -> None:
    found: dict[str, Folder] = {}
    rows = [
        {"domain": "ai", "entities": [entity("Ada", 0)] * 2, "outcome": "found"},
        {"domain": "ai", "entities": [], "outcome": "truncated"},
        {"domain": None, "entities": [], "outcome": "none"},
    ]
    _count_folders(pa.RecordBatch.from_pylist(rows), ["domain"], found)
    assert found == {"domain=ai": Folder(2, 2, 1), "domain=None": Folder(1, 0, 0)}


def test_steps_fit_what_happened_and_can_be_pasted(tmp_path: Path) -> None:
    place = tmp_path / "a b.work"
    quarantine = place / "runs/abc/quarantine"
    write(quarantine, [{"doc_id": "d", "raw_output": "[cut"}])
    (quarantine / "_counted.json").write_text("{}")
    one = report(workdir=f"{place}/runs/abc", output=f"{tmp_path}/a b")
    steps = dict(next_steps(one))
    assert not [words for words in steps if "refused" in words], "nothing was refused"
    look = steps["Look at prompts without a complete answer"].replace("python ", f"{sys.executable} ", 1)
    shown = subprocess.run(look, shell=True, capture_output=True, text=True, check=True)
    assert "[cut" in shown.stdout
    evaluate = shlex.split(steps["Score against answers of your own"])
    assert evaluate[:4] == ["uniner-dist", "evaluate", "--annotations", f"{tmp_path}/a b"]
    one = report(workdir=one.workdir, annotations=report_values()["annotations"] | {"outcomes": {"killer": 1}})
    again = next(command for words, command in next_steps(one) if "refused" in words)
    assert shlex.split(again)[2:] == ["--workdir", str(place), "--run", "abc"]
    prompts = report_values()["prompts"] | {"rejects": {}}
    calm = report(annotations=None, publication=None, prompts=prompts)
    assert next_steps(calm) == []


def test_more_room_for_answers_is_the_whole_command() -> None:
    steps = dict(next_steps(report(command="uniner-dist annotate --corpus c --output o")))
    assert "uniner-dist annotate --corpus c --output o --set model.max_tokens=512" in steps.values()


def test_what_a_model_repeats_is_shown_once_in_a_few_lines() -> None:
    shown = _few_lines('["Kreiford Kings", "' + "IAfter" * 90 + '"]')
    assert shown == '["Kreiford Kings", "IAfter ×90 "]'
    assert _few_lines("a b\n" * 3 + "end") == "a b\na b\na b…"
    assert len(_few_lines("".join(map(str, range(10_000))))) <= 151


def test_a_plan_has_no_cost_where_nothing_is_paid() -> None:
    hours = {"planned": None, "actual": 0.03}
    plan = {"prompts": {"planned": 8, "actual": 8}, "gpu_hours": hours, "money": {"planned": None, "actual": None}}
    assert [row[0] for row in plan_rows(report(plan=plan, gpus=0))] == ["prompts to ask"]
    assert [row[0] for row in plan_rows(report(plan=plan, gpus=1))] == ["prompts to ask", "GPU hours", "money"]
    paid = {**plan, "money": {"planned": None, "actual": 2.5}}
    assert plan_rows(report(plan=paid, gpus=0))[-1] == ("money", "not known", "2.5", "–")


def test_a_page_says_what_the_run_before_had() -> None:
    before = report(annotations=report_values()["annotations"] | {"failed": 4})
    assert ("no complete answer", "50.0%", "12.5%") in compare_reports(report(), before)
    assert ("answers with mentions: b", "50.0%", "50.0%") in compare_reports(report(), before)
    assert "Compared with the run that was published to this output before, abc" in render(report(), Evidence(), before)
    stopped = report(annotations=None)
    assert compare_reports(stopped, before) == [("documents", "4", "4")]


def test_a_page_says_corpus_output_and_period_first() -> None:
    one = report(corpus="s3://bucket/news/", opened_at=1767225600.0 - 3000)  # midnight of the first of January 2026
    text = render(one, evidence()).partition("<body>")[2]
    order = [
        text.index(words) for words in ("news: annotations", "s3://bucket/news/", "2025-12-31 23:10 to 2026-01-01")
    ]
    assert order == sorted(order)
    assert text.index('id="quality"') < text.index('id="failures"') < text.index('id="work"')
    assert ("elapsed", "50 min", "from the first start to the report") in work_tiles(one)
    assert ("not in their text", "0.0%", "0 mentions without offsets") in quality_tiles(one)


def test_every_reason_of_a_rejected_row_has_words() -> None:
    from uniner_dist.prompts.corpus import REASONS

    assert set(REJECTED) == set(REASONS)
    assert rejected(report()) == [(1, "without an id")]


def test_what_is_gone_is_named_and_the_page_is_made_anyway(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for path in Path(run.layout.completions).iterdir():
        path.unlink()
    found = gather(run)
    assert [words.split(":")[0] for words in found.missing] == ["examples"]
    assert found.top
    arguments = ["report", "--workdir", run.layout.workdir]
    assert main(arguments) == 2
    assert "is not finished, so it has no report yet" in capsys.readouterr().err
