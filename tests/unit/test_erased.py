"""The list of erased documents: it tells who has a document that it is on it, and nobody else anything."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.finished_run import finished_run
from uniner_dist.core.hashing import passage_id
from uniner_dist.maintenance.erase import erase_documents, restore
from uniner_dist.maintenance.preview import preview_documents
from uniner_dist.pipeline.renewal import knows_other_erasures
from uniner_dist.run.run import Run
from uniner_dist.storage import erased
from uniner_dist.storage.control_files import read_hashes
from uniner_dist.storage.erased import erased_state, hash_document, hash_text, read_erased, remember, take_off
from uniner_dist.storage.filesystem import write_json
from uniner_dist.storage.place_layout import WorkdirLayout


def test_a_list_holds_no_id_and_is_read_by_who_has_the_document(tmp_path: Path) -> None:
    folder, text = str(tmp_path / "erased"), passage_id("Zoltan was here.")
    assert read_erased(folder) is None
    assert erased_state([folder]) == ""
    remember(folder, {"zoltan": [text], "unseen": []})
    found = read_erased(folder)
    assert found is not None
    assert found.with_text == [hash_text(found.salt, "zoltan", text)]
    assert found.without_text == [hash_document(found.salt, "unseen")]
    assert len(found.salt) == 32
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(word in content for word in (b"zoltan", b"unseen", text.encode()))


def test_erasing_again_adds_only_texts_that_are_new(tmp_path: Path) -> None:
    folder = str(tmp_path)
    remember(folder, {"a": ["1" * 32]})
    state = erased_state([folder])
    remember(folder, {"a": ["1" * 32]})
    assert erased_state([folder]) == state
    remember(folder, {"a": ["2" * 32]})
    assert erased_state([folder]) != state
    found = read_erased(folder)
    assert found is not None
    assert found.with_text == sorted(hash_text(found.salt, "a", one * 32) for one in "12")


def test_a_document_erased_without_a_text_stays_away_with_any_text(tmp_path: Path) -> None:
    for i, texts in enumerate(([], ["1" * 32]), start=1):
        folder = str(tmp_path / str(i))
        remember(folder, {"a": texts})
        [name] = (path for path in (tmp_path / str(i)).iterdir() if path.name != "salt.json")
        other = {document: [] if hashes else ["2" * 32] for document, hashes in read_hashes(str(name)).items()}
        write_json(f"{folder}/{'f' * 32}.json", other)  # as another process does at the same time
        found = read_erased(folder)
        assert found is not None
        assert (found.without_text, found.with_text) == ([hash_document(found.salt, "a")], [])
        assert remember(folder, {"a": ["3" * 32]}) is None


def test_a_document_that_is_erased_meanwhile_stays_on_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path)
    remember(folder, {"a": []})
    read = read_hashes

    def read_and_be_overtaken(path: str) -> dict[str, tuple[str, ...]]:
        monkeypatch.setattr(erased, "read_hashes", read)
        found = read(path)
        remember(folder, {"b": []})
        return found

    monkeypatch.setattr(erased, "read_hashes", read_and_be_overtaken)
    assert take_off(folder, ["a"]) == 1
    found = read_erased(folder)
    assert found is not None
    assert found.without_text == [hash_document(found.salt, "b")]


def test_a_document_taken_off_the_list_is_on_no_list(tmp_path: Path) -> None:
    folder = str(tmp_path)
    remember(folder, {"a": ["1" * 32], "b": []})
    remember(folder, {"c": ["3" * 32]})
    assert take_off(folder, ["a", "unknown"]) == 1
    found = read_erased(folder)
    assert found is not None
    assert sorted(found.texts) == sorted(hash_document(found.salt, one) for one in "bc")
    assert take_off(folder, ["b", "c"]) == 2
    assert read_erased(folder) is None
    assert take_off(folder, ["b"]) == 0


def test_two_lists_hash_the_same_document_differently(tmp_path: Path) -> None:
    for name in "xy":
        remember(str(tmp_path / name), {"a": []})
    one, other = (read_erased(str(tmp_path / name)) for name in "xy")
    assert one is not None
    assert other is not None
    assert one.texts.keys() != other.texts.keys()


def test_an_erasure_hides_no_earlier_change_of_the_list_from_a_run(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "world")
    workdir = run.layout.workdir
    erase_documents(workdir, ["id-Dario"])
    assert not knows_other_erasures(run)  # what is published is without it already
    restore(workdir, ["id-Dario"])
    erase_documents(workdir, ["id-Alba"])
    assert knows_other_erasures(run)  # the next start brings the other one back


def _with_integer_ids(run: Run) -> Run:
    for path in (*Path(run.layout.occurrences).rglob("*.parquet"), *Path(run.config.output.path).glob("e*/*.parquet")):
        table = pq.ParquetFile(path).read()
        if "document" in table.column_names:
            ids = table["document"].combine_chunks().field("doc_id").cast(pa.int64())
            column = "document", pa.StructArray.from_arrays([ids], names=["doc_id"])
        else:
            column = "doc_id", table["doc_id"].cast(pa.int64())
        pq.write_table(table.set_column(table.column_names.index(column[0]), *column), path)
    return run


@pytest.mark.parametrize("typed", ["7", "7 ", "007", "+7", "0_7"])
def test_an_integer_id_is_the_same_however_it_is_typed(tmp_path: Path, typed: str) -> None:
    texts: dict[str, str | None] = {"7": "Alba met Paula in Oslo.", "10": "Nobody was there."}
    run = _with_integer_ids(finished_run(tmp_path / "world", texts))
    workdir = run.layout.workdir
    assert preview_documents(workdir, [typed]).documents == {"7": (run.id,)}
    erasure = erase_documents(workdir, [typed])
    assert (erasure.annotations, erasure.places, erasure.sampled) == (1, 1, 1)
    assert not list(Path(WorkdirLayout(workdir).erasures).iterdir())
    found = read_erased(WorkdirLayout(workdir).erased)
    assert found is not None
    assert list(found.texts) == [hash_document(found.salt, "7")]
    assert restore(workdir, [typed]) == 1


def test_a_blank_is_part_of_a_string_id(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "world", {"7": "Alba met Paula in Oslo.", "7 ": "Dario and Edda were seen."})
    assert erase_documents(run.layout.workdir, ["7 "]).places == 1
    assert preview_documents(run.layout.workdir, ["7", "7 "]).documents == {"7": (run.id,)}
