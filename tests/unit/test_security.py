"""What a hostile corpus, a hostile model folder, or a careless configuration must not achieve."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniner_dist import demo
from uniner_dist.cli.app import main
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import Config, ModelConfig
from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.model import load_tokenizer_json
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.reporting.terminal import highlight

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
    entities = [{"start": 0, "end": 4, "label": "person"}]
    shown = highlight(HOSTILE, entities, {"person": "bold"})
    assert not set("\x1b\x07\r\n\u202e\x00") & set(shown.plain)
    assert len(visible(HOSTILE)) == len(HOSTILE)
    assert visible(HOSTILE).isprintable()
