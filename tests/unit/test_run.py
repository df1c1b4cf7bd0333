"""Identity of runs and models, and everything a command checks before it starts anything."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.published import write_marker
from uniner_dist import demo, model
from uniner_dist.cli.app import main
from uniner_dist.config.caller import OWNED, Caller
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config, ModelConfig
from uniner_dist.core.hashing import passage_id
from uniner_dist.errors import ConfigError
from uniner_dist.pipeline.check_locations import root_of_storage
from uniner_dist.pipeline.preflight import check, open_run
from uniner_dist.run.publication_state import claim_of
from uniner_dist.run.run import load_run
from uniner_dist.storage.control_files import Marker


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "corpus/domain=a/part-0.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"doc_id": ["1", "2"], "text": ["x", "y"], "n": [1.5, 2.5]}), path)
    return {"corpus": {"path": str(tmp_path / "corpus")}, "output": {"path": str(tmp_path / "out")}, "types": "person"}


def changed(tree: dict[str, Any], dotted: str, value: Any) -> Config:
    section, _, key = dotted.partition(".")
    return validate_tree({**tree, section: {**tree.get(section, {}), key: value} if key else value})


def test_the_same_command_opens_the_same_run_and_pins_its_configuration(tree: dict[str, Any]) -> None:
    first, second = open_run(validate_tree(tree)), open_run(validate_tree(tree))
    assert first == second
    assert load_run(first.config.workdir_path) == first
    assert first.partition_by == ("domain", "entity_type")
    assert first.carried == ("domain",)


def test_the_latest_run_of_a_workdir_is_the_one_opened_last(tree: dict[str, Any]) -> None:
    first = open_run(validate_tree(tree))
    second = open_run(validate_tree({**tree, "types": "person,location"}))
    workdir = first.config.workdir_path
    with pytest.raises(ConfigError, match="name the run with --run"):
        load_run(workdir)
    assert load_run(workdir, "latest") == second
    open_run(validate_tree(tree))
    assert load_run(workdir, "latest") == first


def test_a_workdir_without_runs_has_no_latest_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--run latest: not in .*; runs there: none"):
        load_run(str(tmp_path), "latest")


@pytest.mark.parametrize(
    ("dotted", "value"),
    [("pool.replicas", 7), ("engine.threads", 2), ("ray.num_cpus", 3), ("spark.master", "local[1]")],
)
def test_parallelism_changes_neither_run_nor_fingerprint(tree: dict[str, Any], dotted: str, value: Any) -> None:
    first, second = open_run(validate_tree(tree)), open_run(changed(tree, dotted, value))
    assert (first.id, first.fingerprint) == (second.id, second.fingerprint)
    caller = Caller(changed(tree, dotted, value))
    again = load_run(first.config.workdir_path, caller=caller, uses=OWNED)
    assert again.config == second.config, "the last start's settings are pinned"


@pytest.mark.parametrize(
    ("dotted", "value", "answers_change"),
    [
        ("model.dtype", "bfloat16", True),
        ("model.max_tokens", 64, True),
        ("model.revision", "other", False),  # of a local folder: its files say what it is
        ("types", "person,location", False),
        ("prompts.passage_tokens", 256, False),
        ("run.scores", True, False),
    ],
)
def test_answers_change_the_fingerprint_and_plans_change_the_run(
    tree: dict[str, Any], dotted: str, value: Any, answers_change: bool
) -> None:
    first, second = open_run(validate_tree(tree)), open_run(changed(tree, dotted, value))
    assert (first.fingerprint != second.fingerprint) == answers_change
    assert (first.id != second.id) == (dotted != "model.revision")


def test_a_changed_corpus_is_another_run(tree: dict[str, Any]) -> None:
    first = open_run(validate_tree(tree))
    extra = Path(tree["corpus"]["path"]) / "domain=b/part-0.parquet"
    extra.parent.mkdir()
    pq.write_table(pa.table({"doc_id": ["3"], "text": ["z"]}), extra)
    second = open_run(validate_tree(tree))
    assert first.id != second.id
    with pytest.raises(ConfigError, match="name the run with --run"):
        load_run(first.config.workdir_path)


def test_lists_and_bytes_cannot_name_folders(tree: dict[str, Any]) -> None:
    path = Path(tree["corpus"]["path"]) / "domain=a/part-0.parquet"
    columns = {"doc_id": ["1"], "text": ["x"], "tags": [["a"]], "key": [b"a"], "price": [1.5]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ConfigError) as caught:
        check(changed(tree, "output.partition_by", "tags,key,price"))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["--partition-by tags", "--partition-by key"]


@pytest.mark.parametrize(
    ("extra", "answers_change"),
    [({"max_num_batched_tokens": 4096, "enforce_eager": True}, False), ({"hf_overrides": {"rope_theta": 1.0}}, True)],
)
def test_arguments_of_the_engine_that_may_change_answers_make_another_run(
    tree: dict[str, Any], extra: dict[str, Any], answers_change: bool
) -> None:
    first, second = open_run(validate_tree(tree)), open_run(changed(tree, "engine.extra", extra))
    assert (first.fingerprint != second.fingerprint, first.id != second.id) == (answers_change, answers_change)


def test_a_model_is_its_files_not_its_place(tmp_path: Path) -> None:
    shutil.copytree(demo.model_path(), tmp_path / "a")
    here = model.identify(ModelConfig(name=str(tmp_path / "a")))
    assert here == model.identify(ModelConfig(name="demo"))
    weights = tmp_path / "a/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert model.identify(ModelConfig(name=str(tmp_path / "a"))) != here


def test_a_model_in_a_relative_folder_is_found_by_later_stages_elsewhere(
    tree: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(demo.model_path(), tmp_path / "models/llama")
    usual = open_run(changed(tree, "model.name", str(tmp_path / "models/llama")))
    for folder, name in ((".", "models/llama"), ("models/llama", "."), ("corpus", "../models/llama/")):
        monkeypatch.chdir(tmp_path / folder)
        run = open_run(changed(tree, "model.name", name))
        assert (run.id, run.fingerprint, run.model_name) == (usual.id, usual.fingerprint, "llama")
        assert load_run(run.layout.workdir, run.id).config.model.name == str(tmp_path / "models/llama")


def test_a_remote_model_is_copied_once_per_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNINER_DIST_CACHE", str(tmp_path / "cache"))
    remote = fsspec.filesystem("memory")
    remote.put(demo.model_path() + "/", "/models/demo/", recursive=True)
    config = ModelConfig(name="memory://models/demo")
    folders: list[str] = []
    threads = [threading.Thread(target=lambda: folders.append(model.resolve(config))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [folder] = set(folders)
    assert model.identify(config) == model.identify(ModelConfig(name="demo"))
    stamps = {path: path.stat().st_mtime_ns for path in Path(folder).iterdir()}
    model.resolve(config)
    assert {path: path.stat().st_mtime_ns for path in Path(folder).iterdir()} == stamps
    remote.rm("/models", recursive=True)


def test_all_problems_of_a_corpus_are_named_at_once(tree: dict[str, Any]) -> None:
    corpus = {**tree["corpus"], "id_column": "doc", "text_column": "n", "keep_columns": ["nope"]}
    inside = {"path": tree["corpus"]["path"] + "/out", "partition_by": "domain,color"}
    with pytest.raises(ConfigError) as caught:
        check(validate_tree({**tree, "corpus": corpus, "output": inside, "model": {"name": "/no/model"}}))
    text = str(caught.value)
    for words in (
        "--id-column doc: the corpus has no such column; did you mean 'doc_id'?",
        "--text-column n: holds double, not strings",
        "corpus.keep_columns nope",
        "--partition-by color",
        "lies inside --corpus",
        "model /no/model: no config.json there",
    ):
        assert words in text


def test_a_definition_that_leaves_no_room_for_text_is_refused(tree: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="the longest question leaves"):
        check(validate_tree({**tree, "types": [{"PER": "somebody who " * 1000}]}))
    with pytest.raises(ConfigError, match="overlap_tokens: must be at most a quarter"):
        check(changed(tree, "prompts.overlap_tokens", 400))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("doc_id", "a folder per document"),
        ("text", "the text cannot be a folder"),
        ("tags", "cannot be a folder's name"),
    ],
)
def test_columns_that_make_no_folders_are_refused(tree: dict[str, Any], tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["x"], "tags": [["a"]]}), path)
    tree = {**tree, "corpus": {"path": str(path)}, "output": {**tree["output"], "partition_by": f"{name},entity_type"}}
    with pytest.raises(ConfigError, match=f"--partition-by {name}: .*{reason}"):
        check(validate_tree(tree))


@pytest.mark.parametrize("section", ["corpus", "output", "workdir"])
def test_a_url_of_an_unknown_kind_is_named_beside_other_problems(tree: dict[str, Any], section: str) -> None:
    path: Any = "foo://bar/x" if section == "workdir" else {"path": "foo://bar/x"}
    with pytest.raises(ConfigError) as caught:
        check(validate_tree({**tree, section: path, "model": {"name": "/no/model"}}))
    assert "storage of the kind 'foo' is not taken" in str(caught.value)
    assert "model /no/model: no config.json there" in str(caught.value)


def test_a_workdir_that_cannot_be_written_to_is_named(tree: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--workdir .*file/w: (may not be written|cannot be written to)"):
        open_run(validate_tree({**tree, "workdir": str(tmp_path / "file/w")}))
    with pytest.raises(ConfigError, match="--workdir /proc/x: cannot be written to"):
        open_run(validate_tree({**tree, "workdir": "/proc/x"}))


def test_a_bucket_without_credentials_is_an_error_in_words(
    tree: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(ConfigError, match=r"corpus s3://bucket/x: cannot be listed: Unable to locate credentials"):
        check(changed(tree, "corpus.path", "s3://bucket/x"))
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_the_status_of_a_workdir_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["status", "--workdir", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: is not there" in capsys.readouterr().err
    assert main(["status", "--workdir", str(tmp_path)]) == 0
    assert "no runs in" in capsys.readouterr().out


def test_columns_that_differ_only_in_case_are_refused(tree: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "cased.parquet"
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["x"], "Text": ["y"]}), path)
    cased = {**tree, "corpus": {"path": str(path)}}
    assert check(validate_tree(cased)).rows == (1,)
    with pytest.raises(ConfigError, match="differ only in case"):
        check(changed(cased, "corpus.keep_columns", ["Text"]))


def test_the_passage_id_is_the_head_of_sha256() -> None:
    assert passage_id("") == "e3b0c44298fc1c149afbf4c8996fb924"
    assert passage_id("é") != passage_id("e\u0301")


def test_an_output_with_other_columns_or_folders_is_refused(tree: dict[str, Any], tmp_path: Path) -> None:
    marker = Marker(id_column="doc_id", partition_by=("domain", "entity_type"), carried=("domain",))
    write_marker(str(tmp_path / "out"), marker)
    check(validate_tree(tree))
    with pytest.raises(ConfigError, match="its folder columns are domain, entity_type, not entity_type"):
        check(changed(tree, "output.partition_by", "entity_type"))
    with pytest.raises(ConfigError, match="its further columns are domain, not domain, n"):
        check(changed(tree, "corpus.keep_columns", "n"))


def test_a_definition_used_as_a_folder_name_is_refused_at_once(tree: dict[str, Any]) -> None:
    definition = "a person identified by a proper name, title, or pseudonym, " * 5
    with pytest.raises(ConfigError, match="too long for a folder's name"):
        check(validate_tree({**tree, "types": [{"label": definition, "ask": definition}]}))
    check(validate_tree({**tree, "types": [{"PER": definition}]}))
    check(validate_tree({**tree, "types": [{"人名" * 30: definition}]}))
    with pytest.raises(ConfigError, match="has a NUL"):
        check(validate_tree({**tree, "types": [{"P\0R": definition}]}))
    flat = {"path": tree["output"]["path"], "partition_by": ""}
    check(validate_tree({**tree, "types": [{"label": definition, "ask": definition}], "output": flat}))


def test_a_column_whose_type_differs_from_the_outputs_is_refused_early(tree: dict[str, Any]) -> None:
    tree["corpus"]["keep_columns"] = ["n"]
    marker = Marker(
        id_column="doc_id",
        partition_by=("domain", "entity_type"),
        carried=("domain", "n"),
        types={"doc_id": "bigint", "domain": "string", "n": "double"},
    )
    write_marker(tree["output"]["path"], marker)
    with pytest.raises(ConfigError, match=r"its column doc_id holds bigint, but the corpus's holds string") as caught:
        check(validate_tree(tree))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("spelled", ["{0}/corpus/./out", "{0}/x/../corpus/out", "{0}//corpus//out", "{0}/link/out"])
def test_an_output_inside_the_corpus_is_refused_however_it_is_spelled(
    tree: dict[str, Any], tmp_path: Path, spelled: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "corpus")
    (tmp_path / "x").mkdir()
    with pytest.raises(ConfigError, match=r"--output .*: lies inside --corpus"):
        check(changed(tree, "output.path", spelled.format(tmp_path)))


def test_one_corpus_under_several_names_is_one_run(tree: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "corpus")
    usual = open_run(validate_tree(tree))
    for spelled in ("corpus/.", "corpus//", "corpus/domain=a/..", "link/../corpus"):
        assert open_run(changed(tree, "corpus.path", f"{tmp_path}/{spelled}")).id == usual.id
    linked = open_run(changed(tree, "corpus.path", f"{tmp_path}/link"))
    assert claim_of(linked).covers(claim_of(usual)), "a link may lead elsewhere tomorrow, but is the same corpus today"
    assert claim_of(linked).has_same_documents(claim_of(usual))


def test_a_table_of_a_catalog_is_no_place_to_write_to(tree: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as told:
        open_run(changed(tree, "output.path", "table:lake.ns.out"))
    assert told.value.problems == [
        "--output table:lake.ns.out: names a table of a catalog, into which nothing is written; name a folder, and "
        "output.format=delta or iceberg with output.table=table:lake.ns.out to have Spark's catalog keep a table over "
        "it"
    ]
    assert not Path("table:lake.ns.out.work").exists()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"table": "table:lake.ns.t"}, "needs output.format=delta or iceberg"),
        ({"table": "lake.ns.t", "format": "iceberg"}, "is the name of a table in a catalog, table:CATALOG.SCHEMA.NAME"),
        ({"table": "table:lake.t", "format": "iceberg"}, "is the name of a table in a catalog"),
        (
            {"table": "table:lake.ns.t", "format": "iceberg"},
            "output.table=table:lake.ns.t: Spark's settings do not say how to reach the catalog 'lake'",
        ),
        (
            {"table": "table:lake.ns.t", "format": "delta"},
            "output.table=table:lake.ns.t: Spark's settings do not say how to reach the catalog 'lake'",
        ),
    ],
)
def test_a_table_that_no_catalog_can_keep_is_refused(tree: dict[str, Any], output: dict[str, str], words: str) -> None:
    tree["output"].update(output)
    with pytest.raises(ConfigError, match=re.escape(words)):
        open_run(validate_tree(tree))
    assert not Path(tree["output"]["path"]).exists()


@pytest.mark.parametrize(
    "output", ["s3://bucket", "s3://bucket/", "gs://b", "abfs://c@account.dfs.net/", "hdfs://name:8020"]
)
def test_an_output_at_the_root_of_a_bucket_is_refused(output: str) -> None:
    [problem] = root_of_storage(output)
    assert "is the root of a bucket, and has no place next to it" in problem
    assert f"such as {output.rstrip('/')}/annotations" in problem
    for fits in (f"{output.rstrip('/')}/out", "/out", "memory://out", "file:///out"):
        assert root_of_storage(fits) == []
