"""Sections about data: the corpus, the output, how texts become shards, and the quality gate."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from uniner_dist.config.section import Names, Section


class CorpusConfig(Section):
    """The corpus to annotate."""

    path: str = Field(
        min_length=1, description="Parquet file, folder, glob or Hive dataset, or a Delta or Iceberg table"
    )
    id_column: str = Field("doc_id", min_length=1, description="unique id of a document (string or integer)")
    text_column: str = Field("text", min_length=1, description="the text")
    keep_columns: Names = Field((), description="further columns carried through to the annotations")
    binary_text: bool = Field(
        False, description="read columns of bytes as UTF-8 text: Impala and some Hive tables store all strings so"
    )
    max_text_bytes: int = Field(
        64 << 20,
        ge=1,
        le=2**31 - 1,
        description="longest text, id or carried value in bytes of UTF-8; rows with a longer one are rejected "
        "(text_too_large)",
    )
    version: int | str | None = Field(
        None,
        description="of a table: the Delta version, or the Iceberg snapshot, branch or tag; default: the newest when "
        "the run is first started",
    )
    as_of: datetime | None = Field(
        None, description="of a table: read the version that was the newest one then; times without a zone are UTC"
    )

    @model_validator(mode="after")
    def _check(self) -> CorpusConfig:
        if self.version is not None and self.as_of is not None:
            raise ValueError("version and as_of both say which version of the table to read; give one")
        return self


class OutputConfig(Section):
    """Where the annotations go."""

    path: str = Field(min_length=1, description="folder of the annotations dataset")
    format: Literal["parquet", "delta", "iceberg"] = Field(
        "parquet",
        description="delta and iceberg keep a table over the output's files: each publication is one commit of it",
    )
    table: str | None = Field(
        None,
        description="table:CATALOG.SCHEMA.NAME: Spark's own connector of output.format commits, and the table is in "
        "this catalog of Spark's; default: deltalake or pyiceberg commits, in the output's folder alone",
    )
    partition_by: Names | None = Field(
        None, description="folder columns; default: the corpus's partition columns, then entity_type"
    )
    max_records_per_file: int = Field(2_000_000, ge=1, description="upper bound of rows in one annotations file")
    language: Names = Field((), description="languages of the texts for the dataset card, such as en; none if unknown")
    removed_documents: Literal["corpus", "keep", "all"] = Field(
        "corpus",
        description="rows of documents that the corpus no longer has: corpus removes those that earlier runs over the "
        "same corpus path published, keep removes none, all leaves this corpus alone in the output",
    )
    other_types: Literal["keep", "remove"] = Field(
        "keep",
        description="rows of the corpus's documents with types that the run does not ask: keep leaves those of an "
        "unchanged text, remove leaves none; those of an edited text go in any case",
    )

    @model_validator(mode="after")
    def _check(self) -> OutputConfig:
        if self.table is None:
            return self
        if self.format == "parquet":
            raise ValueError("table: needs output.format=delta or iceberg")
        if re.fullmatch(r"table:[^.]+(\.[^.]+){2,}", self.table) is None:
            raise ValueError("table: is the name of a table in a catalog, table:CATALOG.SCHEMA.NAME")
        return self


class PromptsConfig(Section):
    """Stage 1: how texts become shards."""

    shard_tokens: int = Field(
        1_000_000, ge=1, description="estimated prompt tokens in a shard, the unit of work, commit and loss"
    )
    min_shards: int = Field(8, ge=1, description="a small corpus is still cut into about this many shards, for balance")
    passage_tokens: int = Field(
        512,
        ge=64,
        description="texts that do not fit the context are split into passages of at most this many of their tokens: "
        "training cut conversations at 1,024 tokens, the authors' command refuses texts above 512, and an answer has "
        "room for some dozens of mentions only",
    )
    overlap_tokens: int = Field(64, ge=0, description="tokens shared by neighbouring passages of a long document")


class GateConfig(Section):
    """Quality gate: documents that are annotated and judged before the bulk is asked. Off without gold and sample."""

    gold: str | None = Field(None, description="gold answers, in any format that evaluate reads")
    corpus: str | None = Field(
        None, description="texts of the gold (Parquet); default: those in the gold itself, or else in the corpus"
    )
    min_f1: float | None = Field(
        None, ge=0, le=1, description="F1 on the gold (the authors' metric) below which the run stops"
    )
    sample: int = Field(
        0,
        ge=0,
        description="documents of a fixed sample, drawn by the output's first run, whose answers are compared with "
        "those of the last run that passed; 0 compares nothing",
    )
    min_agreement: float = Field(
        0.9,
        ge=0,
        le=1,
        description="agreement below which the run stops: both the share of same answers and the F1 of mentions",
    )

    @model_validator(mode="after")
    def _check(self) -> GateConfig:
        if (self.gold is None) != (self.min_f1 is None):
            raise ValueError("gold and min_f1 go together")
        if self.corpus is not None and self.gold is None:
            raise ValueError("corpus holds the texts of gold, which is missing")
        return self
