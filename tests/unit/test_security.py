"""What a hostile corpus, a hostile model folder, or a careless configuration must not achieve."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.table import Table
from rich.text import Text

from tests.support.audited import content
from tests.support.finished_run import finished_run
from uniner_dist import demo
from uniner_dist.cli.app import main
from uniner_dist.completions.launch import replica_environment
from uniner_dist.config.caller import OWNED, Caller
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import Config, CorpusConfig, ModelConfig
from uniner_dist.config.secrets import without_secrets
from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.export.ownership import check_folder, clear_folder
from uniner_dist.formats.conll.lines import read_lines
from uniner_dist.formats.pubtator import is_pubtator
from uniner_dist.maintenance.prune import prune
from uniner_dist.model import load_tokenizer_json
from uniner_dist.pipeline.check_locations import check_secrets
from uniner_dist.pipeline.first_texts import first_texts
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.highlight import Mention
from uniner_dist.reporting.terminal import highlight
from uniner_dist.run.run import load_run
from uniner_dist.spark.session import local_settings
from uniner_dist.storage import footers
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.filesystem import json_text, open_fs
from uniner_dist.storage.snapshot import take_snapshot

HOSTILE = "Anna\x1b[2J\x1b]0;owned\x07 met\r\nBob\u202e\x00"


def config(folder: Path, **options: Any) -> Config:
    path = folder / "corpus/part-0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["x"]}), path)
    places = {"corpus.path": str(folder / "corpus"), "output.path": str(folder / "out"), "types": "person"}
    return load_config(None, (), {**places, **options})


def test_remote_code_is_off_unless_asked_for(tmp_path: Path) -> None:
    assert config(tmp_path).model.trust_remote_code is False


def test_a_tokenizer_that_wants_to_run_its_own_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(Path(demo.model_path()) / "config.json", folder)
    auto_map = {"auto_map": {"AutoTokenizer": ["evil.Tok", "evil.Tok"]}, "tokenizer_class": "Tok"}
    (folder / "tokenizer_config.json").write_text(json.dumps(auto_map))
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Tok: pass\n")
    with pytest.raises(ConfigError, match="tokenizer"):
        load_tokenizer_json(ModelConfig(name=str(folder)))
    assert not marker.exists()


@pytest.mark.parametrize("option", ["corpus.path", "output.path", "workdir"])
def test_a_password_in_a_url_is_refused_and_not_repeated(option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_run(config(tmp_path, **{option: "ftp://me:hunter2@host/folder"}))
    assert "give passwords by environment variables" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "out.work").exists()


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("spark.conf", "spark.hadoop.fs.s3a.secret.key"),
        ("spark.conf", "spark.hadoop.fs.s3a.session.token"),
        ("spark.conf", "spark.ssl.keyPassword"),
        ("spark.conf", "fs.azure.account.key.me.dfs.core.windows.net"),
        ("engine.extra", "hf_token"),
    ],
)
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(place: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_run(config(tmp_path, **{place: {key: "hunter2"}}))
    assert f"{place}.{key}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "out.work").exists()


def test_options_that_only_sound_like_secrets_pass(tmp_path: Path) -> None:
    conf = {"spark.hadoop.fs.s3a.aws.credentials.provider": "x.y.Provider"}
    extra = {"max_num_batched_tokens": 4096, "skip_tokenizer_init": True}
    open_run(config(tmp_path, **{"spark.conf": conf, "engine.extra": extra}))


def test_names_in_messages_cannot_steer_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.table({"doc_id": ["1"], "te\x1b]0;owned\x07xt": ["x"]}), path)
    assert main(["annotate", "--corpus", str(path), "--output", str(tmp_path / "out"), "--types", "person"]) == 2
    printed = "".join(capfd.readouterr())
    assert "the corpus has no such column" in printed
    assert all(char.isprintable() or char == "\n" for char in printed), printed


def test_a_text_cannot_steer_the_terminal() -> None:
    entities = [Mention("person", HOSTILE[:4], 0, 4)]
    shown = highlight(HOSTILE, entities, {"person": "bold"})
    assert not set("\x1b\x07\r\n\u202e\x00") & set(shown.plain)
    assert len(visible(HOSTILE)) == len(HOSTILE)
    assert visible(HOSTILE).isprintable()


#: Places in a configuration that hold a secret, whatever its name or only by its form.
SECRETS: dict[str, dict[str, Any]] = {
    "engine.extra.nested.deep.0.api_key": {"engine.extra": {"nested": {"deep": [{"api_key": 20241129}]}}},
    "engine.extra.secret.value": {"engine.extra": {"secret": {"value": "hunter2"}}},
    "engine.extra.list.1": {"engine.extra": {"list": ["x", "https://h.example/m?sv=1&sig=hunter2"]}},
    "ray.spark.env.AWS_SECRET_ACCESS_KEY": {"ray.spark": {"env": {"AWS_SECRET_ACCESS_KEY": "hunter2"}}},
    "spark.conf.spark.hadoop.fs.azure.sas.c.a": {"spark.conf": {"spark.hadoop.fs.azure.sas.c.a": "hunter2"}},
    "spark.conf.fs.s3a.encryption.key": {"spark.conf": {"fs.s3a.encryption.key": "hunter2"}},
    "spark.conf.google.private_key": {"spark.conf": {"google.private_key": "hunter2"}},
    "spark.conf.spark.executor.extraJavaOptions": {
        "spark.conf": {"spark.executor.extraJavaOptions": "-Xmx1g -Djavax.net.ssl.trustStorePassword=hunter2 -ea"}
    },
    "spark.conf.pem": {"spark.conf": {"pem": "-----BEGIN RSA PRIVATE KEY-----hunter2"}},
    "spark.conf.jdbc": {"spark.conf": {"jdbc": "jdbc:x://h/db;user=me;password=hunter2"}},
    "gate.gold": {"gate.gold": "s3://me:a/hunter2/b@bucket/gold.jsonl", "gate.min_f1": 0.5},
    "store": {"store": "https://h.example/s?X-Amz-Signature=hunter2"},
}
#: What only sounds like one.
NO_SECRETS: dict[str, dict[str, Any]] = {
    "labels": {"types": {"password": "a password=secret word", "token": "token"}},
    "columns": {"corpus.text_column": "password", "corpus.keep_columns": ["secret"]},
    "where one is": {
        "spark.conf": {
            "spark.kubernetes.driver.secretKeyRef.AWS_SECRET_ACCESS_KEY": "name:key",
            "spark.kubernetes.authenticate.oauthTokenFile": "/run/token",
            "spark.hadoop.fs.s3a.secret.key": "{{secrets/scope/key}}",
            "spark.authenticate.secretBitLength": "256",
        }
    },
    "folders and ports": {"output.path": "hdfs://namenode:8020/token=1/me@REALM", "workdir": "abfs://c@a.example/w"},
    "numbers": {"engine.extra": {"max_num_batched_tokens": 4096}, "prompts.shard_tokens": 10_000},
}


@pytest.mark.parametrize("place", SECRETS)
def test_a_secret_anywhere_in_a_configuration_is_found_and_not_told(place: str) -> None:
    loaded = load_config(None, (), {"corpus.path": "/c", "output.path": "/o", "types": "person", **SECRETS[place]})
    with pytest.raises(ConfigError) as caught:
        check_secrets(loaded)
    assert place in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "20241129" not in str(caught.value)
    shown = json.dumps(without_secrets(loaded.model_dump(mode="json")))
    assert "hunter2" not in shown
    assert "20241129" not in shown


@pytest.mark.parametrize("what", NO_SECRETS)
def test_what_only_sounds_like_a_secret_passes(what: str) -> None:
    tree = {"corpus.path": "s3://b/token=1/secret=2", "output.path": "/o", "types": "person", **NO_SECRETS[what]}
    check_secrets(load_config(None, (), tree))


@pytest.mark.parametrize(
    "override",
    [
        "spark.conf.fs.s3a.secret.key=20241129",
        "spark.conf={fs.s3a.access.key: 20241129}",
        "ray.num_cpus='password=20241129'",
        "spark.conf.password={20241129",
        "password 20241129",
    ],
)
def test_a_wrong_value_that_is_a_secret_is_not_repeated(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override, "pool.replicas=0"], {"corpus.path": "/c", "output.path": "/o", "types": "x"})
    assert "20241129" not in str(caught.value)


def test_nothing_printed_steers_the_terminal_though_nobody_thought_of_it() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, color_system="truecolor", width=200)
    table = Table(f"head {HOSTILE}")
    table.add_row(HOSTILE)
    console.print(table, HOSTILE, Text(HOSTILE, style="bold"), "\x9b2J", soft_wrap=True)
    left = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())  # rich's own colours
    assert visible(left, keep="\n") == left


def test_json_for_people_and_machines_has_no_controls() -> None:
    value = {"id\x9b": "\x85\x9b2J\x7f\u202e", "kept": "Zoë 東京 \u200d"}
    text = json_text(value)
    assert not set("\x85\x9b\x7f\u202e") & set(text)
    assert "Zoë 東京" in text
    assert json.loads(text) == value


def test_a_line_of_blanks_costs_a_reader_no_more_than_its_length() -> None:
    blanks = " " * 400_000  # with the square of it, minutes
    for line in (f"# id{blanks}", f"# newdoc{blanks}x", f"# newdoc id{blanks}=", f"#{blanks}:document_id{blanks}"):
        read_lines(f"{line}\nAda B-person\nis O\n", "gold.conll")
    assert not is_pubtator(blanks + "x" * 400_000)


def test_a_local_session_authenticates_in_a_folder_nobody_can_foresee() -> None:
    local = local_settings("local[2]")
    assert local["spark.authenticate"] == "true"
    assert "spark.authenticate.secret" not in local, "Spark makes one of its own, which it does not show"
    assert "spark.authenticate" not in local_settings("spark://127.0.0.1:7077"), "the cluster's settings decide"
    assert re.fullmatch(r"uniner-dist-\w{8,}", Path(local["spark.sql.warehouse.dir"]).name)
    assert Path(local["spark.sql.warehouse.dir"]).stat().st_mode & 0o077 == 0


def test_a_folder_with_a_link_in_it_is_never_exported_over(tmp_path: Path) -> None:
    folder, neighbour = tmp_path / "export", tmp_path / "neighbour"
    neighbour.mkdir()
    (neighbour / "part-00000-00000.parquet").write_bytes(b"theirs")
    folder.mkdir()
    (folder / "export.json").write_text('{"dataset": "uniner-dist export", "format": "hf", "complete": true}')
    (folder / "data").symlink_to(neighbour)
    check_folder(str(folder), replace=True)
    with pytest.raises(ConfigError, match="data in it is a link"):
        clear_folder(str(folder))
    assert (neighbour / "part-00000-00000.parquet").read_bytes() == b"theirs"


def test_an_export_json_put_beside_foreign_files_gives_none_of_them_away(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_bytes(b"years of work")
    (tmp_path / "export.json").write_text('{"dataset": "uniner-dist export", "format": "hf", "complete": true}')
    with pytest.raises(ConfigError, match=r"thesis\.docx"):
        check_folder(str(tmp_path), replace=False)
    clear_folder(str(tmp_path))
    assert (tmp_path / "thesis.docx").read_bytes() == b"years of work"


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("ray", "address", "ray://elsewhere.example:10001"),
        ("spark", "master", "spark://elsewhere.example:7077"),
        ("spark", "conf", {"spark.driver.extraClassPath": "/tmp/evil.jar"}),
        ("engine", "extra", {"worker_cls": "evil.Worker"}),
        ("model", "trust_remote_code", True),
        ("prompts", "passage_tokens", 64),
        ("model", "max_tokens", 1),
        ("corpus", "path", "/etc"),
    ],
)
def test_a_pinned_configuration_that_somebody_changed_runs_nothing(
    tmp_path: Path, section: str, key: str, value: Any
) -> None:
    run = open_run(config(tmp_path))
    pinned = json.loads(Path(run.layout.config).read_text())
    pinned["config"][section][key] = value
    Path(run.layout.config).write_text(json.dumps(pinned))
    with pytest.raises(ConfigError, match=re.escape(run.layout.config)):
        load_run(run.layout.workdir, run.id, Caller.of(), OWNED)


@pytest.mark.parametrize("types", ["@TYPES", " @TYPES", {"types": "@TYPES"}])
def test_a_pinned_configuration_names_no_file_to_open(
    tmp_path: Path, types: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(config(tmp_path))
    (tmp_path / "types.txt").write_text("person\n")  # what the run asks, so that its id would be right
    pinned = json.loads(Path(run.layout.config).read_text())
    pinned["config"]["types"] = json.loads(json.dumps(types).replace("TYPES", str(tmp_path / "types.txt")))
    Path(run.layout.config).write_text(json.dumps(pinned))
    monkeypatch.setattr(fsspec, "open", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(ConfigError, match=rf"{re.escape(run.layout.config)}: .*types is not a list"):
        load_run(run.layout.workdir, run.id, Caller.of(trusts_workdir=True))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("ftp://me:hunter2@h.example/types.yaml", "@…: has a password or a signature in its URL"),
        ("https://h.example/t.yaml?X-Amz-Signature=hunter2", "@…: has a password or a signature in its URL"),
        ("https://h.example/t.yaml", "storage of the kind 'https' is not taken"),
        ("zip://t.yaml::file:///x.zip", "chains of file systems (::) are not taken"),
    ],
)
def test_a_file_of_types_is_opened_from_known_storage_alone(
    path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsspec, "open", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(ConfigError) as caught:
        load_config(None, (), {"corpus.path": "/c", "output.path": "/o", "types": f"@{path}"})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_replicas_load_no_plugin_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    assert replica_environment(config(tmp_path))["VLLM_PLUGINS"] == "", "none; without the variable vLLM takes all"
    monkeypatch.setenv("VLLM_PLUGINS", "asked_for")
    assert replica_environment(config(tmp_path))["VLLM_PLUGINS"] == "asked_for"


def test_the_driver_reads_nothing_of_a_row_group_of_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = config(tmp_path).corpus
    snapshot = take_snapshot(corpus.path)
    assert first_texts(corpus, snapshot) == ["x"]
    monkeypatch.setattr(footers, "LARGE_BYTES", 10)
    assert first_texts(corpus, snapshot) == []


def test_texts_that_are_bytes_are_tried_and_shown_as_texts(tmp_path: Path) -> None:
    texts = ["Zoë", "x" * 3000]
    pq.write_table(pa.table({"id": [1, 2], "text": [text.encode() for text in texts]}), tmp_path / "c.parquet")
    snapshot = take_snapshot(str(tmp_path / "c.parquet"))
    corpus = CorpusConfig(path=snapshot.path, id_column="id", text_column="text", binary_text=True)
    assert first_texts(corpus, snapshot) == ["Zoë", "x" * 2000]
    assert first_texts(corpus.model_copy(update={"binary_text": False}), snapshot) == []
    [batch] = rows_of(snapshot, ["text"], binary_text=True)
    assert batch.column(0).to_pylist() == texts


@pytest.mark.parametrize("linked", ["runs", "the run", "its prompts"])
def test_pruning_never_goes_through_a_link(tmp_path: Path, linked: str) -> None:
    run, neighbour = finished_run(tmp_path / "house"), tmp_path / "neighbour"
    root = Path(run.layout.root)
    place = {"runs": root.parent, "the run": root, "its prompts": root / "prompts"}[linked]
    place.rename(neighbour)
    place.symlink_to(neighbour)
    before = content(neighbour)
    if linked == "the run":
        assert prune(run.layout.workdir, 0.0) == [], "a link is no run"
    else:
        with pytest.raises(ConfigError, match=rf"{place}: is a link"):
            prune(run.layout.workdir, 0.0)
    assert content(neighbour) == before


def test_a_store_that_is_a_link_needs_the_callers_word(tmp_path: Path) -> None:
    run = open_run(config(tmp_path))
    load_run(run.layout.workdir, run.id, Caller.of(), OWNED)
    store, elsewhere = Path(run.layout.workdir) / "store", tmp_path / "elsewhere"
    store.rename(elsewhere)
    store.symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="is outside of the workdir"):
        load_run(run.layout.workdir, run.id, Caller.of(), OWNED)
    load_run(run.layout.workdir, run.id, Caller.of(stores=[str(store)]), OWNED)


@pytest.mark.parametrize("path", ["zip::file:///x", "https://h.example/x", "sftp://h/x", "github://a:b@c/x"])
def test_chains_and_other_kinds_of_storage_are_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        open_fs(path)


@pytest.mark.parametrize("run_id", ["../neighbour", "..", "", "A" * 12, "a" * 13, "a" * 11 + "\n", "latest/.."])
def test_a_run_is_named_by_its_id_and_nothing_else(run_id: str, tmp_path: Path) -> None:
    run = open_run(config(tmp_path))
    with pytest.raises(ConfigError):
        load_run(run.layout.workdir, run_id)
    (Path(run.layout.workdir) / "latest.json").write_text(json.dumps({"run_id": run_id}))
    with pytest.raises(ConfigError, match=r"latest\.json"):
        load_run(run.layout.workdir, "latest")
