"""10⁵ hostile rows among good ones, through all stages with the scripted engine: each is somewhere, and only once."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.spark.test_hostile import LONG, NO_SPACES, PARTITIONS, USABLE
from tests.support.answering import answer
from tests.support.invariants import check_files, check_prompts, check_row, read_annotations
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(7200)]

ROWS = int(os.environ.get("HOSTILE_ROWS", "100000"))
#: Words at which the scripted engine refuses a prompt, and answers no list.
REFUSED, GARBLED = "Refused", "Garbled"
#: Kinds of a row → how often among a thousand.
KINDS = {
    "good": 600, "usable": 200, "refused": 20, "garbled": 20, "long": 1, "no spaces": 1, "null id": 20, "blank id": 20,
    "null text": 20, "empty": 10, "blank": 30, "invalid": 20, "too large": 8, "repeated": 30,
}  # fmt: skip
#: Of the kinds that are rejected, the reason.
REASONS = {
    "null id": "null_id", "blank id": "blank_id", "null text": "null_text", "empty": "blank_text",
    "blank": "blank_text", "invalid": "invalid_utf8", "too large": "text_too_large", "repeated": "duplicate_id",
}  # fmt: skip
_LARGEST = 400_000


def _text(kind: str, number: int, chance: random.Random) -> bytes | None:
    """As stored; rows of a kind differ."""
    texts: dict[str, Callable[[], str | None]] = {
        "usable": lambda: f"{chance.choice([t for t in USABLE.values() if len(t) < 1000])} {number}",
        "refused": lambda: f"Ada was {REFUSED} {number} times.",
        "garbled": lambda: f"Ada was {GARBLED} {number} times.",
        "long": lambda: f"{number} {LONG[: chance.randrange(20_000, len(LONG))]}",
        "no spaces": lambda: f"{number}{NO_SPACES}",
        "null text": lambda: None,
        "empty": lambda: "",
        "blank": lambda: chance.choice([" ", "\t\r\n", "\u00a0\u3000\u200b\x00", "\u2028 \n"]) * chance.randrange(1, 9),
        "too large": lambda: "Ada " * (_LARGEST // 4 + 1),
    }
    if kind == "invalid":
        return b"Ada \xff\xfe " + str(number).encode()
    text = texts.get(kind, lambda: f"Ada met Bob {number % 5000} times in Oslo.")()
    return None if text is None else text.encode()


def _write(folder: Path) -> tuple[dict[str, str], Counter[str], set[str], set[str]]:
    """Write the corpus; returns documents, rejected rows by reason, and who is refused or garbled."""
    chance = random.Random(11)
    kinds = chance.choices(list(KINDS), list(KINDS.values()), k=ROWS)
    documents, rejects, special = dict[str, str](), Counter[str](), {"refused": set[str](), "garbled": set[str]()}
    columns: dict[str, dict[str, list[Any]]] = {}
    ids: list[str] = []
    for number, kind in enumerate(kinds):
        place, text = PARTITIONS[number % len(PARTITIONS)], _text(kind, number, chance)
        doc_id: str | None = {"null id": None, "blank id": " " * (1 + number % 3)}.get(
            kind, f"id {number}/é%{number % 7}"
        )
        if kind == "repeated" and not ids:
            kind = "good"
        if kind == "repeated":  # of a row before it, with its very text: whichever is kept, the document is the same
            doc_id = chance.choice(ids)
            text = documents[doc_id].encode()
        if kind in REASONS:
            rejects[REASONS[kind]] += 1
        else:
            assert doc_id is not None
            assert text is not None
            documents[doc_id] = text.decode()
            ids.append(doc_id)
            special.get(kind, set()).add(doc_id)
        row = columns.setdefault(place, {"doc_id": [], "text": []})
        row["doc_id"].append(doc_id)
        row["text"].append(text)
    for number, (place, row) in enumerate(columns.items()):
        path = folder / f"part={number}"
        path.mkdir(parents=True)
        text_column = pa.array(row["text"], pa.binary()).view(pa.string())
        table = pa.table({"doc_id": pa.array(row["doc_id"], pa.string()), "text": text_column})
        pq.write_table(table.append_column("place", pa.array([place] * len(table))), path / "rows.parquet")
    return documents, rejects, special["refused"], special["garbled"]


def test_each_of_very_many_hostile_rows_is_in_one_place(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    documents, rejects, refused, garbled = _write(tmp_path / "corpus")
    run = make_run(
        str(tmp_path / "corpus"),
        **{
            "types": "person",
            "corpus.max_text_bytes": _LARGEST,
            "output.partition_by": ["entity_type"],
            "run.max_failed_fraction": 1,
            "run.allow_rejects_fraction": 1,
            "engine.extra": {"log": str(tmp_path / "log"), "refuse": REFUSED, "garbage": GARBLED},
        },
    )
    summary = write_prompts(spark, run)
    assert summary.rejects == dict(rejects)
    assert (summary.rows, summary.documents) == (ROWS, len(documents))
    check_prompts(run)
    stored = pads.dataset(run.layout.rejects, format="parquet").to_table(columns=["reason"])["reason"].to_pylist()
    assert Counter(stored) == rejects
    answer(run)
    counts = write_annotations(spark, run)
    publish(spark, run)
    rows = read_annotations(run.config.output.path)
    assert Counter(row["doc_id"] for row in rows) == dict.fromkeys(documents, 1)
    for row in rows:
        check_row(row, documents[row["doc_id"]])
    check_files(run.config.output.path)
    failed = {row["doc_id"]: row["outcome"] for row in rows if row["outcome"] not in ("found", "none")}
    assert {doc for doc, outcome in failed.items() if outcome == "unparseable"} == garbled
    assert failed.keys() - garbled == refused
    quarantine = pads.dataset(run.layout.quarantine, format="parquet").to_table(columns=["doc_id"])
    assert set(quarantine["doc_id"].to_pylist()) == refused | garbled
    assert counts.failed == len(refused | garbled)
