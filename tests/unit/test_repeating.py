"""Commands that were killed are started again: each looks at what is there and does the rest."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.completions import completions
from uniner_dist.config.loading import validate_tree
from uniner_dist.core.hashing import passage_id
from uniner_dist.maintenance import erase_shards
from uniner_dist.maintenance.erase_shards import forget_in_shards
from uniner_dist.prompts.shard_writer import encode_prompts
from uniner_dist.run.run import Run
from uniner_dist.schemas import SHARDS
from uniner_dist.storage.filesystem import list_names, write_bytes
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.shards import committed_shards, prompts_file, read_prompts, read_shards, write_completions
from uniner_dist.storage.shards import write_shards as really_write

TEXTS = {"00000-0000": ["only text"], "00001-0000": ["other", "more"]}


class _Killed(BaseException):
    """A process that died; no `except Exception` sees it."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose stage 1 is done: two shards, one of them of a single passage."""
    layout = RunLayout(str(tmp_path), "a" * 12)
    rows = []
    for shard, texts in TEXTS.items():
        ids = pa.array([passage_id(text) for text in texts])
        write_bytes(prompts_file(layout, shard), encode_prompts(ids, pa.array(texts), ["person"]))
        count = len(texts)
        rows.append({"shard": shard, "prompts": count, "asked": count, "passages": count, "estimated_tokens": 10})
    really_write(layout, pa.Table.from_pylist(rows, schema=SHARDS))
    tree = {
        "corpus": {"path": "/c"},
        "output": {"path": f"{tmp_path}/out"},
        "workdir": str(tmp_path),
        "types": "person",
    }
    return Run(validate_tree(tree), layout, "f" * 16, "m", "m", "/c", 1, 1, ())


def _answer(run: Run, shard: str, outputs: list[str | None]) -> None:
    write_completions(run.layout.completions_file(shard), shard, run.fingerprint, completions(outputs))


def _die(*arguments: object) -> None:
    raise _Killed


def test_an_erasure_that_died_before_the_manifest_is_finished(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = pa.array([passage_id("only text"), passage_id("more")])
    monkeypatch.setattr(erase_shards, "write_shards", _die)
    with pytest.raises(_Killed):
        forget_in_shards(run, gone)
    monkeypatch.undo()
    forget_in_shards(run, gone)
    [row] = read_shards(run.layout).to_pylist()
    assert (row["shard"], row["prompts"], row["passages"]) == ("00001-0000", 1, 1)
    assert read_prompts(run.layout, "00001-0000")["text"].to_pylist() == ["other"]
    forget_in_shards(run, gone)
    assert read_shards(run.layout).num_rows == 1


def test_an_erasure_takes_shards_that_are_in_no_manifest(run: Run) -> None:
    """A task that was tried again may have left them, and nobody else would ever look into them."""
    stray = "00009-0000"
    write_bytes(prompts_file(run.layout, stray), encode_prompts(pa.array(["x"]), pa.array(["a secret"]), ["person"]))
    _answer(run, stray, ["[]"])
    forget_in_shards(run, pa.array([passage_id("more")]))
    assert list_names(run.layout.prompts) == [f"shard={shard}" for shard in TEXTS]
    assert committed_shards(run.layout) == set()
