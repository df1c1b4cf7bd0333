"""The dataset card, read back as the hub reads it, and the runs of an output looked up."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from huggingface_hub import DatasetCard
from huggingface_hub.utils import filter_repo_objects

from tests.support.evaluation_data import annotation, write_annotations
from tests.support.evaluation_data import entity as entity_of
from tests.support.published import marker_of, published, run_id, write_marker
from uniner_dist.annotations.card_text import Statistics, render_card
from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.run.provenance import look_up
from uniner_dist.storage.control_files import Marker, PublishedRun
from uniner_dist.storage.filesystem import write_json
from uniner_dist.storage.place_layout import OutputLayout

ROOT = Path(__file__).parents[2]
UNINER = "CC BY-NC 4.0 (and the terms of LLaMA): not for commercial use; the annotations carry this licence"


def entry(**changes: Any) -> PublishedRun:
    about: dict[str, Any] = {
        "published_at": "2026-11-02T03:04:05Z",
        "rows": 4,
        "documents": 2,
        "model": "Universal-NER/UniNER-7B-all",
        "revision": "c0ffee",
        "dtype": "bfloat16",
        "quantization": "none",
        "template": "ie_as_qa",
        "decoding": "greedy, at most 256 tokens",
        "engines": ("vllm 0.26.0",),
        "fingerprint": "f00d",
        "version": "0.1",
        "licence": UNINER,
        "asks": {"PER": "person\n| by name", "place": "place"},
    }
    return published(**about | changes)


def marker(**runs: PublishedRun) -> Marker:
    return marker_of("doc_id", **runs).model_copy(update={"carried": ("domain",)})


STATISTICS = Statistics(
    documents=1000,
    by_type={"PER": {"found": 600, "none": 390, "truncated": 10}, "a|<b>": {"none": 1000}},
    mentions={"PER": 1234, "a|<b>": 0},
)


def _load(text: str) -> DatasetCard:
    card = DatasetCard(text)
    assert str(card) == text
    return card


def test_the_hub_reads_licence_task_size_and_where_the_files_are() -> None:
    data = _load(render_card("news", marker(a=entry()), STATISTICS, ["en", "de"])).data
    assert data.license == "cc-by-nc-4.0"
    assert data.language == ["en", "de"]
    assert data.task_categories == ["token-classification"]
    assert data.size_categories == ["1K<n<10K"]
    assert data.to_dict()["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "**/*.parquet"}]}
    ]


def test_unknown_languages_are_left_out_and_several_licences_all_named() -> None:
    demo = entry(licence="Apache-2.0 (demonstration checkpoint of this project)", engines=())
    card = _load(render_card("x", marker(a=entry(), b=demo, c=entry(licence="see the model's card")), STATISTICS))
    assert card.data.language is None
    assert card.data.license == ["cc-by-nc-4.0", "apache-2.0", "unknown"]
    assert "every answer was known from earlier runs" in card.text


def test_the_text_says_what_is_in_it_and_where_each_run_comes_from() -> None:
    text = _load(render_card("news", marker(a=entry()), STATISTICS)).text
    for words in (
        "| PER | 1,234 | 600 | 390 | 10 |",
        "| all | 1,234 | 600 | 1,390 | 10 |",
        "1,000 documents, 2,000 rows",
        "### Run `aaaaaaaaaaaa`",
        "- revision: c0ffee",
        "- engine: vllm 0.26.0",
        "- prompt template: ie_as_qa",
        "- fingerprint: f00d",
        "not for commercial use",
        "@article{zhou2023universalner",
        "`doc_id`, `domain`",
    ):
        assert words in text


def test_the_card_tells_what_was_skipped_from_what_is_empty() -> None:
    skipping = Statistics(3, {"PER": {"found": 1, "none": 1, "skipped": 1}}, {"PER": 2})
    text = render_card("x", marker(a=entry()), skipping)
    assert "`skipped` was not asked" in text
    assert "| entity type | mentions | found | none | skipped |" in text
    assert "skipped" not in render_card("x", marker(a=entry()), STATISTICS)


def test_labels_and_questions_cannot_break_the_card() -> None:
    text = _load(render_card("news", marker(a=entry()), STATISTICS)).text
    assert "| a\\|&lt;b&gt; | 0 |" in text
    assert "PER: “person \\| by name”; place" in text


def test_the_card_of_an_empty_output_has_no_size_but_small() -> None:
    data = _load(render_card("x", marker(a=entry(rows=0, documents=0)), Statistics(0, {"PER": {}}, {"PER": 0}))).data
    assert data.size_categories == ["n<1K"]


def test_what_the_docs_upload_to_the_hub_is_loaded_with_every_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [annotation(str(i), name, [entity_of("Ada", 0)], domain="x") for i in range(6) for name in ("PER", "place")]
    output = write_annotations(tmp_path / "out", rows)
    as_it_is = datasets.load_dataset(output, split="train", cache_dir=str(tmp_path / "as_it_is"))
    assert "entity_type" not in as_it_is.column_names  # which is why the docs and the card say what they say

    page = (ROOT / "docs/growing.md").read_text()
    [recipe] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if '"upload"' in block]
    monkeypatch.chdir(tmp_path)
    exec(recipe, {"OUTPUT": output})
    folders = marker(a=entry()).model_copy(update={"partition_by": ("domain", "entity_type")})
    Path("upload/README.md").write_text(render_card("news", folders, STATISTICS))  # the second upload
    loaded = datasets.load_dataset(str(tmp_path / "upload"), split="train", cache_dir=str(tmp_path / "copy"))
    found = {(row["doc_id"], row["entity_type"], row["domain"], row["entities"][0]["text"]) for row in loaded}
    assert found == {(str(i), name, "x", "Ada") for i in range(6) for name in ("PER", "place")}
    assert len(loaded) == 12


def test_the_card_says_how_folder_columns_are_read(tmp_path: Path) -> None:
    rows = [annotation(str(i), name, [entity_of("Ada", 0)], domain="05") for i in range(6) for name in ("PER", "x")]
    output = write_annotations(tmp_path / "out", rows)
    folders = marker(a=entry()).model_copy(update={"partition_by": ("domain", "entity_type")})
    text = _load(render_card("news", folders, STATISTICS)).text
    assert "no file: `domain`, `entity_type`" in text
    [query] = re.findall(r"```sql\n(.*?)\n```", text, re.DOTALL)
    found = duckdb.sql(query.replace("hf://datasets/USER/DATASET", output)).to_arrow_table().to_pylist()
    assert {(row["domain"], row["entity_type"]) for row in found} == {("05", "PER"), ("05", "x")}
    assert "## Reading it" not in _load(render_card("news", marker(a=entry()), STATISTICS)).text


def test_an_uploaded_copy_of_the_output_is_loaded_as_its_card_says(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [annotation(str(i), name, [entity_of("Ada", 0)], domain="05") for i in range(6) for name in ("PER", "x")]
    output = Path(write_annotations(tmp_path / "out", rows))
    folders = marker(a=entry()).model_copy(update={"partition_by": ("domain", "entity_type")})
    write_marker(str(output), folders)
    (output / "README.md").write_text(render_card("news", folders, STATISTICS))  # uploaded into the same folder
    whole = datasets.load_dataset(str(output), split="train", cache_dir=str(tmp_path / "cache"))
    assert (len(whole), "entity_type" in whole.column_names) == (12, False)  # as the card says

    [recipe] = re.findall(r"```python\n(.*?)```", (output / "README.md").read_text(), re.DOTALL)
    snapshot = tmp_path / ".cache" / "snapshot"  # what the hub's library leaves on a disk, of the files that are named
    [patterns] = re.findall(r'allow_patterns="(.*?)"', recipe)
    names = [str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()]
    for name in filter_repo_objects(names, allow_patterns=patterns):
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(output / name)
    found: dict[str, Any] = {}
    exec(re.sub(r"snapshot_download\(.*\)", repr(str(snapshot)), recipe), found)
    assert {(row["doc_id"], row["domain"], row["entity_type"]) for row in found["rows"]} == {
        (str(i), "05", name) for i in range(6) for name in ("PER", "x")
    }
    assert isinstance(found["rows"], datasets.Dataset)
    assert len(found["rows"]) == 12


def test_no_name_of_a_folder_ends_the_code_of_the_card() -> None:
    folders = marker(a=entry()).model_copy(update={"partition_by": ("a\n```\n<b>", "q\"'", "entity_type")})
    [code] = re.findall(r"```python\n(.*?)\n```\n", render_card("x", folders, STATISTICS), re.DOTALL)
    names = [element.elts[0] for element in ast.walk(ast.parse(code)) if isinstance(element, ast.Tuple)]
    assert [ast.literal_eval(name) for name in names] == [visible("a\n```\n<b>"), "q\"'", "entity_type"]


def test_the_card_stands_beside_the_output() -> None:
    assert OutputLayout("s3://bucket/ner/").card == "s3://bucket/ner.card/README.md"


def test_a_run_is_looked_up_by_the_id_in_its_rows(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    with pytest.raises(ConfigError, match="is not there"):
        look_up(output)
    Path(output).mkdir()
    with pytest.raises(ConfigError, match="no annotations of ours there"):
        look_up(output)
    older = entry(published_at="2025-01-01T00:00:00Z", revision="dead")
    new, old = run_id("a"), run_id("b")
    write_marker(output, marker(a=entry(), b=older))
    assert list(look_up(output)) == [old, new]
    assert look_up(output, old) == {old: older}
    with pytest.raises(ConfigError, match=rf"--run nope: not in .*; runs there: {new}, {old}"):
        look_up(output, "nope")
    write_json(str(tmp_path / "other/x.json"), {})
    with pytest.raises(ConfigError, match="no annotations of ours"):
        look_up(str(tmp_path / "other"))


def test_names_of_columns_models_and_folders_stay_text_in_the_card() -> None:
    name = "x](https://a.example) ![y](z) *b* `c` <img> --- \x1b[2J\n---\nlicense: mit"
    hostile = marker(a=entry().model_copy(update={"model": name, "licence": name}))
    hostile = hostile.model_copy(update={"id_column": name, "carried": ("fine", "`", "a\nb")})
    card = _load(render_card(name, hostile, STATISTICS))
    assert card.data.license == "unknown"
    assert card.data.pretty_name.startswith("x](https://a.example)")
    assert not {"\x1b"} & set(card.content)
    from markdown_it import MarkdownIt

    tokens = [inner for token in MarkdownIt().parse(card.text) for inner in token.children or ()]
    assert not [token for token in tokens if token.type in ("link_open", "image", "html_inline", "em_open")]
