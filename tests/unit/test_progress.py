"""Progress: one state, seen in a terminal, in a log, in a notebook's cell, and by `status` from elsewhere."""

from __future__ import annotations

import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console, Group

from tests.ray.conftest import make_run_in
from tests.support.report_page import report_values
from tests.support.scripted import complete
from uniner_dist.cli import status
from uniner_dist.cli.app import main
from uniner_dist.completions import stage
from uniner_dist.completions.slots import Slot
from uniner_dist.completions.snapshot import Snapshots, Totals
from uniner_dist.completions.stats import PoolStats
from uniner_dist.completions.summary import PoolSummary
from uniner_dist.completions.work import ReplicaState
from uniner_dist.config.loading import load_config
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.live import LiveView
from uniner_dist.reporting.progress import duration, line, view
from uniner_dist.run.resuming import resume_command
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import PoolProgress, SparkProgress, record_values, write_record
from uniner_dist.storage.filesystem import read_json, write_json
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import current_holder, hold_lease
from uniner_dist.storage.retries import StorageError

STATE = PoolProgress.model_validate(
    {
        "at": 0.0,
        "stage": "completions",
        "prompts": 41_807_000,
        "prompts_done": 12_345_678,
        "shards": 8_120,
        "shards_done": 2_391,
        "prompts_per_s": 1834.2,
        "tokens_per_s": 281_234.0,
        "eta_s": 16_060,
        "replicas": {"starting": 1, "busy": 15},
        "deaths": 2,
        "start_failures": 1,
        "failures": {"too_long": 12},
        "prefix_hit_rate": 0.81,
        "gpu_hours": 23.4,
        "cost": 58.5,
    }
)
SPARK_STATE = SparkProgress(at=0.0, stage="prompts", step="explode\x1b[31m", tasks=200, tasks_done=37)
#: What a reader must find, however it is shown.
WORDS = (
    "completions", "29%", "2,391 of 8,120 shards", "4 h 28 min left", "1,834 prompts/s", "281,234 tokens/s",
    "81% prefix cache", "1 starting, 15 busy", "23.4 GPU hours = 58.50", "2 replica deaths",
    "1 failed starts", "12 too_long",
)  # fmt: skip


def printed(shown: Any, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(shown)
    return stream.getvalue()


def test_everything_is_in_the_view_and_in_the_line_and_no_line_is_too_long() -> None:
    text = printed(view(STATE), 80)
    assert all(words in text for words in WORDS)
    assert "12,345,678 of 41,807,000 prompts" in text
    assert all(len(row.rstrip()) <= 80 for row in text.splitlines())
    assert len(text.splitlines()) <= 6
    assert all(words in line(STATE) for words in WORDS)
    assert "\n" not in line(STATE)
    narrow = " ".join(printed(view(STATE), 50).split())
    assert all(words in narrow for words in ("29%", "23.4 GPU hours", "12 too_long")), "words are wrapped, never cut"


def test_a_spark_stage_shows_its_step_and_tasks() -> None:
    assert "37 of 200 tasks" in printed(view(SPARK_STATE), 80)
    assert "\x1b[31m" not in printed(view(SPARK_STATE), 80)
    assert line(SPARK_STATE) == "prompts: 37/200 tasks (18%); explode [31m"


def test_a_bar_is_full_only_when_all_is_done() -> None:
    assert "99%" in line(STATE.model_copy(update={"prompts_done": 41_806_999}))
    assert "100%" in line(STATE.model_copy(update={"prompts_done": 41_807_000}))
    assert "(0%)" in line(STATE.model_copy(update={"prompts": 0, "prompts_done": 0, "eta_s": None}))
    assert "speed not known yet" in line(STATE.model_copy(update={"prompts_per_s": 0, "eta_s": None}))
    assert "speed" not in line(
        STATE.model_copy(update={"prompts_per_s": 0, "eta_s": None, "prompts_done": STATE.prompts})
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5400, "90 min"), (7200, "2 h"), (12_000, "3 h 20 min")],
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# -- what the pool shows ---------------------------------------------------------------------------------------------


def pool(finished: int, **counters: Any) -> Any:
    """What is shown of a pool."""
    counts = {ReplicaState.BUSY: 2, ReplicaState.STARTING: 1}
    return SimpleNamespace(
        summary=PoolSummary(**counters),
        finished_prompts=finished,
        queue=SimpleNamespace(open=3),
        count=lambda state: counts.get(state, 0),
    )


def test_rates_are_those_of_the_last_minute_and_costs_those_of_all_starts() -> None:
    options = {
        "corpus.path": "-",
        "output.path": "-",
        "types": "a",
        "plan.price_per_gpu_hour": 2,
        "pool.gpus_per_replica": 4,
    }
    totals = Totals(10_000, 1_000, 20, 2, 8, prompts_to_do=5_000, gpu_hours_before=1.5)
    snapshots = Snapshots(totals, load_config(None, [], options))
    state = snapshots.of(pool(0), 100.0)
    assert (state.prompts_done, state.prompts_per_s, state.eta_s, state.shards_done) == (1_000, 0, None, 7)
    snapshots.of(pool(0), 300.0)
    for second in range(1, 101):
        counters = {"prompt_tokens": 1_000 * second, "cached_tokens": 600 * second, "replica_s": 900.0}
        state = snapshots.of(
            pool(10 * second if second <= 50 else 500 + 30 * (second - 50), **counters), 300.0 + second
        )
    assert state.prompts_per_s == pytest.approx((2_000 - 400) / 60, abs=0.1)
    assert state.tokens_per_s == 1_000
    assert state.eta_s == pytest.approx(3_000 / (1_600 / 60), abs=1), "of what this start may ask"
    assert state.prefix_hit_rate == 0.6
    assert (state.gpu_hours, state.cost) == (2.5, 5.0)
    assert state.replicas == {"starting": 1, "busy": 2}
    assert all(words in line(state) for words in ("30%", "7 of 20 shards", "2.5 GPU hours = 5.00"))


def test_a_start_that_fails_early_shows_nothing_of_an_earlier_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(layout: RunLayout) -> frozenset[str]:
        raise StorageError("storage is away")

    monkeypatch.setattr(stage, "shards_with_cached_answers", fail)
    shown: list[PoolProgress] = []
    observer: Any = SimpleNamespace(due=lambda: True, show=lambda state, final=False: shown.append(state))
    earlier = pool(0)
    earlier.queue.open = 0
    with pytest.raises(StorageError):
        stage.complete_prompts(run, earlier, observer=observer)
    assert [(state.shards_done, state.shards) for state in shown] == []


def test_a_pool_that_stays_loaded_counts_its_replicas_in_every_run() -> None:
    stats, slots = PoolStats(0.0), [Slot(number, None, 0.0, state=ReplicaState.READY) for number in range(2)]
    for begun in (5.0, 50.0):
        stats.begin(begun)
        stats.run(begun, shards=1)
        stats.update_clock(begun + 3, [*slots, Slot(2, None, begun)], last=False)
        stats.update_clock(begun + 4, slots[:1], last=True)
        assert (stats.summary.replicas, stats.summary.answering_s) == (2, 1.0)


def test_a_log_gets_lines_a_terminal_a_bar_and_storage_the_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "progress.json")
    caplog.set_level("INFO", "uniner_dist")
    with LiveView(path, Console(file=io.StringIO()), first_line_s=0) as log:
        log.show(STATE)
        log.show(STATE.model_copy(update={"deaths": 77}))
    assert caplog.messages == [line(STATE)], "the next line is due half a minute later"
    assert read_json(path)["deaths"] == 2
    stream = io.StringIO()
    with LiveView(path, Console(file=stream, force_terminal=True, width=90)) as terminal:
        terminal.show(STATE.model_copy(update={"deaths": 55}), final=True)
    assert "55 replica deaths" in stream.getvalue()
    assert read_json(path)["deaths"] == 55
    with LiveView("/proc/no/such/place.json", Console(file=io.StringIO())) as unlucky:
        unlucky.show(STATE, final=True)


def test_of_views_inside_of_each_other_only_the_innermost_draws(tmp_path: Path) -> None:
    outer, inner = io.StringIO(), io.StringIO()
    places = [str(tmp_path / name) for name in ("outer.json", "inner.json")]
    with LiveView(places[0], Console(file=outer, force_terminal=True)) as first:
        first.show(SPARK_STATE, final=True)
        drawn = outer.getvalue()
        with LiveView(places[1], Console(file=inner, force_terminal=True)) as second:
            hidden = outer.getvalue()
            assert hidden.startswith(drawn)
            first.show(SPARK_STATE.model_copy(update={"tasks_done": 99}), final=True)
            second.show(STATE, final=True)
        assert outer.getvalue() == hidden
        assert "completions" in inner.getvalue()
        assert read_json(places[0])["tasks_done"] == 99
        first.show(SPARK_STATE.model_copy(update={"tasks_done": 120}), final=True)
    assert "120 of 200" in outer.getvalue()


def test_in_a_notebook_one_output_of_the_cell_is_replaced(tmp_path: Path) -> None:
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    code = f"""
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.live import LiveView
from uniner_dist.storage.control_files import PoolProgress, SparkProgress
with LiveView({str(tmp_path / "progress.json")!r}) as shown:
    for deaths in (1, 2, 3):
        shown.show(PoolProgress.model_validate({record_values(STATE)!r} | {{"deaths": deaths}}), final=True)
with LiveView({str(tmp_path / "spark.json")!r}) as spark:
    spark.show(SparkProgress.model_validate({record_values(SPARK_STATE)!r}))
"""
    messages: list[tuple[str, dict[str, Any]]] = []
    try:
        reply = client.execute_interactive(
            code, output_hook=lambda m: messages.append((m["msg_type"], m["content"])), timeout=1200
        )
        assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    drawn = [(kind, content) for kind, content in messages if "display_data" in kind]
    new, update = "display_data", "update_display_data"
    assert [kind for kind, _ in drawn] == [new, update, update, new, update]
    ids = [content["transient"]["display_id"] for _, content in drawn]
    assert len(set(ids[:3])) == len(set(ids[3:])) == 1
    last, half_done, left = (content["data"]["text/html"] for _, content in drawn[2:])
    assert "37 of 200 tasks" in half_done
    assert left == "", "a view that ends half way takes its picture away"
    assert "3 replica deaths" in last
    assert "2,391 of 8,120 shards" in last


# -- status ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run_in(tmp_path, [["Ada."], ["Bob."]], ["person"])


def look(run: Run, width: int = 80) -> str:
    shown, at_work = status.status(run.layout.workdir, None)
    assert at_work == bool(current_holder(run.layout))
    return printed(Group(*shown), width)


def test_status_shows_what_is_being_done_and_after_a_crash_what_was(run: Run) -> None:
    write_record(run.layout.progress, STATE.model_copy(update={"at": time.time() - 7}))
    write_record(run.layout.spark_progress, SPARK_STATE.model_copy(update={"at": time.time() - 3000}))
    with hold_lease(run.layout):
        text = look(run)
        assert f"{run.id}  at work on completions" in text
        assert "by process" in text
        assert "last news 7 s ago" in text
        assert all(words in text for words in WORDS)
        assert max(len(row) for row in text.splitlines()) <= 80
    text = look(run)
    assert f"{run.id}  stopped in completions" in text
    assert "nobody works on it; this resumes it" in text
    assert "12,345,678 of 41,807,000 prompts" in text
    assert "left" not in text
    assert "busy" not in text


def test_the_command_that_resumes_is_one_line_in_a_narrow_terminal(run: Run) -> None:
    out = io.StringIO()
    status.print_status(run.layout.workdir, None, console=SafeConsole(file=out, force_terminal=True, width=50))
    assert resume_command(run) in out.getvalue().splitlines()
    assert len(resume_command(run)) > 100


def test_status_shows_the_spark_stage_when_that_is_the_latest_news(run: Run) -> None:
    Path(run.layout.shards).unlink()
    write_record(run.layout.progress, STATE.model_copy(update={"at": time.time() - 3000}))
    write_record(run.layout.spark_progress, SPARK_STATE.model_copy(update={"at": time.time()}))
    with hold_lease(run.layout):
        text = look(run)
    assert "at work on prompts" in text
    assert "37 of 200 tasks" in text
    assert "shards" not in text


def test_status_of_a_finished_run_says_what_it_is_about_and_what_came_out(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(run)
    assert "stopped in annotations" in look(run)
    report = {
        "prompts": report_values()["prompts"],
        "publication": {"rows": 2},
        "annotations": {"rows": 2800, "failed": 27},
        "completions": {"prompts": 3208, "gpu_hours": 0.5},
        "written_at": "2026-01-01T00:00:00Z",
    }
    write_json(run.layout.report, report)
    text, about = look(run, 400).splitlines()
    assert f"{run.config.corpus.path} → {run.config.output.path}" in about
    for words in (
        f"{run.id}  published",
        "2,800 annotations, 27 without an answer",
        "3,208 prompts asked",
        "0.5 GPU hours",
    ):
        assert words in text
    write_json(run.layout.report, {**report, "publication": None, "annotations": None})
    assert "stopped by its gate" in look(run)
    assert main(["status", "--workdir", run.layout.workdir, "--watch"]) == 0, (
        "nobody works, so there is nothing to wait for"
    )
    assert "stopped by its gate" in capsys.readouterr().out
    assert main(["status", "--workdir", run.layout.workdir + "x"]) == 2
