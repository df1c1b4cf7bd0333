"""A small model folder (tokenizer only), and runs over corpora made in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tests.support.answering import Corpus
from uniner_dist.config.loading import load_config
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.run.run import Run

WORDS = "Ada Lovelace met Charles Babbage in London on a rainy day and wrote notes about the engine. "


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that looks like a model with a byte-level tokenizer and a context of 512 tokens."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS, "A virtual assistant answers questions from a user"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 512}))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")  # of no tensors
    return str(folder)


def write_corpus(
    folder: Path, rows: Sequence[dict[str, Any]], partition_by: Sequence[str] = (), **types: pa.DataType
) -> str:
    """Rows as a Parquet dataset, Hive-partitioned; `types` overrides the inferred column types."""
    table = pa.Table.from_pylist(list(rows))
    for name, kind in types.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    if partition_by:
        pq.write_to_dataset(table, folder, partition_cols=list(partition_by))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "part-0.parquet")
    return str(folder)


def open_run_over(corpus: str, output: str, model_folder: str, **options: Any) -> Run:
    """Open a run; options are dotted configuration keys, with `__` for the dots."""
    values = {
        "corpus.path": corpus,
        "output.path": output,
        "types": "person,PLACE=place",
        "model.name": model_folder,
        "model.max_tokens": 64,
        "engine.kind": "scripted",
        "prompts.overlap_tokens": 16,
        "corpus.id_column": "doc_id",
    }
    values.update({key.replace("__", "."): value for key, value in options.items()})
    return open_run(load_config(None, [], values))


@pytest.fixture
def make_run(tmp_path: Path, model_folder: str) -> Callable[..., Run]:
    """Open a run over a corpus; options are dotted configuration keys."""
    return partial(open_run_over, output=str(tmp_path / "annotations"), model_folder=model_folder)


@pytest.fixture
def corpus(spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]) -> Corpus:
    """A corpus that is rewritten every day, with runs over it."""
    return Corpus(spark, tmp_path, make_run)
