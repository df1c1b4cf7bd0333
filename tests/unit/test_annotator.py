"""What a notebook holds becomes a table, and wrong arguments become one message, before anything is started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

import uniner_dist as ud
from tests.support import lake_tables
from uniner_dist import demo
from uniner_dist.config.schema import RayConfig
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.notebook import warm_pool as warm
from uniner_dist.notebook.display import marked_documents
from uniner_dist.notebook.in_memory import _sort_out
from uniner_dist.notebook.inputs import Columns, Kind, as_arrow, column_names, joined, kind_of, pieces, resolve_columns
from uniner_dist.notebook.results import to_input_kind
from uniner_dist.schemas import ANNOTATION_FIELDS

ANNOTATIONS = pa.schema([pa.field("doc_id", pa.int64()), *ANNOTATION_FIELDS])


def annotation(doc_id: int, entity_type: str, *mentions: tuple[str, int | None, int | None]) -> dict[str, Any]:
    match = {True: "absent", False: "exact"}
    entities = [{"text": t, "start": a, "end": b, "match": match[a is None], "score": None} for t, a, b in mentions]
    outcome = "found" if entities else "none"
    rest = {"run_id": "r", "model": "m", "fingerprint": "f"}
    return {"doc_id": doc_id, "entity_type": entity_type, "entities": entities, "outcome": outcome, **rest}


def read(
    data: Any, id: str | None = None, text: str | None = None, rows: int = 2, limit: int | None = None
) -> pa.Table:
    kind = kind_of(data)
    return pa.concat_tables(pieces(data, kind, resolve_columns(data, kind, id, text, ()), rows, limit))


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, uniner_dist as ud; assert 'Annotator' in dir(ud);"
        "print([n for n in ('pyspark', 'ray', 'vllm', 'pyarrow', 'pandas', 'torch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=1200)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "data",
    [
        ["Ada", "Bob", "Cid"],
        ("Ada", "Bob", "Cid"),
        (name for name in ["Ada", "Bob", "Cid"]),
        pd.Series(["Ada", "Bob", "Cid"], index=[7, 8, 9]),
        pd.DataFrame({"text": ["Ada", "Bob", "Cid"]}, index=[7, 8, 9]),
        pa.table({"text": ["Ada", "Bob", "Cid"]}),
        pa.table({"text": pa.array(["Ada", "Bob", "Cid"]).dictionary_encode()}),
        pa.table({"text": pa.array(["Ada", "Bob", "Cid"], pa.large_string())}),
        pa.RecordBatch.from_pydict({"text": ["Ada", "Bob", "Cid"]}),
    ],
    ids=lambda data: type(data).__name__,
)
def test_data_of_every_kind_becomes_numbered_texts(data: Any) -> None:
    assert read(data).to_pydict() == {"doc_id": [0, 1, 2], "text": ["Ada", "Bob", "Cid"]}


def test_a_stream_of_arrow_is_read_once() -> None:
    table = pa.table({"text": ["Ada", "Bob"]})
    assert read(table.to_reader())["text"].to_pylist() == ["Ada", "Bob"]


@pytest.mark.parametrize(("id", "text"), [("row", "text"), ("reason", "text"), ("doc_id", "row"), ("doc_id", "reason")])
def test_columns_of_the_data_may_have_any_name(id: str, text: str) -> None:
    table = pa.table({id: [7, 8, 9], text: ["Ada", " ", "Bob"]})
    documents, rejects = _sort_out(table, Columns(id, text), 100)
    assert documents.rows.to_pylist() == [0, 2]
    assert documents.ids.to_pylist() == [7, 9]
    assert documents.texts.to_pylist() == ["Ada", "Bob"]
    assert [column.to_pylist() for column in rejects.columns] == [[8], [" "], ["blank_text"]]


def test_a_string_is_one_text_and_a_limit_reads_no_further() -> None:
    assert read("Ada").to_pydict() == {"doc_id": [0], "text": ["Ada"]}

    def endless() -> Any:
        yield from ["Ada", "Bob", "Cid"]
        raise AssertionError("read too far")

    assert read(endless(), limit=3)["text"].to_pylist() == ["Ada", "Bob", "Cid"]


def test_missing_texts_of_pandas_are_null() -> None:
    frame = pd.DataFrame({"doc_id": [1, 2, 3], "text": ["Ada", None, np.nan]})
    assert read(frame)["text"].to_pylist() == ["Ada", None, None]


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT, np.float32("nan")])
def test_a_missing_value_in_strings_is_a_missing_text(nothing: Any) -> None:
    for data in (["Ada", nothing], pd.Series(["Ada", nothing], dtype=object), iter(["Ada", nothing])):
        assert read(data)["text"].to_pylist() == ["Ada", None]


def test_arrow_arrays_and_single_columns_are_strings() -> None:
    chunked = pa.chunked_array([["Ada"], [], ["Bob", None]])
    for data in (chunked, pa.array(["Ada", "Bob", None]), pa.array(["Ada", "Bob", None]).dictionary_encode()):
        assert kind_of(data) is Kind.STRINGS
        assert read(data).to_pydict() == {"doc_id": [0, 1, 2], "text": ["Ada", "Bob", None]}


def test_hugging_face_data_sets_go_in_and_come_back(tmp_path: Path) -> None:
    values = {"doc_id": ["a", "b", "c"], "text": ["Ada", "Bob", None], "extra": [1, 2, 3]}
    data = datasets.Dataset.from_dict(values)
    assert kind_of(data) is Kind.HUGGINGFACE
    assert read(data).to_pydict() == {"doc_id": ["a", "b", "c"], "text": ["Ada", "Bob", None]}
    shuffled = data.select([2, 0])
    assert read(shuffled)["doc_id"].to_pylist() == ["c", "a"]
    assert read(data.to_iterable_dataset())["doc_id"].to_pylist() == ["a", "b", "c"]
    assert read(data["text"])["text"].to_pylist() == ["Ada", "Bob", None]
    back = to_input_kind(pa.table({"doc_id": ["a"]}), data, Kind.HUGGINGFACE, [])
    assert isinstance(back, datasets.Dataset)
    assert back.to_dict() == {"doc_id": ["a"]}
    with pytest.raises(ConfigError, match=r"a DatasetDict has splits \('train', 'test'\)"):
        kind_of(datasets.DatasetDict({"train": data, "test": data}))


def test_columns_have_the_names_of_the_configuration_and_short_ones() -> None:
    frame = pd.DataFrame({"body": ["x"]})
    annotator = ud.Annotator()
    wrong: list[dict[str, Any]] = [{"text_column": "boddy"}, {"text": "boddy"}]
    for names in wrong:
        with pytest.raises(ConfigError, match="did you mean text_column='body'"):
            annotator.annotate(frame, ["person"], **names)
    with pytest.raises(ConfigError, match="text_column and text are the same"):
        annotator.annotate(frame, ["person"], text_column="body", text="body")
    annotator.close()


def test_a_column_missing_in_one_piece_has_the_type_of_the_others() -> None:
    frame = pd.DataFrame({"text": ["Ada", "Bob", "Cid"], "kept": [None, None, "x"]})
    columns = resolve_columns(frame, Kind.PANDAS, None, None, ["kept"])
    assert {table["kept"].type for table in pieces(frame, Kind.PANDAS, columns, 2)} == {pa.string()}
    rows = [{"text": "Ada", "kept": None}, {"text": "Bob", "kept": 1}]
    stream = datasets.IterableDataset.from_generator(lambda: iter(rows))
    columns = resolve_columns(stream, Kind.HUGGINGFACE, None, None, ["kept"])
    assert joined(list(pieces(stream, Kind.HUGGINGFACE, columns, 1)))["kept"].to_pylist() == [None, 1]


def test_columns_of_pandas_may_be_named_by_numbers() -> None:
    frame = pd.DataFrame({7: ["a", "b"], 8: ["Ada", "Bob"]})
    assert read(frame, "7", "8").to_pydict() == {"7": ["a", "b"], "8": ["Ada", "Bob"]}
    table = pa.Table.from_pylist([{**annotation(0, "city", ("Ada", 0, 3)), "doc_id": 0}], schema=ANNOTATIONS)
    assert marked_documents(table, pd.DataFrame({8: ["Ada"]}), text="8")[0][0].text == "Ada"


def test_types_may_be_an_iterator_and_no_rows_leave_no_rejects() -> None:
    with ud.Annotator() as annotator:
        annotator.rejects = pa.table({"reason": ["blank_text"]})
        assert annotator._look([], iter(["person"]), (None, None), (None, None), ((), ()))[2] == ["person"]
        assert annotator.annotate([], iter(["person"])) == []
        assert annotator.rejects is None
        with pytest.raises(ConfigError, match="rows: must be at least 1"):
            next(annotator.stream(["Ada"], ["person"], rows=0))


def test_ids_keep_their_name_and_type() -> None:
    table = read(
        pd.DataFrame({"key": ["a", "b"], "body": ["Ada", "Bob"], "other": [object(), object()]}), "key", "body"
    )
    assert table.to_pydict() == {"key": ["a", "b"], "body": ["Ada", "Bob"]}


def test_unknown_columns_are_named_all_at_once_with_the_nearest() -> None:
    frame = pd.DataFrame({"Doc": [1], "body": ["x"]})
    with pytest.raises(ConfigError) as error:
        resolve_columns(frame, Kind.PANDAS, "doc", "boddy", ["country"])
    assert "text_column: there is no column 'boddy'; did you mean text_column='body'?" in str(error.value)
    assert "id_column: there is no column 'doc'; did you mean id_column='Doc'?" in str(error.value)
    assert "keep_columns: there is no column 'country'; choose from Doc, body" in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.DataFrame({"doc_id": [1, 1], "text": ["a", "b"]}), "1 occurs more than once in 'doc_id'"),
        (
            pd.DataFrame({"doc_id": [1, 2, 3, 1], "text": ["a", "b", "c", "d"]}),
            "1 occurs more than once",
        ),  # in another piece
        (pd.DataFrame({"doc_id": ["a", None], "text": ["a", "b"]}), "1 rows have none in 'doc_id'"),
        (pd.DataFrame({"doc_id": [0.5], "text": ["a"]}), "ids are strings or integers"),
        (pd.DataFrame({"doc_id": [1], "text": [7]}), "column 'text' holds int64, not text"),
        (["Ada", 7], "texts must be strings, and one is a int"),
        (["\ud800"], "column text"),
        (b"bytes", "cannot annotate a bytes"),
        ({"text": ["a"]}, "cannot annotate a dict"),
        (7, "cannot annotate a int"),
    ],
)
def test_data_that_cannot_be_used_is_refused_in_words(data: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(data)
    assert message in str(error.value)


def test_column_names_of_ours_are_refused() -> None:
    frame = pd.DataFrame({"doc_id": [1], "text": ["a"], "score": [1.0]})
    with pytest.raises(ConfigError, match="name of a column of the annotations"):
        resolve_columns(frame, Kind.PANDAS, None, None, ["score"])


def test_everything_wrong_with_a_call_is_said_before_anything_is_loaded() -> None:
    annotator = ud.Annotator()
    with pytest.raises(ConfigError) as error:
        annotator.annotate(pd.DataFrame({"body": ["x"]}), ["person", "person"])
    assert "there is no column 'text'; choose from body" in str(error.value)
    assert "label 'person' occurs more than once" in str(error.value)
    with pytest.raises(ConfigError, match="name at least one"):
        annotator.annotate("Ada", [])
    assert repr(annotator) == "<Annotator of uniner-dist-demo, not loaded>"
    annotator.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": {"pool.replica": 1}}, "did you mean 'replicas'?"),
        ({"model": "/no/such/folder"}, "no config.json there"),
        ({"config": "no.yaml"}, "is not there"),
        ({"settings": {"ray.address": "auto"}}, "give workdir="),
        ({"replicas": 0}, "must be at least 1"),
    ],
)
def test_a_wrong_annotator_is_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ud.Annotator(**arguments)
    assert message in str(error.value)


def test_the_temporary_folder_goes_with_the_annotator(tmp_path: Path) -> None:
    annotator, kept = ud.Annotator(), ud.Annotator(workdir=str(tmp_path / "work"))
    folder = Path(annotator._warm.workdir).parent
    assert folder.is_dir()
    annotator.close()
    annotator.close()
    assert not folder.exists()
    (tmp_path / "work").mkdir()
    kept.close()
    assert (tmp_path / "work").is_dir()


def test_offsets_stay_whole_numbers_in_pandas_beside_an_absent_mention() -> None:
    rows = [annotation(1, "city", ("Rome", 2, 6)), annotation(2, "city", ("Paris", None, None))]
    frame = to_input_kind(pa.Table.from_pylist(rows, schema=ANNOTATIONS), pd.DataFrame(), Kind.PANDAS, [])
    assert isinstance(frame["entities"][0][0]["start"], int)
    assert frame["entities"][1][0]["start"] is None


def test_annotations_of_strings_are_dicts_that_a_notebook_shows() -> None:
    found = ud.Annotations([annotation(0, "city", ("Rome", 3, 7))], ["in <Rome"])
    assert found[0]["entities"][0]["text"] == "Rome"
    assert list(found.to_pandas()["doc_id"]) == [0]
    assert "in &lt;" in ud.Annotations([annotation(0, "city", ("Rome", 4, 8))], ["in <Rome"])._repr_html_()


def test_documents_with_mentions_are_shown_first_and_texts_are_looked_up() -> None:
    rows = [annotation(1, "city"), annotation(2, "city", ("Rome", 0, 4)), annotation(3, "city", ("Oslo", 0, 4))]
    table = pa.Table.from_pylist(rows, schema=ANNOTATIONS)
    corpus = pd.DataFrame({"doc_id": [3, 2, 1], "text": ["Oslo", "Rome", "nothing"]})
    documents, labels = marked_documents(table, corpus, limit=2)
    assert [(d.title, d.text, [e.text for e in d.entities]) for d in documents] == [
        ("2", "Rome", ["Rome"]),
        ("3", "Oslo", ["Oslo"]),
    ]
    assert labels == ["city"]
    assert marked_documents(table.to_pandas(), pa.Table.from_pandas(corpus), limit=2)[0] == documents


@pytest.mark.parametrize("corpus", ["Rome", ["Rome"], pa.array(["Rome"])])
def test_texts_are_looked_up_in_strings_of_any_form(corpus: Any) -> None:
    table = pa.Table.from_pylist([annotation(0, "city", ("Rome", 0, 4))], schema=ANNOTATIONS)
    assert [document.text for document in marked_documents(table, corpus)[0]] == ["Rome"]


def test_offsets_that_pandas_made_floats_of_are_shown_all_the_same() -> None:
    rows = [annotation(1, "city", ("Rome", 0, 4)), annotation(2, "city", ("Oslo", None, None))]
    frame = pa.Table.from_pylist(rows, schema=ANNOTATIONS).to_pandas()
    assert isinstance(frame["entities"][0][0]["start"], float)
    documents, _ = marked_documents(frame, pd.DataFrame({"doc_id": [1, 2], "text": ["Rome", "Lima"]}))
    assert [(e.start, e.end) for d in documents for e in d.entities] == [(0, 4), (None, None)]
    assert isinstance(documents[0].entities[0].start, int)


def test_showing_without_texts_says_what_to_give() -> None:
    table = pa.Table.from_pylist([annotation(1, "city")], schema=ANNOTATIONS)
    with pytest.raises(ConfigError, match=r"show\(annotations, corpus\)"):
        marked_documents(table)
    with pytest.raises(ConfigError, match="these are not annotations"):
        marked_documents(pd.DataFrame({"text": ["a"]}))
    assert column_names(table, Kind.ARROW)[0] == "doc_id"


class _Machine:
    """What Ray says of a machine."""

    def __init__(self, gpus: float) -> None:
        self._gpus = gpus

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 8.0} | ({"GPU": self._gpus} if self._gpus else {})


@pytest.mark.parametrize(
    ("arguments", "gpus", "expected"),
    [
        ({"model": demo.model_path()}, 2, ("auto", 1)),
        ({"model": demo.model_path()}, 0, (1, 0)),
        ({"model": demo.model_path(), "replicas": 3}, 2, (3, 1)),
        ({"model": demo.model_path(), "settings": {"pool.gpus_per_replica": 2}}, 2, ("auto", 2)),
        ({"replicas": "auto"}, 0, ("auto", 0)),
        ({}, 2, (1, 0)),  # the demonstration model is for CPUs
    ],
)
def test_gpus_are_taken_where_there_are_any_unless_somebody_chose(
    arguments: dict[str, Any], gpus: float, expected: tuple[int | str, int]
) -> None:
    annotator = ud.Annotator(**arguments)
    annotator._warm._choose_replicas(_Machine(gpus))
    pool = annotator._warm.config().pool
    assert (pool.replicas, pool.gpus_per_replica) == expected
    annotator.close()


def test_a_ray_that_did_not_start_is_started_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[StageError | None] = [StageError("no luck"), None]

    @contextmanager
    def start(config: RayConfig) -> Iterator[str]:
        error = errors.pop(0)
        if error is not None:
            raise error
        yield "ray"

    monkeypatch.setattr(warm, "ray_cluster", start)
    annotator, shared = ud.Annotator(), warm._SharedRay()
    with pytest.raises(StageError, match="no luck"):
        shared.join(annotator._warm, RayConfig())
    assert shared.join(annotator._warm, RayConfig()) == "ray"
    annotator.close()


def test_only_what_breaks_because_of_a_stop_is_a_keyboard_interrupt() -> None:
    annotator = ud.Annotator()

    def call(stops: bool, message: str) -> None:
        with annotator._warm.at_work() as stop:
            stop.requested = stops
            raise StageError(message)

    with pytest.raises(KeyboardInterrupt, match="stays usable"):
        call(True, "Spark failed: the call was interrupted")
    with pytest.raises(StageError, match="a disk is full"):
        call(False, "a disk is full")
    annotator.close()


def test_a_delta_or_iceberg_table_is_read_at_the_version_that_is_held(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1, 2, 3)
    write_deltalake(path, lake_tables.rows(4), mode="append")
    held = lake_tables.iceberg(tmp_path / "warehouse", 1, 2, 3)
    held.delete("doc_id == '2'")
    for data, ids in ((DeltaTable(path, version=0), "123"), (DeltaTable(path), "1234"), (held, "13")):
        assert kind_of(data) is Kind.LAKE
        assert column_names(data, Kind.LAKE) == ["doc_id", "text"]
        found = read(data)
        assert sorted(found["doc_id"].to_pylist()) == list(ids)
        assert set(found["text"].to_pylist()) == {f"Ada met Babbage in {n}." for n in ids}
        assert read(data, limit=1).num_rows == 1
        assert as_arrow(data).num_rows == len(ids)
    assert read(held.scan("doc_id == '3'"))["doc_id"].to_pylist() == ["3"]
    with pytest.raises(ConfigError, match="the rows of a Delta or Iceberg table have no order to number"):
        resolve_columns(held.scan(selected_fields=("text",)), Kind.LAKE, None, None, ())
    assert to_input_kind(ANNOTATIONS.empty_table(), held, Kind.LAKE, []) == ANNOTATIONS.empty_table()
