"""Vectorised reading of plain answers, nearly all of them, with the result of `core.parse` and `core.spans`.

Takes the answers of a shard and their texts as Arrow arrays. Returns the entities of those answers that leave nothing
to decide: a list as models spell it, every mention of which occurs exactly once in the text and cuts no word. All
others are left to the functions of `core`, one answer at a time; what is read here is equal to what they return, and
takes a tenth of the time. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.core.spans import is_whole
from uniner_dist.schemas import ENTITY

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: As `core.parse` knows it: nothing in the strings that JSON or the authors' parser reads as special.
_PLAIN_LIST = r'\A ?\["[^"\\\]\x00-\x1f]+"(?:, "[^"\\\]\x00-\x1f]+")*\]\z'

_LETTERS = np.array([chr(code).isalnum() or chr(code) == "_" for code in range(128)] + [False] * 128)


def read_vectorised(
    texts: pa.Array, passages: Sequence[str], owners: Numbers, outputs: pa.Array
) -> tuple[Numbers, pa.Array]:
    """Read those answers that are plain.

    Args:
        texts: texts of the passages.
        passages: the same in Python.
        owners: for each answer the index of its passage.
        outputs: what the model wrote; null for no answer.

    Returns:
        The indices of the plain answers, ascending, and the entities of each (lists of `ENTITY`). All of them are
        FOUND, without repairs or scores.
    """
    plain = np.flatnonzero(pc.fill_null(pc.match_substring_regex(outputs, _PLAIN_LIST), False))
    bodies = pc.utf8_slice_codeunits(pc.ascii_ltrim(outputs.take(pa.array(plain)), " "), 2, -2)
    lists = pc.split_pattern(bodies, '", "')
    mentions = lists.flatten()
    answers = np.repeat(np.arange(len(plain)), lists.value_lengths())  # of each mention, its index in `plain`
    owners = owners[plain][answers]
    starts, ends, good = _offsets(texts, passages, owners, mentions)

    order = np.lexsort((ends, starts, answers))
    twice = np.diff(answers[order], prepend=-1) == 0
    twice &= (np.diff(starts[order], prepend=-1) == 0) & (np.diff(ends[order], prepend=-1) == 0)
    bad = np.zeros(len(plain), dtype=bool)
    bad[answers[~good]] = True
    bad[answers[order[twice]]] = True

    kept = order[~bad[answers[order]]]
    entities = _entities(mentions.take(pa.array(kept)), starts[kept], ends[kept])
    counts = np.bincount(answers[kept], minlength=len(plain))[~bad]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return plain[~bad], pa.ListArray.from_arrays(pa.array(offsets), entities)


def _offsets(
    texts: pa.Array, passages: Sequence[str], owners: Numbers, mentions: pa.Array
) -> tuple[Numbers, Numbers, Flags]:
    """Start and end of each mention in its text, and whether it occurs only there and cuts nothing."""
    names = mentions.to_pylist()
    of_each = [passages[owner] for owner in owners.tolist()]
    found = [text.find(name) for text, name in zip(of_each, names, strict=True)]
    again = [text.find(name, start + 1) for text, name, start in zip(of_each, names, found, strict=True)]
    starts = np.array(found, dtype=np.int64)
    ends = starts + np.array([len(name) for name in names], dtype=np.int64)
    good = (starts >= 0) & (np.array(again, dtype=np.int64) < 0)
    good &= ~np.array([name.isspace() for name in names], dtype=bool)
    ascii_text = np.asarray(pc.string_is_ascii(texts))[owners]
    quick = np.flatnonzero(good & ascii_text)
    good[quick] = _cuts_nothing(texts, owners[quick], starts[quick], ends[quick])
    for index in np.flatnonzero(good & ~ascii_text).tolist():
        good[index] = is_whole(of_each[index], found[index], int(ends[index]))
    return starts, ends, good


def _cuts_nothing(texts: pa.Array, owners: Numbers, starts: Numbers, ends: Numbers) -> Flags:
    """`core.spans.is_whole` for offsets into ASCII texts, where bytes are code points."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    begins, stops = offsets[owners].astype(np.int64), offsets[owners + 1].astype(np.int64)
    whole = np.ones(len(owners), dtype=bool)
    for borders in (starts, ends):
        inner = np.flatnonzero((borders > 0) & (begins + borders < stops))
        at = begins[inner] + borders[inner]
        before, after = data[at - 1], data[at]
        whole[inner] &= ~(_LETTERS[before] & _LETTERS[after]) & ~((before == ord("\r")) & (after == ord("\n")))
    return whole


def _entities(mentions: pa.Array, starts: Numbers, ends: Numbers) -> pa.StructArray:
    count = len(mentions)
    columns = {
        "text": mentions,
        "start": pa.array(starts, pa.int32()),
        "end": pa.array(ends, pa.int32()),
        "match": pa.repeat("exact", count),
        "score": pa.nulls(count, pa.float32()),
    }
    return pa.StructArray.from_arrays([columns[field.name] for field in ENTITY], fields=list(ENTITY))
