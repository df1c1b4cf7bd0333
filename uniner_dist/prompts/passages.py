"""From documents to passages: texts that fit are passages as they are, longer ones are split by tokens.

Turns accepted rows (`document`, `text`) into one row per passage (`document`, `passage`, `passages`, `start`, `text`,
`text_hash`, `passage_id`, `estimated_tokens`). Only texts that may be too long ever reach Python, in small Arrow
batches; the hash of their text is taken before, so that merging can verify the whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from uniner_dist.core.estimate import BYTES_PER_TOKEN
from uniner_dist.core.split import split_passages
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.prompts.budget import PassageBudget
from uniner_dist.spark.datasets import kept_in_arrow

#: Long texts in one Arrow batch: with 10 MB each, 16 of them are 160 MB.
LONG_TEXTS_PER_BATCH = 16


def may_be_long(budget: int) -> Column:
    """Return a column that says whether `text` might not fit a passage; null for null.

    A tokenizer with byte fallback never makes more tokens than bytes + 1.

    Args:
        budget: the most tokens of a text that is one passage.
    """
    return F.octet_length("text") + 1 > budget


def whole_passages(documents: DataFrame, budget: int) -> DataFrame:
    """Return the texts that surely fit, each as one passage.

    Args:
        documents: accepted rows (`document`, `text`); those that may not fit are skipped.
        budget: the most tokens of a text that is one passage.

    Returns:
        `document`, `passage` (0), `passages` (1), `start` (0), `text`, and `text_hash`, which is null.
    """
    return documents.where(~may_be_long(budget)).select(
        "document",
        F.lit(0).alias("passage"),
        F.lit(1).alias("passages"),
        F.lit(0).alias("start"),
        "text",
        F.lit(None).cast("string").alias("text_hash"),
    )


def split_long(documents: DataFrame, splitter: LongTextSplitter, budget: int, partitions: int, path: str) -> DataFrame:
    """Return the passages of texts that may not fit, counted and split exactly; same columns as `whole_passages`.

    Texts are distributed by their hash first: splitting takes up to a second per MB, and one file may hold all of them.

    Args:
        documents: accepted rows (`document`, `text`); those that surely fit are skipped.
        splitter: counts tokens and splits, in the tasks.
        budget: the most tokens of a text that is one passage.
        partitions: number of tasks that the long texts are distributed to.
        path: path or URL of the dataset in which the first action on the passages also leaves them (`kept_in_arrow`).

    Returns:
        `passage` counts from 0 to `passages` - 1; `start` is in code points of the document's text; `text_hash` is that
        of the whole text.
    """
    fields = [StructField(name, IntegerType(), False) for name in ("passage", "passages", "start")]
    fields += [StructField("text", StringType(), False), StructField("text_hash", StringType(), False)]
    long = documents.where(may_be_long(budget)).repartition(partitions, F.xxhash64("text"))
    hashed = long.withColumn("text_hash", _passage_id())
    return kept_in_arrow(hashed, splitter, StructType([documents.schema["document"], *fields]), path)


def with_keys(passages: DataFrame) -> DataFrame:
    """Return passages with `passage_id` (as `uniner_dist.core.hashing.passage_id`) and `estimated_tokens` added.

    Args:
        passages: rows with `text`, from `whole_passages` or `split_long`.
    """
    return passages.select("*", _passage_id().alias("passage_id"), estimated_tokens())


def estimated_tokens() -> Column:
    """Return a column `estimated_tokens`: the tokens of `text`, from its UTF-8 bytes (`BYTES_PER_TOKEN`)."""
    return F.ceil(F.octet_length("text") / F.lit(BYTES_PER_TOKEN)).cast("int").alias("estimated_tokens")


def _passage_id() -> Column:
    return F.substring(F.sha2(F.col("text").cast("binary"), 256), 1, 32)


def occurrences_of(passages: DataFrame) -> DataFrame:
    """Return where each passage occurs. `start` counts code points of the document's text.

    Passages of split documents bring their `text` and the hash of the whole text (`text_hash`, made like a passage's
    id): offsets of merged answers are checked against the document that they make. Elsewhere both are null, and the
    passage's id is the text's hash.

    Args:
        passages: rows from `with_keys`.

    Returns:
        One row per passage of a document: `document`, `passage_id`, `passage`, `passages`, `start`, `estimated_tokens`,
        `text`, `text_hash`.
    """
    split = F.col("passages") > 1
    text, text_hash = (F.when(split, F.col(name)).alias(name) for name in ("text", "text_hash"))
    return passages.select(
        "document", "passage_id", "passage", "passages", "start", "estimated_tokens", text, text_hash
    )


class LongTextSplitter:
    """The function that Spark runs over Arrow batches of (`document`, `text`, `text_hash`).

    Args:
        tokenizer_json: returns the tokenizer's JSON (a Spark broadcast's value).
        template: name of the prompt template.
        budget: sizes of passages.
    """

    def __init__(self, tokenizer_json: Callable[[], str], template: str, budget: PassageBudget) -> None:
        self._tokenizer_json = tokenizer_json
        self._template = template
        self._budget = budget

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the passages of every document, one batch per document."""
        tokenizer = _tokenizer(self._tokenizer_json(), self._template)
        for batch in batches:
            for row in range(batch.num_rows):
                yield self._split(batch.slice(row, 1), tokenizer)

    def _split(self, row: pa.RecordBatch, tokenizer: PromptTokenizer) -> pa.RecordBatch:
        text = row.column("text")[0].as_py()
        parts = split_passages(text, tokenizer, self._budget.passage, self._budget.overlap, self._budget.whole)
        count = len(parts)
        same = pa.array([0] * count, pa.int32())
        columns: dict[str, object] = {
            "document": row.column("document").take(same),
            "passage": pa.array(range(count), pa.int32()),
            "passages": pa.array([count] * count, pa.int32()),
            "start": pa.array([part.start for part in parts], pa.int32()),
            "text": pa.array([text[part.start : part.end] for part in parts], pa.string()),
            "text_hash": row.column("text_hash").take(same),
        }
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


@functools.lru_cache(maxsize=2)
def _tokenizer(tokenizer_json: str, template: str) -> PromptTokenizer:
    """One tokenizer per Python worker, which Spark keeps between tasks."""
    return PromptTokenizer.from_json(tokenizer_json, get_template(template))
