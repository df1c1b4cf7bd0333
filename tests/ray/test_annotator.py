"""The annotator of notebooks: kinds come back as they went in, and the pool stays warm, usable and shared.

The scripted engine answers with the capitalised words that begin with a letter of the type.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import SparkSession

import uniner_dist as ud
from uniner_dist.config.loading import load_config
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.spark.session import spark_session

pytestmark = pytest.mark.ray

TYPES = {"A-words": "a", "BC-words": "bc"}
LONG = " ".join(f"Then Adam{i} met Bea{i} and Cid." for i in range(900))
TEXTS = ["Ada met Bob.", "nobody", LONG, "Ada met Bob."]
SETTINGS: dict[str, Any] = {
    "engine.kind": "scripted",
    "pool.cpus_per_replica": 0.4,
    "pool.backoff_s": 0.1,
    "run.max_removed_fraction": 1,
}


def frame(texts: list[str] = TEXTS) -> pd.DataFrame:
    return pd.DataFrame({"key": [f"k{i}" for i in range(len(texts))], "body": texts, "src": list(range(len(texts)))})


def comparable(rows: list[dict[str, Any]]) -> list[Any]:
    """Everything but the name of the call, in the order of ids and labels."""
    plain = [{**row, "entities": [dict(entity) for entity in row["entities"]], "run_id": ""} for row in rows]
    return sorted((str(next(iter(row.values()))), row["entity_type"], row) for row in plain)


def asked(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "asked.jsonl"


@pytest.fixture(scope="module")
def annotator(ray: Any, log: Path) -> Iterator[ud.Annotator]:
    """One for the module: what a test asks, a later one need not."""
    with ud.Annotator(settings={**SETTINGS, "engine.extra": {"log": str(log)}}) as annotator:
        yield annotator


def test_strings_come_back_as_rows_in_order_with_offsets_into_them(annotator: ud.Annotator) -> None:
    rows = annotator.annotate(TEXTS, TYPES)
    assert [(row["doc_id"], row["entity_type"]) for row in rows] == [(i, kind) for i in range(4) for kind in TYPES]
    for row in rows:
        for entity in row["entities"]:
            assert rows.texts[row["doc_id"]][entity["start"] : entity["end"]] == entity["text"]
    assert [entity["text"] for entity in rows[1]["entities"]] == ["Bob"]
    assert rows[2]["outcome"] == "none"
    assert {entity["text"] for entity in rows[4]["entities"]} == {f"Adam{i}" for i in range(900)}


def test_every_kind_of_data_gets_the_same_rows_in_its_own_kind(annotator: ud.Annotator, spark: Any) -> None:
    pandas = frame()
    arguments: dict[str, Any] = {"types": TYPES, "id": "key", "text": "body", "keep": ["src"]}
    expected = annotator.annotate(pa.Table.from_pandas(pandas), **arguments)
    assert isinstance(expected, pa.Table)
    assert expected.column_names[:3] == ["key", "src", "entity_type"]
    rows = comparable(expected.to_pylist())
    assert len(rows) == 8
    found = annotator.annotate(pandas, **arguments)
    assert isinstance(found, pd.DataFrame)
    assert comparable(pa.Table.from_pandas(found, schema=expected.schema).to_pylist()) == rows
    sample = annotator.annotate(spark.createDataFrame(pandas), limit=100, **arguments)
    assert sample.sparkSession is spark
    assert comparable([row.asDict(recursive=True) for row in sample.collect()]) == rows
    streamed = list(annotator.stream(pandas, rows=3, **arguments))
    assert [len(piece) for piece in streamed] == [6, 2]
    assert list(pd.concat(streamed)["key"]) == list(found["key"])


def test_a_whole_spark_dataframe_gets_the_same_rows_by_way_of_the_stages(annotator: ud.Annotator, spark: Any) -> None:
    pandas = frame()
    arguments: dict[str, Any] = {"types": TYPES, "id": "key", "text": "body", "keep": ["src"]}
    expected = annotator.annotate(pa.Table.from_pandas(pandas), **arguments)
    replica = annotator._warm.pool().slots[0].pid
    whole = annotator.annotate(spark.createDataFrame(pandas), **arguments)
    assert whole.columns == expected.column_names
    assert comparable([row.asDict(recursive=True) for row in whole.collect()]) == comparable(expected.to_pylist())
    assert annotator._warm.pool().slots[0].pid == replica, "the warm replica answered"


def test_a_spark_pipeline_is_saved_loaded_and_publishes(ray: Any, spark: Any, tmp_path: Path) -> None:
    """The stage of a pipeline that was written by Spark and read again, with another output given for the call."""
    settings = {**SETTINGS, "pool.replicas": 1}
    columns: dict[str, Any] = {"id_column": "key", "text_column": "body", "keep_columns": "src"}
    stage = ud.AnnotationTransformer(types=TYPES, output=f"{tmp_path}/unused", settings=settings, **columns)
    rows = spark.createDataFrame(frame(["Ada met Bob.", "nobody"]))
    Pipeline(stages=[stage]).fit(rows).save(f"{tmp_path}/pipeline")
    loaded = PipelineModel.load(f"{tmp_path}/pipeline")
    [read] = loaded.stages
    assert isinstance(read, ud.AnnotationTransformer)
    assert read.uid == stage.uid
    assert {param.name: value for param, value in read.extractParamMap().items()} == {
        "types": TYPES,
        "output": f"{tmp_path}/unused",
        "settings": settings,
        **columns,
        "keep_columns": ["src"],
    }
    published = loaded.transform(rows, {read.output: f"{tmp_path}/out"})
    assert not (tmp_path / "unused").exists()
    assert published.inputFiles(), "it reads the published files"
    found = {
        (row["key"], row["src"], row["entity_type"]): [e["text"] for e in row["entities"]]
        for row in published.collect()
    }
    assert found == {
        ("k0", 0, "A-words"): ["Ada"],
        ("k0", 0, "BC-words"): ["Bob"],
        ("k1", 1, "A-words"): [],
        ("k1", 1, "BC-words"): [],
    }
    with pytest.raises(ConfigError, match="output: is not set"):
        ud.AnnotationTransformer(types="person").transform(rows)


def test_a_session_that_has_lost_its_thread_is_used_and_stays(spark: Any) -> None:
    """As after a Ctrl-C that broke a call of Spark's: the JVM's new thread knows of no active session."""
    config = load_config(None, [], {"corpus.path": "-", "output.path": "-", "types": "person"})

    def work() -> None:
        assert SparkSession.getActiveSession() is None
        with spark_session(config) as session:
            assert session.range(3).count() == 3

    with ThreadPoolExecutor(1) as threads:
        threads.submit(work).result()
    assert spark.range(2).count() == 2


def test_the_same_question_is_asked_once_and_nothing_is_loaded_again(annotator: ud.Annotator, log: Path) -> None:
    annotator.annotate("Ann saw Cal.", {"x": "a"})
    before, replica = len(asked(log)), annotator._warm.pool().slots[0].pid
    again = annotator.annotate(["Ann saw Cal.", "Ann saw Cal."], {"y": "a", "z": "c"})
    assert asked(log)[before:] == [["Ann saw Cal.", "c"]]
    assert [entity["text"] for row in again[:2] for entity in row["entities"]] == ["Ann", "Cal"]
    assert annotator._warm.pool().slots[0].pid == replica


def test_rows_without_a_text_are_left_out_and_told(ray: Any) -> None:
    said: list[str] = []
    with ud.Annotator(settings=SETTINGS, say=said.append) as annotator:
        rows = annotator.annotate(pd.DataFrame({"doc_id": [1, 2, 3], "text": ["Ada", " \u200b", None]}), {"x": "a"})
        assert list(rows["doc_id"]) == [1]
        assert annotator.rejects is not None
        assert annotator.rejects.select(["doc_id", "reason"]).to_pylist() == [
            {"doc_id": 2, "reason": "blank_text"},
            {"doc_id": 3, "reason": "null_text"},
        ]
        assert "left out 1 blank_text, 1 null_text; they are in annotator.rejects" in said
        assert len(annotator.annotate([], {"x": "a"})) == 0
        assert len(annotator.annotate(["", None], {"x": "a"})) == 0


def test_ctrl_c_stops_soon_and_the_same_call_goes_on_from_there(ray: Any, tmp_path: Path) -> None:
    log = tmp_path / "asked.jsonl"
    extra = {"log": str(log), "slow_s": 0.1, "batch": 1}
    with ud.Annotator(settings={**SETTINGS, "engine.extra": extra, "pool.shards_in_flight": 1}) as annotator:
        calls = Path(annotator._warm.calls)

        def interrupt() -> None:
            """When the first of four shards is committed: a busy machine may answer some more before it stops."""
            while not list(calls.glob("runs/*/completions/*.parquet")):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        texts = [f"Ada{i} met Bob." for i in range(80)]
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            annotator.annotate(texts, {"x": "a"})
        thread.join()
        stopped = {text for text, _ in asked(log)}
        assert 0 < len(stopped) < 80
        replica = annotator._warm.pool().slots[0].pid
        rows = annotator.annotate(texts, {"x": "a"})
        assert [row["entities"][0]["text"] for row in rows] == [f"Ada{i}" for i in range(80)]
        assert len(asked(log)) == 80, "what was answered before the stop is not asked again"
        assert annotator._warm.pool().slots[0].pid == replica


def test_a_replica_that_dies_between_two_calls_is_replaced(annotator: ud.Annotator) -> None:
    annotator.annotate("Amy", {"x": "a"})
    victim = psutil.Process(annotator._warm.pool().slots[0].pid)
    victim.kill()
    victim.wait(20)
    assert annotator.annotate("Abe met Amy", {"x": "a"})[0]["outcome"] == "found"


def test_an_engine_that_does_not_load_leaves_the_annotator_usable(ray: Any, tmp_path: Path) -> None:
    extra = {"fail_start": "no such luck"}
    annotator = ud.Annotator(settings={**SETTINGS, "engine.extra": extra, "pool.max_start_failures": 1})
    for _ in range(2):
        with pytest.raises(StageError, match="no such luck"):
            annotator.annotate("Ada", {"x": "a"})
    annotator.close()


def test_annotators_share_one_ray_and_say_when_there_is_no_room(ray: Any, annotator: ud.Annotator) -> None:
    annotator.annotate("Ada", {"x": "a"})
    other = ud.Annotator(settings=SETTINGS)
    assert other.annotate("Ada", {"x": "a"})[0]["outcome"] == "found"
    greedy = ud.Annotator(settings={**SETTINGS, "pool.cpus_per_replica": 2})
    with pytest.raises(ConfigError, match="close one of them"):
        greedy.annotate("Ada", {"x": "a"})
    dropped = psutil.Process(other._warm.pool().slots[0].pid)
    del other  # as when a notebook's cell is run again
    dropped.wait(20)
    assert ray.is_initialized()
    assert annotator.annotate("Alma", {"x": "a"})[0]["outcome"] == "found"


@pytest.mark.vllm
def test_the_readmes_snippet_runs(ray: Any, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    [snippet] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    names["annotator"].close()
    assert "[Anna Larsen](person) lives in [Madrid](location)." in capsys.readouterr().out
    assert [e["text"] for row in names["annotations"] for e in row["entities"]] == ["Anna Larsen", "Madrid"]


@pytest.mark.slow
@pytest.mark.vllm
def test_the_real_model_answers_in_memory_with_scores(ray: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with ud.Annotator(scores=True) as annotator:
        text = "Amas Petrov lives in Brazil."
        [row] = annotator.annotate(text, ["person"])
        assert [(e["text"], e["start"], e["end"]) for e in row["entities"]] == [("Amas Petrov", 0, 11)]
        assert 0 < row["entities"][0]["score"] <= 1
        annotator.show([text], ["person", "country"])
        assert "[Amas Petrov](person) lives in" in capsys.readouterr().out
