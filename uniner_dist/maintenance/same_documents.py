"""Finds the documents of each run that an erasure means: ids are unique in a corpus only.

For each run, of the named workdir and of others, finds the ids that are the same documents there, with the hashes of
the texts that they had. Reads occurrences, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uniner_dist.run.publication_state import Claim, claim_of
from uniner_dist.run.run import Run
from uniner_dist.storage.filesystem import find_files, join, open_fs
from uniner_dist.storage.parquet_rows import column_type, find_rows

_READERS = 16

Texts = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Target:
    """What is to be erased from a run: ids of documents, as strings; and the texts of those that the run has."""

    run: Run
    ids: frozenset[str]
    texts: Texts

    @property
    def array(self) -> pa.Array:
        """The ids, in order."""
        return pa.array(sorted(self.ids), pa.string())


def as_stored(runs: Iterable[Run], ids: Iterable[str]) -> list[str]:
    """Return ids as the corpora of a workdir spell them, sorted and each once.

    If all of its runs have integer ids, what Python's `int` reads becomes the digits of that integer: "7 ", "+7" and
    "007" mean 7. Otherwise ids stay as they are, as a blank or a zero may be part of a string.

    Args:
        runs: the runs of the workdir; one without occurrences says nothing about the type of its ids.
        ids: as somebody typed them.

    Raises:
        StorageError: a run's occurrences cannot be read.
    """
    kinds = [kind for kind in map(_id_type, runs) if kind is not None]
    integers = bool(kinds) and all(map(pa.types.is_integer, kinds))
    return sorted({_digits(one) if integers else one for one in ids})


def _digits(text: str) -> str:
    try:
        return str(int(text))
    except ValueError:
        return text


def _id_type(run: Run) -> pa.DataType | None:
    try:
        file = next(iter(find_files(run.layout.occurrences, ".parquet")), None)
    except FileNotFoundError:
        return None
    if file is None:
        return None
    return column_type(join(run.layout.occurrences, file), ["document", run.config.corpus.id_column])


def find_documents(runs: Mapping[str, Sequence[Run]], ids: Sequence[str]) -> tuple[list[Target], tuple[str, ...]]:
    """Find what to erase from each run.

    Args:
        runs: workdir → its runs; the workdir that was named comes first, and in it all of the ids are meant.
        ids: as strings; of a corpus with integer ids, their digits.

    Returns:
        One target per run, and the workdirs that have other documents with some of these ids.
    """
    named, *others = runs
    wanted = frozenset(ids)
    targets = [Target(run, wanted, texts_of(run, wanted)) for run in runs[named]]
    claims, texts = [claim_of(run) for run in runs[named]], _together(target.texts for target in targets)
    found = [(place, run, texts_of(run, wanted)) for place in others for run in runs[place]]
    alike: list[frozenset[str]] = [frozenset() for _ in found]
    while True:  # a text of another workdir may be that of a third one
        before = alike
        alike = [_alike(claim_of(run), there, claims, texts, wanted) for _, run, there in found]
        more = [
            {key: there[key] for key in there.keys() & same} for same, (*_, there) in zip(alike, found, strict=True)
        ]
        texts = _together([texts, *more])
        if alike == before:
            break
    targets += [
        Target(run, same, {key: there[key] for key in there.keys() & same})
        for same, (_, run, there) in zip(alike, found, strict=True)
    ]
    left = [place for same, (place, _, there) in zip(alike, found, strict=True) if there.keys() - same]
    return targets, tuple(dict.fromkeys(left))


def _alike(claim: Claim, there: Texts, claims: Sequence[Claim], texts: Texts, wanted: frozenset[str]) -> frozenset[str]:
    """The ids that mean the same documents in a run of another workdir."""
    if any(claim.covers(one) or one.covers(claim) for one in claims):
        return wanted
    return frozenset(key for key, hashes in there.items() if hashes & texts.get(key, frozenset()))


def texts_of(run: Run, ids: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return those of some documents that a run has, with the hashes of their texts.

    Args:
        run: a run whose occurrences are read; one without any has none of the documents.
        ids: ids of documents, as strings.

    Returns:
        Id → hashes of the texts that the run has under this id (as `core.hashing.passage_id`).
    """
    column, wanted = run.config.corpus.id_column, pa.array(sorted(ids), pa.string())

    def look(file: str) -> list[tuple[str, str]]:
        path = join(run.layout.occurrences, file)
        rows = find_rows(path, ["document", column], wanted)[1]
        if not len(rows):
            return []
        fs, stripped = open_fs(path)
        names = [f"document.{column}", "passage_id", "text_hash"]
        with fs.open(stripped, "rb") as stream:
            table = pq.ParquetFile(stream).read(columns=names).take(pa.array(rows))
        keys = pc.struct_field(table["document"], column).cast(pa.string())
        hashes = pc.coalesce(table["text_hash"], table["passage_id"])
        return list(zip(keys.to_pylist(), hashes.to_pylist(), strict=True))

    try:
        files = sorted(find_files(run.layout.occurrences, ".parquet"))
    except FileNotFoundError:
        return {}
    with ThreadPoolExecutor(_READERS) as readers:
        return _together({key: frozenset([value])} for pairs in readers.map(look, files) for key, value in pairs)


def _together(parts: Iterable[Texts]) -> dict[str, frozenset[str]]:
    together: dict[str, frozenset[str]] = {}
    for part in parts:
        for key, hashes in part.items():
            together[key] = together.get(key, frozenset()) | hashes
    return together
