"""Arrow schemas of every dataset that crosses a stage border, versioned, identical for empty and all-null partitions.

Partition columns of a dataset (`shard` of prompts, the configured ones of annotations) live in its folder names and are
therefore not listed here. Spark derives its own schemas from these (`uniner_dist.prompts.spark_schema`).
"""

from __future__ import annotations

import pyarrow as pa

#: Bumped when a column changes meaning, type or name; written into every file's metadata.
SCHEMA_VERSION = 3

#: One row per (passage, entity type); all types of a passage are adjacent. Folder: `prompts/shard=<shard>/`.
PROMPTS = pa.schema(
    [
        pa.field("passage_id", pa.string(), nullable=False),  # 32 hex digits: first 128 bits of SHA-256 of the text
        pa.field("text", pa.string(), nullable=False),  # the passage, unaltered
        pa.field("entity_type", pa.string(), nullable=False),  # the phrase that is asked
    ]
)

#: One row per shard of `prompts/`: what the pool needs to schedule and the audit needs to count.
SHARDS = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("prompts", pa.int64(), nullable=False),  # rows of the shard
        pa.field("asked", pa.int64(), nullable=False),  # those whose answer was not in the store, and not skipped
        pa.field("skipped", pa.int64()),  # those that triage has left out; null for none
        pa.field("passages", pa.int64(), nullable=False),
        pa.field("estimated_tokens", pa.int64(), nullable=False),  # of what is asked: each prefix once, each suffix
    ]
)

#: One row per (passage, entity type), in the order of the shard's prompts. File: `completions/<shard>.parquet`.
COMPLETIONS = pa.schema(
    [
        pa.field("passage_id", pa.string(), nullable=False),
        pa.field("entity_type", pa.string(), nullable=False),
        pa.field("output", pa.string()),  # null when there is no answer; then `error` says why
        pa.field("finish_reason", pa.string()),  # "stop" | "length" | null
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("cached_tokens", pa.int32(), nullable=False),  # prompt tokens taken from the prefix cache
        pa.field("completion_tokens", pa.int32(), nullable=False),
        pa.field("logprobs", pa.list_(pa.float32())),  # of each generated token, only with --scores
        pa.field("tokens", pa.list_(pa.string())),  # text of each generated token, only with --scores
        pa.field("error_kind", pa.string()),  # an Outcome that is a failure, or "skipped", when `output` is null
        pa.field("error", pa.string()),  # the reason
        pa.field("reused", pa.bool_(), nullable=False),  # the answer came from the store and cost this run nothing
        pa.field("score", pa.float32()),  # of a skipped prompt: the probability that its answer names something
    ]
)

#: One answer in the store, good for whoever asks the same of the same passage; sorted by passage in each file.
CELLS = pa.schema(
    [
        pa.field("passage_id", pa.string(), nullable=False),
        pa.field("entity_type", pa.string(), nullable=False),  # what was asked
        pa.field("output", pa.string(), nullable=False),
        pa.field("finish_reason", pa.string()),
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("completion_tokens", pa.int32(), nullable=False),
        pa.field("logprobs", pa.list_(pa.float32())),  # only from runs with scores
        pa.field("tokens", pa.list_(pa.string())),
    ]
)

#: One mention of an annotation. `text == document[start:end]` in code points unless `match` is "absent".
ENTITY = pa.struct(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("start", pa.int32()),  # null when the mention is nowhere in the text
        pa.field("end", pa.int32()),
        pa.field("match", pa.string(), nullable=False),  # one of core.spans.MATCHES
        pa.field("score", pa.float32()),  # confidence in [0, 1], only with --scores
    ]
)

#: Columns of an annotation between the id column and the partition columns.
ANNOTATION_FIELDS: tuple[pa.Field, ...] = (
    pa.field("entity_type", pa.string(), nullable=False),  # the user's label
    pa.field("entities", pa.list_(pa.field("element", ENTITY, nullable=False)), nullable=False),
    pa.field("outcome", pa.string(), nullable=False),  # uniner_dist.core.outcomes.Outcome
    pa.field("repair", pa.string()),  # which parsing rule beyond the official parser was used; null when none
    # Confidence of the answer as a whole, only with --scores; of a skipped one, the probability that it has mentions.
    pa.field("score", pa.float32()),
    pa.field("raw_output", pa.string()),  # kept where parsing or locating was not clean, or passages were skipped
    pa.field("text_digest", pa.string(), nullable=False),  # of the annotated text (core.hashing.text_digest)
    pa.field("run_id", pa.string(), nullable=False),
    pa.field("model", pa.string(), nullable=False),
    pa.field("fingerprint", pa.string(), nullable=False),
)

#: Columns of the quarantine, after those of the document.
QUARANTINE_COLUMNS = ("entity_type", "ask", "passage_id", "start", "text", "outcome", "error", "raw_output")


def name_in_quarantine(name: str) -> str:
    """Return how a column of the corpus is called in the quarantine, which has columns of its own.

    Args:
        name: of the column in the corpus; `document_` is put in front of one that the quarantine has, in any case of
            letters.
    """
    return f"document_{name}" if name.lower() in QUARANTINE_COLUMNS else name


def name_in_rejects(name: str) -> str:
    """Return how a column of the corpus is called in the rejects, which have a column `reason` of their own.

    Args:
        name: of the column in the corpus; `reason`, in any case of letters, becomes `document_reason`.
    """
    return f"document_{name}" if name.lower() == "reason" else name
