"""Assignment of passages to shards, by a rule that depends on nothing but the passages.

Computes the number of buckets from the totals of all passages, then the cuts of each bucket into shards from its
passages. Passage ids are uniform hashes: a bucket is a range of ids, about as big as every other, and a shard is a
slice of a bucket, cut by estimated tokens. The same passages give the same shards whatever order, files or partitions
the corpus came in, and no plan has to pass through the driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from uniner_dist.core.estimate import BYTES_PER_TOKEN, passage_tokens

#: Shards in a bucket, which one task holds in memory and sorts: enough for balance, few enough for about 60 MB.
_SHARDS_PER_BUCKET = 16

#: Buckets of a small corpus, each written by its own task, and the shards that each must then have at least: cut into
#: equal slices, fewer would be far from the wanted size.
_FEW_BUCKETS, _SHARDS_OF_FEW = 4, 5

#: Bytes of text in a bucket at most, for configurations with huge shards.
_BUCKET_BYTES = 64 << 20


@dataclass(frozen=True)
class Packing:
    """The packing of a corpus.

    Attributes:
        buckets: number of equal ranges of passage ids.
        shard_tokens: estimated tokens of a shard.
        min_shards: shards that a bucket has at least, if it has as many passages.
        frame_tokens: tokens that every passage takes besides its text.
        ask_tokens: tokens of each question, in the order of questions.
    """

    buckets: int
    shard_tokens: int
    min_shards: int
    frame_tokens: int
    ask_tokens: tuple[int, ...]

    def shard_name(self, bucket: int, index: int, by: str, known: bool = False) -> str:
        """Return the name of a bucket's slice; names sort as passage ids do, those of slices with nothing to ask apart.

        Args:
            bucket: number of the range of passage ids, from 0.
            index: number of the slice within its bucket, from 0.
            by: who writes it: the fencing token of the run's lease and the attempt of a task, `<token>-<8 hex digits>`.
            known: whether the slice has nothing to ask, as all its answers are in the store.
        """
        return f"{bucket:05d}-{'known-' * known}{index:04d}-{by}"

    def tokens(self, text_bytes: npt.NDArray[np.int64], asked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the estimated tokens of each passage; only the balance of shards depends on it.

        See `uniner_dist.core.estimate.passage_tokens`.

        Args:
            text_bytes: length of each text in UTF-8 bytes.
            asked: what is asked; shape: passages × questions.

        Returns:
            One number per passage: its prefix once, and each question that is asked; 0 where nothing is asked.
        """
        return passage_tokens(text_bytes, asked, self.frame_tokens, np.asarray(self.ask_tokens, dtype=np.int64))


def plan_packing(
    passages: int,
    text_tokens: int,
    frame_tokens: int,
    ask_tokens: tuple[int, ...],
    shard_tokens: int,
    min_shards: int,
) -> Packing:
    """Return the packing of a corpus, of which the number of buckets is chosen here.

    Args:
        passages: estimated number of passages, repeats counted.
        text_tokens: estimated tokens of their texts, repeats counted.
        frame_tokens: tokens that every passage takes besides its text.
        ask_tokens: tokens of each question, in the order of questions.
        shard_tokens: estimated tokens wanted in a shard.
        min_shards: lowest number of shards wanted in all.
    """
    passage_tokens = frame_tokens + sum(ask_tokens)
    wanted = max(ceil((text_tokens + passages * passage_tokens) / shard_tokens), min_shards)
    by_memory = ceil(text_tokens * BYTES_PER_TOKEN / _BUCKET_BYTES)
    few = min(wanted // _SHARDS_OF_FEW, _FEW_BUCKETS)
    buckets = max(1, few, round(wanted / _SHARDS_PER_BUCKET), by_memory)
    return Packing(buckets, shard_tokens, ceil(min_shards / buckets), frame_tokens, ask_tokens)


def cut_bucket(tokens: npt.NDArray[np.int64], shard_tokens: int, min_shards: int) -> npt.NDArray[np.int64]:
    """Return the number of the slice of each passage of a bucket, ascending from 0; some numbers may be skipped.

    A passage belongs to the slice in which the middle of its tokens lies, so the slices of a bucket differ by less than
    their longest passages.

    Args:
        tokens: estimated tokens of each distinct passage, above 0, in the order of ids; at least one passage.
        shard_tokens: estimated tokens wanted in a slice.
        min_shards: lowest number of slices wanted; never more than passages are made.
    """
    total = int(tokens.sum())
    slices = min(len(tokens), max(ceil(total / shard_tokens), min_shards))
    middles: npt.NDArray[Any] = np.cumsum(tokens) - tokens / 2
    return np.floor(middles * slices / total).astype(np.int64)
